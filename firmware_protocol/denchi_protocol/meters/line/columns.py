"""Names of the columns of a generic line: what they measure, in which unit; numbers as people print them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from denchi_protocol.samples import channel

MAX_COLUMNS: Final = 64

_STEMS: Final = {
    "voltage": "vbus_uv",
    "vbus": "vbus_uv",
    "bus_voltage": "vbus_uv",
    "current": "ibus_ua",
    "ibus": "ibus_ua",
    "dp": "dp_uv",
    "dm": "dm_uv",
    "cc1": "cc1_uv",
    "cc2": "cc2_uv",
    "pack": "pack_uv",
    "pack_voltage": "pack_uv",
    "pack_current": "pack_ua",
    "temperature": "temp_mc.case",
    "case": "temp_mc.case",
    "case_temperature": "temp_mc.case",
    "ambient": "temp_mc.ambient",
    "ambient_temperature": "temp_mc.ambient",
    "meter_temperature": "temp_mc.meter",
    "meter": "temp_mc.meter",
    "cell": "temp_mc.cell.1",
}
"""Name without its unit -> channel; the first five of denchi's own recordings are among them."""
_UNITS: Final = {
    "v": ("uV", 1_000_000.0), "mv": ("uV", 1_000.0), "uv": ("uV", 1.0),
    "a": ("uA", 1_000_000.0), "ma": ("uA", 1_000.0), "ua": ("uA", 1.0),
    "c": ("mdegC", 1_000.0), "mc": ("mdegC", 1.0),
}  # fmt: skip
_TIMES: Final = {"t_s": 1e9, "time_s": 1e9, "t_ms": 1e6, "time_ms": 1e6, "millis": 1e6}
_CELL: Final = re.compile(r"cell_?([1-9]\d?)\Z", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(?:\d{1,15}(?:\.\d{0,15})?|\.\d{1,15})(?:[eE][+-]?\d{1,2})?\Z", re.ASCII)  # fmt: skip
_LABEL: Final = re.compile(r"([A-Za-z][A-Za-z0-9_. -]{0,40})[:=]\s*([^\s:=]*)\Z", re.ASCII)
NOT_MEASURED: Final = frozenset(("", "nan", "null", "none", "-", "--", "ovf", "inf", "-inf"))


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its channel (``t`` = the board's time, empty = nothing denchi knows) and counts a unit."""

    named: str
    channel: str
    scale: float


def column(name: str) -> Column:
    """What a name means: a stem and a unit (``voltage_v``, ``current_ma``, ``cell3_v``, ``t_ms``)."""
    plain = re.sub(r"[\s.-]+", "_", name.strip().lower())
    if plain in _TIMES:
        return Column(plain, "t", _TIMES[plain])
    stem, _, unit = plain.rpartition("_")
    known, scale = _UNITS.get(unit, ("", 0.0))
    target = _STEMS.get(stem, "")
    if known == "uA" and stem == "pack":
        target = "pack_ua"
    if cell := _CELL.match(stem):
        number = int(cell[1])
        stem_name = "temp_mc.cell" if known == "mdegC" else "cell_uv"
        target = f"{stem_name}.{number}" if number <= 64 else ""
    if not target or channel(target).unit != known:
        return Column(plain, "", 0.0)
    return Column(plain, target, scale)


def header(cells: list[str]) -> tuple[Column, ...]:
    """Columns of a header line; empty when the line is none (no cell has a name that is known)."""
    if len(cells) > MAX_COLUMNS or any(_NUMBER.match(cell) for cell in cells):
        return ()
    found = tuple(column(cell) for cell in cells)
    return found if any(c.channel and c.channel != "t" for c in found) else ()


def split(line: str) -> list[str]:
    """Cells of a line separated by tabs, semicolons or commas."""
    mark = next((mark for mark in "\t;" if mark in line), ",")
    return [cell.strip().strip('"') for cell in line.split(mark)]


def number(text: str) -> float | None:
    """A number; None for what says "not measured". Raises ``ValueError`` for anything else."""
    if text.lower() in NOT_MEASURED:
        return None
    if not _NUMBER.match(text):
        raise ValueError(text)
    return float(text)


def named_values(line: str) -> dict[str, float | None] | None:
    """Values of a JSON object or of ``name:value`` pairs; None when the line is neither.

    Raises ``ValueError`` where a value is no number.
    """
    if line.startswith("{"):
        return _json_values(line)
    cells = split(line)
    pairs = [_LABEL.match(cell) for cell in cells]
    if not cells or any(pair is None for pair in pairs):
        return None
    return {pair[1]: number(pair[2]) for pair in pairs if pair is not None}


def _json_values(line: str) -> dict[str, float | None]:
    try:
        got = json.loads(line, parse_constant=lambda _: None)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(got, dict):
        raise ValueError("no object")
    values: dict[str, float | None] = {}
    for name, value in got.items():
        if value is None or (isinstance(value, str) and value.lower() in NOT_MEASURED):
            values[name] = None
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            # A number beyond any instrument; int() of a huge literal would not fit a float either.
            values[name] = float(value) if abs(value) < 1e15 else None
        elif column(name).channel:
            raise ValueError(name)
    return values
