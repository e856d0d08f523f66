"""Four emulated meters on one daemon: memory, threads and handles stay where they are. `make soak`: an hour."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from daemon.conftest import Daemon
from faults.figures import record

SECONDS = float(os.environ.get("DENCHI_SOAK_S", "24"))
METERS = ("fnb58", "tc66c", "um25c", "ud18")
pytestmark = pytest.mark.faults


def test_four_meters_for_a_while(tmp_path: Path) -> None:
    arguments = [
        word
        for n, key in enumerate(METERS)
        for word in ("--bench", f"b{n}=emulated:{key}?scenario=demo")
    ]
    one = Daemon(tmp_path / "data", *arguments)
    try:
        one.wait_for(
            lambda s: (
                len(s["benches"]) == len(METERS)
                and all(b["session"] and b["session"]["samples"] for b in s["benches"])
            ),
            180,
        )
        process = psutil.Process(one.process.pid)
        time.sleep(SECONDS / 3)
        before = process.memory_info().rss, process.num_threads(), process.num_fds()
        cpu, begun = sum(process.cpu_times()[:2]), time.monotonic()
        time.sleep(SECONDS * 2 / 3)
        after = process.memory_info().rss, process.num_threads(), process.num_fds()
        busy = (sum(process.cpu_times()[:2]) - cpu) / (time.monotonic() - begun)
        state = one.client().get("/v1/state")
        samples = sum(b["session"]["samples"] for b in state["benches"])
    finally:
        one.stop(signal.SIGTERM)
    grown = (after[0] - before[0]) / 1e6
    threads, handles = after[1] - before[1], after[2] - before[2]
    flat = threads <= 0 and handles <= 2 and grown < 10
    record(
        f"soak of {len(METERS)} emulated meters for {SECONDS:.0f} s",
        "memory, threads and handles flat",
        f"{samples:,} samples; in the last two thirds memory {grown:+.1f} MB (of {after[0] / 1e6:.0f}),"
        f" threads {threads:+d}, handles {handles:+d}, {busy:.0%} of a core (simulated banks included)",
        flat,
    )
    assert flat
