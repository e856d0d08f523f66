"""A damaged journal: moved aside, a new one within 5 s, readable rows salvaged."""

from __future__ import annotations

import random
import sqlite3
import time
from pathlib import Path

import pytest

from denchi.errors import StoreError
from denchi.store import schema
from denchi.store.journal import Journal
from denchi.store.reader import JournalReader
from faults.figures import record
from store.helpers import begin, in_steps, noisy, numbered, numbers


def _make(folder: Path, samples: int = 60_000) -> int:
    with Journal.open(folder, commit_ms=10, seal_s=0) as journal:
        instrument = begin(journal)
        for first, n in in_steps(samples, 300):
            journal.append(instrument, noisy(first, n))
            while journal.flush() and journal.state().tail_samples:
                pass  # each piece becomes a segment of its own
    return instrument


def _wait_salvaged(journal: Journal) -> None:
    until = time.monotonic() + 60
    while "salvaged" not in journal.state().message and time.monotonic() < until:
        time.sleep(0.02)


def test_random_pages_overwritten(tmp_path: Path) -> None:
    """Home Assistant's own test of its recorder: random bytes over the file."""
    instrument = _make(tmp_path)
    path = tmp_path / schema.FILE
    random.seed(4)
    pages = path.stat().st_size // 4096
    hit = random.sample(range(2, pages), 5)
    with path.open("r+b") as file:
        for page in hit:
            file.seek(page * 4096)
            file.write(random.randbytes(4096))
    begun = time.monotonic()
    with Journal.open(tmp_path, commit_ms=10) as journal:
        opened = time.monotonic() - begun
        assert journal.state().degraded == "moved_aside"
        fresh = begin(journal, "s2", serial="Y")
        assert fresh > instrument + 1000
        journal.append(fresh, numbered(0, 100))
        journal.flush()
        _wait_salvaged(journal)
        with journal.reader() as reader:
            assert numbers(reader, fresh) == list(range(100))
            assert [s.session.id for s in reader.sessions()] == ["s2", "s1"]
            found = numbers(reader, instrument)
    assert found == sorted(set(found))
    assert set(found) <= set(range(60_000))
    kept = len(found) / 60_000
    lost_segments = (60_000 - len(found)) / 300
    # A segment is about 2 kB here: a page holds two whole ones or a part of one. Everything else is kept.
    assert lost_segments <= 5 * 3
    aside = list(tmp_path.glob("denchi-damaged-*.db"))
    assert len(aside) == 1
    record(
        "corrupt journal",
        "moved aside, new one within 5 s, readable rows salvaged",
        f"new one in {opened:.2f} s; {kept:.1%} of all samples salvaged after 5 of {pages} pages"
        f" were overwritten ({lost_segments:.0f} segments unreadable)",
        opened < 5,
    )


@pytest.mark.parametrize("what", ["text", "empty", "header", "cut"])
def test_foreign_and_cut_files(tmp_path: Path, what: str) -> None:
    _make(tmp_path, 3000)
    path = tmp_path / schema.FILE
    data = path.read_bytes()
    if what == "text":
        path.write_bytes(b"this is no database\n" * 1000)
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "header":
        path.write_bytes(b"\0" * 100 + data[100:])
    else:
        path.write_bytes(data[: len(data) // 2 // 4096 * 4096 + 100])
    with Journal.open(tmp_path, commit_ms=10) as journal:
        if what == "empty":
            assert journal.state().degraded is None  # an empty file is a new journal
        else:
            assert journal.state().degraded == "moved_aside"
        fresh = begin(journal, "s2")
        journal.append(fresh, numbered(0, 50))
        journal.flush()
        with journal.reader() as reader:
            assert numbers(reader, fresh) == list(range(50))


def test_a_file_damaged_while_running_is_replaced(tmp_path: Path) -> None:
    with Journal.open(tmp_path, commit_ms=10, seal_s=0.05) as journal:
        instrument = begin(journal)
        journal.append(instrument, numbered(0, 100))
        journal.flush()
        time.sleep(0.1)
        con = journal._writer.database.con
        assert con is not None
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        con.execute("PRAGMA cache_size = 0")
        con.execute("PRAGMA shrink_memory")
        path = tmp_path / schema.FILE
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(0)
            file.write(random.randbytes(size))
        for k in range(100, 1000, 100):
            journal.append(instrument, numbered(k, 100))
            journal.add_event("s1", k, "mark", {"k": k})
            journal.flush()
            if journal.state().degraded:
                break
        assert journal.state().degraded == "moved_aside"
        assert list(tmp_path.glob("denchi-damaged-*.db"))
        journal.append(instrument, numbered(2000, 100))
        journal.flush()
        with journal.reader() as reader:
            found = numbers(reader, instrument)
            assert found[-100:] == list(range(2000, 2100))
            assert reader.session("s1") is not None


def test_a_journal_of_a_newer_denchi_is_refused(tmp_path: Path) -> None:
    _make(tmp_path, 300)
    con = sqlite3.connect(tmp_path / schema.FILE)
    con.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    con.close()
    with pytest.raises(StoreError, match="newer"):
        Journal.open(tmp_path)


def test_samples_whose_instrument_is_lost_get_a_session(tmp_path: Path) -> None:
    """The database is gone, the tail is not: nothing of it is thrown away."""
    journal = Journal.open(tmp_path, commit_ms=10)
    instrument = begin(journal)
    journal.append(instrument, numbered(0, 100))
    journal.flush()
    tails = {p.name: p.read_bytes() for p in tmp_path.glob("tail-*.bin")}
    journal.close()
    for path in tmp_path.glob("denchi.db*"):
        path.unlink()
    for name, data in tails.items():
        (tmp_path / name).write_bytes(data)
    with Journal.open(tmp_path, commit_ms=10) as journal:
        journal.flush()
        with journal.reader() as reader:
            (found,) = reader.sessions()
            assert found.session.id.startswith("recovered-")
            assert numbers(reader, instrument) == list(range(100))
    with JournalReader(tmp_path) as reader:
        assert numbers(reader, instrument) == list(range(100))
