"""Untrusted text: made harmless before it reaches a terminal, a spreadsheet, a file name or a log."""

from __future__ import annotations

import re
import unicodedata

_SPREADSHEET_STARTS = ("=", "+", "-", "@", "\t", "\r")


def clean(text: object, limit: int = 200) -> str:
    """One line without control, format (bidi) or surrogate characters, at most ``limit`` long."""
    kept = "".join(
        " " if ch in "\t\r\n" else ch
        for ch in str(text)
        if ch in "\t\r\n" or unicodedata.category(ch) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )
    kept = " ".join(kept.split())
    return kept if len(kept) <= limit else kept[: max(0, limit - 1)] + "…"


def csv_cell(text: object, limit: int = 1000) -> str:
    """Text for a CSV cell: cleaned, and never read as a formula by a spreadsheet."""
    cell = clean(text, limit)
    return "'" + cell if cell.startswith(_SPREADSHEET_STARTS) else cell


def file_stem(text: object, fallback: str = "unnamed") -> str:
    """Text as a file name without any path in it."""
    stem = re.sub(r"[^\w.-]+", "_", clean(text, 80)).strip("._")
    return stem or fallback


def masked(serial: str) -> str:
    """A serial for logs and answers: the last four characters only."""
    serial = clean(serial, 80)
    return ("…" + serial[-4:]) if len(serial) > 4 else "…" if serial else ""
