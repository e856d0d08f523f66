"""Look-alike model numbers: offered as a question, never applied.

Two ways to look alike: characters that are confused in small print (0/O, 1/I/L, 2/Z, 5/S, 8/B, and
Cyrillic or Greek letters), and one wrong, missing, added or swapped character. INIU's real prefix 000I21
shows why nothing is rewritten: there the letter I is right.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from denchi.recalls.lists import RecallLists
from denchi.recalls.normalise import compact

_MAX: Final = 3
_MIN_CHARS: Final = 4
_FOLD: Final = str.maketrans(
    "OQDILZSBGАВЕКМНОРСТХΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "000112586ABEKMH0PCTXABE2H1KMN0PTYX"
)
_FOREIGN: Final = str.maketrans("АВЕКМНОРСТХΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEKMHOPCTXABEZHIKMNOPTYX")


def latin(text: str) -> str:
    """Cyrillic and Greek capitals that look Latin, as Latin: only ever for a question."""
    return text.translate(_FOREIGN)


def folded(code: str) -> str:
    """A code with the characters confused in print made equal."""
    folded_twice = compact(code).translate(_FOLD)
    return folded_twice.translate(_FOLD)


def similar(tokens: Iterable[str], lists: RecallLists) -> list[tuple[str, tuple[str, ...]]]:
    """For tokens that match nothing: ``(token, listed models that look like it)``."""
    codes = [
        t
        for t in dict.fromkeys(tokens)
        if _MIN_CHARS <= len(compact(t)) <= 24 and any(c.isdecimal() for c in folded(t))
    ]
    if not codes:
        return []
    by_fold: dict[str, list[str]] = {}
    for key, rows in lists.models.items():
        if not key.isdecimal():
            by_fold.setdefault(folded(key), []).append(rows[0][0])
    out = []
    for token in codes[:40]:
        near = by_fold.get(folded(token)) or _one_off(compact(token), lists)
        if near:
            out.append((token, tuple(dict.fromkeys(near))[:_MAX]))
    return out


def _one_off(key: str, lists: RecallLists) -> Sequence[str]:
    """Listed models one edit away, or that ``key`` begins with (letters for colour or region follow)."""
    longer = [
        rows[0][0]
        for listed, rows in lists.models.items()
        if len(listed) >= 5
        and key.startswith(listed)
        and key[len(listed) :].isalpha()
        and len(key) - len(listed) <= 6
    ]
    if longer or len(key) < 5 or key.isdecimal():
        return longer
    from rapidfuzz.distance import OSA  # here: 50 ms that a plain hit never pays

    return [
        rows[0][0]
        for listed, rows in lists.models.items()
        if not listed.isdecimal()
        and abs(len(listed) - len(key)) <= 1
        and OSA.distance(key, listed, score_cutoff=1) <= 1
    ]
