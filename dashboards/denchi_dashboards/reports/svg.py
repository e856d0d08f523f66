"""Plots as SVG text: a band from minimum to maximum, the mean as a line, gaps left open and shaded.

Nothing is interpolated: where a value is missing the line breaks. Every plot carries a title and a
description for readers that cannot see it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 720
HEIGHT: Final = 170
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 22, 26


@dataclass(frozen=True, slots=True)
class Trace:
    """One quantity: ``low``, ``mean``, ``high`` (n,), None = not measured; drawn with ``dash``."""

    name: str
    low: Sequence[float | None]
    mean: Sequence[float | None]
    high: Sequence[float | None]
    dash: str = ""


def _nice_step(span: float, count: int) -> float:
    raw = span / max(1, count)
    power = 10.0 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    for factor in (1, 2, 5, 10):
        if raw <= factor * power:
            return factor * power
    return 10 * power


def _ticks(low: float, high: float, count: int) -> list[float]:
    step = _nice_step(high - low, count)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


_TIME_STEPS: Final = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14400,
    28800,
    86400,
)


def _time_ticks(end_s: float, count: int) -> list[float]:
    step = next(
        (s for s in _TIME_STEPS if end_s / s <= count),
        86400.0 * max(1, round(end_s / 86400 / count)),
    )
    return [k * step for k in range(int(end_s // step) + 1)]


def _span(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:g} h"
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"


def plot(
    title: str,
    unit: str,
    t_s: Sequence[float],
    traces: Sequence[Trace],
    *,
    gaps: Sequence[tuple[float, float]] = (),
    limits: Sequence[tuple[float, str]] = (),
    description: str = "",
) -> str:
    """One plot as an ``<svg>`` element; ``t_s`` in seconds from the start, ``gaps`` as (from, to)."""
    values = [v for tr in traces for part in (tr.low, tr.high) for v in part if v is not None]
    if not values or not t_s:
        return ""
    low, high = min(values), max(values)
    for limit, _ in limits:
        if low - 0.5 * (high - low + 1) <= limit <= high + 0.5 * (high - low + 1):
            low, high = min(low, limit), max(high, limit)
    pad = (high - low) * 0.08 or max(0.05, abs(high) * 0.02)
    low, high = low - pad, high + pad
    end = max(t_s[-1], 1e-3)

    def x(t: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * t / end

    def y(v: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (v - low) / (high - low))

    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(description or title, True)}">',
        f"<title>{escape(title)}</title><desc>{escape(description or title)}</desc>",
        f'<text class="t" x="{LEFT}" y="14">{escape(title)} ({escape(unit)})</text>',
    ]
    for a, b in gaps:
        parts.append(
            f'<rect class="gap" x="{x(a):.1f}" y="{TOP}" width="{max(1.5, x(b) - x(a)):.1f}" height="{HEIGHT - TOP - BOTTOM}"/>'
        )
    for tick in _ticks(low, high, 4):
        parts.append(
            f'<line class="g" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        )
        parts.append(
            f'<text class="a" x="{LEFT - 6}" y="{y(tick) + 3.5:.1f}" text-anchor="end">{tick:g}</text>'
        )
    for tick in _time_ticks(end, 7):
        parts.append(
            f'<text class="a" x="{x(tick):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{_span(tick)}</text>'
        )
    for limit, name in limits:
        if low <= limit <= high:
            parts.append(
                f'<line class="l" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(limit):.1f}" y2="{y(limit):.1f}"/>'
            )
            parts.append(
                f'<text class="a" x="{WIDTH - RIGHT}" y="{y(limit) - 3:.1f}" text-anchor="end">{escape(name)}</text>'
            )
    for number, trace in enumerate(traces):
        parts += _trace(trace, t_s, x, y, number, end)
    parts.append("</svg>")
    return "".join(parts)


def _trace(
    trace: Trace, t_s: Sequence[float], x: object, y: object, number: int, end: float
) -> list[str]:
    parts: list[str] = []
    for run in _runs(trace.mean):
        top = " ".join(f"{x(t_s[i]):.1f},{y(trace.high[i]):.1f}" for i in run)  # type: ignore[operator]
        bottom = " ".join(f"{x(t_s[i]):.1f},{y(trace.low[i]):.1f}" for i in reversed(run))  # type: ignore[operator]
        parts.append(f'<polygon class="b s{number}" points="{top} {bottom}"/>')
        line = " ".join(f"{x(t_s[i]):.1f},{y(trace.mean[i]):.1f}" for i in run)  # type: ignore[operator]
        dash = f' stroke-dasharray="{trace.dash}"' if trace.dash else ""
        parts.append(f'<polyline class="m s{number}" points="{line}"{dash}/>')
    if trace.name:
        at = WIDTH - RIGHT - 150 * number
        parts.append(
            f'<text class="a" x="{at}" y="14" text-anchor="end">{("–– ", "- - ", "··· ")[number % 3]}{escape(trace.name)}</text>'
        )
    return parts


def _runs(values: Sequence[float | None]) -> list[list[int]]:
    runs: list[list[int]] = []
    for i, value in enumerate(values):
        if value is None or value != value:
            continue
        if runs and runs[-1][-1] == i - 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs
