"""Compile every message catalogue (.po -> .mo); `make locale` runs it, a test compares."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LOCALE = Path(__file__).resolve().parents[2] / "monitor" / "denchi" / "locale"


def compiled(po: Path) -> bytes:
    """The .mo of one .po."""
    with po.open("rb") as stream:
        catalogue = read_po(stream, locale=po.parts[-3], domain=po.stem)
    # Babel writes today's date into the header otherwise, and nothing would ever be current.
    catalogue.creation_date = catalogue.revision_date = datetime(2026, 1, 1, tzinfo=UTC)
    out = io.BytesIO()
    write_mo(out, catalogue, use_fuzzy=False)
    return out.getvalue()


def main() -> None:
    for po in sorted(LOCALE.glob("*/LC_MESSAGES/*.po")):
        po.with_suffix(".mo").write_bytes(compiled(po))
        print(po.relative_to(LOCALE))


if __name__ == "__main__":
    main()
