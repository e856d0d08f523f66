"""Lines to braille cells with a bounded number of numpy operations a plot.

Why not textual-plot: it drops NaN (a gap would be bridged), has no horizontal limit lines, and
draws segment by segment in Python. Measured on this project's plots (120 x 12 cells, 300 points):
see ``tests/tui/plot_cost.py``, which times both in one run.

A line is a min-max envelope for each of the two dot columns of a cell: no spike between two dots is lost
however many samples fall into one, and the cost does not grow with the picture's history.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_DOTS: Final = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint16)
BRAILLE: Final = 0x2800


@dataclass(frozen=True, slots=True)
class Frame:
    """What a plot shows: seconds ``t0..t1`` and values ``y0..y1`` on ``width`` x ``height`` cells."""

    t0: float
    t1: float
    y0: float
    y1: float
    width: int
    height: int

    def row(self, value: float) -> int | None:
        """Cell row of a value; None outside."""
        place = self.dot_row(value)
        return None if not 0 <= place < self.height * 4 else place // 4

    def dot_row(self, value: float) -> int:
        """Dot row of a value, 0 at the top; may lie outside."""
        share = (self.y1 - value) / (self.y1 - self.y0)
        return int(np.floor(min(1e6, max(-1e6, share * self.height * 4))))

    def column(self, t: float) -> int | None:
        """Cell column of a time; None outside."""
        share = (t - self.t0) / (self.t1 - self.t0)
        return int(share * self.width) if 0 <= share < 1 else None

    def time(self, column: int) -> float:
        """Time in the middle of a cell column."""
        return self.t0 + (column + 0.5) / self.width * (self.t1 - self.t0)


def envelope(
    t: Floats, low: Floats, mean: Floats, high: Floats, frame: Frame, break_s: float | Floats
) -> tuple[Floats, Floats]:
    """Lowest and highest value for each dot column, NaN where nothing was measured.

    ``t`` seconds, increasing; ``low``/``mean``/``high`` may be the same array (raw samples). Two
    measured samples are joined unless more than ``break_s`` apart (an array: one for each sample).
    """
    columns = frame.width * 2
    lows, highs = np.full(columns, np.inf), np.full(columns, -np.inf)
    measured = np.isfinite(mean)
    t, low, mean, high = (a[measured] for a in (t, low, mean, high))
    if not len(t):
        return np.full(columns, np.nan), np.full(columns, np.nan)
    breaks = break_s[measured] if isinstance(break_s, np.ndarray) else break_s
    group = np.cumsum(np.diff(t, prepend=t[:1]) > breaks)
    index = np.floor((t - frame.t0) / (frame.t1 - frame.t0) * columns).astype(np.int64)
    inside = (index >= 0) & (index < columns)
    low = np.where(np.isfinite(low), low, mean)
    high = np.where(np.isfinite(high), high, mean)
    np.minimum.at(lows, index[inside], low[inside])
    np.maximum.at(highs, index[inside], high[inside])
    edges = frame.t0 + np.arange(columns + 1) / columns * (frame.t1 - frame.t0)
    after = np.searchsorted(t, edges)
    joined = (after > 0) & (after < len(t))
    before = np.clip(after - 1, 0, len(t) - 1)
    joined &= group[before] == group[np.clip(after, 0, len(t) - 1)]
    crossing = np.where(joined, np.interp(edges, t, mean), np.nan)
    lows = np.fmin(np.fmin(np.where(np.isinf(lows), np.nan, lows), crossing[:-1]), crossing[1:])
    highs = np.fmax(np.fmax(np.where(np.isinf(highs), np.nan, highs), crossing[:-1]), crossing[1:])
    return lows, highs


def dots(lows: Floats, highs: Floats, frame: Frame) -> Mask:
    """The envelope as dots, ``(height * 4, width * 2)``."""
    rows = frame.height * 4
    scale = rows / (frame.y1 - frame.y0)
    with np.errstate(invalid="ignore"):
        top = np.floor((frame.y1 - highs) * scale)
        bottom = np.floor((frame.y1 - lows) * scale)
    shown = np.isfinite(top) & (bottom >= 0) & (top < rows)
    top, bottom = (
        np.clip(np.nan_to_num(top), 0, rows - 1),
        np.clip(np.nan_to_num(bottom), 0, rows - 1),
    )
    row = np.arange(rows)[:, None]
    mask: Mask = (row >= top) & (row <= bottom) & shown
    return mask


def cells(mask: Mask) -> NDArray[np.uint16]:
    """Dots packed into braille patterns, ``(height, width)``, 0 where empty."""
    height, width = mask.shape[0] // 4, mask.shape[1] // 2
    packed: NDArray[np.uint16] = np.einsum(
        "hrwc,rc->hw", mask.reshape(height, 4, width, 2).astype(np.uint16), _DOTS
    )
    return packed


def nice_step(span: float, count: int) -> float:
    """A step of 1, 2 or 5 times a power of ten that cuts ``span`` into at most ``count`` parts."""
    raw = max(span, 1e-12) / max(1, count)
    power = 10.0 ** np.floor(np.log10(raw))
    for factor in (1.0, 2.0, 5.0, 10.0):
        if factor * power >= raw * 0.999:
            return float(factor * power)
    return float(10 * power)


def nice_range(low: float, high: float, least: float) -> tuple[float, float]:
    """Axis limits around ``low..high``: at least ``least`` apart, with air, on round numbers.

    Round limits keep the axis still while the values tremble.
    """
    if not np.isfinite(low) or not np.isfinite(high):
        return 0.0, least
    middle, span = (low + high) / 2, max(high - low, least)
    step = nice_step(span * 1.15, 4)
    bottom = float(np.floor((middle - span * 0.54) / step) * step)
    top = float(np.ceil((middle + span * 0.54) / step) * step)
    if low >= 0 > bottom:
        bottom = 0.0
    return bottom, top if top > bottom else bottom + step
