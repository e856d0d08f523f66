"""The TUI as a user has it: `denchi tui` on a pseudo-terminal, a daemon with four benches beside it.

CPU is that of the TUI's own process. Memory: the store behind the screen over a simulated week of the
stream, and the size of the process before and after.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

import numpy as np
import psutil

from benchmarks.table import Row
from daemon.conftest import Daemon
from denchi_dashboards.tui.rings import Ring

BENCHES = 4
SIZE = (40, 120)
ENVIRONMENT = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}


def _read_for(master: int, seconds: float) -> int:
    """Take what the TUI draws, as a terminal would; bytes."""
    end, total = time.monotonic() + seconds, 0
    while (left := end - time.monotonic()) > 0:
        if select.select([master], [], [], left)[0]:
            with contextlib.suppress(OSError):
                total += len(os.read(master, 65_536))
    return total


def screen_share(seconds: float) -> tuple[float, float, float, float]:
    """CPU share of the TUI and of the daemon, MB of the TUI, kB drawn a second."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = [
            w
            for n in range(BENCHES)
            for w in ("--bench", f"b{n}=emulated:fnb58?scenario=demo&seed={n}")
        ]
        one = Daemon(folder / "data", *words)
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
        tui: subprocess.Popen[bytes] | None = None
        try:
            one.wait_for(
                lambda s: len(s["benches"]) == BENCHES and all(b["session"] for b in s["benches"]),
                120,
            )
            tui = subprocess.Popen(
                [sys.executable, "-m", "denchi.cli.main", "tui", "--data-dir", str(folder / "data")],
                stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                env=os.environ | ENVIRONMENT | {"XDG_RUNTIME_DIR": str(folder)},
            )  # fmt: skip
            _read_for(master, 10.0)
            assert tui.poll() is None, "the TUI ended by itself"
            processes = [psutil.Process(tui.pid), psutil.Process(one.process.pid)]
            before = [sum(p.cpu_times()[:2]) for p in processes]
            begun = time.monotonic()
            drawn = _read_for(master, seconds)
            took = time.monotonic() - begun
            share = [
                (sum(p.cpu_times()[:2]) - b) / took for p, b in zip(processes, before, strict=True)
            ]
            return share[0], share[1], processes[0].memory_info().rss / 1e6, drawn / took / 1000
        finally:
            if tui is not None:
                tui.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    tui.wait(10)
                if tui.poll() is None:
                    tui.kill()
                    tui.wait()
            os.close(master)
            os.close(slave)
            one.stop()


def week(days: float) -> tuple[int, int, float]:
    """Bytes held by the rings of four benches after an hour and after ``days``; growth of the process in MB."""
    rings = [Ring() for _ in range(BENCHES)]
    names = ("vbus_uv", "ibus_ua", "dp_uv", "dm_uv", "temp_mc.meter")
    step, per = 50_000_000, 1200
    values = np.linspace(0, 1, per).tolist()

    def minutes(first: int, count: int) -> None:
        for minute in range(first, first + count):
            stamps = (np.arange(per, dtype=np.int64) + minute * per) * step
            for ring in rings:
                ring.append(stamps.tolist(), dict.fromkeys(names, values))

    minutes(1, 60)
    held, process = sum(r.nbytes() for r in rings), psutil.Process()
    size = process.memory_info().rss
    minutes(61, int(days * 1440) - 60)
    return held, sum(r.nbytes() for r in rings), (process.memory_info().rss - size) / 1e6


def run(*, quick: bool) -> list[Row]:
    """The screen for 20 s, and the week."""
    share, daemon, megabytes, drawn = screen_share(3.0 if quick else 20.0)
    days = 0.2 if quick else 7.0
    held, after, grown = week(days)
    return [
        Row(
            f"TUI on {BENCHES} benches, plots live, {SIZE[1]} × {SIZE[0]} cells",
            f"{share:.0%} of a core",
            "≤ 20 %",
            share <= 0.20,
            f"{drawn:.0f} kB/s drawn, {megabytes:.0f} MB; the daemon beside it with its emulated"
            f" banks {daemon:.0%}",
        ),
        Row(
            f"TUI, what it holds of the stream over {days:g} simulated days",
            f"{after / 1e6:.1f} MB",
            "flat",
            after == held and grown < 5,
            f"{held / 1e6:.1f} MB after an hour; the process grew by {grown:+.1f} MB",
        ),
    ]
