"""Random interleavings of sampling, killing, outages, lost acknowledgements, clock steps, a full disk.

The invariant is that of the promises: *journal and reported loss together are what was emitted, in order*,
and a destination holds exactly what the journal holds once it is drained: nothing lost, nothing twice.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from denchi.clock import FakeClock
from denchi.outputs.base import Context
from denchi.outputs.delivery import Away, Delivery, Refused
from denchi.outputs.influx.lines import LineWriter
from denchi.outputs.labels import Labels
from denchi.store.cursor import Cursor
from denchi.store.feed import Batch
from denchi.store.journal import Journal
from denchi.store.writer import Limits
from faults.figures import record
from store.helpers import T0, begin, numbered, numbers
from store.test_trouble import Refusing

LIMITS = Limits(commit_ms=5, seal_s=0.02, reserve_bytes=0, tail_first_bytes=1 << 16)
EXAMPLES = int(os.environ.get("DENCHI_EXAMPLES", "12"))
seen = {"runs": 0, "samples": 0}


class Server:
    """A destination that stores by measurement, tags and stamp, as a time-series database does."""

    align_ns = 1
    max_samples = 200
    records_only = False

    def __init__(self, folder: Path) -> None:
        self.points: dict[tuple[str, int], str] = {}
        self.writes = 0
        self.up = True
        self.lose_ack = False
        self.poison = False
        self._writer = LineWriter(Labels("st", folder))

    def encode(self, batch: Batch, cursor: Cursor) -> list[bytes]:
        return self._writer.encode(batch, cursor)

    def send(self, lines: Any) -> None:
        self.writes += 1
        if not self.up:
            raise Away("nobody answers")
        if self.poison and any(b"vbus_v=0.001" in line for line in lines):
            raise Refused("one line is bad")
        for line in lines:
            head, fields, stamp = line.decode().rsplit(" ", 2)
            self.points[head, int(stamp)] = fields
        if self.lose_ack:
            self.lose_ack = False
            raise Away("the reply was lost")

    def check(self) -> str | None:
        return None

    def close(self) -> None:
        pass


class Pipe(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="denchi-pipe-"))
        self.clock = FakeClock()
        self.server = Server(self.folder)
        self.emitted = 0
        self.lost_before = 0
        self.instruments: list[int] = []
        self.refusing: Refusing | None = None
        self.journal: Journal
        self._open()

    def _open(self) -> None:
        self.journal = Journal.open(self.folder, limits=LIMITS)
        self.instruments.append(begin(self.journal, f"s{len(self.instruments)}"))
        assert self.journal.flush()
        self._connect()

    def _connect(self) -> None:
        context = Context(self.folder, "st", self.journal, clock=self.clock)
        self.output = Delivery("o", "test", context, self.server, wait=lambda stop, s: True)
        self.output._load(threading.Event())

    @rule(n=st.integers(1, 60))
    def sample(self, n: int) -> None:
        self.journal.append(self.instruments[-1], numbered(self.emitted, n))
        self.emitted += n

    @rule()
    def commit(self) -> None:
        self.journal.flush(0.3)

    @rule()
    def deliver(self) -> None:
        self.output.step(threading.Event())

    @rule(up=st.booleans())
    def outage(self, up: bool) -> None:
        self.server.up = up

    @rule()
    def lose_the_next_reply(self) -> None:
        self.server.lose_ack = True

    @rule()
    def restart_the_output(self) -> None:
        self._connect()

    @rule(seconds=st.sampled_from([-3600.0, 3600.0, 0.7]))
    def step_the_clock(self, seconds: float) -> None:
        self.clock.step_wall(seconds)

    @rule()
    def time_passes(self) -> None:
        self.clock.advance(11)

    @precondition(lambda self: self.refusing is None)
    @rule(code=st.sampled_from([sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR]))
    def disk_refuses(self, code: int) -> None:
        database = self.journal._writer.database
        if database.con is not None and not isinstance(database.con, Refusing):
            self.refusing = Refusing(database.con, code)
            database.con = self.refusing  # type: ignore[assignment]

    @precondition(lambda self: self.refusing is not None)
    @rule()
    def disk_works_again(self) -> None:
        assert self.refusing is not None
        self.refusing.ok = True
        assert self.journal.flush(10)
        self.refusing = None

    @precondition(lambda self: self.refusing is None)
    @rule()
    def kill(self) -> None:
        """The process is gone: what is on disk is copied away and opened; nothing was closed."""
        assert self.journal.flush()
        committed = self.emitted
        self.lost_before += self.journal.state().lost_samples
        copy = Path(tempfile.mkdtemp(prefix="denchi-pipe-"))
        for name in ("tail-0.bin", "tail-1.bin", "denchi.db-wal", "denchi.db", "installation.key"):
            if (self.folder / name).exists():
                shutil.copyfile(self.folder / name, copy / name)
        self.journal.close()
        shutil.rmtree(self.folder)
        self.folder = copy
        assert committed == self.emitted
        self._open()

    @invariant()
    def what_is_stored_is_in_order(self) -> None:
        with self.journal.reader() as reader:
            found = [v for i in self.instruments for v in numbers(reader, i)]
        assert found == sorted(set(found))

    def teardown(self) -> None:
        if self.refusing is not None:
            self.disk_works_again()
        assert self.journal.flush()
        with self.journal.reader() as reader:
            found = [v for i in self.instruments for v in numbers(reader, i)]
        lost = self.lost_before + self.journal.state().lost_samples
        assert len(found) + lost == self.emitted
        assert found == sorted(set(found))
        self.server.up, self.server.lose_ack = True, False
        for _ in range(400):
            if not self.journal.read_after(self.output._cursor, 10)[0]:
                break
            self.output.step(threading.Event())
        stored = sorted(t for (head, t) in self.server.points if head.startswith("denchi_sample"))
        assert stored == [T0 + n * 10_000_000 for n in found], "lost or doubled on the way"
        self.journal.close()
        shutil.rmtree(self.folder)
        seen["runs"] += 1
        seen["samples"] += self.emitted


@pytest.mark.faults
def test_interleavings() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Pipe,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    record(
        "random interleavings (state machine)",
        "journal and reported loss = emitted, in order; delivered = journal",
        f"{seen['runs']} random runs, {seen['samples']} samples, invariant held in all",
        seen["runs"] >= EXAMPLES,
    )
