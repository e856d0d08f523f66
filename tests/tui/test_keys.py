"""What the keys do, by a pilot on the fake API: each does what its label says."""

from __future__ import annotations

import asyncio
import copy
import csv
from typing import Any

import pytest

from denchi import i18n
from denchi.clock import FakeClock
from denchi_dashboards.tui.pages import PAGES
from denchi_dashboards.tui.pages.live import Live
from denchi_dashboards.tui.pages.tiles import Tile
from denchi_dashboards.tui.widgets import Banner, ScrollPane
from tui import fake_api
from tui.fake_api import NS, FakeApi
from tui.support import opened, press, settle, text_of


def asked(api: FakeApi, method: str) -> list[str]:
    """Paths asked with a method."""
    return [path for how, path, _body in api.calls if how == method]


async def test_each_number_opens_its_page_and_question_mark_the_help():
    async with opened(fake_api.desk(), size=(120, 40)) as (app, pilot):
        for i, (name, _title, _make) in enumerate(PAGES, 1):
            await press(pilot, "escape", str(i))
            assert app.page == name
        await press(pilot, "1", "question_mark")
        assert app.page == "help"


async def test_an_alarm_stays_until_it_is_acknowledged():
    api = fake_api.alarm()
    async with opened(api) as (app, pilot):
        first = app.present.alarms[0]
        assert first["severity"] == "danger"
        assert "63.2 °C" in text_of(app)
        # Its end is told, and the banner stays all the same.
        cooled = {**copy.deepcopy(fake_api.COOLED), "bench": "bench-1", "type": "finding"}
        cooled["t_ns"] = first["t_ns"] + 5 * NS
        api.feed.put_nowait(cooled)
        api.whole["benches"][0]["findings"].append(cooled)
        api.feed.put_nowait({"type": "state", **copy.deepcopy(api.whole)})
        await settle(pilot)
        assert any("cooled down" in note.message for note in app._notifications)
        assert "cooled down" in text_of(app)
        assert "still to be acknowledged" in text_of(app)
        await press(pilot, "2")
        assert "63.2 °C" in text_of(app), "the banner stands over every page"
        await press(pilot, "a")
        assert asked(api, "POST") == [f"/v1/alarms/{first['id']}/ack"]
        assert first["id"] not in {a["id"] for a in app.present.alarms}


async def test_all_alarms_are_acknowledged_after_a_question_and_not_without():
    api = fake_api.alarm()
    async with opened(api) as (app, pilot):
        ids = [a["id"] for a in app.present.alarms]
        assert len(ids) == 2
        await press(pilot, "A", "n")
        assert len(app.present.alarms) == 2
        assert asked(api, "POST") == []
        await press(pilot, "A", "y")
        assert asked(api, "POST") == [f"/v1/alarms/{one}/ack" for one in ids]
        assert app.present.alarms == []


async def test_an_alarm_of_an_earlier_session_says_so():
    api = fake_api.alarm()
    async with opened(api) as (app, pilot):
        assert "earlier session" not in text_of(app)
        api.whole["benches"][0]["session"] = {**api.whole["benches"][0]["session"], "id": "s-999"}
        api.feed.put_nowait({"type": "state", **copy.deepcopy(api.whole)})
        await settle(pilot)
        assert "earlier session, 2026-" in text_of(app)


async def test_the_verdict_that_was_read_acknowledges_its_alarms_and_no_others():
    api = fake_api.guided("done")
    api.whole["benches"][0]["screening"]["session"] = "s-100"
    mine = {**copy.deepcopy(fake_api.CAUTION), "id": "f-mine"}
    other = {**copy.deepcopy(fake_api.CAUTION), "id": "f-other", "session": "s-1"}
    api.whole["alarms"] = [mine, other]
    async with opened(api, ("6",)) as (app, pilot):
        assert len(app.present.alarms) == 2
        await press(pilot, "enter")
        assert asked(api, "POST") == ["/v1/alarms/f-mine/ack"]
        assert [a["id"] for a in app.present.alarms] == ["f-other"]


