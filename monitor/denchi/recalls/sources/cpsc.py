"""US CPSC recall API (public domain): JSON, no key; the model field is empty, so prose is read.

Quirks, from the programmers' guide v1.4 and from people who parsed the whole set (research page on
sources): the default answer is XML; **an unknown parameter is ignored and the whole database comes back**;
``RecallNumber`` has no hyphen; dates come with and without a time; one URL begins with ``hhttps``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from denchi.recalls.extract import brand_in, first_number, is_ours, models_in_prose, sold_in_prose
from denchi.recalls.normalise import gtin_valid
from denchi.recalls.notice import web_link
from denchi.recalls.sources.base import FeedRefused, Fetched, Known
from denchi.recalls.sources.fetch import Fetcher

_FIRST: Final = "2016-01-01"
_OVERLAP_DAYS: Final = 120
"""Records are edited after publication and ``LastPublishDate`` is not bumped for every edit."""
_MAX_RECORDS: Final = 8000
"""The whole database was over 8,000 records in 2018; since 2016 it is well under half of it."""
_QUIET_DAYS: Final = 60
"""About 20 to 30 notices a week: two months without any is a broken answer."""


@dataclass(frozen=True, slots=True)
class CpscSource:
    """The recall API of the US Consumer Product Safety Commission."""

    url: str = "https://www.saferproducts.gov/RestWebServices/Recall"
    name: str = "cpsc"
    title: str = "US CPSC recalls"
    licence: str = "US public domain"

    def fetch(self, fetcher: Fetcher, known: Known, today: date) -> Fetched:
        """Everything since the last fetch, with some overlap."""
        start = date.fromisoformat(known.dated or _FIRST) - timedelta(
            days=_OVERLAP_DAYS if known.dated else 0
        )
        params = {"format": "json", "RecallDateStart": start.isoformat()}
        return parse(fetcher.get(self.url, params), start, today)


def parse(body: bytes, start: date, today: date) -> Fetched:
    """The answer of the API as notices; ``FeedRefused`` when it is not the answer to what was asked."""
    records = _records(body)
    if len(records) > _MAX_RECORDS:
        raise FeedRefused(f"CPSC sent {len(records)} records: the question was ignored")
    usable = [r for r in records if _usable(r)]
    if len(usable) < 0.8 * len(records):
        raise FeedRefused(
            f"CPSC: {len(records) - len(usable)} of {len(records)} records lack number, date or title"
        )
    early = sum(r["RecallDate"][:10] < start.isoformat() for r in usable)
    if early > 0:
        raise FeedRefused(
            f"CPSC sent {early} records from before {start}: the question was ignored"
        )
    if not usable and (today - start).days > _QUIET_DAYS:
        raise FeedRefused(f"CPSC sent no record since {start}, which cannot be")
    ours = [
        r
        for r in usable
        if is_ours(
            r["Title"],
            *(p.get("Name") or "" for p in _many(r, "Products")),
            _text(r, "Description"),
        )
    ]
    return Fetched([notice(r) for r in ours], len(records))


def _records(body: bytes) -> list[Mapping[str, Any]]:
    try:
        doc = json.loads(body)
    except (ValueError, RecursionError):
        raise FeedRefused("CPSC sent no JSON") from None
    if not isinstance(doc, list):
        raise FeedRefused(f"CPSC sent {type(doc).__name__}, not a list of records")
    return [r if isinstance(r, dict) else {} for r in doc]


def _usable(record: Mapping[str, Any]) -> bool:
    if not all(
        isinstance(record.get(k), str) and record[k]
        for k in ("RecallNumber", "RecallDate", "Title")
    ):
        return False
    try:
        date.fromisoformat(record["RecallDate"][:10])
    except ValueError:
        return False
    return True


def _many(record: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    """A list of objects; null, a missing key and other shapes are an empty list."""
    value = record.get(key)
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _text(record: Mapping[str, Any], key: str) -> str:
    value = record.get(key)
    return value if isinstance(value, str) else ""


def number_of(raw: str) -> str:
    """``25338`` -> ``25-338``; other shapes (a letter at the end, a hyphen already) stay."""
    return f"{raw[:2]}-{raw[2:]}" if raw[:5].isdecimal() and "-" not in raw else raw


def notice(record: Mapping[str, Any]) -> dict[str, Any]:
    """One record as a notice, machine-extracted."""
    products = _many(record, "Products")
    names = [n for n in (_text(p, "Name") for p in products) if n]
    title, prose = _text(record, "Title"), _text(record, "Description")
    told = [_text(p, "Model") for p in products]
    sellers = " ".join(_text(r, "Name") for r in _many(record, "Retailers"))
    number = number_of(record["RecallNumber"])
    brand = brand_in(title, names[0] if names else "") or "unknown"
    out: dict[str, Any] = {
        "id": f"us-cpsc-{number}",
        "jurisdiction": "US",
        "regulator": "CPSC",
        "notice_number": number,
        "notice_date": record["RecallDate"][:10],
        "title": title,
        "brand": brand,
        "product_name": "; ".join(names)[:400] or title,
        "category": "power_bank",
        "model_numbers": models_in_prose(title, *names, *told, prose),
        "gtins": [
            u
            for u in (_text(x, "UPC").strip() for x in _many(record, "ProductUPCs"))
            if gtin_valid(u)
        ],
        "unit_scope": "unknown",
        "hazard": " ".join(_text(h, "Name") for h in _many(record, "Hazards"))[:1000],
        "remedy": ", ".join(_text(o, "Option") for o in _many(record, "RemedyOptions"))[:200],
        "official_url": web_link(_text(record, "URL")),
        "sources": [
            {
                "kind": "official-api",
                "ref": "CPSC Recall API",
                "says": f"RecallNumber {record['RecallNumber']}"[:200],
            }
        ],
        "confidence": "official-quoted",
        "extracted_by": "machine:cpsc-1",
        "raw_text": prose[:4000],
    }
    if sold := sold_in_prose(sellers):
        out["sale_period"] = sold
    units = first_number(_text(products[0], "NumberOfUnits")) if products else None
    if units is not None:
        out["units"] = units
    return out


SOURCE: Final = CpscSource()
