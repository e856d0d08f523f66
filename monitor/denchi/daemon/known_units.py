"""Units of the journal, asked about again when a recall list changes.

The memory of what was told already is the journal itself: the recall findings of a unit's sessions. So
a list that changed while the daemon was down is noticed at the next start, and nothing is told twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from denchi.model import Finding, RecallStatus, Unit
from denchi.recalls.recheck import finding_for, recheck, status_told
from denchi.store.rows import unit_key

if TYPE_CHECKING:
    from denchi.recalls.lists import RecallLists
    from denchi.store.reader import JournalReader

MAX_UNITS = 100_000
_MAX_SESSIONS = 1000


class Known(NamedTuple):
    """A unit with a history: its last session, and the most serious recall status told of it."""

    unit: Unit
    session_id: str
    started_ns: int
    told: RecallStatus


class Told(NamedTuple):
    """A finding for a unit that is in the records."""

    known: Known
    finding: Finding


def known_units(reader: JournalReader, on_bench: Collection[str]) -> Iterator[Known]:
    """Every unit with a serial and a session; not those whose key is ``on_bench`` (asked there)."""
    for stored in reader.units(MAX_UNITS):
        if stored.key in on_bench:
            continue
        held = [
            s.session
            for s in reader.sessions(_MAX_SESSIONS, search=stored.unit.serial)
            if s.session.origin != "simulated" and unit_key(s.session.unit) == stored.key
        ]
        if not held:
            continue
        codes = [f.finding.code for s in held for f in reader.findings(s.id)]
        told = max(map(status_told, codes), default=RecallStatus.NOT_LISTED)
        newest = max(held, key=lambda s: s.started_ns)
        yield Known(stored.unit, newest.id, newest.started_ns, told)


def newly_listed(
    reader: JournalReader,
    lists: RecallLists,
    now_ns: int,
    today: date,
    *,
    country: str = "",
    on_bench: Collection[str] = (),
) -> Iterator[Told]:
    """A finding for each unit of the records that the lists now name more seriously than was told."""
    for known in known_units(reader, on_bench):
        for unit, answer in recheck(
            [(known.unit, known.told)], lists, today=today, country=country
        ):
            finding = finding_for(answer, now_ns, unit=unit)
            if finding is not None:
                yield Told(known, finding)
