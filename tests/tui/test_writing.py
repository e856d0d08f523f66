"""Leaving while a file is being written: it is waited for, a second q stops it, an error is read first."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tui import fake_api
from tui.support import make, press, settle

CHILD = """
import pathlib, sys, time
from denchi.cli.common import sigterm_interrupts
sigterm_interrupts()
gate, target, code = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
part = target.with_suffix(".part")
part.write_text("half")
try:
    while not gate.exists():
        time.sleep(0.01)
    part.replace(target)
finally:
    part.unlink(missing_ok=True)
print("error: the disk is full: free some space", file=sys.stderr)
raise SystemExit(code)
"""


@pytest.fixture
def child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], tuple[Path, list[Any]]]:
    """Real processes that write like the command line, but only when told to; (gate, processes)."""
    monkeypatch.chdir(tmp_path)
    spawn = asyncio.create_subprocess_exec
    gate = tmp_path / "gate"
    processes: list[Any] = []

    def write(code: int) -> tuple[Path, list[Any]]:
        async def begin(_python: str, *arguments: str, **options: Any) -> Any:
            target = arguments[arguments.index("-o") + 1]
            process = await spawn(
                sys.executable, "-c", CHILD, str(gate), target, str(code), **options
            )
            processes.append(process)
            return process

        monkeypatch.setattr(asyncio, "create_subprocess_exec", begin)
        return gate, processes

    return write


async def _asked(app: Any, pilot: Any) -> Path:
    """Somebody asks for a report; the path of the half-written one."""
    await settle(pilot)
    await press(pilot, "6")
    await pilot.press("r", "1")
    for _ in range(500):
        await pilot.pause(0.01)
        if parts := list(Path.cwd().glob("denchi-*.part")):
            return parts[0]
    raise AssertionError("no process has begun to write")


async def test_leaving_waits_for_the_report(child) -> None:
    gate, _processes = child(4)
    app = make(fake_api.guided("done"))
    async with app.run_test(size=(120, 40)) as pilot:
        part = await _asked(app, pilot)
        await pilot.press("q")
        await pilot.pause(0.2)
        assert app._exit is False
        assert any("denchi leaves when it is there" in n.message for n in app._notifications)
        gate.touch()
        for _ in range(500):
            if app._exit:
                break
            await pilot.pause(0.01)
        assert app._exit
    assert not part.exists()
    assert part.with_suffix(".html").read_text() == "half"


@pytest.mark.parametrize("key", ["q", "ctrl+q"])
async def test_a_second_key_stops_it_and_nothing_half_written_stays(child, key) -> None:
    _gate, processes = child(0)
    app = make(fake_api.guided("done"))
    async with app.run_test(size=(120, 40)) as pilot:
        part = await _asked(app, pilot)
        await pilot.press(key)
        await pilot.pause(0.1)
        assert app._exit is False
        await pilot.press(key)
        await pilot.pause(0.1)
    (process,) = processes
    for _ in range(500):
        if process.returncode is not None:
            break
        await asyncio.sleep(0.01)
    assert process.returncode not in (None, 0)
    assert not part.exists()
    assert list(Path.cwd().iterdir()) == []


async def test_an_error_is_read_before_the_screen_goes(child) -> None:
    gate, _processes = child(1)
    app = make(fake_api.guided("done"))
    async with app.run_test(size=(120, 40)) as pilot:
        await _asked(app, pilot)
        await pilot.press("q")
        gate.touch()
        for _ in range(500):
            await pilot.pause(0.01)
            if any("the disk is full" in n.message for n in app._notifications):
                break
        assert any(n.severity == "error" for n in app._notifications)
        assert app._exit is False
        await pilot.press("q")
        await pilot.pause(0.1)
        assert app._exit
