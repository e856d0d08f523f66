"""EU Safety Gate weekly reports (CC0 on data.europa.eu): an index, then one XML a week.

The only feed with a model field. Quirks: "Unknown" for empty, ``danger`` beginning with "null ", HTML
debris, a comma after URLs, dates dd/mm/yyyy, several models in one field. Entities are refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

from denchi.errors import InputError
from denchi.recalls.extract import is_ours, models_in_prose, split_models
from denchi.recalls.normalise import gtin_valid
from denchi.recalls.notice import web_link
from denchi.recalls.sources.base import FeedRefused, Fetched, Known
from denchi.recalls.sources.fetch import Fetcher, same_place
from denchi.text import clean

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element  # the type only; parsing is defused below

_INDEX: Final = "https://ec.europa.eu/safety-gate-alerts/api/download/weeklyReport/list/xml/en"
_MAX_REPORTS: Final = 26
"""Weekly files read in one update; older ones follow in later updates."""
_MAX_XML: Final = 16 * 1024 * 1024
_MAX_SEEN: Final = 2000
_EMPTY: Final = frozenset({"", "unknown", "n/a", "none", "-", "null"})


@dataclass(frozen=True, slots=True)
class SafetyGateSource:
    """The weekly reports of the EU's rapid alert system."""

    url: str = _INDEX
    name: str = "safety-gate"
    title: str = "EU Safety Gate weekly reports"
    licence: str = "CC0 (data.europa.eu)"
    max_reports: int = _MAX_REPORTS

    def fetch(self, fetcher: Fetcher, known: Known, today: date) -> Fetched:
        """The index, then the reports not read yet, newest first."""
        seen = [str(s) for s in known.state.get("seen") or ()]
        waiting = [
            r for r in parse_index(fetcher.get(self.url, max_bytes=_MAX_XML)) if r[0] not in seen
        ]
        notices: list[dict[str, Any]] = []
        remarks: list[str] = []
        looked = 0
        for reference, url in waiting[: self.max_reports]:
            url = _on_mirror(url, self.url)
            if not same_place(url, self.url):
                remarks.append(f"{clean(reference, 60)}: its address is elsewhere, not read")
                continue
            try:
                found, count = parse_report(fetcher.get(url, max_bytes=_MAX_XML))
            except InputError as error:
                remarks.append(f"{clean(reference, 60)}: {error}")
                continue
            looked += count
            notices += found
            seen.append(reference)
        if waiting and remarks and not looked:
            raise FeedRefused(f"Safety Gate: no report could be read ({remarks[0]})")
        left = len(waiting) - self.max_reports
        if left > 0:
            remarks.append(f"{left} older weekly reports are still to be read: update again")
        return Fetched(notices, looked, {"seen": seen[-_MAX_SEEN:]}, tuple(remarks))


def _on_mirror(url: str, index: str) -> str:
    """The index of a mirror names the official addresses: they are asked of the mirror, at their path."""
    if same_place(index, _INDEX) or not same_place(url, _INDEX):
        return url
    here, there = urlsplit(index), urlsplit(url)
    return urlunsplit((here.scheme, here.netloc, there.path, there.query, ""))


def _root(body: bytes) -> Element:
    """The XML's root; a DTD, an entity or anything that is no XML is refused."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        root: Element = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise FeedRefused(f"Safety Gate sent no usable XML ({type(error).__name__})") from None
    if root.tag != "Safety-Gate":
        raise FeedRefused(f"Safety Gate sent <{clean(root.tag, 40)}>")
    return root


def _text(element: Element, tag: str) -> str:
    value = (element.findtext(tag) or "").strip()
    return "" if value.lower() in _EMPTY else value


def _day(text: str) -> str:
    """``28/08/2026`` -> ``2026-08-28``; empty when it is no date."""
    parts = text.split("/")
    try:
        return date(int(parts[2]), int(parts[1]), int(parts[0])).isoformat()
    except (ValueError, IndexError):
        return ""


def parse_index(body: bytes) -> list[tuple[str, str]]:
    """``(reference, address)`` of every weekly report, newest first."""
    rows = []
    for report in _root(body).iter("weeklyReport"):
        reference, url = _text(report, "reference"), _text(report, "URL").rstrip(",")
        if reference and url:
            rows.append((_day(_text(report, "publicationDate")), reference, url))
    if not rows:
        raise FeedRefused("Safety Gate's index names no report")
    return [(reference, url) for _, reference, url in sorted(rows, reverse=True)]


def parse_report(body: bytes) -> tuple[list[dict[str, Any]], int]:
    """Our notices of one weekly report, and how many alerts it holds."""
    root = _root(body)
    day = _day(_text(root, "report_date"))
    alerts = list(root.iter("notifications"))
    if not day or not alerts:
        raise FeedRefused("a weekly report without a date or without alerts")
    ours = [
        a for a in alerts if is_ours(_text(a, "product"), _text(a, "name"), _text(a, "category"))
    ]
    return [n for a in ours if (n := notice(a, day)) is not None], len(alerts)


def _plain(text: str) -> str:
    """Prose without the debris: a leading "null", tags."""
    return clean(re.sub(r"<[^<>]{0,80}>", " ", text.removeprefix("null ")), 1000)


def notice(alert: Element, day: str) -> dict[str, Any] | None:
    """One alert as a notice; None without a case number. The model field is the authority's own."""
    case = _text(alert, "caseNumber")
    if not case:
        return None
    name, product = _text(alert, "name"), _text(alert, "product")
    models: Sequence[str] = split_models(_text(alert, "type_numberOfModel")) or models_in_prose(
        name
    )
    return {
        "id": f"eu-sg-{clean(case, 40)}",
        "jurisdiction": "EU",
        "regulator": "Safety Gate",
        "notice_number": clean(case, 40),
        "notice_date": day,
        "brand": _text(alert, "brand")[:120] or "unknown",
        "product_name": name[:300] or product[:300] or "?",
        "category": "power_bank",
        "model_numbers": list(models),
        "gtins": [b for b in re.findall(r"\d{8,14}", _text(alert, "barcode")) if gtin_valid(b)],
        "unit_scope": "unknown",
        "serial_rule": f"batch {clean(_text(alert, 'batchNumber'), 200)}"
        if _text(alert, "batchNumber")
        else "",
        "hazard": _plain(_text(alert, "danger") or _text(alert, "riskType")),
        "remedy": _plain(_text(alert, "measures"))[:400],
        "official_url": web_link(_text(alert, "reference")),
        "sources": [
            {
                "kind": "official-feed",
                "ref": "EU Safety Gate weekly report",
                "says": f"notified by {clean(_text(alert, 'notifyingCountry'), 60)}",
            }
        ],
        "confidence": "official-quoted",
        "extracted_by": "machine:safety-gate-1",
    }


SOURCE: Final = SafetyGateSource()
