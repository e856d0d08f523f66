"""Facts taken from a notice's prose by a program: model numbers, periods, barcodes, product sections.

What comes out is marked ``extracted_by: machine...`` and can lead to ``check_serial`` at most, until a
person has read it. Pure: text in, records out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from denchi.errors import InputError
from denchi.recalls.facts import colours_in, month_of
from denchi.recalls.matching import words
from denchi.recalls.normalise import compact, gtin_valid, normalised
from denchi.text import clean

_MAX_PROSE: Final = 60_000
_MAX_MODELS: Final = 60
# A word that makes a notice ours. "battery pack" alone also means tool batteries, so it is not here.
_OURS: Final = re.compile(
    r"POWER[- ]?BANK|POWERBANK|POWER PACK|POWER STATION|PORTABLE (?:BATTERY )?CHARGER|PORTABLE (?:POWER|BATTERY)|MAG BATTERY PACK|"
    r"BATTERY CHARGER FOR (?:PHONE|MOBILE)|MOBILE BATTERY|モバイルバッテリー|リチウム電池内蔵充電器|ポータブル電源|移动电源|充电宝|보조배터리|CHARGEUR PORTABLE|BATTERIE EXTERNE"
)
_BRAND_CODES: Final = re.compile(
    r"(?<![A-Z0-9-])(?:A[1-3]\d{3}(?:[0-9A-Z]{3})?|BPB\d{3}|BPD\d{3}|MMA\d{3}|PB\d{4}(?:[A-Z]{2})?|BS-?\d{2}KP\d{3}|PPCX[MW]\d{2}[A-Z]?|"
    r"2G5\d{2}B?|BI-?B\d{1,2}|PAC20-\d{3}|PLT20A-\d{3}|CHE-?\d{3}|CIO-MB[0-9A-Z-]+)(?![A-Z0-9])"
)
_MODEL_WORD: Final = re.compile(
    r"(?:MODELS?|型番|品番|型号|型號|機種|모델명?)(?:\s?(?:NUMBERS?|NOS?\.?|CODES?|#))?\s{0,3}[:：]?\s{0,3}"
)
_CODE: Final = re.compile(r"[A-Z0-9][A-Z0-9]*(?:[-/][A-Z0-9]+)*(?![A-Z0-9])")
_BETWEEN: Final = re.compile(
    r"\s{0,3}(?:,|、|;|・|AND|OR|&|\+|,\s?AND|及び|および|和)\s{0,3}(?:MODEL\s)?"
)
_FIGURE: Final = re.compile(
    r"\d+(?:\.\d+)?(?:MAH|AH|WH|W|V|A|MA|K|MM|CM|IN|G|KG|OZ)?|20\d\d-\d\d?(?:-\d\d?)?|USB\d?"
)
_MONTH_NAMES: Final = (
    "JANUARY FEBRUARY MARCH APRIL MAY JUNE JULY AUGUST SEPTEMBER OCTOBER NOVEMBER DECEMBER"
)
_MONTHS: Final = _MONTH_NAMES.split()
_SOLD: Final = re.compile(
    rf"({'|'.join(_MONTHS)})\s(20\d\d)\s(?:THROUGH|TO|AND|UNTIL|-)\s({'|'.join(_MONTHS)})\s(20\d\d)"
)
_NUMBER: Final = re.compile(r"\d{1,3}(?:,\d{3})+|\d+")
_JAN: Final = re.compile(r"(?<!\d)\d{12,14}(?!\d)")


def is_ours(*texts: str) -> bool:
    """Whether a notice is about power banks and their kin."""
    return any(_OURS.search(normalised(t)) for t in texts if t)


def models_in_prose(*texts: str) -> list[str]:
    """Model numbers that a text labels as such, or that have a known brand's shape; in order."""
    found: dict[str, None] = {}
    for text in texts:
        upper = normalised(text[:_MAX_PROSE])
        for code in _BRAND_CODES.findall(upper):
            found.setdefault(code)
        for label in _MODEL_WORD.finditer(upper):
            for code in _listed(upper, label.end()):
                found.setdefault(code)
    kept: dict[str, str] = {}
    for code in found:
        kept.setdefault(compact(code), code)
    return list(kept.values())[:_MAX_MODELS]


def _listed(text: str, at: int) -> Iterable[str]:
    """The codes of an enumeration that begins at ``at``: ``A1642, A1647 and A1652``."""
    for _ in range(_MAX_MODELS):
        quoted = re.compile(r"[\"'“”「『(\s]{0,2}").match(text, at)
        start = quoted.end() if quoted else at
        match = _CODE.match(text, start)
        if match is None or not usable_code(match.group()):
            return
        yield match.group()
        closing = re.compile(r"[\"'“”」』)]{0,2}").match(text, match.end())
        following = _BETWEEN.match(text, closing.end() if closing else match.end())
        if following is None:
            return
        at = following.end()


