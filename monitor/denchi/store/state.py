"""What the journal says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class JournalState:
    """The journal now. ``degraded`` None: everything is kept and on disk as promised.

    ``disk_full``: the disk takes no more; samples wait in memory and the oldest are thinned, then
    dropped and counted. ``io_error``: the same after an I/O error. ``moved_aside``: the file was
    damaged, was moved aside, a new one is written and the old one is being salvaged (the message
    stays after that, until the next start). ``overload``: samples came faster than they could be
    written and were dropped and counted.
    """

    path: Path
    bytes: int
    free_bytes: int
    tail_samples: int
    """Samples that are not yet sealed (in the open tail or in memory)."""
    memory_samples: int
    """Of these, samples that are only in memory: a kill would lose them."""
    last_commit_ns: int
    """Wall time of the last durable commit."""
    commit_ms: int
    lost_samples: int
    degraded: str | None
    message: str
    pending_records: int = 0
    """Findings, gaps, sessions not yet on disk."""

    def to_json(self, now_ns: int) -> Mapping[str, Any]:
        """The ``journal`` object of ``GET /v1/state``."""
        return {
            "path": str(self.path),
            "bytes": self.bytes,
            "free_bytes": self.free_bytes,
            "tail_samples": self.tail_samples,
            "last_commit_age_s": max(0.0, (now_ns - self.last_commit_ns) / 1e9),
            "commit_ms": self.commit_ms,
            "lost_samples": self.lost_samples,
            "degraded": self.degraded,
            "message": self.message,
        }
