"""Older journals open and say what they said; copies open like their original; space comes back."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from denchi.errors import StoreError
from denchi.store import schema, upkeep
from denchi.store.cursor import Cursor
from denchi.store.journal import Journal
from denchi.store.reader import JournalReader
from store.golden.make import content
from store.helpers import begin, in_steps, noisy, numbered, numbers

GOLDEN = Path(__file__).with_name("golden")
VERSIONS = sorted(int(p.stem[1:]) for p in GOLDEN.glob("v*.sql"))


def _golden(folder: Path, version: int) -> None:
    con = sqlite3.connect(folder / schema.FILE)
    con.executescript((GOLDEN / f"v{version}.sql").read_text(encoding="utf-8"))
    assert con.execute("PRAGMA user_version").fetchone()[0] == version
    con.close()


def test_there_is_a_golden_journal_of_every_version() -> None:
    assert list(range(1, schema.VERSION + 1)) == VERSIONS, "run tests/store/golden/make.py"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_golden_journal_is_brought_forward_whole(tmp_path: Path, version: int) -> None:
    _golden(tmp_path, version)
    wanted = json.loads((GOLDEN / f"v{version}.json").read_text())
    with Journal.open(tmp_path, reserve_mb=0) as journal:
        assert journal.state().degraded is None
        with journal.reader() as reader:
            assert content(reader) == wanted
        batch, _ = journal.read_after(Cursor(), 100_000)
        assert batch.samples == sum(s["samples"] for s in wanted.values())
        kinds = [type(r).__name__ for r in batch.records]
        for kind in ("StoredSession", "StoredFinding", "StoredGap"):
            assert kinds.count(kind) >= 2, "an output is told what an older journal holds"
        instrument = begin(journal, "new")
        journal.append(instrument, numbered(0, 100))
        assert journal.flush(60)
    con = sqlite3.connect(tmp_path / schema.FILE)
    assert con.execute("PRAGMA user_version").fetchone()[0] == schema.VERSION
    assert con.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    con.close()
    copies = list(tmp_path.glob(f"denchi-v{version}-*.db.bak"))
    assert len(copies) == (version < schema.VERSION), "a copy before a migration, and only then"
    for copy in copies:
        con = sqlite3.connect(copy)
        assert con.execute("PRAGMA user_version").fetchone()[0] == version
        con.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_second_opening_changes_nothing(tmp_path: Path, version: int) -> None:
    _golden(tmp_path, version)
    for _ in range(2):
        with Journal.open(tmp_path, reserve_mb=0) as journal, journal.reader() as reader:
            told = content(reader)
    assert told == json.loads((GOLDEN / f"v{version}.json").read_text())
    assert len(list(tmp_path.glob("*.bak"))) == (version < schema.VERSION)


def test_a_backup_while_sampling_opens_like_the_original(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "d", reserve_mb=0, commit_ms=5, seal_s=0.02) as journal:
        instrument = begin(journal)
        copies = []
        for k, (first, n) in enumerate(in_steps(6000, 50)):
            journal.append(instrument, numbered(first, n))
            if k % 30 == 29:
                assert journal.flush(60)
                copies.append((upkeep.backup(tmp_path / "d", tmp_path / f"copy{k}"), first + n))
        assert len(copies) == 4
    for folder, had in copies:
        with JournalReader(folder) as reader:
            found = numbers(reader, instrument)
        assert found[:had] == list(range(had)), "everything that was flushed, once, in order"
        assert found == list(range(len(found)))
        with Journal.open(folder, reserve_mb=0) as again:
            assert again.state().degraded is None


def test_a_backup_never_overwrites_and_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no journal"):
        upkeep.backup(tmp_path / "nothing", tmp_path / "copy")
    with Journal.open(tmp_path / "d", reserve_mb=0) as journal:
        begin(journal)
        assert journal.flush(60)
        upkeep.backup(tmp_path / "d", tmp_path / "copy")
        with pytest.raises(StoreError, match="already holds"):
            upkeep.backup(tmp_path / "d", tmp_path / "copy")


def test_denchi_sessions_backup(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from denchi.cli.sessions import sessions

    with Journal.open(tmp_path / "d", reserve_mb=0) as journal:
        instrument = begin(journal)
        journal.append(instrument, numbered(0, 50))
        assert journal.flush(60)
        words = ["backup", str(tmp_path / "copy"), "--data-dir", str(tmp_path / "d")]
        result = CliRunner().invoke(sessions, words, standalone_mode=False)
        assert result.exception is None
    with JournalReader(tmp_path / "copy") as reader:
        assert numbers(reader, instrument) == list(range(50))


def test_denchi_sessions_pin_without_a_daemon(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from denchi.cli.sessions import sessions
    from denchi.errors import InputError

    def pinned(*words: str) -> bool:
        words = ("pin", *words, "--data-dir", str(tmp_path))
        result = CliRunner().invoke(sessions, list(words), standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        with JournalReader(tmp_path) as reader:
            stored = reader.session("s1")
        assert stored is not None
        return stored.pinned

    with Journal.open(tmp_path, reserve_mb=0) as journal:
        begin(journal)
    assert pinned("s1")
    assert not pinned("s1", "--off")
    with pytest.raises(InputError):
        pinned("none")


def test_deleting_a_session_gives_its_space_back(tmp_path: Path) -> None:
    with Journal.open(tmp_path, reserve_mb=0, commit_ms=5) as journal:
        for name in ("a", "b"):
            instrument = begin(journal, name)
            block = noisy(0, 100_000)
            journal.append(instrument, block, wait=True)
            journal.end_session(name, int(block.t_ns[-1]) + 1, None)
        assert journal.flush(60)
        journal.delete_session("a")
        assert journal.flush(60)
        given: list[int] = []
        assert journal.submit(lambda con: given.append(upkeep.compact(con)))
        with journal.reader() as reader:
            assert [s.session.id for s in reader.sessions()] == ["b"]
            assert reader.sessions()[0].samples == 100_000
    assert given[0] >= 0
    con = sqlite3.connect(tmp_path / schema.FILE)
    free = con.execute("PRAGMA freelist_count").fetchone()[0]
    total = con.execute("PRAGMA page_count").fetchone()[0]
    con.close()
    assert free < total / 4, "..."
