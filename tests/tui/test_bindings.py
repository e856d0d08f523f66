"""Every key binding of the TUI, found by looking at the classes, pressed by a pilot and seen to act.

``BINDINGS`` of the app, of each page and of each window are enumerated. One without a case here fails, so
no key can be offered that nobody pressed. What is looked at is what the key brings about, for a widget with
the focus may have taken the key before the page that offers it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from textual.binding import Binding
from textual.command import CommandPalette
from textual.screen import Screen
from textual.widgets import DataTable, Input

from denchi import i18n
from denchi_dashboards.tui import modals, themes, windows
from denchi_dashboards.tui.app import DenchiApp
from denchi_dashboards.tui.pages import PAGES
from denchi_dashboards.tui.pages.live import Live
from denchi_dashboards.tui.pages.logs import Logs
from denchi_dashboards.tui.pages.recall import SymptomBar
from denchi_dashboards.tui.pages.screening import Screening
from denchi_dashboards.tui.pages.sessions import Sessions
from denchi_dashboards.tui.widgets import ScrollPane
from tui import fake_api
from tui.fake_api import FakeApi
from tui.support import opened, press, text_of

Check = Callable[[DenchiApp, FakeApi], Any]


@dataclass(frozen=True)
class Case:
    """Where a key is pressed, and what must be so afterwards but not before."""

    api: Callable[[], FakeApi]
    before: Sequence[str]
    then: Check
    size: tuple[int, int] = (120, 40)


def _windows() -> Iterator[type[Screen[Any]]]:
    for module in (modals, windows):
        for _name, one in inspect.getmembers(module, inspect.isclass):
            if issubclass(one, Screen) and one.__module__ == module.__name__:
                if "BINDINGS" in vars(one):
                    yield one


def bound() -> list[str]:
    """``Class.key`` of every binding."""
    classes: list[Any] = [DenchiApp, *(make for _n, _t, make in PAGES), *_windows()]
    found = []
    for one in classes:
        for binding in one.BINDINGS:
            keys = binding.key if isinstance(binding, Binding) else binding[0]
            found += [f"{one.__name__}.{key.strip()}" for key in keys.split(",")]
    return found


# -- what is looked at ---------------------------------------------------------------------------


def calls(api: FakeApi, method: str, path: str) -> list[Any]:
    """Bodies (or queries) of the requests to a path."""
    return [body for how, where, body in api.calls if (how, where) == (method, path)]


def trace(app: DenchiApp) -> Any:
    """The Live page's view of time."""
    bench = app.bench
    assert bench is not None
    return app.query_one(Live).trace(bench)


def on_page(name: str) -> Check:
    return lambda app, _api: app.page == name


def focus(name: str) -> Check:
    return lambda app, _api: app.focused is not None and app.focused.id == name


def over(kind: type[Screen[Any]]) -> Check:
    return lambda app, _api: isinstance(app.screen, kind)


def back(app: DenchiApp, _api: FakeApi) -> bool:
    """No window is open."""
    return len(app.screen_stack) == 1


def scrolled(app: DenchiApp, _api: FakeApi) -> bool:
    """The window's text has moved."""
    return app.screen.query_one(ScrollPane).scroll_y > 0


def unscrolled(app: DenchiApp, _api: FakeApi) -> bool:
    """The window's text is at its top."""
    return app.screen.query_one(ScrollPane).scroll_y == 0


def at_row(row: int) -> Check:
    return lambda app, _api: app.current_page().query_one(DataTable).cursor_row == row


def sent(path: str, body: Any) -> Check:
    return lambda _app, api: body in calls(api, "POST", path)


def more_sessions() -> FakeApi:
    api = fake_api.desk()
    rows = fake_api.session_lines()
    api.answers["/v1/sessions"] = {"sessions": rows, "more": True}
    return api


def guided(where: str) -> Callable[[], FakeApi]:
    return lambda: fake_api.guided(where)