def usable_code(code: str) -> bool:
    """Whether a text can serve as a model number: a letter and a digit, or five digits and more."""
    key = compact(normalised(code).strip())
    if not 3 <= len(key) <= 30 or _FIGURE.fullmatch(key) or not key.isascii() or not key.isalnum():
        return False
    digits = sum(c.isdecimal() for c in key)
    return digits >= 5 if key.isdecimal() else digits >= 1


def _lettered(code: str) -> bool:
    return usable_code(code) and any(c.isalpha() for c in code)


def split_models(text: str) -> list[str]:
    """A feed's model field with several models in it; "Unknown" and the like are no model."""
    parts = re.split(r"[;,/\n|]|\bAND\b", normalised(text[:2000]))
    kept = [clean(p, 40).strip(". ") for p in parts]
    return [p for p in dict.fromkeys(kept) if usable_code(p)][:_MAX_MODELS]


def sold_in_prose(text: str) -> dict[str, str]:
    """``from June 2016 through December 2022`` as months."""
    match = _SOLD.search(normalised(text[:_MAX_PROSE]))
    if match is None:
        return {}
    first, year_1, last, year_2 = match.groups()
    return {
        "from": f"{year_1}-{_MONTHS.index(first) + 1:02d}",
        "to": f"{year_2}-{_MONTHS.index(last) + 1:02d}",
    }


def first_number(text: str) -> int | None:
    """The first whole number of a text: ``About 42,000 (In addition ...)`` -> 42000."""
    match = _NUMBER.search(text[:400])
    return int(match.group().replace(",", "")) if match and len(match.group()) < 15 else None


def brand_in(title: str, product: str) -> str:
    """A brand guessed from a product name or from ``X Recalls ...``; empty when nothing is sure enough."""
    for text in (product, re.split(r"\b(?:Recalls?|Recalled)\b", title)[0]):
        taken: list[str] = []
        for word in clean(text, 120).split():
            common = not words(normalised(word)) or all(
                w in _NOT_BRANDS for w in words(normalised(word))
            )
            if common or any(c.isdecimal() for c in word) or len(taken) == 3:
                break
            taken.append(word.strip("().,;"))
        if taken:
            return " ".join(taken)
    return ""


_NOT_BRAND_WORDS: Final = (
    "POWER BANK BATTERY PORTABLE CHARGER WIRELESS PACK MOBILE MAGNETIC EXTERNAL STATION THE AND MORE THAN ABOUT ONE "
    "MILLION LITHIUM ION USB FAST MINI SOLAR UNKNOWN VARIOUS MAG ENERGY BANKS CHARGERS PACKS STATIONS"
)
_NOT_BRANDS: Final = frozenset(_NOT_BRAND_WORDS.split())


# -- overlay drafts from a pasted notice ---------------------------------------------------------

_CAPTIONS: Final = {
    "商品名": "product",
    "連絡先": "contact",
    "対応方法": "remedy",
    "対応開始日": "date",
    "対象の特定情報": "target",
    "備考": "remarks",
}


def draft_entries(
    text: str,
    *,
    jurisdiction: str,
    regulator: str,
    brands: Sequence[str] = (),
    brand: str = "",
    models: Sequence[str] = (),
    number: str = "",
    dated: str = "",
    url: str = "",
) -> list[dict[str, Any]]:
    """Overlay entries from a notice pasted as text; one entry a product section where there are several.

    Raises ``InputError`` when no brand or nothing to recognise a unit by is found: an entry that can never
    match would look like protection.
    """
    text = text[:_MAX_PROSE]
    fields = _captioned(text)
    body = fields.get("target", text)
    owner = brand or _known_brand(text, brands)
    if not owner:
        raise InputError("the text names no known brand", cure="say it with --brand")
    day = dated or _first_date(fields.get("date", "")) or ""
    head: dict[str, Any] = {
        "jurisdiction": jurisdiction.upper(),
        "regulator": regulator,
        "brand": owner,
        "brand_aliases": [owner],
        "category": "power_bank",
        "unit_scope": "unknown",
        "confidence": "pasted",
        "extracted_by": "machine:pasted",
    }
    if number:
        head["notice_number"] = number
    if day:
        head["notice_date"] = day
    if fields.get("remedy"):
        head["remedy"] = clean(fields["remedy"], 200)
    if url:
        head["official_url"] = url
    head["sources"] = [
        {"kind": "pasted", "ref": clean(url or regulator, 300), "says": "text pasted by the user"}
    ]
    out = [head | s for s in _sections(body, models)]
    if not out:
        raise InputError(
            "no model number, product code or barcode was found", cure="name it with --model"
        )
    stem = "-".join(
        p for p in (jurisdiction.lower(), day or "undated", compact(owner.lower())) if p
    )
    for entry in out:
        key = compact("-".join(entry["model_numbers"][:2]).lower()) or entry["gtins"][0]
        entry["id"] = f"overlay-{stem}-{key}"[:120]
        entry["raw_text"] = text[:4000]
    return [{"id": e.pop("id"), **e} for e in out]


