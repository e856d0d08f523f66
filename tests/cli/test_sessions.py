"""`denchi sessions` without a daemon: listed in the person's time, kept, deleted only after a yes."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from denchi.store.journal import Journal
from denchi.store.reader import JournalReader
from store.helpers import begin, numbered

CLI = [sys.executable, "-m", "denchi.cli.main", "sessions"]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    with Journal.open(tmp_path / "data", reserve_mb=0) as journal:
        journal.append(begin(journal, "one"), numbered(0, 300))
        assert journal.flush(60)
    return tmp_path / "data"


def run(data_dir: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, *arguments, "--data-dir", str(data_dir)],
        capture_output=True, text=True, timeout=60, check=False,
        stdin=subprocess.DEVNULL, env=os.environ | env,
    )  # fmt: skip


def asked(data_dir: Path, answer: str) -> tuple[int, str]:
    """Exit code and talk of a deletion at a terminal."""
    outer, inner = pty.openpty()
    with subprocess.Popen(
        [*CLI, "delete", "one", "--data-dir", str(data_dir)],
        stdin=inner, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        os.close(inner)
        os.write(outer, answer.encode())
        out, err = process.communicate(timeout=60)
    os.close(outer)
    return process.returncode, out + err


def ids(data_dir: Path) -> list[str]:
    with JournalReader(data_dir) as reader:
        return [one.session.id for one in reader.sessions(10, None, "")]


def test_without_a_person_to_ask_nothing_is_deleted(data_dir):
    done = run(data_dir, "delete", "one")
    assert done.returncode == 2
    assert "say --yes" in done.stderr
    assert ids(data_dir) == ["one"]
    done = run(data_dir, "delete", "one", "--yes")
    assert done.returncode == 0, done.stderr
    assert ids(data_dir) == []


@pytest.mark.parametrize(("answer", "left"), [("n\n", ["one"]), ("\n", ["one"]), ("y\n", [])])
def test_a_person_is_asked_and_enter_is_no(data_dir, answer, left):
    code, said = asked(data_dir, answer)
    assert code == 0, said
    assert "300 samples" in said
    assert ids(data_dir) == left


def test_a_session_kept_on_purpose_is_named_so_before_it_goes(data_dir):
    assert run(data_dir, "pin", "one").returncode == 0
    assert "kept on purpose" in asked(data_dir, "n\n")[1]
    assert run(data_dir, "pin", "one", "--off").returncode == 0
    assert "kept on purpose" not in asked(data_dir, "n\n")[1]


def test_the_list_tells_the_time_of_day_of_the_place(data_dir):
    here = run(data_dir, TZ="UTC").stdout.split()[:2]
    there = run(data_dir, TZ="Asia/Tokyo").stdout.split()[:2]
    assert here != there
    assert int(there[1][:2]) == (int(here[1][:2]) + 9) % 24


@pytest.mark.parametrize("command", [["delete", "--yes"], ["pin"]])
def test_a_session_that_is_not_there(data_dir, command):
    done = run(data_dir, command[0], "nope", *command[1:])
    assert done.returncode == 1
    assert "`denchi sessions` lists them" in done.stderr