desk, shop, alarm = fake_api.desk, fake_api.shop, fake_api.alarm
SCREEN = "/v1/benches/bench-1/screening"
LISTED = tuple("A1263")
SMALL = (80, 24)
READER, CONFIRM, CHOOSE = ("f",), ("2", "down", "x"), ("2", "e")
OPEN = ("2", "down", "down", "enter")


def _symptom(word: str) -> Case:
    return Case(desk, ("4",), lambda app, _api: word in app.query_one(SymptomBar).reported)


def _window(app: DenchiApp) -> windows.PlotWindow:
    assert isinstance(app.screen, windows.PlotWindow)
    return app.screen


def _half(app: DenchiApp, _api: FakeApi) -> bool:
    window = _window(app)
    return window.t1 - window.t0 < 0.9 * window.whole_s()


CASES: dict[str, Case] = {
    **{f"DenchiApp.{i + 1}": Case(desk, ("8",) if i == 0 else (), on_page(name))
       for i, (name, _title, _make) in enumerate(PAGES)},
    "DenchiApp.a": Case(alarm, (), lambda _app, api: any(p.endswith("/ack") for _h, p, _b in api.calls)),
    "DenchiApp.A": Case(alarm, (), over(modals.Confirm)),
    "DenchiApp.question_mark": Case(desk, (), on_page("help")),
    "DenchiApp.f1": Case(desk, ("4",), on_page("help")),
    "DenchiApp.ctrl+p": Case(desk, (), over(CommandPalette)),
    "DenchiApp.l": Case(desk, (), lambda app, _api: i18n.language() == "ja" and "ライブ" in text_of(app)),
    "DenchiApp.t": Case(desk, (), lambda app, _api: app.theme == themes.NAMES[1]),
    "DenchiApp.q": Case(desk, (), lambda app, _api: app.return_value == 0),
    "DenchiApp.ctrl+q": Case(desk, ("4",), lambda app, _api: app.return_value == 0),
    "DenchiApp.ctrl+c": Case(desk, ("4",), lambda app, _api: app.return_value == 0),
    "Live.plus": Case(desk, ("minus", "minus"), lambda app, _api: trace(app).span == 1),
    "Live.equals_sign": Case(desk, ("minus", "minus"), lambda app, _api: trace(app).span == 1),
    "Live.minus": Case(desk, (), lambda app, _api: trace(app).span == 1 and "5 min" in text_of(app)),
    "Live.space": Case(desk, (), lambda app, _api: trace(app).paused_ns and "paused" in text_of(app)),
    "Live.enter": Case(shop, (), lambda app, _api: app.query_one(Live).mode() == "bench"),
    "Live.left": Case(desk, (), lambda app, _api: trace(app).cursor and trace(app).cursor > 0.9),
    "Live.right": Case(desk, (), lambda app, _api: trace(app).cursor and trace(app).cursor < 0.1),
    "Live.v": Case(desk, (), lambda app, _api: app.query_one(Live).maximised),
    "Live.f": Case(desk, (), over(modals.Reader)),
    "Live.u": Case(desk, (), over(modals.UnitForm)),
    "Live.b": Case(shop, (), lambda app, _api: app.chosen == "bench-2"),
    "Live.g": Case(shop, (), lambda app, _api: app.query_one(Live).mode() == "bench"),
    "Live.n": Case(desk, (), sent("/v1/benches/bench-1/answers", {"sun_or_cover": False})),
    "Live.y": Case(desk, (), sent("/v1/benches/bench-1/answers", {"sun_or_cover": True})),
    "Live.s": Case(desk, (), over(modals.Confirm)),
    "Live.d": Case(fake_api.waiting, (), lambda app, _api: app.demo_starter is None),
    "Live.escape": Case(desk, ("space",), lambda app, _api: trace(app).paused_ns is None),
    "Live.home": Case(desk, (), lambda app, _api: trace(app).cursor == 0.002),
    "Live.end": Case(desk, ("home",), lambda app, _api: trace(app).cursor == 0.998),
    "Sessions.enter": Case(desk, ("2",), over(windows.SessionWindow)),
    "Sessions.m": Case(desk, ("2",), lambda app, _api: len(app.query_one(Sessions).marked) == 1),
    "Sessions.c": Case(desk, ("2", "m", "down", "m"), over(windows.CompareWindow)),
    "Sessions.e": Case(desk, ("2",), over(modals.Choose)),
    "Sessions.x": Case(desk, ("2", "down"), over(modals.Confirm)),
    "Sessions.delete": Case(desk, ("2", "down"), over(modals.Confirm)),
    "Sessions.slash": Case(desk, ("2",), focus("session-search")),
    "Sessions.o": Case(more_sessions, ("2",), lambda _app, api: any(
        q.get("before") for q in calls(api, "GET", "/v1/sessions"))),
    "Sessions.r": Case(desk, ("2",), lambda _app, api: len(calls(api, "GET", "/v1/sessions")) > 1),
    "Sessions.escape": Case(desk, ("2", "slash"), focus("session-table")),
    "Pd.b": Case(shop, ("3",), lambda app, _api: app.chosen == "bench-2"),
    "Pd.end": Case(desk, ("3", "up"), at_row(3)),
    "Pd.k": Case(desk, ("3",), lambda app, _api: "GoodCRC " in text_of(app).replace("GoodCRC on", "")),
    "Recall.slash": Case(desk, ("4", "escape"), focus("recall-text")),
    "Recall.escape": Case(desk, ("4",), focus("recall-answer")),
    "Recall.ctrl+u": Case(desk, ("4", "f2", *LISTED), lambda app, _api: not (
        app.query_one("#recall-text", Input).value or app.query_one(SymptomBar).reported)),
    "Recall.down": Case(desk, ("4", *LISTED, "down"), lambda app, _api: app.query_one(
        "#recall-answer").scroll_y > 2, SMALL),
    "Recall.up": Case(desk, ("4", *LISTED, "down"), lambda app, _api: app.query_one(
        "#recall-answer").scroll_y == 0, SMALL),
    **{f"Recall.f{i}": _symptom(word) for i, word in enumerate(
        ("swelling", "heat", "smell", "leaking", "noise", "damage"), 2)},
    "Meters.r": Case(desk, ("5",), lambda _app, api: len(calls(api, "GET", "/v1/meters")) > 1),
    "Meters.tab": Case(desk, ("5",), focus("meters-checks")),
    "Screening.y": Case(guided("checklist"), ("6",), sent(f"{SCREEN}/checklist", {"swollen": True})),
    "Screening.n": Case(guided("checklist"), ("6",), sent(f"{SCREEN}/checklist", {"swollen": False})),
    "Screening.s": Case(guided("maker_answer"), ("6",), sent(
        f"{SCREEN}/maker_answer", {"affected": None, "reference": ""})),
    "Screening.enter": Case(guided("done"), ("6",), focus("screening-label")),
    "Screening.f2": Case(desk, ("6",), lambda app, _api: app.query_one(Screening).profile == 1),
    "Screening.p": Case(desk, ("6", "escape"), lambda app, _api: app.query_one(Screening).profile == 1),
    "Screening.f3": Case(shop, ("6",), lambda app, _api: app.chosen == "bench-2"),
    "Screening.b": Case(shop, ("6", "escape"), lambda app, _api: app.chosen == "bench-2"),
    "Screening.f4": Case(desk, ("6", *"Sato"), lambda app, _api: (
        app.query_one(Screening).operator == "Sato" and "Sato" in text_of(app))),
    "Screening.w": Case(guided("running"), ("6",), over(modals.Choose)),
    "Screening.x": Case(guided("running"), ("6",), over(modals.Confirm)),
    "Screening.r": Case(guided("done"), ("6",), over(modals.Choose)),
    "Screening.e": Case(desk, ("6", "escape"), lambda _app, _api: list(
        Path.cwd().glob("denchi-screenings-*.csv"))),
    "Screening.slash": Case(desk, ("6", "escape"), focus("screening-label")),
    "Screening.escape": Case(desk, ("6",), focus("screening-main")),
    "Logs.f": Case(desk, ("7",), lambda app, _api: app.query_one(Logs).level == "warning"),
    "Logs.space": Case(desk, ("7",), lambda app, _api: not app.query_one(Logs).following),
    "Logs.end": Case(desk, ("7", "home"), lambda app, _api: app.query_one(
        "#log-lines").scroll_y == app.query_one("#log-lines").max_scroll_y > 0, (80, 12)),
    **{f"Reader.{key}": Case(alarm, READER, back) for key in ("escape", "q", "f", "enter")},
    **{f"Reader.{key}": Case(alarm, READER, scrolled, (80, 16)) for key in ("down", "j", "pagedown")},
    **{f"Reader.{key}": Case(alarm, (*READER, "down"), unscrolled, (80, 16)) for key in ("up", "k", "pageup")},
    "Confirm.y": Case(desk, CONFIRM, lambda app, api: back(app, api) and any(
        how == "DELETE" for how, _p, _b in api.calls)),
    **{f"Confirm.{key}": Case(desk, CONFIRM, lambda app, api: back(app, api) and not any(
        how == "DELETE" for how, _p, _b in api.calls)) for key in ("n", "escape")},
    **{f"Confirm.{key}": Case(desk, CONFIRM, focus("yes")) for key in ("left", "right")},
    "Choose.escape": Case(desk, CHOOSE, back),
    "UnitForm.escape": Case(desk, ("u",), back),
    **{f"PlotWindow.{key}": Case(desk, OPEN, back) for key in ("escape", "q")},
    **{f"PlotWindow.{key}": Case(desk, OPEN, _half) for key in ("plus", "equals_sign")},
    "PlotWindow.minus": Case(desk, (*OPEN, "plus"), lambda app, api: not _half(app, api)),
    "PlotWindow.left": Case(desk, OPEN, lambda app, _api: _window(app).cursor_t is not None),
    "PlotWindow.right": Case(desk, OPEN, lambda app, _api: _window(app).cursor_t is not None),
    "PlotWindow.v": Case(desk, OPEN, lambda app, _api: _window(app).only == "v"),
    "PlotWindow.down": Case(desk, OPEN, scrolled, SMALL),
    "PlotWindow.up": Case(desk, (*OPEN, "down"), unscrolled, SMALL),
    # Keys that a page or a window takes without a binding.
    "+Live.down": Case(shop, (), lambda app, _api: app.chosen == "bench-3"),
    "+Live.up": Case(shop, ("down",), lambda app, _api: app.chosen == "bench-1"),
    "+Choose.down": Case(desk, CHOOSE, focus("choice-1")),
    "+Choose.up": Case(desk, (*CHOOSE, "down"), focus("choice-0")),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
async def test_each_key_does_what_it_is_offered_for(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    case, key = CASES[name], name.partition(".")[2]
    api = case.api()
    options = {"demo_starter": lambda: fake_api.desk().connect} if name == "Live.d" else {}
    async with opened(api, case.before, size=case.size, **options) as (app, pilot):
        assert not case.then(app, api), "this is so already, the key would prove nothing"
        await press(pilot, key)
        assert case.then(app, api), f"{name}\n{text_of(app)}"


def test_each_key_offered_has_a_case_and_each_case_a_key():
    """The pressing itself takes minutes and is marked slow; that nothing is left out is told at once."""
    pressed = {name for name in CASES if not name.startswith("+")}
    assert pressed == set(bound())
    assert len(set(bound())) == len(bound()), "one key twice in a class: the second never acts"
    assert len(bound()) > 100
