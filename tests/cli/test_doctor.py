"""The doctor: every check stands for itself, says what to do, and shows no secret."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from denchi.config import Settings, load
from denchi.doctor import Check, checks
from denchi.store.journal import Journal

SECRET = "tok-7f3a9c51d2"


def _rows(folder: Path, settings: Settings, name: str) -> list[Check]:
    return [row for row in checks(folder, settings) if row.name == name]


def _settings(folder: Path, text: str) -> Settings:
    path = folder / "config.toml"
    path.write_text(text)
    return load(path, environ={}).settings


def test_a_journal_that_is_not_there_damaged_or_moved_aside_is_told_apart(tmp_path: Path) -> None:
    (none,) = _rows(tmp_path, Settings(), "journal")
    assert none.state == "fine"
    assert "none yet" in none.message
    Journal.open(tmp_path, reserve_mb=0).close()
    (whole,) = _rows(tmp_path, Settings(), "journal")
    assert whole.state == "fine"
    assert "none yet" not in whole.message
    (tmp_path / "denchi.db").write_bytes(b"no database at all" * 500)
    (bad,) = _rows(tmp_path, Settings(), "journal")
    assert bad.state == "bad"
    assert bad.cure
    Journal.open(tmp_path, reserve_mb=0).close()  # a daemon comes and moves it aside
    aside, fresh = _rows(tmp_path, Settings(), "journal")
    assert (aside.state, fresh.state) == ("notice", "fine")
    assert "damaged" in aside.message


def test_an_output_that_is_away_refused_or_wrong_is_bad_and_names_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:  # bound and not listening: a refusal, on every machine
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        token = tmp_path / "token"
        token.write_text(SECRET)
        settings = _settings(
            tmp_path,
            f"""
[output.away]
kind = "influxdb"
url = "http://127.0.0.1:{port}"
bucket = "b"
org = "o"
token_file = "{token}"
[output.nokind]
kind = "influx"
[output.notoken]
kind = "influxdb"
url = "http://127.0.0.1:{port}"
bucket = "b"
org = "o"
token_file = "{tmp_path / "absent"}"
[output.one]
kind = "influxdb"
version = 1
url = "http://127.0.0.1:{port}"
database = "d"
[output.broker]
kind = "mqtt"
host = "127.0.0.1"
port = {port}
""",
        )
        rows = {row.name: row for row in checks(tmp_path, settings)}
    for name in ("away", "nokind", "notoken"):
        row = rows[f"output {name}"]
        assert row.state == "bad", row
        assert row.message
    for name in ("away", "one", "broker"):
        # The system's words, not the text of a client's objects.
        assert f"127.0.0.1:{port}: Connection refused" in rows[f"output {name}"].message
    assert "influxdb" in rows["output nokind"].cure
    text = json.dumps([row.to_json() for row in rows.values()]) + capsys.readouterr().err
    assert SECRET not in text


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_alarm_addresses_are_looked_at_and_never_shown(tmp_path: Path) -> None:
    pytest.importorskip("apprise")
    urls = tmp_path / "urls"
    settings = _settings(tmp_path, f'[alarm]\nurls_file = "{urls}"\n')
    (row,) = _rows(tmp_path, settings, "alarms")
    assert row.state == "bad"
    urls.write_text(f"nosuchservice://{SECRET}\n")
    (row,) = _rows(tmp_path, settings, "alarms")
    assert row.state == "bad"
    assert SECRET not in row.message + row.cure
    urls.write_text(f"json://127.0.0.1:9/{SECRET}\n")
    (row,) = _rows(tmp_path, settings, "alarms")
    assert row.state == "fine"
    assert SECRET not in row.message + row.cure


def test_one_check_that_breaks_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import denchi.drivers.discovery

    def broken() -> None:
        raise RuntimeError("no bus")

    monkeypatch.setattr(denchi.drivers.discovery, "discover", broken)
    rows = checks(tmp_path, Settings())
    assert [row.state for row in rows if row.name == "meters"] == ["bad"]
    assert {"clock", "disk", "journal", "extras"} <= {row.name for row in rows}


def test_the_command_prints_one_object_a_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "denchi.cli.main", "doctor", "--json", "--data-dir", str(tmp_path)],
        capture_output=True, text=True, timeout=120, check=False, env=os.environ | {"DENCHI_CONFIG": ""},
    )  # fmt: skip
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"drivers", "libusb", "clock", "disk", "journal", "extras"} <= {
        row["name"] for row in rows
    }
    assert all(set(row) == {"name", "state", "message", "cure"} for row in rows)
    assert all(row["cure"] for row in rows if row["state"] == "bad")
    assert done.returncode in (0, 1)
