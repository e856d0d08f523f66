"""A repair shop's counter for tests: a real daemon, the real TUI, and an operator who does what the screen says.

The operator knows no API: keys go to the pilot, what is asked is read off the screen, and the load is a
file of amperes (``dial``) that the emulated bank behind the meter follows.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from daemon.conftest import Daemon
from denchi.daemon.client import ApiClient
from denchi_dashboards.tui.app import DenchiApp
from tui.support import text_of

SPEED = 2
"""Time lapse of the benches. A machine that stalls for 2.5 s is a meter away for 5 s, so not more."""
GLANCE_S = 0.2
"""How often the operator looks: reading a whole screen costs as much as drawing it."""
QUESTIONS = 7
ASKED = re.compile(r"waiting to see about ([0-9.]+) A")
UNLOADED = "waiting until no load is seen"


BRIEF = """
title = "Counter check"
title_ja = "店頭確認"
description = "The shop's own: as quick, in two minutes."
minutes = 1.5
# A time lapse on a busy machine: a stall of 50 ms is a fifth of a second.
gap_fraction_most = 0.1
required = ["vbus_uv", "ibus_ua", "unit_temperature"]
step = [
  {key = "rest", title = "Rest", instruction = "Connect the unit, no load.", seconds = 10, target_a = 0.0, unpowered = true},
  {key = "one", title = "1 A", instruction = "Plug about 1 A.", seconds = 35, target_a = 1.0},
  {key = "two", title = "2 A", instruction = "Plug about 2 A.", seconds = 45, target_a = 2.0},
  {key = "recovery", title = "Recovery", instruction = "Take the load off.", seconds = 15, target_a = 0.0, unpowered = true},
]
"""


class Counter:
    """Benches with a unit each, behind one daemon."""

    def __init__(self, place: Path, units: dict[str, str]) -> None:
        self.place = place
        self.dials = {name: place / f"{name}.dial" for name in units}
        arguments: list[str] = ["--speed", str(SPEED)]
        for name, scenario in units.items():
            self.dial(name, 0)
            options = f"scenario={scenario}&dial={self.dials[name]}&speed={SPEED}"
            arguments += ["--bench", f"{name}=emulated:fnb58?{options}"]
            arguments += ["--probe", f"{name}.case=emulated:denchi-board?{options}"]
        own = place / "profiles"
        own.mkdir()
        (own / "brief.toml").write_text(BRIEF, encoding="utf-8")
        (place / "denchi.toml").write_text(f'profiles_dir = "{own}"\n', encoding="utf-8")
        self.arguments = [*arguments, "--config", str(place / "denchi.toml")]
        self.daemon = Daemon(place / "data", *self.arguments)

    def restart(self) -> None:
        """Stop the daemon and start it again on the same journal."""
        self.daemon.stop()
        self.daemon = Daemon(self.place / "data", *self.arguments)

    def children(self, bench: str, key: str) -> list[int]:
        """Processes that play this bench's instruments of a kind: the daemon's own children."""
        dial = str(self.dials[bench])
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, ValueError):
                words = (folder / "cmdline").read_text().split("\0")
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.daemon.process.pid and key in words and f"dial={dial}" in words:
                    found.append(int(folder.name))
        return found

    def dial(self, bench: str, amps: float | str) -> None:
        """Set the load: 0 takes it off."""
        self.dials[bench].write_text(str(amps))

    def streaming(self) -> None:
        """Wait until every bench shows samples."""
        names = set(self.dials)
        self.daemon.wait_for(
            lambda s: (
                {b["name"] for b in s["benches"] if b["live"]["channels"].get("temp_mc.case")}
                >= names
            )
        )

    def connect(self) -> ApiClient:
        """The TUI's client factory."""
        return ApiClient.connect(self.daemon.data_dir)


class Operator:
    """Somebody at the keyboard."""

    def __init__(self, counter: Counter, app: DenchiApp, pilot: Pilot[Any]) -> None:
        self.counter, self.app, self.pilot = counter, app, pilot
        self.lines: list[dict[str, Any]] = []
        """What ``denchi screen --json`` prints."""
        app.on_screened = self.lines.append

    def screen(self) -> str:
        """What is read; the app draws it by itself."""
        return text_of(self.app)

    async def type(self, text: str) -> None:
        """A scanner: the text, then Enter."""
        names = {" ": "space", "-": "minus"}
        await self.pilot.press(*(names.get(c, c) for c in text), "enter")

    async def until(self, seen: Callable[[str], Any], seconds: float = 30.0) -> Any:
        """Wait for something on the screen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await self.pilot.pause(GLANCE_S)
            if found := seen(self.screen()):
                return found
        raise AssertionError(f"not seen within {seconds} s; the screen:\n{self.screen()}")

    async def profile(self, title: str) -> None:
        """F2 until the profile stands there."""
        for _ in range(8):
            if title in self.screen():
                return
            await self.pilot.press("f2")
            await self.pilot.pause(0.1)
        raise AssertionError(f"no profile {title!r}; the screen:\n{self.screen()}")

    async def bench(self, name: str) -> None:
        """F3 until this bench is looked at."""
        for _ in range(8):
            if f"▸ {name}" in self.screen():
                return
            await self.pilot.press("f3")
            await self.pilot.pause(0.1)
        raise AssertionError(f"no bench {name!r}; the screen:\n{self.screen()}")

    async def label(self, model: str, serial: str = "") -> None:
        """Scan a unit's label."""
        await self.until(lambda s: "Scan or type the unit's label" in s)
        await self.type(model)
        await self.type(serial)

    async def checklist(self, *yes: int) -> None:
        """Answer the look-and-feel questions, those named with yes."""
        for number in range(1, QUESTIONS + 1):
            await self.until(lambda s, n=number: f"{n} / {QUESTIONS}" in s)
            await self.pilot.press("y" if number in yes else "n")
            if number in yes:
                return

    def obey(self, screen: str, bench: str, acts: list[str]) -> str:
        """Do what the screen asks of the load, once; the screen."""
        asked = ASKED.search(screen)
        wanted = asked[1] if asked else "0" if UNLOADED in screen else None
        if wanted is not None and acts[-1:] != [wanted]:
            self.counter.dial(bench, wanted)
            acts.append(wanted)
        return screen

    async def follow(
        self, bench: str, done: Callable[[str], Any], seconds: float = 200.0
    ) -> list[str]:
        """Obey until ``done``; returns what was set."""
        acts: list[str] = []
        await self.until(lambda s: done(self.obey(s, bench, acts)), seconds)
        return acts

    async def report(self, form: str = "1") -> Path:
        """Write the report, and wait until it is there."""
        before = set(Path.cwd().glob("denchi-*"))
        await self.pilot.press("r", form)
        await self.until(lambda s: "Written:" in s)
        (written,) = set(Path.cwd().glob("denchi-*")) - before
        return written


@asynccontextmanager
async def at(counter: Counter, size: tuple[int, int] = (120, 40)) -> AsyncIterator[Operator]:
    """``denchi screen`` at a counter."""
    app = DenchiApp(counter.connect, lang="en", screening=True)
    async with app.run_test(size=size, notifications=True) as pilot:
        operator = Operator(counter, app, pilot)
        await operator.until(lambda s: "Scan or type the unit's label" in s)
        await operator.until(lambda _s: bool(app.query_one("#screening").profiles))
        yield operator
        await asyncio.sleep(0)


def opened(place: Path, units: dict[str, str]) -> Iterator[Counter]:
    """A counter that is closed at the end."""
    counter = Counter(place, units)
    try:
        counter.streaming()
        yield counter
    finally:
        counter.daemon.stop()
