"""A unit met again: what its session measured is kept, and compared with its own earlier sessions.

Only a unit with a serial has a history, and only sessions of a real meter enter it: never a
simulation, never a recording.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from denchi.errors import StoreError
from denchi.health.engine import Summary
from denchi.health.history import SessionFigures, compare, rest_before
from denchi.model import Finding, Session
from denchi.store.journal import Journal
from denchi.store.rows import unit_key

log = logging.getLogger("denchi.history")
_NAMES = tuple(f.name for f in fields(SessionFigures) if f.name != "ended_ns")


def figures_of(data: Mapping[str, Any], ended_ns: int) -> SessionFigures:
    """Figures of a session from what it stored; anything that is no number is not measured."""
    kept = {n: float(data[n]) for n in _NAMES if isinstance(data.get(n), (int, float))}
    return SessionFigures(ended_ns, **kept)


def remember(journal: Journal, session: Session, summary: Summary, ended_ns: int) -> list[Finding]:
    """Keep a session's figures in its unit's history; findings are what they say against it.

    Every session that measured leaves a record: one that only used a little ends a rest all the same.
    """
    key = unit_key(session.unit)
    newest = figures_of({**summary.figures, "out_wh": summary.wh_out}, ended_ns)
    if not key or session.origin != "meter" or not summary.rows:
        return []
    try:
        with journal.reader() as reader:
            earlier = [
                figures_of(record.data, record.t_ns)
                for record in reader.unit_history(key)
                if record.session_id != session.id
            ]
    except (StoreError, sqlite3.Error, OSError) as error:
        # A disk that cannot be read must not keep a session from ending with its verdict.
        log.warning("the unit's history cannot be read: %s", error)
        return []
    newest = replace(newest, rest_s=rest_before(session.started_ns, earlier))
    known = {
        name: value
        for name, value in asdict(newest).items()
        if name in _NAMES and value is not None
    }
    journal.add_unit_record(key, session.id, ended_ns, known)
    return compare(newest, earlier)
