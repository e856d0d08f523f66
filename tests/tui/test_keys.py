"""What the keys do, by a pilot on the fake API: each does what its label says."""

from __future__ import annotations

import copy

import pytest

from denchi import i18n
from denchi_dashboards.tui.pages import PAGES
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
