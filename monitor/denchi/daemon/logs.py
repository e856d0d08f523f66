"""Logging of the daemon: one line to standard error, and the last lines kept for the Logs page.

What a log line says from outside is cleaned; serials are masked by whoever logs them.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import deque
from datetime import UTC, datetime
from typing import Any, Final

from denchi.text import clean

KEPT: Final = 2000


class MemoryLog(logging.Handler):
    """The last lines, numbered, for ``GET /v1/logs``."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._n = 0
        self._guard = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        moment = datetime.fromtimestamp(record.created, UTC)
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
        with self._guard:
            self._n += 1
            self._lines.append(
                {
                    "n": self._n,
                    "t": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
                    "level": record.levelname.lower(),
                    "room": record.name.removeprefix("denchi."),
                    "message": clean(text, 500),
                }
            )

    def after(self, n: int) -> tuple[list[dict[str, Any]], int]:
        """Lines numbered above ``n``, and the number to ask with next."""
        with self._guard:
            return [line for line in self._lines if line["n"] > n], self._n


MEMORY: Final = MemoryLog()


def set_up(level: int = logging.INFO) -> None:
    """Send denchi's log to standard error and to the memory."""
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(logging.Formatter("%(levelname).1s %(name)s: %(message)s"))
    root = logging.getLogger("denchi")
    root.setLevel(level)
    root.handlers = [stream, MEMORY]
    root.propagate = False