def _captioned(text: str) -> dict[str, str]:
    """The caption/text pairs of a page of the Consumer Affairs Agency, as pasted."""
    out: dict[str, list[str]] = {}
    key = ""
    for line in text.splitlines():
        for caption, name in _CAPTIONS.items():
            if line.strip().startswith(caption):
                key, line = name, line.strip()[len(caption) :].lstrip(" :：\t")
                out.setdefault(key, [])
                break
        if key:
            out[key].append(line)
    return {k: "\n".join(v).strip() for k, v in out.items()}


def _known_brand(text: str, brands: Sequence[str]) -> str:
    upper = normalised(text)
    hits = [
        (m.start(), b)
        for b in brands
        if (
            m := re.search(
                rf"(?<![A-Z0-9]){re.escape(b)}(?![A-Z0-9])" if b.isascii() else re.escape(b), upper
            )
        )
    ]
    return min(hits)[1].title() if hits else ""


def _first_date(text: str) -> str:
    match = re.search(r"(?:20\d\d)\s?[-/.年]\s?\d{1,2}\s?[-/.月]\s?\d{1,2}", normalised(text))
    return month_of(match.group()) if match else ""


def _sections(body: str, told: Sequence[str]) -> list[dict[str, Any]]:
    """Product sections: a name line, then lines with codes, a sale period and a number of units."""
    sections: list[dict[str, Any]] = []
    current: dict[str, Any] | None = None
    for line in body.splitlines():
        upper = normalised(line)
        codes = [c for c in models_in_prose("MODEL " + line, line) if not c.isdecimal()]
        codes += [
            c
            for c in re.findall(r"(?<![A-Z0-9])A\d{4}[0-9A-Z]{3}(?![A-Z0-9])", upper)
            if c not in codes
        ]
        barcodes = [c for c in _JAN.findall(upper) if gtin_valid(c)]
        if barcodes:  # "colour, barcode, product code": the agency's way to list variants
            codes += [c for c in _CODE.findall(upper) if _lettered(c) and c not in codes]
        period = "販売期間" in line or "SOLD" in upper
        count = "台数" in line or "UNITS" in upper
        if not (codes or barcodes or period or count) and line.strip():
            if current is None or current["_codes"] or current["gtins"]:
                current = _empty(line)
                sections.append(current)
            else:
                current["product_name"] = clean(line, 200)
        if current is None:
            current = _empty(line)
            sections.append(current)
        _fill(current, upper, codes, barcodes, period, count)
    out = [_finished(s, told if len(sections) == 1 else ()) for s in sections]
    kept = [s for s in out if s["model_numbers"] or s.get("gtins")]
    if told and not any(m in s["model_numbers"] for s in kept for m in told):
        kept.append(_finished(_empty(body.splitlines()[0] if body.strip() else ""), told))
    return kept


def _empty(line: str) -> dict[str, Any]:
    return {"product_name": clean(line, 200) or "?", "_codes": [], "gtins": [], "_colours": []}


def _fill(
    section: dict[str, Any],
    upper: str,
    codes: list[str],
    barcodes: list[str],
    period: bool,
    count: bool,
) -> None:
    section["_codes"] += [c for c in codes if c not in section["_codes"]]
    section["gtins"] += [c for c in barcodes if c not in section["gtins"]]
    if codes or barcodes:
        section["_colours"] += [
            c for c in sorted(colours_in(upper)) if c not in section["_colours"]
        ]
    if period:
        days = re.findall(r"20\d\d\s?[-/.年]\s?\d{1,2}(?:\s?[-/.月]\s?\d{1,2})?", upper)
        dates = [d for d in map(month_of, days) if d]
        if dates:
            section["sale_period"] = {"from": dates[0]} | (
                {"to": dates[1]} if len(dates) > 1 else {}
            )
    if count:
        units = first_number(upper.split("台数")[-1] if "台数" in upper else upper)
        if units is not None:
            section["units"] = units


def _finished(section: dict[str, Any], told: Sequence[str]) -> dict[str, Any]:
    codes, colours = section.pop("_codes"), section.pop("_colours")
    bases = [c[:5] if re.fullmatch(r"A[1-3]\d{3}[0-9A-Z]{3}", c) else c for c in codes]
    section["model_numbers"] = list(dict.fromkeys([*told, *bases]))
    variants = [c for c in codes if c not in section["model_numbers"]]
    if variants:
        section["model_variants"] = variants
    if colours:
        section["colours_affected"] = colours
    if not section["gtins"]:
        del section["gtins"]
    return section
