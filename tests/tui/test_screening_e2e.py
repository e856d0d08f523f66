"""Whole screenings by keyboard: emulated meters, a real daemon, the real TUI, an operator who obeys it."""

from __future__ import annotations

import csv
import html
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tui.counter import QUESTIONS, Counter, Operator, at, opened

pytestmark = pytest.mark.slow

STEPS = ["1.00", "2.00", "0"]
"""What the screen asks to set, one after the other; the load is off when a unit comes."""


def ended(screen: str) -> bool:
    """The verdict stands on the screen."""
    return "⏎ go on" in screen


@pytest.fixture
def counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Counter]]:
    """A factory of counters; reports go into the test's folder."""
    monkeypatch.chdir(tmp_path)
    with contextmanager(_many)(tmp_path) as make:
        yield make


def _many(place: Path) -> Iterator[Callable[..., Counter]]:
    held: list[Iterator[Counter]] = []

    def make(**units: str) -> Counter:
        held.append(opened(place, units))
        return next(held[-1])

    yield make
    for one in held:
        next(one, None)


async def _next_is_ready(operator: Operator) -> None:
    await operator.pilot.press("enter")
    await operator.until(lambda s: "Scan or type the unit's label" in s)
    focused = operator.app.focused
    assert focused is not None
    assert focused.id == "screening-label"
    assert focused.value == ""


def _last(counter: Counter) -> dict:
    lines = counter.daemon.client().get("/v1/sessions")["sessions"]
    newest = next(x for x in lines if x["ended"])
    return counter.daemon.client().get(f"/v1/sessions/{newest['id']}")


async def _begin(operator: Operator, model: str) -> None:
    await operator.profile("Counter check")
    await operator.label(model, "SN 0001")
    await operator.checklist()


async def test_a_good_unit(counter: Callable[..., Counter]) -> None:
    shop = counter(left="healthy")
    async with at(shop) as operator:
        await _begin(operator, "Example PB-10")
        acts = await operator.follow("left", ended)
        screen = operator.screen()
        assert [a for i, a in enumerate(acts) if i or a != "0"] == STEPS, screen
        assert "No anomaly seen in" in screen, screen
        assert "SIMULATED" in screen
        page = (await operator.report()).read_text()
        assert "No anomaly seen in" in page
        assert "SIMULATED" in page
        await _next_is_ready(operator)
        await operator.pilot.press("escape", "e")
        await operator.until(lambda s: "Written:" in s)
        # Its samples, from the list of sessions.
        await operator.pilot.press("2")
        await operator.until(lambda s: "Example PB-10" in s and "Sessions: " in s)
        await operator.pilot.press("slash", *"SN", "space", *"0001", "enter")
        await operator.until(lambda s: "Sessions: 1 " in s)
        await operator.pilot.press("e", "1")
        await operator.until(lambda _s: list(Path.cwd().glob("denchi-*-left-*.csv")), 60)
        await operator.pilot.press("q")
    assert operator.app.return_value == 0
    told = _last(shop)
    assert told["verdict"] == "no_anomaly_seen"
    assert [s["outcome"] for s in told["screening"]["steps"]] == ["held"] * 4
    day = next(Path.cwd().glob("denchi-screenings-*.csv")).read_text(encoding="utf-8")
    (listed,) = csv.DictReader(day.splitlines())
    assert listed["unit"] == "Example PB-10"
    assert listed["serial"] == "SN 0001"
    assert listed["verdict"] == "no_anomaly_seen"
    assert listed["origin"] == "simulated"
    exported = next(Path.cwd().glob("denchi-*-left-*.csv")).read_text(encoding="utf-8").splitlines()
    assert exported[0].startswith("t_s,voltage_v,current_a,temperature_c")
    assert len(exported) > 100


@pytest.mark.parametrize(
    ("scenario", "verdict", "shown", "code"),
    [("hot", "stop_using", "STOP USING", 3), ("sag", "caution", "CAUTION", 4)],
)
async def test_a_faulty_unit(
    counter: Callable[..., Counter], scenario: str, verdict: str, shown: str, code: int
) -> None:
    shop = counter(left=scenario)
    async with at(shop) as operator:
        await _begin(operator, "Example PB-10")
        await operator.follow("left", ended)
        screen = operator.screen()
        assert shown in screen, screen
        page = (await operator.report()).read_text()
        assert shown.lower() in page.lower()
        await _next_is_ready(operator)
        await operator.pilot.press("escape", "q")
    assert operator.app.return_value == code
    told = _last(shop)
    assert told["verdict"] == verdict, told
    assert told["verdict_report"]["reasons"]
    (line,) = operator.lines
    assert (line["id"], line["verdict"], line["unit"]) == (told["id"], verdict, "Example PB-10")
    assert line["serial"] == "…0001"


