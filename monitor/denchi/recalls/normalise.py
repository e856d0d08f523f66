"""Label text to comparable text: full width, dashes, long-vowel mark, glued signs, invisible marks.

``normalised`` never removes spaces: gluing "A1263 SN:..." together would hide the match. Codes are
compared by their ``compact`` form (no hyphens), on whole tokens only.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MAX_CHARS: Final = 20_000
"""A label is a few hundred characters; what is longer is cut before any pattern sees it."""

# Every dash that a label, an IME or a web page puts between the parts of a code. U+30FC (the long-vowel
# mark) is not here: it is a letter of Japanese words and counts as a dash between code characters only.
_DASHES: Final = {
    ord(c): "-" for c in "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u02d7\ufe63\uff0d\u2e3a"
}
# Decompositions that stand for the character itself; all others (circled digits, superscripts, the
# trade-mark sign, numero sign) would glue letters or digits to a code: "A1263™" is not "A1263TM".
_INLINE: Final = ("<wide>", "<narrow>", "<font>", "<noBreak>", "<small>")
_LONG_VOWEL: Final = r"(?<=[A-Z0-9])\s?\u30fc\s?(?=[A-Z0-9])"
_GLUED_LABEL: Final = r"(?<=[A-Z0-9])(S/?N|P/?N|MODEL|SERIAL)(?=\s?(?:NO\.?\s?)?:)"
TOKEN: Final = re.compile(r"[A-Z0-9]+(?:[-/][A-Z0-9]+)*")


def _spread(ch: str) -> str:
    kind = unicodedata.decomposition(ch)
    if kind.startswith("<") and not kind.startswith(_INLINE):
        return f" {unicodedata.normalize('NFKC', ch)} "
    return "" if unicodedata.category(ch) in ("Cf", "Cs", "Co", "Cn") else ch


def normalised(text: str) -> str:
    """``text`` in upper case, NFKC, with plain dashes and without invisible characters."""
    text = text[:MAX_CHARS]
    if not text.isascii():
        text = "".join(ch if ch < "\x80" else _spread(ch) for ch in text)
        text = unicodedata.normalize("NFKC", text.translate(_DASHES)).translate(_DASHES)
    text = "".join(ch if ch >= " " else " " if ch in "\t" else "\n" for ch in text).upper()
    if "\u30fc" in text:
        text = re.sub(_LONG_VOWEL, "-", text)
    return re.sub(_GLUED_LABEL, r" \1", text) if ":" in text else text


def compact(code: str) -> str:
    """A code without hyphens, slashes and spaces: ``BS-30KP365`` -> ``BS30KP365``."""
    return code.replace("-", "").replace(" ", "").replace("/", "").replace("_", "").replace(".", "")


def gtin(digits: str) -> str:
    """A JAN, EAN, UPC or GTIN-14 without its leading zeros, so that the four lengths compare equal."""
    return digits.lstrip("0")


def gtin_valid(digits: str) -> bool:
    """Whether ``digits`` has a GTIN's length and check digit (GS1 General Specifications, 7.9)."""
    if not digits.isdecimal() or not digits.isascii() or len(digits) not in (8, 12, 13, 14):
        return False
    weighted = sum(int(c) * (3 if i % 2 else 1) for i, c in enumerate(reversed(digits)))
    return weighted % 10 == 0
