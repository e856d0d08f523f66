"""The recall feeds fetched every so many days, where ``recall.update_days`` says so."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from denchi.clock import NS, SYSTEM, Clock

log = logging.getLogger("denchi.recalls")
DAY_NS: Final = 86_400 * NS
LOOK_S: Final = 60.0
AGAIN_NS: Final = 3600 * NS
"""After an attempt in which a feed failed."""


class Renewal:
    """Says when the lists are due and fetches them; ``days`` is asked each time, it may be reloaded."""

    def __init__(
        self,
        data_dir: Path,
        days: Callable[[], float | None],
        fetch: Callable[[Path], bool],
        clock: Clock = SYSTEM,
    ) -> None:
        self._data_dir, self._days, self._fetch, self._clock = data_dir, days, fetch, clock
        self._not_before_ns = 0

    def due(self) -> bool:
        """Whether the newest list on disk is older than wanted, and the last failure is past."""
        days, now_ns = self._days(), self._clock.wall_ns()
        if days is None or now_ns < self._not_before_ns:
            return False
        stamps = [p.stat().st_mtime_ns for p in (self._data_dir / "recalls").glob("*.json")]
        return now_ns - max(stamps, default=0) >= days * DAY_NS

    def step(self) -> None:
        """Fetch when it is due."""
        try:
            if self.due():
                self._not_before_ns = self._clock.wall_ns() + AGAIN_NS
                if self._fetch(self._data_dir):
                    log.info("the recall lists were renewed")
        except Exception:
            log.exception("the recall lists were not renewed")

    def run(self, stop: threading.Event) -> None:
        """Until ``stop``."""
        while not stop.wait(LOOK_S):
            self.step()


def fetch(data_dir: Path) -> bool:
    """Fetch every feed; False when one failed (its old list stays)."""
    from denchi.recalls.update import update

    reports = update(data_dir)
    for report in reports:
        if not report.fine:
            log.warning("recall list %s: %s", report.source, report.message)
    return all(report.fine for report in reports)
