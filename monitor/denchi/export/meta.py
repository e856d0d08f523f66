"""What is told about a recording beside its samples: ``FILE.meta.json`` or ``--meta FILE``."""

from __future__ import annotations

import difflib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from denchi.errors import InputError
from denchi.model import SessionMeta
from denchi.text import clean

log = logging.getLogger("denchi.export")

_NUMBERS: Final = ("rated_mah", "rated_wh", "max_w", "ambient_c")
POSITIONS: Final = ("output", "input", "cell")
ABOUT: Final = ("origin", "session", "started", "meter", "unit", "bench", "profile", "exported_by")
"""Further keys that an export writes and a reader only passes on."""


def beside(path: Path) -> Path:
    """Where a recording's meta file lies."""
    return path.with_name(path.name + ".meta.json")


def load(path: Path) -> tuple[SessionMeta, Mapping[str, Any]]:
    """Read a meta file: what health needs, and the rest of its keys. Raises ``InputError``."""
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", cure="check --meta") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        line = getattr(error, "lineno", 1)
        raise InputError(f"{path}, line {line}: not JSON: {error}", cure="mend it") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: not a JSON object", cure="see docs/journal.md")
    return parse(data, str(path)), data


def parse(data: Mapping[str, Any], where: str) -> SessionMeta:
    """A ``SessionMeta`` from its JSON. Raises ``InputError`` naming the key."""
    known = (*_NUMBERS, "chemistry", "meter_position", "started_full", "answers")
    values: dict[str, Any] = {}
    for key, value in data.items():
        if value is None or key in ABOUT:
            continue
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, 0.6)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            log.warning("%s: key %r is not known and is ignored%s", where, clean(key, 40), hint)
            continue
        values[key] = _checked(key, value, where)
    return SessionMeta(**values)


def _checked(key: str, value: Any, where: str) -> Any:
    if key in _NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            raise InputError(f"{where}: {key} is {clean(value, 40)!r}", cure="give a number")
        if key != "ambient_c" and value <= 0:
            raise InputError(f"{where}: {key} is {value}", cure="give a number above 0")
        return float(value)
    if key == "meter_position" and value not in POSITIONS:
        raise InputError(
            f"{where}: meter_position is {clean(value, 40)!r}",
            cure=f"one of {', '.join(POSITIONS)}",
        )
    if key == "started_full" and not isinstance(value, bool):
        raise InputError(f"{where}: started_full is {clean(value, 40)!r}", cure="true or false")
    if key == "answers":
        if not isinstance(value, dict) or not all(isinstance(v, bool) for v in value.values()):
            raise InputError(f"{where}: answers", cure='an object such as {"in_sun": true}')
        return dict(value)
    return clean(value, 40) if key == "chemistry" else value


def dump(meta: SessionMeta, about: Mapping[str, Any]) -> str:
    """The text of a meta file."""
    told = {k: v for k, v in asdict(meta).items() if v not in (None, "", {})}
    return json.dumps(told | dict(about), ensure_ascii=False, indent=2) + "\n"
