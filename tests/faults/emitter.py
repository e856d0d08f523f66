"""A process that samples into a journal until it is killed; it prints what it does as it does it.

Used by test_kill9.py: `python emitter.py DIR RATE_HZ FIRST COMMIT_MS`. Lines of stdout, times in monotonic ns:

    h LAST NOW         samples up to number LAST are handed over now
    w NOW ASKED        the journal's committing thread begins to wait, asked for so long at most
    a NOW              it is awake again
    c NOW              it begins to write a commit
    d NOW LAST         the commit up to number LAST is on the disk, as the journal believes

`w` and `a` tell what denchi chose to wait from how much longer a busy machine let it sleep; `d` is what a kill
may not take back.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from denchi.store.journal import Journal
from denchi.store.tail import Frame, TailFile
from store.helpers import begin, numbered


def tell(kind: str, *values: int) -> None:
    """One line in one write: whole or not there when the process is killed."""
    os.write(1, " ".join([kind, *map(str, values)]).encode() + b"\n")


class ToldWait(threading.Event):
    """The committing thread's alarm clock; says how long it was asked to wait, and when it woke."""

    def wait(self, timeout: float | None = None) -> bool:
        tell("w", time.monotonic_ns(), int((timeout or 0) * 1e9))
        woken = super().wait(timeout)
        tell("a", time.monotonic_ns())
        return woken


class ToldTail(TailFile):
    """The open tail; says when samples are on their way to the system and when it has them."""

    def write(self, frames: Sequence[Frame]) -> int:
        tell("c", time.monotonic_ns())
        written = super().write(frames)
        if frames:
            tell("d", time.monotonic_ns(), int(frames[-1].block.columns["vbus_uv"][-1]))
        return written


def main() -> None:
    folder, rate_hz, first, commit_ms = Path(sys.argv[1]), *map(float, sys.argv[2:5])
    journal = Journal.open(folder, commit_ms=int(commit_ms), seal_s=0.3, reserve_mb=0)
    writer = journal._writer
    instrument = begin(journal, f"s{int(first)}")
    os.write(1, f"instrument {instrument}\n".encode())
    writer._commit_now = ToldWait()
    for tail in writer.tails:
        tail.__class__ = ToldTail
    journal.flush()
    begun = time.monotonic()
    n = int(first)
    while True:
        due = int(first + (time.monotonic() - begun) * rate_hz)
        if due > n:
            tell("h", due - 1, time.monotonic_ns())
            journal.append(instrument, numbered(n, due - n))
            n = due
        time.sleep(1 / rate_hz)


if __name__ == "__main__":
    main()
