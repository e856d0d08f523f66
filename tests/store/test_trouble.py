"""The database refuses for a while: nothing is lost that fits in memory, and it is said."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from denchi.clock import FakeClock
from denchi.model import Gap
from denchi.store import tail
from denchi.store.journal import Journal
from denchi.store.memory import Memory
from denchi.store.reader import JournalReader
from denchi.store.tail import Frame, TailFile
from denchi.store.writer import Limits
from store.helpers import begin, in_steps, numbered, numbers


def _until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for the journal's threads; a busy machine may take its time."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.01)


class Refusing:
    """A connection whose COMMIT fails as a disk's would, until ``ok``."""

    def __init__(self, con: sqlite3.Connection, code: int) -> None:
        self.con, self.code, self.ok = con, code, False

    def execute(self, sql: str, *args: Any) -> Any:
        if sql == "COMMIT" and not self.ok:
            self.con.execute("ROLLBACK")
            error = sqlite3.OperationalError("injected: the disk refuses")
            error.sqlite_errorcode = self.code
            raise error
        return self.con.execute(sql, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.con, name)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR])
def test_a_refusing_database(tmp_path: Path, code: int) -> None:
    with Journal.open(tmp_path, commit_ms=10, seal_s=0.03) as journal:
        instrument = begin(journal)
        journal.flush()
        writer = journal._writer
        real = writer.database.con
        assert real is not None
        refusing = Refusing(real, code)
        writer.database.con = refusing  # type: ignore[assignment]
        for first, n in in_steps(3000, 100):
            journal.append(instrument, numbered(first, n))
            journal.add_gap("s1", None, Gap(first, first + 1, "test"))
            time.sleep(0.004)
        _until(lambda: journal.state().degraded is not None)
        state = journal.state()
        assert state.degraded == ("disk_full" if code == sqlite3.SQLITE_FULL else "io_error")
        assert state.message
        assert state.pending_records
        assert not journal.flush(0.2)
        with journal.reader() as reader:
            _until(lambda: len(numbers(reader, instrument)) == 3000)
            assert numbers(reader, instrument) == list(range(3000))
        refusing.ok = True
        assert journal.flush(60)
        assert journal.state().degraded is None
        with journal.reader() as reader:
            assert numbers(reader, instrument) == list(range(3000))
            assert len(reader.gaps("s1")) == 30
    with JournalReader(tmp_path) as reader:
        assert numbers(reader, instrument) == list(range(3000))


@pytest.mark.parametrize("call", ["write", "sync"])
def test_a_tail_that_cannot_be_written_keeps_samples_and_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    with Journal.open(tmp_path, commit_ms=10, seal_s=60) as journal:
        instrument = begin(journal)
        journal.append(instrument, numbered(0, 100))
        journal.flush()
        real = getattr(TailFile, call)

        def refuse(self: TailFile, *frames: Any) -> int:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(TailFile, call, refuse)
        journal.append(instrument, numbered(100, 100))
        _until(lambda: journal.state().degraded is not None)
        assert journal.state().degraded == "io_error"
        monkeypatch.setattr(TailFile, call, real)
        journal.append(instrument, numbered(200, 100))
        assert journal.flush(60)
        _until(lambda: journal.state().degraded is None)
        assert journal.state().degraded is None, "nobody appends any more: it sees for itself"
        with JournalReader(tmp_path) as reader:
            assert numbers(reader, instrument) == list(range(300))