async def test_many_tiles_take_turns_and_a_whole_frame_draws_them_all(monkeypatch):
    drawn: list[str] = []
    show = Tile.show

    def told(self: Tile, page: Any, bench: Any, chosen: bool) -> None:
        drawn.append(bench.name)
        show(self, page, bench, chosen)

    monkeypatch.setattr(Tile, "show", told)
    async with opened(fake_api.shop(), size=(140, 42)) as (app, _pilot):
        everything = ["bench-1", "bench-2", "bench-3", "bench-4"]
        frames = []
        for force in (True, False, False):
            drawn.clear()
            app.present.version += 1  # something is new, as with every block that comes
            app.frame(force)
            frames.append(sorted(drawn))
        assert frames[0] == everything
        assert sorted(frames[1:]) == [everything[::2], everything[1::2]]


async def test_samples_alone_move_the_figures_and_what_is_told_reaches_the_banner_at_the_next_frame():
    api = fake_api.shop()
    async with opened(api, size=(140, 42)) as (app, pilot):
        tile = app.query(Tile).first()
        bench = app.present.benches["bench-1"]
        newest = bench.newest_ns
        assert newest is not None

        def frames() -> str:
            for _turn in range(2):
                app.present.version += 1
                app.frame()
            return tile.head.render().plain

        frames()
        before = frames()
        api.feed.put_nowait(
            {"type": "block", "bench": "bench-1", "role": "meter", "t_ns": [newest + 50_000_000],
             "columns": {"vbus_uv": [3.21], "ibus_ua": [1.0]}}
        )  # fmt: skip
        await pilot.pause(0.05)
        rests_on = app.words_at
        assert frames() != before
        assert app.words_at == rests_on
        alarm = {**copy.deepcopy(fake_api.CAUTION), "id": "f-new", "severity": "danger"}
        api.whole["alarms"] = [alarm]
        api.whole["benches"][0]["findings"] = [alarm]
        api.feed.put_nowait({"type": "state", **copy.deepcopy(api.whole)})
        await pilot.pause(0.05)
        frames()
        assert app.query_one(Banner).has_class("-danger")
        assert tile.has_class("-danger")


async def test_a_bench_never_stands_beside_another_ones_words():
    shown: set[str] = set()
    async with opened(fake_api.shop(), size=(140, 42)) as (app, pilot):
        live = app.query_one(Live)
        for name in ("bench-1", "bench-2", "bench-1"):
            live.tiled, app.chosen = False, name  # as an opened tile: no frame is forced
            app.present.version += 1
            app.frame()
            side = live.query_one("#side", ScrollPane)
            assert f" {name} · " in str(side.border_title)
            await pilot.pause(0.01)
            wanted = live._side(side.pane.content_size.width)
            assert side.pane.render().plain == "\n".join(row.plain for row in wanted)
            shown.add(side.pane.render().plain)
            live.tiled = True
            app.present.version += 1
            app.frame()
            await pilot.pause(0.01)
        assert len(shown) == 2


async def test_the_lists_are_asked_as_one_types_and_an_unlisted_unit_is_not_cleared():
    api = fake_api.desk()
    async with opened(api, ("4",)) as (app, pilot):
        await press(pilot, *"A1263")
        await pilot.pause(0.4)
        await settle(pilot)
        assert "CHECK THE SERIAL" in text_of(app)
        await press(pilot, "ctrl+u", *"PB10")
        await pilot.pause(0.4)
        await settle(pilot)
        assert "not on the lists checked" in text_of(app)
        assert "they clear nothing" in text_of(app)
        assert {p["text"] for how, path, p in api.calls if path == "/v1/recall"} >= {
            "A1263",
            "PB10",
        }


@pytest.mark.parametrize(("key", "deleted"), [("y", True), ("n", False), ("escape", False)])
async def test_a_session_is_deleted_only_after_a_yes(key, deleted):
    api = fake_api.desk()
    async with opened(api, ("2", "down", "x")) as (_app, pilot):
        assert asked(api, "DELETE") == []
        await press(pilot, key)
        assert asked(api, "DELETE") == (["/v1/sessions/s-103"] if deleted else [])


