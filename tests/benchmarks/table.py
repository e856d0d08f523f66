"""What a benchmark is, how it is timed, and the table it ends in.

A figure is the median of several rounds, ours and the yardstick in turn in the same process, so that
a machine that changes its speed changes both. Nothing here asserts: targets are printed beside.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    figure: str
    target: str
    met: bool | None
    """None: no target, or it cannot be said."""
    note: str = ""


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one call (of this thread's process), garbage collected before."""
    gc.collect()
    began = time.process_time()
    work()
    return time.process_time() - began


def wall(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    gc.collect()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def versus(
    ours: Callable[[], object],
    yardstick: Callable[[], object],
    *,
    rounds: int = 5,
    clock: Callable[[Callable[[], object]], float] = seconds,
) -> tuple[float, float, float]:
    """Median seconds of ours, of the yardstick, and the median ratio (how many times faster ours is)."""
    ours(), yardstick()
    a, b, ratios = [], [], []
    for _ in range(rounds):
        x, y = clock(ours), clock(yardstick)
        a.append(x)
        b.append(y)
        ratios.append(y / x if x else float("inf"))
    return statistics.median(a), statistics.median(b), statistics.median(ratios)


def show(rows: list[Row]) -> None:
    """Print the table as Markdown."""
    print("\n| what | measured | target | met | note |\n|---|---|---|---|---|")
    for row in rows:
        met = {True: "yes", False: "**no**", None: "-"}[row.met]
        print(f"| {row.what} | {row.figure} | {row.target} | {met} | {row.note} |")
    sys.stdout.flush()