def test_what_was_written_and_could_not_be_synced_goes_to_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system that refuses a sync may have forgotten what was written before it: the file is no proof any more."""
    with Journal.open(tmp_path, commit_ms=1000, seal_s=600) as journal:
        instrument = begin(journal)
        journal.append(instrument, numbered(0, 100))
        journal.flush()
        _until(lambda: not journal._writer._commit_now.is_set())
        time.sleep(0.05)  # now its thread sleeps until half of the interval is over

        def refuse(self: TailFile) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(TailFile, "sync", refuse)
        journal.append(instrument, numbered(100, 100))
        _until(lambda: sum(len(f.block) for f in tail.read(tmp_path)) == 200)
        assert journal.state().degraded is None, "written half-way, before its commit"
        writer = journal._writer
        with pytest.MonkeyPatch.context() as busy:
            busy.setattr(writer.database, "transact", lambda op: False)
            _until(lambda: journal.state().degraded == "io_error")
            assert writer.memory.samples == 100, "only in memory now, and counted as such"
            assert not journal.flush(0.2)
        with JournalReader(tmp_path, tail=list) as reader:  # as if the files had kept nothing
            _until(lambda: numbers(reader, instrument) == list(range(200)))
        monkeypatch.undo()
        _until(lambda: journal.state().degraded is None)
        assert journal._writer.memory.samples == 0
    with JournalReader(tmp_path) as reader:
        assert numbers(reader, instrument) == list(range(200))


def test_memory_is_thinned_then_dropped_and_all_of_it_counted() -> None:
    memory = Memory(ring_s=10.0, ring_samples=5000)
    emitted = 0
    for seq in range(200):
        memory.add(Frame(seq, 1, numbered(seq * 100, 100)), durable=False)
        emitted += 100
        memory.bound("disk_full")
    kept = sum(len(f.block) for f in memory.frames(1))
    assert kept == memory.samples <= 5000
    assert kept + memory.lost == emitted
    newest = [int(v) for f in memory.frames(1) for v in f.block.columns["vbus_uv"]][-1000:]
    assert newest == list(range(19_000, 20_000)), "the last ten seconds are whole"
    for seq in range(200, 3000):
        memory.add(Frame(seq, 1, numbered(seq * 100, 100)), durable=False)
        memory.bound("disk_full")
        emitted += 100
    kept = sum(len(f.block) for f in memory.frames(1))
    assert kept == memory.samples <= 5000
    assert kept + memory.lost == emitted
    assert len(memory.take_gaps()) == 1
    assert memory.take_gaps() == []


def test_a_sealed_frame_is_forgotten_and_a_later_one_is_not() -> None:
    memory = Memory(600, 1000)
    frames = [Frame(seq, 1, numbered(seq * 10, 10)) for seq in range(4)]
    for frame in frames:
        memory.add(frame, durable=frame.seq < 2)
    memory.sealed(1, frames[:3])
    assert [f.seq for f in memory.snapshot()] == [3]
    assert memory.samples == 10
    memory.sealed(1, frames[3:])
    assert memory.samples == 0
    assert not memory.only_here(1)


def test_an_operation_that_cannot_work_does_not_block_the_others(tmp_path: Path) -> None:
    def broken(con: sqlite3.Connection) -> None:
        con.execute("INSERT INTO finding(id) VALUES (NULL)")

    def wrong(con: sqlite3.Connection) -> None:
        raise ValueError("a fault of our own")

    with Journal.open(tmp_path, commit_ms=10) as journal:
        begin(journal)
        journal._writer.submit(broken)
        journal._writer.submit(wrong)
        journal.add_event("s1", 1, "mark")
        assert journal.flush()
        with journal.reader() as reader:
            assert len(reader.events("s1")) == 1


def test_overload_is_counted_and_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("denchi.store.writer.QUEUE_SAMPLES", 1000)
    limits = Limits(commit_ms=60_000, reserve_bytes=0)
    with Journal.open(tmp_path, limits=limits) as journal:
        instrument = begin(journal)
        journal.flush()
        for first, n in in_steps(5000, 100):
            journal.append(instrument, numbered(first, n))
        journal.flush()
        with journal.reader() as reader:
            found = numbers(reader, instrument)
            lost = journal.state().lost_samples
            assert len(found) + lost == 5000
            assert lost > 0
            journal.add_event("s1", 1, "mark")
            journal.flush()
            marked = [g.gap.lost for g in reader.gaps("s1") if g.gap.cause == "overload"]
            assert sum(marked) == lost


def test_the_wall_clock_may_step(tmp_path: Path) -> None:
    clock = FakeClock()
    with Journal.open(tmp_path, commit_ms=10, clock=clock) as journal:
        instrument = begin(journal)
        for first, n in in_steps(500, 50):
            clock.step_wall(-3600 if first % 100 else 7200)
            clock.advance(0.05)
            journal.append(instrument, numbered(first, n))
        clock.advance(1)
        assert journal.flush()
        with journal.reader() as reader:
            assert numbers(reader, instrument) == list(range(500))
