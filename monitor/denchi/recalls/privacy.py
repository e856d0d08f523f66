"""Serials stay on the machine: what may be shown or written elsewhere is the last four characters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from denchi.model import Unit
from denchi.recalls.lists import RecallLists
from denchi.recalls.normalise import TOKEN, compact, gtin, gtin_valid, normalised
from denchi.text import clean

_MIN_SERIAL: Final = 8
"""Shorter tokens of letters and digits are model numbers far more often than serials."""


def cut(token: str) -> str:
    """The last four characters."""
    return "…" + token[-4:] if len(token) > 4 else "…"


def without_serials(text: str, given: Iterable[str], lists: RecallLists) -> str:
    """``text`` normalised, with known and likely serials cut.

    A token counts as a serial when it was labelled or typed as one, or is long, mixes letters and digits
    (or is a long number without a barcode's check digit) and is no code of the lists.
    """
    known = set(given)
    out, last, upper = [], 0, normalised(text)
    for token in TOKEN.finditer(upper):
        key = compact(token.group())
        if key in known or _likely(key, lists):
            out += [upper[last : token.start()], cut(token.group())]
            last = token.end()
    return "".join([*out, upper[last:]])


def _likely(key: str, lists: RecallLists) -> bool:
    if len(key) < _MIN_SERIAL or key in lists.models:
        return False
    if key.isdecimal():
        return not gtin_valid(key) and gtin(key) not in lists.gtins
    if key.endswith(("MAH", "WH")) and key[:-3].isdecimal():
        return False
    mixed = any(c.isdecimal() for c in key) and any(not c.isdecimal() for c in key)
    return mixed and sum(c.isdecimal() for c in key) >= 3


def query_text(unit: Unit, text: str, given: Iterable[str], lists: RecallLists) -> str:
    """What was asked, with everything that may be a serial cut to its last four characters."""
    known = tuple(given)
    parts = []
    if text or unit.label_text:
        both = " ".join(p for p in (text, unit.label_text) if p)
        parts.append(without_serials(both, known, lists))
    for name in ("brand", "model", "serial", "colour", "bought", "country"):
        value = str(getattr(unit, name) or "").strip()
        if value:
            shown = cut(value) if name == "serial" else without_serials(value, known, lists)
            parts.append(f"{name}={shown}")
    return clean(" ".join(parts), 300)
