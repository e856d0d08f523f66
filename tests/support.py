"""What several test rooms share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
CAPTURES = ROOT / "tests" / "captures"


def shared(*parts: str) -> Path:
    """A page of the research folder beside the checkout; skips, with the reason, where it is not."""
    for base in (ROOT.parent / "shared", *(p / "shared" for p in ROOT.parents[1:3])):
        path = base.joinpath(*parts)
        if path.exists():
            return path
    pytest.skip(f"the research folder with {'/'.join(parts)} is not beside this checkout")


def vectors(name: str) -> list[dict[str, Any]]:
    """The real and synthetic frames of ``protocols/vectors/<name>.jsonl``."""
    text = shared("protocols", "vectors", f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line.strip()]
