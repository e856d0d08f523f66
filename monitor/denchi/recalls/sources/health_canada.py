"""Health Canada open data (OGL-Canada): one JSON dump of about 34,000 records, no brand or model field."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from denchi.recalls.extract import brand_in, is_ours, models_in_prose
from denchi.recalls.notice import web_link
from denchi.recalls.sources.base import FeedRefused, Fetched, Known
from denchi.recalls.sources.fetch import Fetcher

_FULL: Final = 10_000
"""The dump holds about 34,000 records: fewer than this is said with the list."""
_DATE: Final = re.compile(r"20\d\d-\d\d-\d\d")


@dataclass(frozen=True, slots=True)
class HealthCanadaSource:
    """The open-data dump of Health Canada's recalls and alerts."""

    url: str = "https://recalls-rappels.canada.ca/sites/default/files/opendata-donneesouvertes/HCRSAMOpenData.json"
    name: str = "health-canada"
    title: str = "Health Canada recalls and safety alerts"
    licence: str = "Open Government Licence - Canada"

    def fetch(self, fetcher: Fetcher, known: Known, today: date) -> Fetched:
        """The whole dump, every time: it has no query."""
        before = known.state.get("records")
        return parse(fetcher.get(self.url), before if isinstance(before, int) else 0)


def parse(body: bytes, before: int = 0) -> Fetched:
    """The dump as notices; ``before``: records of the last good dump, half of which is a broken one."""
    try:
        doc = json.loads(body)
    except (ValueError, RecursionError):
        raise FeedRefused("Health Canada sent no JSON") from None
    if not isinstance(doc, list):
        raise FeedRefused(f"Health Canada sent {type(doc).__name__}, not a list of records")
    usable = [r for r in doc if isinstance(r, dict) and _text(r, "NID") and _text(r, "Title")]
    if not usable or len(usable) < before / 2:
        raise FeedRefused(
            f"Health Canada sent {len(usable)} usable records, {before} were there before"
        )
    ours = [r for r in usable if is_ours(_text(r, "Title"), _text(r, "Product"))]
    short = f"only {len(usable)} records in the dump, about 34,000 are known of"
    remarks = (short,) if len(usable) < _FULL else ()
    return Fetched([notice(r) for r in ours], len(doc), {"records": len(usable)}, remarks)


def _text(record: Mapping[str, Any], key: str) -> str:
    value = record.get(key)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def notice(record: Mapping[str, Any]) -> dict[str, Any]:
    """One record as a notice, machine-extracted."""
    title, product = _text(record, "Title"), _text(record, "Product")
    updated = _DATE.match(_text(record, "Last updated"))
    out: dict[str, Any] = {
        "id": f"ca-hc-{_text(record, 'NID')[:40]}",
        "jurisdiction": "CA",
        "regulator": "Health Canada",
        "notice_number": _text(record, "NID")[:40],
        "title": title,
        "brand": brand_in(title, product) or "unknown",
        "product_name": product or title,
        "category": "power_bank",
        "model_numbers": models_in_prose(title, product),
        "unit_scope": "unknown",
        "hazard": _text(record, "Issue")[:400],
        "remedy": _text(record, "What you should do")[:400],
        "official_url": web_link(_text(record, "URL")),
        "sources": [
            {"kind": "official-dump", "ref": "Health Canada open data", "says": "title and product"}
        ],
        "confidence": "official-quoted",
        "extracted_by": "machine:health-canada-1",
    }
    if updated:
        out["notice_date"] = updated.group()
    return out


SOURCE: Final = HealthCanadaSource()
