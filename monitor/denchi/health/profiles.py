"""Profiles: limits, required channels, budgets, and the steps of a guided screening; TOML, validated.

Built-in ones stand in ``profiles/``; a shop's own in a folder of its configuration.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from denchi.errors import ConfigError
from denchi.i18n import Text

BUILT_IN: Final = Path(__file__).parent / "profile_files"


@dataclass(frozen=True, slots=True)
class Limits:
    """Every number a detector decides by. Sources stand with the detectors and in docs/health.md."""

    case_caution_c: float = 52.0
    case_danger_c: float = 60.0
    charge_caution_c: float = 45.0
    charge_danger_c: float = 50.0
    cell_caution_c: float = 55.0
    cell_danger_c: float = 65.0
    pd_danger_c: float = 80.0
    meter_caution_c: float = 75.0
    rise_caution_k_min: float = 1.6
    rise_danger_k_min: float = 4.0
    excess_info_k: float = 3.0
    excess_caution_k: float = 5.5
    excess_soon_caution_k: float = 9.0
    idle_excess_caution_k: float = 5.0
    excess_danger_k: float = 15.0
    excess_danger_case_c: float = 38.0
    excess_fast_danger_k: float = 25.0
    excess_joined_danger_k: float = 12.0
    excess_cold_danger_k: float = 25.0
    vbus_low_frac: float = 0.95
    vbus_bad_frac: float = 0.86
    vbus_high_frac: float = 1.10
    sag_growth_frac: float = 0.03
    resistance_info_ohm: float = 0.25
    resistance_growth_ohm: float = 0.08
    dropout_v: float = 2.5
    dropout_load_a: float = 0.15
    early_cut_known_frac: float = 0.56
    early_cut_unknown_frac: float = 0.42
    charge_energy_frac: float = 1.45
    cell_high_v: float = 4.25
    cell_low_v: float = 2.7
    cell_imbalance_v: float = 0.05
    soh_info_frac: float = 0.7


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a guided screening. ``target_a`` None: any load; 0: no load."""

    key: str
    title: Text
    instruction: Text
    seconds: float
    target_a: float | None = None
    critical: bool = True
    unpowered: bool = False
    """The unit may be off in this step (resting), so a dark output is no fault."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How a session is judged."""

    name: str
    title: Text
    description: Text
    limits: Limits = Limits()
    required: tuple[str, ...] = ()
    """Channels that must have been measured: ``vbus_uv``, ``ibus_ua``, ``unit_temperature``."""
    electrical_only: bool = False
    minutes: float = 0.0
    """How long the test lasts at least before it can say that nothing was seen."""
    gap_fraction_most: float = 0.02
    gap_most_s: float = 5.0
    steps: tuple[Step, ...] = ()

    def with_limits(self, changes: Mapping[str, float]) -> Profile:
        """The profile with some limits changed. Raises ``ConfigError`` for an unknown one."""
        known = [f.name for f in fields(Limits)]
        for name in changes:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1, 0.4)
                cure = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
                raise ConfigError(f"no limit {name!r}", cure=cure)
        return replace(self, limits=replace(self.limits, **dict(changes)))


_KEYS: Final = {
    "title", "title_ja", "description", "description_ja", "minutes", "required", "electrical_only",
    "gap_fraction_most", "gap_most_s", "limits", "step",
}  # fmt: skip
_STEP_KEYS: Final = {
    "key", "title", "title_ja", "instruction", "instruction_ja", "seconds", "target_a", "critical", "unpowered",
}  # fmt: skip
_CHANNELS: Final = {
    "vbus_uv",
    "ibus_ua",
    "pack_uv",
    "pack_ua",
    "unit_temperature",
    "temp_mc.ambient",
}


def _text(table: Mapping[str, Any], name: str) -> Text:
    """A sentence whose two languages stand in the profile's own file: the domain carries no catalogue."""
    english = str(table.get(name, ""))
    japanese = str(table.get(f"{name}_ja", "") or english)
    return Text("{en}", {"en": english, "ja": japanese}, domain="profile")


def names(own: Path | None = None) -> list[str]:
    """Names of the profiles there are."""
    found = {p.stem for p in BUILT_IN.glob("*.toml")}
    if own is not None and own.is_dir():
        found |= {p.stem for p in own.glob("*.toml")}
    return sorted(found)


