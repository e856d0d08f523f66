"""A recall notice: the common record of every list, and the check that outside records must pass.

Field names in files follow the common record of the research page on sources (id, jurisdiction,
regulator, notice_number ...), so that a bundled notice, a feed's notice and an overlay entry are one
shape. ``data/schema.json`` is the same contract for editors and tests; ``checked`` is what the program
itself applies to everything that did not come with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from denchi.errors import InputError

SCOPES: Final = (
    "all-units-of-model",
    "manufacturer-serial-check",
    "serial-list",
    "serial-prefix",
    "serial-suffix",
    "lot-list",
    "date-code",
    "manufacture-date",
    "unknown",
)
CONFIDENCE: Final = ("official-quoted", "secondary", "pasted", "from-memory")
RULE_KINDS: Final = ("prefix", "suffix", "list", "date-code", "lot", "made")
LIST_FORMAT: Final = "denchi-recall-list"
SCHEMA_VERSION: Final = 1

_TEXT_KEYS: Final = (
    "id jurisdiction regulator notice_number notice_date title brand product_name category unit_scope "
    "serial_rule units_note hazard remedy official_url form_url confidence extracted_by notes colours_text "
    "raw_text"
)
_LIST_KEYS: Final = (
    "brand_aliases model_numbers model_variants not_models gtins gtins_doubtful colours_affected "
    "colours_excluded other_urls supersedes"
)
_TEXTS: Final = tuple(_TEXT_KEYS.split())
_LISTS: Final = tuple(_LIST_KEYS.split())
_REQUIRED: Final = ("id", "jurisdiction", "regulator", "brand", "product_name", "unit_scope")
_MAX_TEXT: Final = 4000
_MAX_ITEMS: Final = 400


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice of one authority (or maker), as a list holds it. ``None`` dates mean "not stated"."""

    id: str
    jurisdiction: str
    """ISO 3166 country code, or ``WW`` for a maker's own worldwide action."""
    regulator: str
    brand: str
    product: str
    unit_scope: str
    number: str = ""
    date: str = ""
    title: str = ""
    category: str = "power_bank"
    models: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    colours_excluded: tuple[str, ...] = ()
    sold: tuple[str, str] = ("", "")
    """First and last day, month or year of sale; empty = not stated."""
    sold_text: str = ""
    made_text: str = ""
    units: int | None = None
    capacity_mah: float | None = None
    max_w: float | None = None
    rule: Mapping[str, Any] | None = None
    rule_text: str = ""
    hazard: str = ""
    remedy: str = ""
    url: str = ""
    form: str = ""
    sources: tuple[Mapping[str, str], ...] = ()
    confidence: str = "secondary"
    supersedes: tuple[str, ...] = ()
    extracted_by: str = "hand"
    notes: str = ""
    list_name: str = ""
    list_date: str = ""

    @property
    def by_machine(self) -> bool:
        """Whether model numbers were taken from prose by a program and no person looked since."""
        return self.extracted_by.startswith("machine")

    @property
    def testable(self) -> bool:
        """Whether the product can be measured here at all: a speaker has no output to load."""
        return self.category not in ("speaker", "cooler")

    @property
    def label(self) -> str:
        """Short name for people: ``CPSC 25-338, 2025-06-12``."""
        head = f"{self.regulator} {self.number}".strip()
        return f"{head}, {self.date}" if self.date else head


def notice_from(raw: Mapping[str, Any], list_name: str, list_date: str) -> Notice:
    """The notice of a record; the record must have passed ``checked`` or come with the program."""

    def text(key: str) -> str:
        return str(raw.get(key) or "")

    def many(key: str) -> tuple[str, ...]:
        return tuple(str(v) for v in raw.get(key) or ())

    sold = raw.get("sale_period") or {}
    made = raw.get("manufacture_period") or {}
    return Notice(
        id=text("id"),
        jurisdiction=text("jurisdiction"),
        regulator=text("regulator"),
        brand=text("brand"),
        product=text("product_name"),
        unit_scope=text("unit_scope") or "unknown",
        number=text("notice_number"),
        date=text("notice_date"),
        title=text("title"),
        category=text("category") or "power_bank",
        models=many("model_numbers"),
        colours=many("colours_affected"),
        colours_excluded=many("colours_excluded"),
        sold=(str(sold.get("from") or ""), str(sold.get("to") or "")),
        sold_text=str(sold.get("text") or ""),
        made_text=_span(made),
        units=raw.get("units"),
        capacity_mah=raw.get("capacity_mah"),
        max_w=raw.get("max_output_w"),
        rule=raw.get("rule"),
        rule_text=text("serial_rule"),
        hazard=text("hazard"),
        remedy=text("remedy"),
        url=text("official_url"),
        form=text("form_url"),
        sources=tuple(raw.get("sources") or ()),
        confidence=text("confidence") or "secondary",
        supersedes=many("supersedes"),
        extracted_by=text("extracted_by") or "hand",
        notes=text("notes"),
        list_name=list_name,
        list_date=list_date,
    )


def _span(period: Mapping[str, Any]) -> str:
    dates = f"{period.get('from') or '…'} – {period.get('to') or '…'}" if period else ""
    return f"{dates} ({period['text']})" if period.get("text") else dates


