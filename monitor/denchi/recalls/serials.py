"""Serial numbers: found on a label, checked for shape, and held against a rule that a notice prints.

A printed rule can say yes. It can never say that a unit is clear: a rule that says no, or cannot be
applied, leaves the question with the maker.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple

from denchi.recalls.normalise import compact, gtin_valid, normalised

_SERIAL_LABEL: Final = (
    r"(?<![A-Z0-9])(?:S/?N|SN\s?CODE|SERIAL(?:\s?(?:NO|NUMBER|NUM|#))?|シリアル(?:番号|ナンバー|NO|コード)?|製造番号|序列号|序號)"
    r"(?:\s?CODE)?(?:\s?NO)?(?:\s{0,3}[.:#=]\s{0,3}|\s{1,3})([A-Z0-9](?:-?[A-Z0-9]){2,39})(?![A-Z0-9])"
)
_DATE_CODE: Final = r"(?<![A-Z0-9])(?:DATE\s?CODE|D/?C|製造年週|デートコード|日付コード)\s{0,3}[.:#=]?\s{0,3}(\d{4})(?!\d)"
_MADE_ON: Final = r"(?:MFG|MFD|MANUFACTURED|製造日|製造年月日|生产日期|生產日期)\D{0,12}(20\d\d)[-./年 ]{1,2}(\d{1,2})[-./月 ]{1,2}(\d{1,2})(?!\d)"
_ANKER_SHAPE: Final = r"A[0-9A-HJ-NP-Z]{15}"
"""16 characters, the first an A, no letter O or I: as the maker describes it (findings, part D). A shape
only; what the positions mean is not known, and no list of affected serials was found."""
_SERIAL_WORDS: Final = ("SN", "S/N", "SERIAL", "シリアル", "製造番号", "序列号", "序號")
_NONE: Final = frozenset(
    {"NONE", "NO", "NO NUMBER", "NO PO", "なし", "無し", "無", "番号なし", "記載なし"}
)
_MIN_SUFFIX_SERIAL: Final = 5
"""A last character alone is no serial number; shorter than this a suffix rule is not applied."""


class Says(Enum):
    """What a printed rule says of the serials known."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"
    """No serial, or one that the rule cannot be applied to."""


class Marks(NamedTuple):
    """The serials and codes known of a unit, compact and upper case. Not shown by ``repr``: privacy."""

    given: tuple[str, ...] = ()
    """Typed or scanned as the serial, or labelled so on the label."""
    loose: tuple[str, ...] = ()
    """Other tokens of the label: only exact or prefixed rules of some length may use them."""
    date_codes: tuple[str, ...] = ()
    made_on: tuple[str, ...] = ()
    absent: bool = False
    """The user says that there is no number on the unit."""
    shaped: tuple[str, ...] = ()
    """Unlabelled tokens with the shape of an Anker serial: ready to paste, never judged by a rule."""

    def __repr__(self) -> str:
        return f"Marks({len(self.given)} given)"


def labelled(text: str) -> tuple[str, ...]:
    """Serial values that a normalised text labels as such, as printed."""
    if not any(word in text for word in _SERIAL_WORDS):  # spares the pattern on a bare model number
        return ()
    return tuple(m.group(1) for m in re.finditer(_SERIAL_LABEL, text))


def marks(serial: str, texts: Sequence[str], tokens: Sequence[str]) -> Marks:
    """All marks of a unit from its serial field and its normalised label texts."""
    typed = normalised(serial).strip()
    absent = typed.strip("() ") in _NONE
    given: list[str] = []
    if typed and not absent:
        given = [compact(v) for v in labelled(typed)] or [compact(typed.split("\n")[0].strip())]
    for text in texts:
        given += [compact(v) for v in labelled(text)]
    given = [g for g in dict.fromkeys(given) if g]
    codes = [
        c
        for text in (typed, *texts)
        for c in (re.findall(_DATE_CODE, text) if len(text) > 8 else ())
    ]
    codes += [g for g in given if len(g) == 4 and g.isdecimal()]
    made = [
        f"{y}-{int(m):02d}-{int(d):02d}"
        for text in (typed, *texts)
        for y, m, d in (re.findall(_MADE_ON, text) if len(text) > 10 else ())
    ]
    loose = [compact(t) for t in tokens]
    return Marks(
        tuple(given),
        tuple(t for t in dict.fromkeys(loose) if len(t) >= 5 and t not in given),
        tuple(dict.fromkeys(codes)),
        tuple(dict.fromkeys(made)),
        absent,
        tuple(t for t in dict.fromkeys(loose) if anker_shape(t) and t not in given),
    )


def anker_shape(serial: str) -> bool:
    """Whether a serial has the shape that Anker describes; it judges nothing."""
    return re.fullmatch(_ANKER_SHAPE, compact(serial)) is not None


def says(rule: Mapping[str, Any] | None, models: Sequence[str], found: Marks) -> Says:
    """What ``rule`` says of a unit of one of ``models``."""
    if rule is None:
        return Says.UNKNOWN
    if any(m in (rule.get("all_of") or ()) for m in models):
        return Says.YES
    if found.absent:
        return Says.YES if rule.get("absent_is_affected") else Says.UNKNOWN
    values = rule.get("values") or {}
    listed = [compact(v) for m in (*models, "*") for v in values.get(m, ())]
    return _KINDS[rule["kind"]](rule, listed, found)


def _prefix(rule: Mapping[str, Any], listed: list[str], found: Marks) -> Says:
    length = rule.get("length")

    def fits(serial: str) -> bool:
        return any(serial.startswith(p) for p in listed) and length in (None, len(serial))

    if any(map(fits, found.given)) or any(fits(t) and not gtin_valid(t) for t in found.loose):
        return Says.YES
    # A serial of another length was misread or is of another kind: the rule was not applied to it.
    judged = [s for s in found.given if length in (None, len(s))]
    return Says.NO if judged and listed else Says.UNKNOWN


def _suffix(rule: Mapping[str, Any], listed: list[str], found: Marks) -> Says:
    judged = [s for s in found.given if len(s) >= _MIN_SUFFIX_SERIAL]
    if any(s.endswith(tuple(listed)) for s in judged if listed):
        return Says.YES
    return Says.NO if judged and listed else Says.UNKNOWN


def _list(rule: Mapping[str, Any], listed: list[str], found: Marks) -> Says:
    if any(s in listed for s in (*found.given, *found.loose)):
        return Says.YES
    return Says.NO if found.given and listed else Says.UNKNOWN


def _date_code(rule: Mapping[str, Any], listed: list[str], found: Marks) -> Says:
    endings = tuple(rule.get("endings") or ())
    week_first = rule.get("format") == "WWYY"
    codes = [c for c in found.date_codes if 1 <= int(c[:2] if week_first else c[2:]) <= 53]
    if any(c in listed or (endings and c.endswith(endings)) for c in codes):
        return Says.YES
    return Says.NO if codes and (listed or endings) else Says.UNKNOWN


def _made(rule: Mapping[str, Any], listed: list[str], found: Marks) -> Says:
    ranges = rule.get("ranges") or ()
    if any(first <= day <= last for day in found.made_on for first, last in ranges):
        return Says.YES
    return Says.NO if found.made_on and ranges else Says.UNKNOWN


_KINDS: Final = {
    "prefix": _prefix,
    "suffix": _suffix,
    "list": _list,
    "lot": _list,
    "date-code": _date_code,
    "made": _made,
}