async def test_two_sessions_are_compared():
    async with opened(fake_api.desk(), ("2", "down", "m", "down", "m", "c")) as (app, _pilot):
        shown = text_of(app)
        assert "s-103" in shown or "PB-10" in shown
        assert "携帯電源" in shown


async def test_waiting_page_says_what_and_d_starts_the_demo():
    started = []

    def starter():
        started.append(True)
        return fake_api.desk().connect

    async with opened(fake_api.waiting(), size=(80, 24), demo_starter=starter) as (app, pilot):
        shown = text_of(app)
        assert "permission denied" in shown
        assert "denchi install udev" in shown
        await press(pilot, "d")
        await pilot.pause(1.5)
        await settle(pilot)
        assert started == [True]
        assert "SIMULATED" in text_of(app)


async def test_language_and_theme_switch_and_all_pages_fit_80x24():
    async with opened(fake_api.desk(), size=(80, 24)) as (app, pilot):
        await press(pilot, "l")
        assert i18n.language() == "ja"
        assert "ライブ" in text_of(app)
        before = app.theme
        await press(pilot, "t")
        assert app.theme != before
        await press(pilot, "l")
        assert i18n.language() == "en"


async def test_a_finding_question_is_answered_with_a_key():
    api = fake_api.desk()
    async with opened(api) as (_app, pilot):
        await press(pilot, "y")
    assert ("POST", "/v1/benches/bench-1/answers", {"sun_or_cover": True}) in api.calls


async def test_a_daemon_that_goes_away_is_said_and_found_again():
    api = fake_api.desk()
    async with opened(api) as (app, pilot):
        api.fail = True
        api.feed.put_nowait(None)
        await pilot.pause(0.3)
        await settle(pilot)
        assert not app.present.fresh
        api.fail = False
        await pilot.pause(1.5)
        await settle(pilot)
        assert app.present.fresh


async def test_checklist_answers_go_out_one_by_one_and_a_yes_is_sent():
    api = fake_api.guided("checklist")
    async with opened(api, ("6",)) as (_app, pilot):
        await press(pilot, "n", "y")
    sent = [b for how, path, b in api.calls if path.endswith("/screening/checklist")]
    assert sent == [{"swollen": False}, {"dented": True}]


async def test_the_maker_answer_takes_a_reference():
    api = fake_api.guided("maker_answer")
    async with opened(api, ("6",)) as (_app, pilot):
        await press(pilot, "n", *"R7", "enter")
    sent = [b for how, path, b in api.calls if path.endswith("/screening/maker_answer")]
    assert sent == [{"affected": False, "reference": "R7"}]


async def test_leaving_after_a_screening_tells_the_gravest_verdict():
    api = fake_api.guided("done")
    told = api.whole["benches"][0]["screening"]
    told["verdict"] = fake_api.verdict("caution")
    lines = []
    async with opened(api, ("6",), on_screened=lines.append) as (app, pilot):
        await press(pilot, "q")
    assert app.return_value == 4
    assert [x["verdict"] for x in lines] == ["caution"]


def recall_asked(api: FakeApi) -> list[dict]:
    """Questions to the lists, in order."""
    return [params for how, path, params in api.calls if how == "GET" and path == "/v1/recall"]


@pytest.mark.parametrize("lang", ["en", "ja"])
async def test_a_symptom_says_stop_using_before_what_the_lists_say(lang):
    api = fake_api.desk()
    stop = {"en": "STOP USING: a symptom", "ja": "使用中止:症状"}[lang]
    source = "CPSC recall notices"
    async with opened(api, ("4", *"PB10"), lang=lang) as (app, pilot):
        await pilot.pause(0.4)
        await settle(pilot)
        assert stop not in text_of(app)
        await press(pilot, "f2", "f5")
        assert recall_asked(api)[-1] == {"text": "PB10", "symptom": "swelling,leaking"}
        shown = text_of(app)
        listed = {"en": "not on the lists checked", "ja": "照合したリストになし"}[lang]
        assert 0 < shown.index(stop) < shown.index(source) < shown.index(listed)
        # What was reported by mistake can be taken back; the next unit begins without.
        await press(pilot, "f5")
        assert recall_asked(api)[-1]["symptom"] == "swelling"
        await press(pilot, "ctrl+u")
        assert stop not in text_of(app)