async def test_a_recalled_unit_gets_no_load(counter: Callable[..., Counter]) -> None:
    shop = counter(left="healthy")
    async with at(shop) as operator:
        await operator.profile("Counter check")
        await operator.label("Anker A1642")
        acts = await operator.follow("left", ended)
        screen = operator.screen()
        assert acts == []
        assert "STOP USING" in screen, screen
        assert "A1642" in screen
        page = (await operator.report()).read_text()
        assert "A1642" in page
        await _next_is_ready(operator)
        # The next unit is begun at once, with nothing of the former one.
        await operator.label("Example PB-10")
        await operator.until(lambda s: f"1 / {QUESTIONS}" in s)
        assert "A1642" not in operator.screen()
        await operator.pilot.press("x")
        await operator.pilot.press("y")
        await operator.until(ended)
        await operator.pilot.press("q")
    assert operator.app.return_value == 3
    lines = shop.daemon.client().get("/v1/sessions")["sessions"]
    by_unit = {x["unit"]: x["verdict"] for x in lines if x["ended"] and x["profile"] == "brief"}
    assert by_unit == {"Anker A1642": "stop_using", "Example PB-10": "inconclusive"}


async def test_a_symptom_ends_it_before_any_load(counter: Callable[..., Counter]) -> None:
    shop = counter(left="healthy")
    async with at(shop, (80, 24)) as operator:
        await operator.label("Example PB-10")
        await operator.checklist(3)
        await operator.until(ended)
        assert "STOP USING" in operator.screen()
        assert "smell" in operator.screen()
        await _next_is_ready(operator)
        await operator.pilot.press("escape", "q")
    assert operator.app.return_value == 3


async def test_a_symptom_under_load_ends_it(counter: Callable[..., Counter]) -> None:
    shop = counter(left="healthy")
    async with at(shop, (80, 24)) as operator:
        await _begin(operator, "Example PB-10")
        await operator.follow("left", lambda s: "2 / 4" in s and "waiting to see" not in s)
        await operator.pilot.press("w")
        await operator.until(lambda s: "Does it smell" in s)
        await operator.pilot.press("3")
        await operator.until(ended)
        assert "STOP USING" in operator.screen()
        await operator.pilot.press("q")
    assert operator.app.return_value == 3
    assert _last(shop)["verdict"] == "stop_using"


async def test_the_page_outlives_the_daemon(counter: Callable[..., Counter]) -> None:
    """A daemon that is stopped and started again: said, waited for, and shown anew."""
    shop = counter(left="healthy")
    async with at(shop) as operator:
        await operator.pilot.press("escape", "1")
        await operator.until(lambda s: "VBUS" in s and "streaming" in s)
        shop.daemon.stop()
        await operator.until(lambda s: "DAEMON AWAY" in s)
        shop.restart()
        await operator.until(lambda s: "DAEMON AWAY" not in s and "streaming" in s, 60)
        await operator.pilot.press("q")


@pytest.mark.parametrize("how", ["load taken off", "meter falls silent"])
async def test_a_test_that_broke_off_is_no_pass(counter: Callable[..., Counter], how: str) -> None:
    shop = counter(left="healthy")
    async with at(shop) as operator:
        await _begin(operator, "Example PB-10")
        await operator.follow("left", lambda s: "2 / 4" in s and "waiting to see" not in s)
        stopped = []
        if how == "load taken off":
            shop.dial("left", 0)
        else:
            stopped = shop.children("left", "fnb58")
            assert len(stopped) == 1
            os.kill(stopped[0], signal.SIGSTOP)
        try:
            await operator.until(ended, 60)
        finally:
            for one in stopped:
                os.kill(one, signal.SIGKILL)
        screen = operator.screen()
        assert "inconclusive" in screen, screen
        why = "the meter was" if stopped else "the output went dark in step"
        assert why in screen, screen
        assert why in html.unescape((await operator.report()).read_text())
        await _next_is_ready(operator)
        await operator.pilot.press("escape", "q")
    assert operator.app.return_value == 5
    assert _last(shop)["verdict"] == "inconclusive"


async def test_two_benches_at_once(counter: Callable[..., Counter]) -> None:
    """One PC, two units, two screenings: each gets its own verdict."""
    shop = counter(left="healthy", right="sag")
    acts: dict[str, list[str]] = {"left": [], "right": []}
    async with at(shop) as operator:
        for name, unit in (("left", "Example PB-10"), ("right", "Beispiel 20000")):
            await operator.bench(name)
            await _begin(operator, unit)
        over: dict[str, str] = {}
        end = time.monotonic() + 250
        while len(over) < 2 and time.monotonic() < end:
            for name in acts:
                await operator.bench(name)
                screen = operator.obey(operator.screen(), name, acts[name])
                if ended(screen):
                    over[name] = screen
                await operator.pilot.pause(0.1)
        assert "No anomaly seen in" in over["left"], over
        assert "PB-10" in over["left"]
        assert "CAUTION" in over["right"], over
        assert "20000" in over["right"]
        await operator.pilot.press("q")
    assert operator.app.return_value == 4
    lines = shop.daemon.client().get("/v1/sessions")["sessions"]
    by_unit = {x["unit"]: x["verdict"] for x in lines if x["ended"] and x["profile"] == "brief"}
    assert by_unit == {"Example PB-10": "no_anomaly_seen", "Beispiel 20000": "caution"}
