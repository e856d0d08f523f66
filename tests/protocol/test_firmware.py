"""The reference firmware, run by the real MicroPython interpreter; its bytes cross a PTY to the codec."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import serial

from denchi_protocol.codec import DeviceInfo, Event, MeterGap, Send
from denchi_protocol.meters.denchi_board.codec import BoardCodec
from protocol.wire import blocks, joined
from support import ROOT

pytestmark = pytest.mark.slow

PACKAGE, VERSION = "@micropython/micropython-webassembly-pyscript", "1.27.0"
FIRMWARE = ROOT / "firmware_protocol" / "firmware"
HERE = Path(__file__).parent / "micropython"


@pytest.fixture(scope="session")
def interpreter() -> Path:
    """The interpreter out of the npm registry, kept in the user's cache."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not installed: MicroPython's WebAssembly build needs them")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "denchi-tests" / f"micropython-{VERSION}"
    module = folder / "node_modules" / PACKAGE / "micropython.mjs"
    if not module.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund"]
            got = subprocess.run(
                [*command, f"{PACKAGE}@{VERSION}"], capture_output=True, text=True, timeout=120
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"MicroPython could not be fetched: {error}")
        if not module.exists():
            pytest.skip(f"MicroPython could not be fetched: {got.stderr.strip()[-200:]}")
    return module


@dataclass
class Run:
    """What one run of the firmware gave."""

    events: list[Event]
    raw: bytes
    talk: str
    asked: int


@contextmanager
def running(
    interpreter: Path, lines: int, settings: dict[str, object], chips: Path
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    board, computer = os.openpty()
    try:
        tty.setraw(computer)
        os.set_blocking(board, False)
        files = [FIRMWARE / "main.py", FIRMWARE / "board.py", *sorted(chips.glob("*.py"))]
        # The interpreter's UART is descriptor 3. (A plain sh cannot redirect one of two digits.)
        put = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execvp(sys.argv[2], sys.argv[2:])"
        shell = [sys.executable, "-c", put, str(board), "node"]
        process = subprocess.Popen(
            [*shell, HERE / "run.mjs", interpreter, str(lines), _python(settings), *files],
            pass_fds=[board],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process, os.ttyname(computer)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            assert process.stderr is not None
            process.stderr.close()
    finally:
        os.close(board)
        os.close(computer)


def _python(settings: dict[str, object]) -> str:
    return json.dumps(settings).replace("null", "None")


def play(
    interpreter: Path, lines: int, tmp_path: Path, chip: str = "ina226", **settings: object
) -> Run:
    chips = tmp_path / "chips"
    shutil.copytree(HERE / "chips", chips)
    machine = chips / "machine.py"
    machine.write_text(machine.read_text().replace('chip = "ina226"', f'chip = "{chip}"'))
    codec, out = BoardCodec(), Run([], b"", "", 0)
    with running(interpreter, lines, {"LINK": "uart", **settings}, chips) as (process, port):
        with serial.Serial(port, 115200, timeout=0) as line:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                action = codec.next(time.time_ns())
                if isinstance(action, Send):
                    out.asked += 1
                    line.write(action.data)
                select.select([line.fd], [], [], 0.05)
                data = line.read(4096)
                out.raw += data
                out.events += codec.feed(data, time.time_ns())
                if process.poll() is not None and not data:
                    break
        assert process.stderr is not None
        out.talk = process.stderr.read()
        assert process.returncode == 0, out.talk
    return out


def _column(run: Run, name: str) -> np.ndarray:
    series = joined(run.events).si(name)
    return series[~np.isnan(series)]


def test_an_ina226_and_two_probes(interpreter: Path, tmp_path: Path) -> None:
    run = play(interpreter, 220, tmp_path)
    assert f"implementation micropython {VERSION}" in run.talk
    block = joined(run.events)
    assert len(block) >= 218  # what came before the first header is not read
    assert set(_column(run, "vbus_uv")) == {5.12}  # 4096 x 1.25 mV
    assert set(_column(run, "ibus_ua")) == {-1.0}  # -4000 x 2.5 uV / 10 mOhm
    # A failed I2C transfer and a reading at the end of the range are not values.
    assert 1 <= np.isnan(block.vbus_v()).sum() < 30
    assert np.isnan(block.ibus_a()).sum() > np.isnan(block.vbus_v()).sum()
    # The probe's 85 degC of power-on is not a value, and between conversions there is none.
    assert set(_column(run, "temp_mc.case")) == {31.062}
    assert set(_column(run, "temp_mc.ambient")) == {-2.562}
    # Between two conversions there is no value: a few in some hundred lines.
    assert len(_column(run, "temp_mc.case")) < len(block) / 10
    (info,) = (e for e in run.events if isinstance(e, DeviceInfo))
    assert (info.firmware, info.serial) == ("denchi-1.0", "E6611CB7")
    assert info.hardware == "webassembly+ina226"
    assert not [e for e in run.events if isinstance(e, MeterGap)]
    steps = np.diff(block.t_ns)
    print(f"{len(block)} lines; step median {np.median(steps) / 1e6:.2f} ms, {len(run.raw)} bytes")
    assert (steps > 0).all()


def test_an_ina228(interpreter: Path, tmp_path: Path) -> None:
    run = play(interpreter, 30, tmp_path, chip="ina228", CASE_PIN=16, AMBIENT_PIN=17)
    assert set(_column(run, "vbus_uv")) == {18.310_547}  # 0x16E36 = 93750 x 195.3125 uV
    assert set(_column(run, "ibus_ua")) == {1.6}  # 0x0C800 x 312.5 nV / 10 mOhm
    # No probe on one pin; two on the other, and nobody can say which is which.
    assert not len(_column(run, "temp_mc.case"))
    assert not len(_column(run, "temp_mc.ambient"))


def test_nothing_wired_measures_nothing(interpreter: Path, tmp_path: Path) -> None:
    run = play(interpreter, 30, tmp_path, chip="none", CASE_NTC_PIN=26, AMBIENT_NTC_PIN=27)
    assert len(joined(run.events)) >= 28
    assert not len(_column(run, "vbus_uv"))
    assert not len(_column(run, "ibus_ua"))
    assert _column(run, "temp_mc.case") == pytest.approx(25.0, abs=0.02)  # the NTC, half of 3.3 V
    assert not len(_column(run, "temp_mc.ambient"))  # its wire is broken
    (info,) = (e for e in run.events if isinstance(e, DeviceInfo))
    assert info.hardware == "webassembly+no-ina"


def test_the_header_comes_when_asked(interpreter: Path, tmp_path: Path) -> None:
    run = play(interpreter, 20, tmp_path)  # shorter than the header's own two seconds
    headers = re.findall(rb"#D1 ", run.raw)
    assert run.asked >= 1
    assert len(headers) == 2
    assert len(blocks(run.events)) >= 1
