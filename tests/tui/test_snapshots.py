"""Every page as a picture: both languages, three sizes. `pytest --snapshot-update` after looking at them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from textual.pilot import Pilot

from tui import fake_api
from tui.fake_api import FakeApi
from tui.support import SIZES, make, press, settle

PAGES: dict[str, tuple[Callable[[], FakeApi], Sequence[str]]] = {
    "live": (fake_api.desk, ()),
    "sessions": (fake_api.desk, ("2",)),
    "pd": (fake_api.desk, ("3",)),
    "recall": (fake_api.desk, ("4", "A", "1", "2", "6", "3")),
    "meters": (fake_api.desk, ("5",)),
    "screening": (lambda: fake_api.guided("running"), ("6",)),
    "logs": (fake_api.desk, ("7",)),
    "help": (fake_api.desk, ("8",)),
}
STATES: dict[str, tuple[Callable[[], FakeApi], Sequence[str], str, str]] = {
    "waiting": (fake_api.waiting, (), "80x24", "en"),
    "danger": (fake_api.alarm, (), "80x24", "ja"),
    "tiles-4": (fake_api.shop, (), "120x40", "ja"),
    "tiles-8": (lambda: fake_api.shop(8), (), "80x24", "en"),
    "cursor": (fake_api.desk, ("left", "left", "space"), "120x40", "en"),
    "findings": (fake_api.alarm, ("f",), "80x24", "en"),
    "unit": (fake_api.desk, ("u",), "80x24", "ja"),
    "session": (fake_api.desk, ("2", "down", "down", "enter"), "120x40", "en"),
    "compare": (fake_api.desk, ("2", "m", "down", "down", "m", "c"), "120x40", "ja"),
    "delete": (fake_api.desk, ("2", "down", "x"), "80x24", "en"),
    "label": (fake_api.desk, ("6",), "120x40", "ja"),
    "checklist": (lambda: fake_api.guided("checklist"), ("6",), "80x24", "ja"),
    "maker": (lambda: fake_api.guided("maker_answer"), ("6",), "120x40", "en"),
    "done": (lambda: fake_api.guided("done"), ("6",), "80x24", "en"),
}

Compare = Callable[..., bool]


def _before(keys: Sequence[str]) -> Callable[[Pilot[Any]], Awaitable[None]]:
    async def run(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        await press(pilot, *keys)

    return run


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("page", PAGES)
def test_page(page: str, lang: str, size: str, snap_compare: Compare) -> None:
    api, keys = PAGES[page]
    app = make(api(), lang=lang)
    assert snap_compare(app, terminal_size=SIZES[size], run_before=_before(keys))


@pytest.mark.parametrize("name", STATES)
def test_state(name: str, snap_compare: Compare) -> None:
    api, keys, size, lang = STATES[name]
    app = make(api(), lang=lang, demo_starter=lambda: api().connect)
    assert snap_compare(app, terminal_size=SIZES[size], run_before=_before(keys))


@pytest.mark.parametrize("theme", ["light", "contrast"])
def test_theme(theme: str, snap_compare: Compare) -> None:
    app = make(fake_api.desk(), lang="en", theme=theme)
    assert snap_compare(app, terminal_size=SIZES["120x40"], run_before=_before(()))
