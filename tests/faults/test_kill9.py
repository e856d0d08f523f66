"""kill -9 at any moment: at most one commit interval of samples is lost, the journal is whole."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from denchi.store.journal import Journal
from denchi.store.reader import JournalReader
from faults.figures import record
from store.helpers import numbers

KILLS = int(os.environ.get("DENCHI_KILLS", "12"))
RATE_HZ = 100.0


def _kill_once(folder: Path, first: int, seconds: float) -> tuple[int, int, float]:
    """(first handed over, last handed over, ms that were lost) of one run that is killed."""
    emitter = Path(__file__).with_name("emitter.py")
    process = subprocess.Popen(
        [sys.executable, str(emitter), str(folder), str(RATE_HZ), str(first), "100"],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    head = process.stdout.readline().split()
    assert head[:1] == [b"instrument"], head
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    killed_ns = time.monotonic_ns()
    rest = process.stdout.read().splitlines()
    process.stdout.close()
    process.wait()
    told = [tuple(map(int, line.split())) for line in rest if line.count(b" ") == 1]
    last = told[-1][0] if told else first - 1
    with JournalReader(folder) as reader:
        found = numbers(reader, int(head[1]))
    assert found == list(range(first, first + len(found))), "not in order, or a hole in the middle"
    kept = first + len(found) - 1
    assert kept >= last - 1000
    handed = dict(told)
    lost_since = [t for n, t in handed.items() if n > kept]
    lost_ms = (killed_ns - min(lost_since)) / 1e6 if lost_since else 0.0
    return max(0, last - kept), last, lost_ms


@pytest.mark.faults
def test_random_kills(tmp_path: Path) -> None:
    rng = random.Random(4)
    lost: list[int] = []
    ages: list[float] = []
    first = 0
    for _ in range(KILLS):
        n, last, ms = _kill_once(tmp_path, first, rng.uniform(0.15, 1.8))
        lost.append(n)
        ages.append(ms)
        first = last + 1000
    con = sqlite3.connect(tmp_path / "denchi.db")
    assert con.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    con.close()
    with Journal.open(tmp_path, reserve_mb=0) as journal:
        assert journal.state().degraded is None
    record(
        "kill -9 at any moment",
        "at most 100 ms of samples lost, journal intact",
        f"{KILLS} kills at {RATE_HZ:.0f}/s: at most {max(lost)} samples (oldest {max(ages):.0f} ms"
        f" before the kill), mean {sum(lost) / len(lost):.1f}; integrity ok",
        max(lost) <= 10,
    )
    assert max(lost) <= 10
