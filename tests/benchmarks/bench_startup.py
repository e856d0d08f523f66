"""How long the commands take to start, against a bare interpreter."""

from __future__ import annotations

import statistics
import subprocess
import sys
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
    return rows