async def test_a_symptom_alone_is_enough_and_needs_no_daemon():
    api = fake_api.desk()
    async with opened(api, ("4", "f3")) as (app, pilot):
        assert recall_asked(api)[-1] == {"symptom": "heat"}
        assert "STOP USING: a symptom" in text_of(app)
        await press(pilot, "ctrl+u")
        api.fail = True
        api.feed.put_nowait(None)
        await pilot.pause(0.3)
        await press(pilot, "f7")
        assert "STOP USING: a symptom" in text_of(app)


class Spawned:
    """A process that ended: what the TUI starts for an export or a report."""

    def __init__(self, code: int, said: str) -> None:
        self.returncode, self._said = code, said

    async def communicate(self) -> tuple[bytes, bytes]:
        return b"", self._said.encode()


@pytest.fixture
def spawned(monkeypatch):
    """(arguments of the processes started, what the next one answers)."""
    started: list[tuple[str, ...]] = []
    answer = [0, ""]

    async def spawn(*arguments, **_options):
        started.append(arguments)
        return Spawned(*answer)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", spawn)
    return started, answer


@pytest.mark.parametrize(
    ("key", "form"), [("1", "csv"), ("2", "parquet"), ("3", "jsonl"), ("enter", "csv")]
)
async def test_a_session_is_exported_in_the_form_chosen(key, form, spawned, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    started, _answer = spawned
    async with opened(fake_api.desk(), ("2", "down", "e")) as (app, pilot):
        assert str(tmp_path)[:20] in text_of(app), "where it will lie is said first"
        await press(pilot, key)
        target = tmp_path / f"denchi-s-103.{form}"
        (arguments,) = started
        assert arguments[3:8] == ("export", "s-103", "--format", form, "-o")
        assert arguments[8:] == (str(target), "--data-dir", fake_api.DATA_DIR)
        assert any(str(target) in note.message for note in app._notifications)


async def test_an_export_that_fails_says_why_and_one_left_writes_nothing(spawned):
    started, answer = spawned
    answer[:] = [1, "Traceback\nerror: disk full: free some space"]
    async with opened(fake_api.desk(), ("2", "down", "e", "escape")) as (app, pilot):
        assert started == []
        await press(pilot, "e", "1")
        assert [n.message for n in app._notifications] == ["error: disk full: free some space"]
        assert next(iter(app._notifications)).severity == "error"


@pytest.mark.parametrize(("key", "form"), [("1", "html"), ("2", "pdf"), ("3", "json")])
async def test_a_report_is_written_in_the_form_chosen(key, form, spawned):
    started, answer = spawned
    answer[0] = 4  # the code of a caution is no failure
    async with opened(fake_api.guided("done"), ("6", "r", key)) as (app, _pilot):
        ((_python, *arguments),) = started
        assert arguments[2] == "report"
        assert str(arguments[5]).endswith(f".{form}")
        assert any("Written" in note.message for note in app._notifications)


async def test_the_palette_finds_commands_by_name_in_both_languages():
    async with opened(fake_api.desk(), ("ctrl+p", *"contrast")) as (app, pilot):
        await pilot.pause(0.5)
        await press(pilot, "enter")
        await press(pilot, "enter")
        assert app.theme == "contrast"
        titles = [c.title for c in app.get_system_commands(app.screen)]
        assert len(titles) == len(set(titles))
        for wanted in ("Page: Screening", "Theme: dark", "日本語で表示", "New session", "Leave"):
            assert wanted in titles
        i18n.set_language("ja")
        assert "画面:検査" in [c.title for c in app.get_system_commands(app.screen)]


async def test_an_alarm_rings_and_is_told_to_the_desktop_where_that_is_wished(monkeypatch, spawned):
    monkeypatch.setenv("DENCHI_DESKTOP_NOTICE", "1")
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    rung = []
    monkeypatch.setattr("textual.app.App.bell", lambda _self: rung.append(True))
    async with opened(fake_api.alarm()):
        assert len(rung) == 1, "once an episode"
    ((program, *words),) = spawned[0]
    assert program == "/bin/notify-send"
    assert "■ DANGER" in words[-2]
    assert "SIMULATED" in words[-1] and "63.2 °C" in words[-1]


async def test_a_danger_rings_again_until_it_is_acknowledged(monkeypatch):
    rung = []
    monkeypatch.setattr("textual.app.App.bell", lambda _self: rung.append(True))
    clock = FakeClock(wall_ns=fake_api.NOW)
    async with opened(fake_api.alarm(), clock=clock) as (app, pilot):
        clock.advance(11.0)
        app.frame(True)
        assert len(rung) == 2
        while app.present.alarms:
            await press(pilot, "a")
        clock.advance(60.0)
        app.frame(True)
        assert len(rung) == 2


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (140, 45)])
@pytest.mark.parametrize("page", range(1, len(PAGES) + 1))
async def test_an_alarm_stands_over_every_page(page, size):
    """Shape, word and figure: none of them is a colour."""
    async with opened(fake_api.alarm(), (str(page),), size=size) as (app, _pilot):
        shown = text_of(app)
        assert "■ DANGER" in shown
        assert "63.2 °C" in shown
        assert "acknowledge" in shown


