"""Serials stay on the machine: what may be shown or written elsewhere is the last four characters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from denchi.recalls.lists import RecallLists
from denchi.recalls.normalise import TOKEN, compact, gtin, gtin_valid, normalised

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
