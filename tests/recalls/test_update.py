"""Lists on disk: written whole or not at all, never made smaller, usable offline for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from denchi.errors import InputError
from denchi.model import RecallStatus, Unit
from denchi.recalls import update as module
from denchi.recalls.answer import check
from denchi.recalls.extract import draft_entries
from denchi.recalls.lists import load
from denchi.recalls.sources.base import Fetched
from denchi.recalls.sources.overlay import OverlaySource
from denchi.recalls.update import add_overlay, list_path, status, update, write_atomically
from recalls.conftest import TODAY, notice
from support import shared


class Feed:
    """A source that brings what it is given."""

    name, title, licence, url = "feed", "Synthetic feed", "none", "https://example.invalid/feed"

    def __init__(self, *notices, **more):
        self.fetched = Fetched(list(notices), len(notices), **more)

    def fetch(self, fetcher, known, today):
        return self.fetched


def ids(data_dir, name="feed"):
    doc = json.loads(list_path(data_dir, name).read_text(encoding="utf-8"))
    return [n["id"] for n in doc["notices"]]


def test_a_shorter_answer_takes_nothing_away(tmp_path):
    first = Feed(notice(), notice(id="xx-2", model_numbers=["EX-2000"]))
    update(tmp_path, [first], today=TODAY)
    (report,) = update(tmp_path, [Feed(notice())], today=TODAY)
    assert report.fine
    assert ids(tmp_path) == ["xx-example-1", "xx-2"]
    (report,) = update(tmp_path, [Feed()], today=TODAY)
    assert report.fine
    assert ids(tmp_path) == ["xx-example-1", "xx-2"]


def test_a_newer_record_loses_no_number(tmp_path):
    update(
        tmp_path,
        [Feed(notice(model_numbers=["EX-1000", "EX-1001"], gtins=["4571411204692"]))],
        today=TODAY,
    )
    update(tmp_path, [Feed(notice(model_numbers=["EX-1002"], remedy="Refund"))], today=TODAY)
    (kept,) = json.loads(list_path(tmp_path, "feed").read_text("utf-8"))["notices"]
    assert set(kept["model_numbers"]) == {"EX-1000", "EX-1001", "EX-1002"}
    assert kept["gtins"] == ["4571411204692"]
    assert kept["remedy"] == "Refund"


def test_a_feed_most_of_whose_notices_are_unusable_is_refused(tmp_path):
    update(tmp_path, [Feed(notice())], today=TODAY)
    before = list_path(tmp_path, "feed").read_bytes()
    (report,) = update(
        tmp_path, [Feed(notice(id="n"), notice(id=None), notice(brand=None))], today=TODAY
    )
    assert not report.fine
    assert list_path(tmp_path, "feed").read_bytes() == before
    (report,) = update(
        tmp_path, [Feed(notice(id="n1"), notice(id="n2"), notice(id=None))], today=TODAY
    )
    assert report.fine
    assert report.dropped == 1


def test_an_absurd_number_of_notices_is_refused(tmp_path):
    (report,) = update(tmp_path, [Feed(*(notice(id=f"n{i}") for i in range(20_001)))], today=TODAY)
    assert not report.fine
    assert not list_path(tmp_path, "feed").exists()


@pytest.mark.parametrize("at", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_list_whole(tmp_path, monkeypatch, at):
    update(tmp_path, [Feed(notice())], today=TODAY)
    before = list_path(tmp_path, "feed").read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os if at == "fsync" else Path, at, fail)
    (report,) = update(tmp_path, [Feed(notice(id="later"))], today=TODAY)
    monkeypatch.undo()
    assert not report.fine
    assert "No space left" in report.message
    assert list_path(tmp_path, "feed").read_bytes() == before
    assert sorted(p.name for p in (tmp_path / "recalls").iterdir() if p.name.startswith(".")) == []


def test_killed_in_the_middle_of_writing(tmp_path):
    """SIGKILL between writing beside and putting in place: the old file stays, the new one is not there."""
    path = tmp_path / "recalls" / "feed.json"
    write_atomically(path, b"old")
    code = (
        "import os, pathlib, signal, sys\n"
        "from denchi.recalls import update\n"
        "os.fsync = lambda fd: os.kill(os.getpid(), signal.SIGKILL)\n"
        "update.write_atomically(pathlib.Path(sys.argv[1]), b'new' * 100000)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -9
    assert path.read_bytes() == b"old"
    assert len(load(tmp_path).files) == 1, "what lies beside is not read as a list"


def test_readers_beside_the_writer_see_a_whole_list(tmp_path):
    update(tmp_path, [Feed(notice())], today=TODAY)
    with list_path(tmp_path, "feed").open("rb") as reading:
        head = reading.read(10)
        update(tmp_path, [Feed(*(notice(id=f"n{i}") for i in range(50)))], today=TODAY)
        rest = reading.read()
    assert len(json.loads(head + rest)["notices"]) == 1


# -- offline ----------------------------------------------------------------------------------------


def test_without_any_network_and_data_directory(monkeypatch):
    import socket

    def none(*_args, **_kwargs):
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", none)
    monkeypatch.setattr(socket, "getaddrinfo", none)
    answer = check(Unit(model="A1366"), load(None), today=date(2046, 1, 1))
    assert answer.status is RecallStatus.AFFECTED
    assert answer.stale_lists == ("bundled",)
    assert load(Path("/nonexistent/denchi")).problems == ()


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"\xff\xfe", b'{"format":"denchi-recall-list"}', b"[" * 100_000],
)
def test_a_broken_list_on_disk_is_left_out_and_named(tmp_path, body):
    path = list_path(tmp_path, "feed")
    write_atomically(path, body)
    lists = load(tmp_path)
    assert [f.name for f in lists.files] == ["bundled"]
    assert any("feed.json" in p for p in lists.problems)
    answer = check(Unit(model="A1366"), lists, today=TODAY)
    assert answer.status is RecallStatus.AFFECTED
    assert answer.to_json()["problems"]
    (state,) = [s for s in status(tmp_path, TODAY) if s.name == "feed"]
    assert "cannot be read" in state.line()
    (report,) = update(tmp_path, [Feed(notice())], today=TODAY)
    assert report.fine, "a good fetch takes the place of a broken file"


def test_a_list_cannot_take_the_name_of_the_bundled_one(tmp_path):
    doc = {
        "format": "denchi-recall-list",
        "schema_version": 1,
        "source": "bundled",
        "dated": "2099-01-01",
        "notices": [],
    }
    write_atomically(tmp_path / "recalls" / "evil.json", json.dumps(doc).encode())
    lists = load(tmp_path)
    assert lists.dated == {"bundled": "2026-11-23"}
    assert any("already" in p for p in lists.problems)


def test_status_shows_each_list_with_its_age(tmp_path):
    update(tmp_path, [Feed(notice())], today=date(2026, 10, 1))
    states = {s.name: s for s in status(tmp_path, TODAY)}
    assert states["bundled"].age_days == 1
    assert states["feed"].age_days == 54
    assert "54 days old" in states["feed"].line()
    assert "older than 30 days" in states["feed"].line()
    assert "older than 30 days" not in states["bundled"].line()
    assert states["cpsc"].line().startswith("cpsc: never fetched")
    for state in states.values():
        assert json.loads(json.dumps(state.to_json()))["name"] == state.name


def test_the_state_of_attempts_survives_garbage(tmp_path):
    write_atomically(tmp_path / "recalls" / "attempts.jsonl", b"garbage\n\xff")
    assert status(tmp_path, TODAY)
    update(tmp_path, [Feed(notice())], today=TODAY)
    assert {s.name: s for s in status(tmp_path, TODAY)}["feed"].last_message.startswith("renewed")


# -- overlays ----------------------------------------------------------------------------------------


def test_an_overlay_from_a_file(tmp_path):
    path = tmp_path / "club.json"
    path.write_text(
        json.dumps(
            {
                "format": "denchi-recall-list",
                "schema_version": 1,
                "source": "club",
                "dated": "2026-11-01",
                "notices": [notice()],
            }
        ),
        encoding="utf-8",
    )
    (report,) = update(tmp_path, [OverlaySource(str(path))], today=TODAY)
    assert report.fine, report.message
    assert check(Unit(model="EX-1000"), load(tmp_path), today=TODAY).matches
    (report,) = update(tmp_path, [OverlaySource(str(tmp_path / "absent.json"))], today=TODAY)
    assert not report.fine
    assert "absent.json" in report.message


def test_a_slip_in_the_user_s_overlay_hides_no_neighbour(tmp_path):
    doc = {
        "format": "denchi-recall-list",
        "schema_version": 1,
        "source": "overlay",
        "dated": "2026-11-01",
        "notices": [notice(), notice(id="b", unit_scope="alle")],
    }
    write_atomically(list_path(tmp_path, "overlay"), json.dumps(doc).encode())
    lists = load(tmp_path)
    assert len(lists.files[1].notices) == 1
    assert any("unit_scope" in p for p in lists.problems)


def test_a_broken_overlay_is_the_user_s_work_and_never_replaced(tmp_path):
    write_atomically(list_path(tmp_path, "overlay"), b"{ my notes")
    with pytest.raises(InputError):
        add_overlay(tmp_path, [notice()], TODAY)
    assert list_path(tmp_path, "overlay").read_bytes() == b"{ my notes"


PASTED = """商品名：リチウム電池内蔵充電器 Examplebrand パック
対応方法：回収・返金
対応開始日：２０２６年１１月２日
対象の特定情報：
Examplebrand Pack 10000
ブラック 4571411204692 EX-1000
販売期間:2024年1月5日〜2025年12月31日
対象台数:1,234台
"""


def test_an_overlay_entry_from_a_pasted_notice(tmp_path):
    (entry,) = draft_entries(
        PASTED,
        jurisdiction="jp",
        regulator="CAA",
        brand="Examplebrand",
        url="https://www.recall.caa.go.jp/x",
    )
    assert entry["model_numbers"] == ["EX-1000"]
    assert entry["gtins"] == ["4571411204692"]
    assert entry["notice_date"] == "2026-11-02"
    assert entry["sale_period"] == {"from": "2024-01-05", "to": "2025-12-31"}
    assert entry["units"] == 1234
    assert entry["colours_affected"] == ["black"]
    assert entry["remedy"] == "回収・返金"
    assert entry["confidence"] == "pasted"
    assert entry["extracted_by"].startswith("machine")
    assert entry["raw_text"] == PASTED
    add_overlay(tmp_path, [entry], TODAY)
    add_overlay(tmp_path, [entry], TODAY)
    assert ids(tmp_path, "overlay") == [entry["id"]], "the same entry twice is one entry"
    answer = check(Unit(model="EX1000"), load(tmp_path), today=TODAY)
    assert answer.status is RecallStatus.CHECK_SERIAL
    assert answer.lists_dated["overlay"] == TODAY.isoformat()
    reviewed = {**entry, "extracted_by": "hand", "unit_scope": "all-units-of-model"}
    add_overlay(tmp_path, [reviewed], TODAY)
    assert check(Unit(model="EX1000"), load(tmp_path), today=TODAY).status is RecallStatus.AFFECTED


def test_the_entry_of_october_2025_pasted_whole():
    text = shared("recall", "samples", "caa_2025-10-21_anker_notice.txt").read_text(
        encoding="utf-8"
    )
    entries = draft_entries(text, jurisdiction="JP", regulator="CAA", brands=("ANKER",))
    assert [e["model_numbers"] for e in entries] == [["A1263"], ["A3117"], ["A3305"], ["A3130"]]
    assert entries[0]["units"] == 410124
    assert entries[0]["sale_period"] == {"from": "2022-12-25", "to": "2025-10-21"}
    assert set(entries[0]["colours_affected"]) == {"black", "white", "blue", "red"}
    assert {"A1263N22", "A1263026"} <= set(entries[0]["model_variants"])
    assert {e["notice_date"] for e in entries} == {"2025-10-21"}
    assert {e["product_name"] for e in entries} >= {"Soundcore 3", "Soundcore Motion X600"}


@pytest.mark.parametrize("text", ["", "hello", "Examplebrand has a recall", "回収のお知らせ"])
def test_text_that_can_match_nothing_is_refused(text):
    with pytest.raises(InputError):
        draft_entries(text, jurisdiction="JP", regulator="CAA", brand="Examplebrand")
    with pytest.raises(InputError, match="brand"):
        draft_entries("型番 EX-1000", jurisdiction="JP", regulator="CAA")


def test_a_number_named_by_the_user_is_enough():
    (entry,) = draft_entries(
        "回収のお知らせ", jurisdiction="JP", regulator="METI", brand="Examplebrand", models=["EX-7"]
    )
    assert entry["model_numbers"] == ["EX-7"]


def test_replacing_a_source_s_address_keeps_its_name():
    moved = replace(OverlaySource("a"), url="b")
    assert (moved.name, moved.url) == ("overlay-shared", "b")
    assert module.OVERLAY == "overlay"
