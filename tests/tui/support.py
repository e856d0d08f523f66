"""Opening the app on a fake API, and waiting until it has drawn what it knows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from denchi.clock import FakeClock
from denchi_dashboards.tui.app import DenchiApp
from tui.fake_api import NOW, FakeApi

SIZES = {"80x24": (80, 24), "120x40": (120, 40), "200x60": (200, 60)}


def make(api: FakeApi, **options: Any) -> DenchiApp:
    """An app whose clock stands still."""
    options.setdefault("clock", FakeClock(wall_ns=NOW))
    return DenchiApp(api.connect, **options)


async def settle(pilot: Pilot[Any]) -> None:
    """Until the stream is read, the answers are in and the layout stands."""
    app = pilot.app
    assert isinstance(app, DenchiApp)
    calm = 0
    version = -1
    for _ in range(100):
        await pilot.pause(0.01)
        busy = [w for w in app.workers if w.group not in ("attend",) and w.is_running]
        calm = calm + 1 if not busy and app.present.version == version else 0
        version = app.present.version
        if calm >= 3:
            break
    app.frame(True)
    await pilot.pause()
    app.frame(True)
    await pilot.pause()


@asynccontextmanager
async def opened(
    api: FakeApi, keys: Sequence[str] = (), *, size: tuple[int, int] = (120, 40), **options: Any
) -> AsyncIterator[tuple[DenchiApp, Pilot[Any]]]:
    """The app, settled, with keys pressed."""
    app = make(api, **options)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await press(pilot, *keys)
        yield app, pilot


async def press(pilot: Pilot[Any], *keys: str) -> None:
    """Keys, one after the other, each with its consequences."""
    for key in keys:
        await pilot.press(key)
        await settle(pilot)


def text_of(app: DenchiApp) -> str:
    """What is on the screen, as text."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())
