"""What retention may take, and what it must leave: undelivered raw, what was pinned, roll-ups, findings."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from denchi.store import retention, schema
from denchi.store.cursor import Cursor
from denchi.store.journal import Journal
from denchi.store.reader import JournalReader
from denchi.store.retention import DAY_NS, Policy
from denchi.store.writer import DIRECT_SAMPLES
from store.helpers import T0, begin, noisy, numbers

N = DIRECT_SAMPLES + 1
"""Samples of a piece: as many as are sealed at once."""
PIECES = 4
"""Segments of one session, somewhat more than a day between their first samples."""
OLD = Policy(raw_days=30)
LATE_NS = T0 + 60 * DAY_NS


def piece(k: int):
    """Piece ``k``: the samples of a day."""
    block = noisy(k * N, N)
    return block.replace(t_ns=block.t_ns + k * DAY_NS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Journal.open(tmp_path, reserve_mb=0, commit_ms=5, seal_s=0.02) as journal:
        instrument = begin(journal)
        for k in range(PIECES):
            journal.append(instrument, piece(k), wait=True)
            assert journal.flush(60)
        journal.end_session("s1", int(piece(PIECES - 1).t_ns[-1]) + 1, None)
    return tmp_path


@contextmanager
def opened(folder: Path) -> Iterator[sqlite3.Connection]:
    con = sqlite3.connect(folder / schema.FILE)
    try:
        yield con
        con.commit()
    finally:
        con.close()


def sweep(
    folder: Path, policy: Policy, *outputs: str, now_ns: int = LATE_NS, low: bool = False
) -> list[int]:
    """Sweep; the pieces whose raw samples are still there, each found whole or not at all."""
    with opened(folder) as con:
        retention.sweep(con, policy, outputs, now_ns, low)
    with JournalReader(folder) as reader:
        (instrument,) = reader.instruments("s1")
        found = numbers(reader, instrument.id)
        series = reader.series("s1", points=400)
        assert int(series.rollup.bands["vbus_uv"].count.sum()) == PIECES * N, "roll-ups stay"
    left = sorted({n // N for n in found})
    assert found == [n for k in left for n in range(k * N, (k + 1) * N)], "whole segments, in order"
    return left


def deliver(folder: Path, output: str, *pieces: int) -> None:
    """Say that an output has these pieces."""
    with opened(folder) as con:
        (number,) = con.execute("SELECT id FROM instrument").fetchone()
        spans = [(number, (int(piece(k).t_ns[0]), int(piece(k).t_ns[-1]) + 1)) for k in pieces]
        data = json.dumps(Cursor().delivered(spans).to_json())
        con.execute("INSERT OR REPLACE INTO cursor (output, data) VALUES (?, ?)", (output, data))


def test_age_takes_what_every_output_has_and_nothing_else(folder: Path) -> None:
    deliver(folder, "a", 0, 1, 3)
    assert sweep(folder, OLD, "a", "b") == [0, 1, 2, 3], "b never delivered anything"
    deliver(folder, "b", 1, 2, 3)
    assert sweep(folder, OLD, "a", "b") == [0, 2]
    assert sweep(folder, OLD, "a", "b") == [0, 2], "again changes nothing"


def test_age_leaves_what_is_young(folder: Path) -> None:
    deliver(folder, "a", 0, 1, 2, 3)
    assert sweep(folder, OLD, "a", now_ns=T0 + 32 * DAY_NS) == [2, 3]
    assert sweep(folder, Policy(), "a") == [2, 3], "no policy takes nothing"


def test_age_alone_decides_where_nothing_is_to_be_delivered(folder: Path) -> None:
    assert sweep(folder, OLD, now_ns=T0 + 32 * DAY_NS) == [2, 3]


def test_a_low_disk_takes_what_is_delivered_and_never_the_only_copy(folder: Path) -> None:
    assert sweep(folder, Policy(), low=True) == [0, 1, 2, 3], "no output: the only copy"
    deliver(folder, "a", 2)
    assert sweep(folder, Policy(), "a", low=True) == [0, 1, 3]


def test_a_low_disk_with_an_output_away_costs_the_same_however_much_is_recorded(
    folder: Path,
) -> None:
    """It is asked each second, on the thread that seals."""

    def steps() -> int:
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        with opened(folder) as con:
            row = "SELECT instrument, from_ns, to_ns, n, x'00' FROM segment WHERE id = 1"
            con.executemany(
                f"INSERT INTO segment (instrument, from_ns, to_ns, n, data) {row}", [()] * 5000
            )
            con.set_progress_handler(step, 10)
            assert retention.sweep(con, Policy(), ["a"], LATE_NS, True) == 0
            con.set_progress_handler(None, 0)
        return count

    first = steps()
    assert first > 100
    assert steps() == first


def test_the_cap_takes_delivered_raw_before_older_undelivered(folder: Path) -> None:
    deliver(folder, "a", 2, 3)
    with opened(folder) as con:
        held = retention.used(con)
        (size,) = con.execute("SELECT max(length(data)) FROM segment").fetchone()
    # One delivered segment frees whole pages, a little less than its bytes: the other delivered one
    # goes too, not an older one that nobody has.
    assert sweep(folder, Policy(max_bytes=held - size), "a") == [0, 1]
    assert sweep(folder, Policy(max_bytes=held - 3 * size + 8192), "a") == [1], "then the oldest"
    assert sweep(folder, Policy(max_bytes=1), "a") == [], "the outputs go before the measuring does"


def test_what_is_pinned_stays_whatever_is_asked(folder: Path) -> None:
    deliver(folder, "a", 0, 1, 2, 3)
    with Journal.open(folder, reserve_mb=0) as journal:
        journal.pin_session("s1")
    for policy in (OLD, Policy(max_bytes=1)):
        assert sweep(folder, policy, "a", low=True) == [0, 1, 2, 3]


def test_the_journal_sweeps_by_its_outputs(folder: Path) -> None:
    """The writer asks for the outputs that the daemon named, not for those that happen to have a cursor."""
    deliver(folder, "a", 0, 1, 2, 3)
    with Journal.open(folder, reserve_mb=0, retain_raw_days=OLD.raw_days) as journal:
        journal.set_outputs(["a", "b"])
        journal._writer._next_sweep = 0
        assert journal.flush(60)
    assert sweep(folder, Policy()) == [0, 1, 2, 3]