def load(name: str, own: Path | None = None) -> Profile:
    """A profile by name, a shop's own before a built-in one. Raises ``ConfigError`` (file, line, key)."""
    for folder in (own, BUILT_IN):
        if folder is None or not re.fullmatch(r"[\w-]{1,40}", name):
            continue
        path = folder / f"{name}.toml"
        if path.is_file():
            return _parse(path)
    near = difflib.get_close_matches(name, names(own), 1, 0.4)
    cure = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names(own))}"
    raise ConfigError(f"no profile {name!r}", cure=cure)


def _parse(path: Path) -> Profile:
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}", cure="mend that line") from None
    _known(path, text, table, _KEYS)
    required = _list(path, table, "required", str, "channels")
    if wrong := set(required) - _CHANNELS:
        raise ConfigError(
            f"{path}: required: no channel {min(wrong)!r}",
            cure=f"known: {', '.join(sorted(_CHANNELS))}",
        )
    steps = tuple(
        _step(path, text, one) for one in _list(path, table, "step", dict, "[[step]] tables")
    )
    if len({step.key for step in steps}) < len(steps):
        raise ConfigError(f"{path}: two steps have the same key", cure="name each step once")
    limits = table.get("limits", {})
    if not isinstance(limits, dict):
        raise ConfigError(f"{path}: limits is no table", cure="write [limits], one limit a line")
    if not str(table.get("title", "")).strip():
        raise ConfigError(f"{path}: title is missing", cure='write title = "..."')
    profile = Profile(
        name=path.stem,
        title=_text(table, "title"),
        description=_text(table, "description"),
        required=tuple(required),
        electrical_only=_flag(path, table, "electrical_only", default=False),
        minutes=_number(path, table, "minutes", 0.0, 100_000.0, 0.0),
        # A profile may not wave through a test that was mostly not measured.
        gap_fraction_most=_number(path, table, "gap_fraction_most", 0.0, 0.2, 0.02),
        gap_most_s=_number(path, table, "gap_most_s", 0.0, 60.0, 5.0),
        steps=steps,
    )
    try:
        return profile.with_limits({k: _number(path, limits, k, -1e6, 1e6) for k in limits})
    except ConfigError as error:
        where = "" if str(path) in error.message else f"{path}: "
        raise ConfigError(where + error.message, cure=error.cure) from None


def _step(path: Path, text: str, table: Mapping[str, Any]) -> Step:
    _known(path, text, table, _STEP_KEYS)
    for name in ("key", "title", "instruction"):
        if not isinstance(table.get(name), str) or not table[name].strip():
            raise ConfigError(
                f"{path}: a step lacks or mistypes {name!r}", cure="see the built-in profiles"
            )
    return Step(
        key=table["key"],
        title=_text(table, "title"),
        instruction=_text(table, "instruction"),
        # Less than the two seconds in which a load is recognised would be no step.
        seconds=_number(path, table, "seconds", 5.0, 604_800.0),
        target_a=_number(path, table, "target_a", 0.0, 50.0) if "target_a" in table else None,
        critical=_flag(path, table, "critical", default=True),
        unpowered=_flag(path, table, "unpowered", default=False),
    )


def _number(
    path: Path,
    table: Mapping[str, Any],
    name: str,
    low: float,
    high: float,
    default: float | None = None,
) -> float:
    value = table.get(name, default)
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
    if not good or value is None:  # NaN is in no range
        raise ConfigError(
            f"{path}: {name} = {value!r}", cure=f"a number from {low:g} to {high:g} is needed"
        )
    return float(value)


def _flag(path: Path, table: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = table.get(name, default)
    if not isinstance(value, bool):  # "no" in quotes would count as true
        raise ConfigError(f"{path}: {name} = {value!r}", cure="write true or false, without quotes")
    return value


def _list(path: Path, table: Mapping[str, Any], name: str, kind: type, what: str) -> list[Any]:
    value = table.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, kind) for one in value):
        raise ConfigError(f"{path}: {name} is no list of {what}", cure="see the built-in profiles")
    return value


def _known(path: Path, text: str, table: Mapping[str, Any], known: set[str]) -> None:
    for key in table:
        if key not in known:
            line = next(
                (n for n, row in enumerate(text.splitlines(), 1) if row.strip().startswith(key)), 0
            )
            near = difflib.get_close_matches(key, sorted(known), 1, 0.4)
            cure = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
            raise ConfigError(f"{path}, line {line}: no setting {key!r}", cure=cure)