def web_link(url: object) -> str:
    """``url`` when it is a plain http(s) address that may be shown as a link, else an empty string.

    One CPSC record of 2023 has ``hhttps://``; nothing is repaired, because a repaired link is ours.
    """
    text = str(url or "").strip().rstrip(",")
    if not text.startswith(("https://", "http://")) or len(text) > 500:
        return ""
    host = text.split("//", 1)[1].split("/", 1)[0]
    plain = all(33 <= ord(c) < 127 and c not in "\"'<>`{}|\\^" for c in text)
    return text if plain and "." in host and "@" not in host else ""


def checked(raw: object, where: str) -> dict[str, Any]:
    """An outside record made harmless and complete, or ``InputError`` that names the field.

    Unknown keys are dropped, links are validated, sizes are bounded. Texts stay as they are (they are
    cleaned where they are shown), so that an extraction can be repeated.
    """
    if not isinstance(raw, Mapping):
        raise InputError(f"{where}: a notice is an object, this is {type(raw).__name__}")
    out: dict[str, Any] = {}
    for key in _TEXTS:
        value = raw.get(key)
        if value is None:
            continue
        if not isinstance(value, str):
            raise InputError(f"{where}: {key} must be text")
        out[key] = value[:_MAX_TEXT]
    for key in _LISTS:
        value = raw.get(key)
        if value is None:
            continue
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise InputError(f"{where}: {key} must be a list of texts")
        out[key] = [v[:200] for v in value[:_MAX_ITEMS]]
    for key in _REQUIRED:
        if not out.get(key):
            raise InputError(f"{where}: {key} is missing")
    if out["unit_scope"] not in SCOPES:
        raise InputError(f"{where}: unit_scope must be one of {', '.join(SCOPES)}")
    if out.get("confidence", "secondary") not in CONFIDENCE:
        raise InputError(f"{where}: confidence must be one of {', '.join(CONFIDENCE)}")
    for key in ("official_url", "form_url"):
        if key in out:
            out[key] = web_link(out[key])
    _numbers(raw, out, where)
    _mappings(raw, out, where)
    return out


def _numbers(raw: Mapping[str, Any], out: dict[str, Any], where: str) -> None:
    for key in ("units", "capacity_mah", "max_output_w"):
        value = raw.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
            raise InputError(f"{where}: {key} must be a number")
        out[key] = value


def _mappings(raw: Mapping[str, Any], out: dict[str, Any], where: str) -> None:
    for key in ("sale_period", "manufacture_period", "spellings", "misprints"):
        value = raw.get(key)
        if value is None:
            continue
        if not isinstance(value, Mapping) or not all(
            isinstance(k, str) and (v is None or isinstance(v, str)) for k, v in value.items()
        ):
            raise InputError(f"{where}: {key} must be an object of texts")
        out[key] = dict(list(value.items())[:_MAX_ITEMS])
    names = raw.get("names")
    if names is not None:
        if not isinstance(names, Mapping) or not all(_texts(v) for v in names.values()):
            raise InputError(f"{where}: names must map a model to a list of texts")
        out["names"] = {str(k): list(v)[:20] for k, v in list(names.items())[:_MAX_ITEMS]}
    sources = raw.get("sources") or []
    if not isinstance(sources, list) or not all(isinstance(s, Mapping) for s in sources):
        raise InputError(f"{where}: sources must be a list of objects")
    out["sources"] = [{str(k): str(v)[:500] for k, v in s.items()} for s in sources[:20]]
    if raw.get("rule") is not None:
        out["rule"] = _rule(raw["rule"], where)


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in value)


def _rule(raw: object, where: str) -> dict[str, Any]:
    """A serial rule of known shape; a rule that is not understood is refused, never guessed at."""
    if not isinstance(raw, Mapping) or raw.get("kind") not in RULE_KINDS:
        raise InputError(f"{where}: rule.kind must be one of {', '.join(RULE_KINDS)}")
    values = raw.get("values") or {}
    if not isinstance(values, Mapping) or not all(_texts(v) for v in values.values()):
        raise InputError(f"{where}: rule.values must map a model (or *) to a list of texts")
    if any(not v.strip() for listed in values.values() for v in listed):
        raise InputError(
            f"{where}: rule.values holds an empty text, which would match every serial"
        )
    ranges = raw.get("ranges") or []
    if not isinstance(ranges, list) or not all(_texts(r) and len(r) == 2 for r in ranges):
        raise InputError(f"{where}: rule.ranges must be a list of [first day, last day]")
    for key in ("all_of", "replacement", "endings"):
        if not _texts(raw.get(key) or []):
            raise InputError(f"{where}: rule.{key} must be a list of texts")
    length = raw.get("length")
    if length is not None and (not isinstance(length, int) or isinstance(length, bool)):
        raise InputError(f"{where}: rule.length must be a whole number")
    kept = ("kind", "length", "format", "absent_is_affected", "all_of", "replacement", "endings")
    return {"values": {str(k): list(v) for k, v in values.items()}, "ranges": ranges} | {
        k: raw[k] for k in kept if k in raw
    }
