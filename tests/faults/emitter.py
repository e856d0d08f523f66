"""A process that samples into a journal until it is killed; it prints what it has handed over.

Used by test_kill9.py: `python emitter.py DIR RATE_HZ FIRST COMMIT_MS`. Each line of stdout is the number
of the last sample handed to the journal, written before the hand-over returns to the caller.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from denchi.store.journal import Journal
from store.helpers import begin, numbered


def main() -> None:
    folder, rate_hz, first, commit_ms = Path(sys.argv[1]), *map(float, sys.argv[2:5])
    journal = Journal.open(folder, commit_ms=int(commit_ms), seal_s=0.7, reserve_mb=0)
    instrument = begin(journal, f"s{int(first)}")
    journal.flush()
    begun = time.monotonic()
    n = int(first)
    os.write(1, f"instrument {instrument}\n".encode())
    while True:
        due = int(first + (time.monotonic() - begun) * rate_hz)
        if due > n:
            journal.append(instrument, numbered(n, due - n))
            n = due
            os.write(1, f"{n - 1} {time.monotonic_ns()}\n".encode())
        time.sleep(1 / rate_hz)


if __name__ == "__main__":
    main()
