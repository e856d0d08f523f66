"""kill -9 at any moment: at most one commit interval of samples is lost, the journal is whole.

What is asserted must not depend on how busy the machine is: a process that gets no processor for 50 ms, or a
disk that takes 30 ms for a sync, loses that much more, and hands over what came meanwhile at once. So the
loss is measured by its age (how long before the kill its oldest sample was handed over), and of that
age the part is asserted that denchi chose: the time for which it asked to sleep. It stays below 100 ms on any
machine. The rest (slept longer than asked, the way to the disk) is printed beside it, and the table of promises
says whether the whole age kept the promise on this machine.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from denchi.store.journal import Journal
from denchi.store.reader import JournalReader
from faults.figures import record
from store.helpers import numbers

KILLS = int(os.environ.get("DENCHI_KILLS", "12"))
RATE_HZ = 100.0
INTERVAL_MS = 100


@dataclass(frozen=True)
class Told:
    """What the emitter told until it was killed at ``killed_ns`` (monotonic); see emitter.py."""

    instrument: int
    lines: list[tuple[str, list[int]]]
    killed_ns: int

    def of(self, kind: str) -> list[list[int]]:
        """The values of all lines of a kind, in order."""
        return [values for told, values in self.lines if told == kind]

    def waits(self) -> list[tuple[int, int]]:
        """(begin, end) of each sleep as far as it was asked for; what it lasted longer is left out."""
        found = []
        for kind, values in self.lines:
            if kind == "w":
                found.append((values[0], values[0] + values[1]))
            elif kind == "a" and found:
                found[-1] = (found[-1][0], min(found[-1][1], values[0]))
        return [(begin, min(end, self.killed_ns)) for begin, end in found]

    def chosen_ms(self, since_ns: int) -> float:
        """How long from then to the kill denchi slept because it chose to."""
        return sum(max(0, end - max(begin, since_ns)) for begin, end in self.waits()) / 1e6


@dataclass(frozen=True)
class Loss:
    """What one kill took: samples, age of the oldest, the part of it that denchi chose, largest hand-over."""

    samples: int
    age_ms: float
    chosen_ms: float
    at_once: int


def _run_and_kill(folder: Path, first: int, seconds: float) -> Told:
    """One run of the emitter that is killed."""
    emitter = Path(__file__).with_name("emitter.py")
    process = subprocess.Popen(
        [sys.executable, str(emitter), str(folder), str(RATE_HZ), str(first), str(INTERVAL_MS)],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    head = process.stdout.readline().split()
    assert head[:1] == [b"instrument"], head
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    killed_ns = time.monotonic_ns()
    rest = process.stdout.read().decode().splitlines()
    process.stdout.close()
    process.wait()
    lines = [(words[0], [int(word) for word in words[1:]]) for words in map(str.split, rest)]
    return Told(int(head[1]), lines, killed_ns)


def _whole(folder: Path, told: Told, first: int) -> int:
    """The last number that the journal has kept of a run; asserts what holds on every machine."""
    with JournalReader(folder) as reader:
        found = numbers(reader, told.instrument)
    assert found == list(range(first, first + len(found))), "not in order, or a hole in the middle"
    kept = first + len(found) - 1
    on_disk = max((last for _, last in told.of("d")), default=first - 1)
    assert kept >= on_disk, "what was committed is gone"
    asked_ms = max((asked for _, asked in told.of("w")), default=0) / 1e6
    assert asked_ms <= INTERVAL_MS, "it sleeps longer than its interval"
    return kept


def _loss(told: Told, first: int, kept: int) -> Loss:
    """What a kill took that left the samples up to ``kept``."""
    handed = told.of("h")
    before = [first - 1, *(last for last, _ in handed)]
    lost = [
        (at, last - max(kept, ahead))
        for ahead, (last, at) in zip(before, handed, strict=False)
        if last > kept
    ]
    if not lost:
        return Loss(0, 0, 0, 0)
    oldest = lost[0][0]
    age_ms = (told.killed_ns - oldest) / 1e6
    samples = sum(n for _, n in lost)
    return Loss(samples, age_ms, told.chosen_ms(oldest), max(n for _, n in lost))


@pytest.mark.faults
def test_random_kills(tmp_path: Path) -> None:
    rng = random.Random(4)
    losses: list[Loss] = []
    kept: dict[int, range] = {}
    first = 0
    for _ in range(KILLS):
        told = _run_and_kill(tmp_path, first, rng.uniform(0.15, 1.8))
        last = _whole(tmp_path, told, first)
        losses.append(_loss(told, first, last))
        kept[told.instrument] = range(first, last + 1)
        first = max([last, *(n for n, _ in told.of("h"))]) + 1000
    con = sqlite3.connect(tmp_path / "denchi.db")
    assert con.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    con.close()
    with Journal.open(tmp_path, reserve_mb=0) as journal:
        assert journal.state().degraded is None
    with JournalReader(tmp_path) as reader:
        # Each start sealed what the kill before it had left in the open tail: nothing of it may be lost.
        assert all(numbers(reader, i) == list(stamps) for i, stamps in kept.items())
    oldest = max(losses, key=lambda loss: loss.age_ms)
    chosen_ms = max(loss.chosen_ms for loss in losses)
    record(
        "kill -9 at any moment",
        "at most 100 ms of samples lost, journal intact",
        f"{KILLS} kills at {RATE_HZ:.0f}/s: oldest lost sample {oldest.age_ms:.0f} ms before the kill (of these"
        f" {oldest.age_ms - oldest.chosen_ms:.0f} ms overslept or on the way to the disk, its own wait at most {chosen_ms:.0f} ms);"
        f" at most {max(loss.samples for loss in losses)} samples, up to"
        f" {max(loss.at_once for loss in losses)} handed over at once, mean"
        f" {sum(loss.samples for loss in losses) / KILLS:.1f}; integrity ok",
        oldest.age_ms <= INTERVAL_MS,
    )
    assert any(loss.samples for loss in losses), "no kill took anything: it was not measured"
    assert chosen_ms <= INTERVAL_MS
