"""A recall notice: the common record of every list, and the check that outside records must pass.

Field names in files follow the common record of the research page on sources (id, jurisdiction,
regulator, notice_number ...), so that a bundled notice, a feed's notice and an overlay entry are one
shape. ``data/schema.json`` is the same contract for editors and tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

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


class Notice:
    """One notice of one authority (or maker): a view on a record of a list. Empty text = not stated.

    A view and not a dataclass of thirty fields: building that class alone would cost a sixth of
    ``denchi recall``'s start.
    """

    __slots__ = ("list_date", "list_name", "raw")

    def __init__(self, raw: Mapping[str, Any], list_name: str = "", list_date: str = "") -> None:
        self.raw, self.list_name, self.list_date = raw, list_name, list_date

    def __repr__(self) -> str:
        return f"Notice({self.id!r}, {self.list_name!r})"

    def _text(self, key: str) -> str:
        return str(self.raw.get(key) or "")

    def _many(self, key: str) -> tuple[str, ...]:
        return tuple(self.raw.get(key) or ())

    @property
    def id(self) -> str:
        """Its id in the lists."""
        return self._text("id")

    @property
    def jurisdiction(self) -> str:
        """ISO 3166 country code, ``EU``, or ``WW`` for a maker's own worldwide action."""
        return self._text("jurisdiction")

    @property
    def regulator(self) -> str:
        """Who published it."""
        return self._text("regulator")

    @property
    def number(self) -> str:
        """The authority's own number."""
        return self._text("notice_number")

    @property
    def date(self) -> str:
        """``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD``."""
        return self._text("notice_date")

    @property
    def brand(self) -> str:
        """The brand as the notice has it."""
        return self._text("brand")

    @property
    def product(self) -> str:
        """The product's name."""
        return self._text("product_name")

    @property
    def models(self) -> tuple[str, ...]:
        """Model numbers as the notice prints them."""
        return self._many("model_numbers")

    @property
    def colours(self) -> tuple[str, ...]:
        """Colours named as affected."""
        return self._many("colours_affected")

    @property
    def colours_excluded(self) -> tuple[str, ...]:
        """Colours named as not meant."""
        return self._many("colours_excluded")

    @property
    def unit_scope(self) -> str:
        """One of ``SCOPES``."""
        return self._text("unit_scope") or "unknown"

    @property
    def rule(self) -> Mapping[str, Any] | None:
        """A printed serial, lot or date rule in a form that ``serials.says`` can apply."""
        return self.raw.get("rule")

    @property
    def rule_text(self) -> str:
        """The rule in the notice's words."""
        return self._text("serial_rule")

    @property
    def sold(self) -> tuple[str, str]:
        """First and last day, month or year of sale."""
        period = self.raw.get("sale_period") or {}
        return str(period.get("from") or ""), str(period.get("to") or "")

    @property
    def sold_text(self) -> str:
        """The sale period in words."""
        return str((self.raw.get("sale_period") or {}).get("text") or "")

    @property
    def made_text(self) -> str:
        """The period of manufacture."""
        return _span(self.raw.get("manufacture_period") or {})

    @property
    def units(self) -> int | None:
        """How many units the notice means."""
        return self.raw.get("units")

    @property
    def capacity_mah(self) -> float | None:
        """Printed capacity."""
        return self.raw.get("capacity_mah")

    @property
    def max_w(self) -> float | None:
        """Printed output power; notices differ in it, so it is only ever a question."""
        return self.raw.get("max_output_w")

    @property
    def hazard(self) -> str:
        """What can happen."""
        return self._text("hazard")

    @property
    def remedy(self) -> str:
        """What the maker offers."""
        return self._text("remedy")

    @property
    def url(self) -> str:
        """The official page."""
        return self._text("official_url")

    @property
    def form(self) -> str:
        """The maker's page where a serial is checked or the remedy asked for."""
        return self._text("form_url")

    @property
    def sources(self) -> tuple[Mapping[str, str], ...]:
        """Where it was read: ``kind``, ``ref``, ``says``."""
        return tuple(self.raw.get("sources") or ())

    @property
    def confidence(self) -> str:
        """One of ``CONFIDENCE``."""
        return self._text("confidence") or "secondary"

    @property
    def extracted_by(self) -> str:
        """``hand``, or ``machine:...`` when no person has looked since."""
        return self._text("extracted_by") or "hand"

    @property
    def by_machine(self) -> bool:
        """Whether model numbers were taken from prose by a program and no person looked since."""
        return self.extracted_by.startswith("machine")

    @property
    def testable(self) -> bool:
        """Whether the product can be measured here at all: a speaker has no output to load."""
        return self._text("category") not in ("speaker", "cooler")

    @property
    def label(self) -> str:
        """Short name for people: ``CPSC 25-338, 2025-06-12``."""
        head = f"{self.regulator} {self.number}".strip()
        return f"{head}, {self.date}" if self.date else head


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
