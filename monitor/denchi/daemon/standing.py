"""Alarms that nobody has acknowledged: they outlive their episode, their session and the daemon.

Threads: benches add on their pipeline threads, the API reads and acknowledges on its own; a lock guards the table.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from denchi.daemon.lines import finding_line
from denchi.model import Severity

if TYPE_CHECKING:
    from denchi.store.journal import Journal

MOST: Final = 200
"""So many are kept; of more, the oldest of the least severe goes (the journal has them all)."""


class Standing:
    """Finding lines of danger and caution, by id, until a person acknowledges them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._lines: dict[str, dict[str, Any]] = {}
        with journal.reader() as reader:
            left = reader.unacknowledged(Severity.CAUTION, MOST)
        for found, session in left:
            self.add(
                finding_line(
                    found.finding,
                    session.started_ns,
                    id_=found.id,
                    bench=session.bench,
                    session=session.id,
                )
            )

    def add(self, line: dict[str, Any]) -> None:
        """Take a finding's line; what only informs does not stand."""
        if line["severity"] == Severity.INFO.word:
            return
        with self._lock:
            self._lines[line["id"]] = line
            if len(self._lines) > MOST:
                danger = Severity.DANGER.word
                least = min(
                    self._lines.values(), key=lambda x: (x["severity"] == danger, x["t_ns"])
                )
                del self._lines[least["id"]]

    def acknowledge(self, finding_id: str) -> bool:
        """A person has seen it; False when no such alarm stands."""
        with self._lock:
            known = self._lines.pop(finding_id, None) is not None
        if known:
            self._journal.ack_finding(finding_id)
        return known

    def forget(self, session: str) -> None:
        """A session was deleted: what it found stands no more."""
        with self._lock:
            self._lines = {k: x for k, x in self._lines.items() if x["session"] != session}

    def lines(self) -> list[dict[str, Any]]:
        """All that stand."""
        with self._lock:
            return list(self._lines.values())
