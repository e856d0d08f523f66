"""What the tests of the recall check share: the bundled list, one call to ask it, synthetic lists."""

from __future__ import annotations

import json
from datetime import date

import pytest

from denchi.model import Unit
from denchi.recalls.answer import check
from denchi.recalls.lists import DATA, ListFile, RecallLists, load

TODAY = date(2026, 11, 24)
BUNDLED = json.loads((DATA / "notices.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def lists():
    """The bundled list alone."""
    return load(None)


@pytest.fixture
def ask(lists):
    """Ask the bundled list about a label text and fields of a unit."""

    def _ask(text="", *, within=lists, country="", symptoms=(), today=TODAY, **fields):
        return check(
            Unit(**fields), within, text=text, country=country, symptoms=symptoms, today=today
        )

    return _ask


def notice(**over):
    """A synthetic notice (brand and numbers are invented); ``None`` takes a key away."""
    raw = {
        "id": "xx-example-1",
        "jurisdiction": "XX",
        "regulator": "Example authority",
        "brand": "Examplebrand",
        "product_name": "Example Pack 10000",
        "model_numbers": ["EX-1000"],
        "unit_scope": "manufacturer-serial-check",
        "sources": [{"kind": "synthetic", "ref": "tests"}],
        "confidence": "secondary",
    }
    raw.update(over)
    return {k: v for k, v in raw.items() if v is not None}


def recall_lists(*notices, name="synthetic", dated="2026-11-01"):
    """Synthetic notices as lists."""
    return RecallLists([ListFile(name, dated, list(notices), {})])
