"""Retention: raw segments by age and size, delivered and unpinned ones first. Roll-ups and findings stay."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from denchi.store import schema
from denchi.store.cursor import Cursor

log = logging.getLogger("denchi.store")

DAY_NS: Final = 86_400 * 1_000_000_000
PER_SWEEP: Final = 200
"""Segments removed in one transaction, so that the writer's thread is never held for long."""


@dataclass(frozen=True, slots=True)
class Policy:
    """``raw_days``: age at which delivered raw goes; ``max_bytes``: cap on the database; None: no limit."""

    raw_days: float | None = None
    max_bytes: int | None = None


def used(con: sqlite3.Connection) -> int:
    """Bytes of the database that hold data."""
    pages, free, size = (
        con.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def cursors(con: sqlite3.Connection, outputs: Iterable[str]) -> list[Cursor]:
    """The stored cursors of the outputs; one that never delivered stands at nothing."""
    found = dict(con.execute("SELECT output, data FROM cursor").fetchall())
    return [Cursor.from_json(json.loads(found.get(name, "{}"))) for name in outputs]


def sweep(
    con: sqlite3.Connection, policy: Policy, outputs: Iterable[str], now_ns: int, low: bool
) -> int:
    """Remove what the policy (or a disk that runs low) asks for; returns the segments removed.

    Order of sacrifice: delivered raw by age; delivered raw by size or need; only then, to keep the
    cap, raw that some output has not got (the outputs go before the measuring does).
    """
    stored = cursors(con, outputs)
    removed = 0
    if policy.raw_days is not None:
        removed += _remove(con, stored, before_ns=now_ns - int(policy.raw_days * DAY_NS))
    if low and stored:
        # Without any output nothing is delivered: a disk that others fill must not cost the only copy.
        removed += _remove(con, stored)
    if policy.max_bytes is not None:
        removed += _keep_cap(con, stored, policy.max_bytes)
    if low:
        schema.free_pages(con, 2000)
    return removed


def _keep_cap(con: sqlite3.Connection, stored: list[Cursor], max_bytes: int) -> int:
    """Remove down to the cap: what some output has not got only when none of the oldest is delivered."""
    removed = 0
    while used(con) > max_bytes and removed < PER_SWEEP:
        # Again, for a segment frees whole pages: somewhat less, or more, than its bytes.
        delivered = _remove(con, stored, down_to=max_bytes)
        forced = 0 if delivered else _remove(con, [], down_to=max_bytes)
        if forced:
            log.warning("%d undelivered segments removed to keep the journal's cap", forced)
        if not delivered and not forced:
            break
        removed += delivered + forced
    return removed


def _remove(
    con: sqlite3.Connection,
    stored: list[Cursor],
    *,
    before_ns: int | None = None,
    down_to: int | None = None,
) -> int:
    rows = con.execute(
        "SELECT segment.id, instrument, from_ns, to_ns, length(segment.data) FROM segment"
        " JOIN instrument ON instrument.id = segment.instrument"
        " JOIN session ON session.id = instrument.session_id"
        # Only the oldest are looked at: with an output away and the disk low this runs each second.
        " WHERE NOT session.pinned AND to_ns < ? ORDER BY segment.id LIMIT ?",
        (2**63 - 1 if before_ns is None else before_ns, 5 * PER_SWEEP),
    ).fetchall()
    need = None if down_to is None else used(con) - down_to
    gone: list[tuple[int]] = []
    for segment, instrument, from_ns, to_ns, size in rows:
        if len(gone) >= PER_SWEEP or (need is not None and need <= 0):
            break
        if all(c.has(instrument, from_ns, to_ns) for c in stored):
            gone.append((segment,))
            if need is not None:
                need -= size
    con.executemany("DELETE FROM segment WHERE id = ?", gone)
    return len(gone)