async def test_a_symptom_under_load_is_sent_and_ends_the_test():
    api = fake_api.guided("running")
    async with opened(api, ("6", "w")) as (app, pilot):
        assert "load off" in text_of(app)
        await press(pilot, "2")
    sent = [b for _how, path, b in api.calls if path.endswith("/screening/checklist")]
    assert sent == [{"dented": True}]


async def test_the_days_list_stands_under_the_label_with_counts_and_goes_to_csv(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    api = fake_api.desk()
    day = "2026-11-23T0{}:00:00Z"
    api.answers["/v1/sessions"] = {"more": False, "sessions": [
        {"id": f"d-{n}", "origin": "meter", "started": day.format(n), "ended": day.format(n + 1),
         "bench": "left", "meter": "fnb58", "unit": unit, "profile": "quick", "samples": 9,
         "gaps": 0, "verdict": verdict}
        for n, (unit, verdict) in enumerate(
            [("=cmd|' /C calc'!A0", "no_anomaly_seen"), ("携帯電源 10000", "stop_using")])
    ]}  # fmt: skip
    for n, serial in enumerate(("@SUM(1)", "JP-77")):
        api.answers[f"/v1/sessions/d-{n}"] = {"unit_label": {"serial": serial}, "operator": "佐藤"}
    async with opened(api, ("6",)) as (app, pilot):
        shown = text_of(app)
        assert "Units: 2 · ■ 1 · ─ 1" in shown
        assert "携帯電源 10000" in shown and "■ STOP USING" in shown
        await press(pilot, "escape", "e")
    written = (tmp_path / "denchi-screenings-2026-11-23.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(written.splitlines()))
    assert [(r["unit"], r["serial"], r["operator"], r["verdict"]) for r in rows] == [
        ("'=cmd|' /C calc'!A0", "'@SUM(1)", "佐藤", "no_anomaly_seen"),
        ("携帯電源 10000", "JP-77", "佐藤", "stop_using"),
    ], "no cell is a formula"


async def test_a_profile_that_cannot_be_used_is_named_on_the_page():
    api = fake_api.desk()
    trouble = "ours.toml, line 7: no setting 'secnds': did you mean 'seconds'?"
    api.answers["/v1/profiles"] = {"profiles": fake_api.PROFILES["profiles"], "problems": [trouble]}
    async with opened(api, ("6",)) as (app, _pilot):
        assert trouble in text_of(app)
        assert "Quick check" in text_of(app)
