"""How long the commands take to start, against a bare interpreter; and the demo until its first sample."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import statistics
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from benchmarks.table import Row

DENCHI = [str(Path(sys.executable).with_name("denchi"))]


def _once(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return time.perf_counter() - began


def _times(command: list[str], rounds: int) -> tuple[float, float]:
    """Median seconds and the median ratio to a bare interpreter run beside each."""
    bare = [sys.executable, "-c", "pass"]
    _once(command), _once(bare)
    a, ratios = [], []
    for _ in range(rounds):
        x, y = _once(command), _once(bare)
        a.append(x)
        ratios.append(x / y)
    return statistics.median(a), statistics.median(ratios)


STEPS = {
    "the command": "import denchi.cli.main, denchi.cli.demo, denchi.daemon.child",
    "the daemon": "import denchi.cli.main, denchi.cli.run, denchi.daemon.server, denchi.daemon.supervisor,"
    " denchi.daemon.api, denchi.health.engine, denchi.store.journal",
    "the emulated meter": "import denchi.drivers.emulation, denchi.simulation, denchi_protocol.meters.fnirsi",
    "the TUI": "import denchi_dashboards.tui.app",
}
"""What each process (and the TUI in the first) imports, one after the other on the way to the screen."""
A_SAMPLE = re.compile(rb"\d+\.\d [^a-z]{0,12}\xc2\xb0C")


def _first_sample_on_screen() -> float:
    """Seconds from `denchi demo` on a pseudo-terminal to the meter's temperature as text on it."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    began = time.perf_counter()
    demo = subprocess.Popen(
        [*DENCHI, "demo"], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        env=os.environ | {"TERM": "xterm-256color", "LANG": "C.UTF-8"},
    )  # fmt: skip
    drawn = b""
    try:
        while not A_SAMPLE.search(re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", drawn[-65_536:])):
            if select.select([master], [], [], 0.02)[0]:
                drawn += os.read(master, 65_536)
            if time.perf_counter() - began > 60:
                raise AssertionError("no sample on the screen within 60 s")
        return time.perf_counter() - began
    finally:
        demo.terminate()
        end = time.perf_counter() + 10
        while demo.poll() is None and time.perf_counter() < end:
            if select.select([master], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):
                    os.read(master, 65_536)
        if demo.poll() is None:
            demo.kill()
        demo.wait()
        os.close(master)
        os.close(slave)


def _screen(rounds: int) -> Row:
    whole = statistics.median(_first_sample_on_screen() for _ in range(rounds))
    imports = {
        name: statistics.median(_once([sys.executable, "-c", code]) for _ in range(rounds))
        for name, code in STEPS.items()
    }
    bare = statistics.median(_once([sys.executable, "-c", "pass"]) for _ in range(rounds))
    imports["the TUI"] -= bare  # it lives in the command's interpreter
    beyond = whole - sum(imports.values())
    parts = ", ".join(f"{name} {s:.2f} s" for name, s in imports.items())
    return Row(
        "daemon start to first sample on screen (`denchi demo`)",
        f"{beyond:.2f} s beyond interpreters and imports",
        "≤ 1 s",
        beyond <= 1.0,
        f"{whole:.2f} s in all; interpreter and imports: {parts}",
    )


def run(*, quick: bool) -> list[Row]:
    """`denchi --help` and `denchi recall A1263`."""
    rounds = 5 if quick else 15
    rows = []
    for command, target in ((["--help"], 8.0), (["recall", "A1263"], 12.0)):
        took, ratio = _times([*DENCHI, *command], rounds)
        rows.append(
            Row(
                f"`denchi {' '.join(command)}`",
                f"{ratio:.1f} ×",
                f"≤ {target:g} × `python -c pass`",
                ratio <= target,
                f"{took * 1000:.0f} ms",
            )
        )
    return [*rows, _screen(2 if quick else 5)]
