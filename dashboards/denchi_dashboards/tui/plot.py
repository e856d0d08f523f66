"""A time plot in braille: lines with their envelope, gaps hatched, limits dashed, onsets marked, a cursor.

The widget draws what it is given and fetches nothing. It renders line by line from cached strips, so
a frame in which nothing moved by a dot costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from denchi.clock import NS
from denchi_dashboards.tui import raster
from denchi_dashboards.tui.layout import cut, right
from denchi_dashboards.tui.raster import Floats, Frame

AXIS: Final = 7
_STEPS_S: Final = (
    *(1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200),
    *(86_400, 172_800, 432_000, 864_000),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line: seconds since the plot's base, increasing, with lowest, mean and highest value."""

    t: Floats
    low: Floats
    mean: Floats
    high: Floats
    colour: str
    label: str = ""
    break_s: float | Floats = 3.0


@dataclass(frozen=True, slots=True)
class Limit:
    """A horizontal limit with its words."""

    value: float
    colour: str
    label: str
    short: str = ""
    """Where the plot is too narrow for ``label``."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a time (an onset): a shape in its colour on the top row."""

    t: float
    shape: str
    colour: str


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything one plot shows. ``base_ns`` is second 0 of all times; 0 = times are relative."""

    lines: tuple[Line, ...]
    t0: float
    t1: float
    base_ns: int = 0
    limits: tuple[Limit, ...] = ()
    marks: tuple[Mark, ...] = ()
    gaps: tuple[tuple[float, float], ...] = ()
    cursor_t: float | None = None
    least_span: float = 1.0
    near: float = 1.0
    decimals: int = 2
    empty: str = ""


class Plot(Widget):
    """Draws a ``Picture``."""

    ALLOW_SELECT = False

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._picture: Picture | None = None
        self._strips: list[Strip] = []
        self._key: tuple[object, ...] = ()
        self.y_range = (0.0, 1.0)

    def show(self, picture: Picture) -> None:
        """Draw this picture; nothing happens when no dot can have moved."""
        size = self.content_size
        if size.width < 4 or size.height < 1:
            self._picture = picture
            return
        dot_s = (picture.t1 - picture.t0) / max(1, (size.width - AXIS) * 2)
        newest = max((float(x.t[-1]) for x in picture.lines if len(x.t)), default=0.0)
        key = (
            int((picture.base_ns / NS + picture.t1) / max(dot_s, 0.25)),
            # How far the line ends before the edge: both move on together, and one picture shows both.
            int((picture.t1 - newest) / max(dot_s, 0.25)),
            round(picture.t1 - picture.t0, 3),
            tuple(len(x.t) for x in picture.lines) if dot_s < 0.25 else (),
            picture.limits,
            len(picture.marks),
            len(picture.gaps),
            picture.cursor_t,
            picture.empty,
            size,
            self.app.theme,
        )
        if key == self._key:
            return
        self._key, self._picture = key, picture
        self._redraw()

    def notify_style_update(self) -> None:
        """The theme changed."""
        super().notify_style_update()
        self._key = ()
        if self._picture is not None and self.is_attached and self.content_size.width >= 4:
            self._redraw()

    def on_resize(self) -> None:
        """A new size: draw again."""
        if self._picture is not None:
            self._redraw()

    def column_times(self) -> tuple[Frame, int] | None:
        """The frame drawn and the left axis' width, for the cursor."""
        if self._picture is None or self.content_size.width <= AXIS + 4:
            return None
        return self._frame(self._picture), AXIS

    def render_line(self, y: int) -> Strip:
        """One prepared row."""
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width, self.rich_style)

    # -- drawing -------------------------------------------------------------------------------

    def _frame(self, picture: Picture) -> Frame:
        size = self.content_size
        height = size.height - 1 if size.height >= 4 else size.height
        low, high = self.y_range
        width = max(2, size.width - AXIS)
        return Frame(picture.t0, picture.t1, low, high, width, max(1, height))

    def _redraw(self) -> None:
        picture = self._picture
        size = self.content_size
        if picture is None or size.width < AXIS + 4 or size.height < 1:
            self._strips = []
            self.refresh()
            return
        self.y_range = _y_range(picture)
        frame = self._frame(picture)
        grid = _Grid(frame)
        ticks = _y_ticks(frame)
        for tick in ticks:
            row = frame.row(tick)
            if row is not None:
                grid.put_every(row, 4, "·", "faint")
        for start, end in picture.gaps:
            grid.hatch(start, end)
        for limit in picture.limits:
            grid.dash(limit)
        drawn = False
        for one in picture.lines:
            drawn = grid.draw(one) or drawn
        for mark in picture.marks:
            grid.mark(mark)
        for limit in picture.limits:
            grid.name(limit)
        if picture.cursor_t is not None:
            grid.cursor(picture.cursor_t)
        if not drawn and picture.empty:
            grid.words(picture.empty)
        self._strips = self._to_strips(grid, frame, ticks, picture)
        self.refresh()

    def _to_strips(
        self, grid: _Grid, frame: Frame, ticks: Sequence[float], picture: Picture
    ) -> list[Strip]:
        base = self.rich_style
        styles = _Styles(base, self.app.theme_variables)
        labels = {frame.row(t): t for t in ticks}
        decimals = max(picture.decimals, _decimals(ticks))
        strips = []
        for row in range(frame.height):
            tick = labels.get(row)
            text = right("" if tick is None else f"{tick:.{decimals}f}", AXIS - 1)
            left = [
                Segment(text, styles["quiet"]),
                Segment("┤" if tick is not None else "│", styles["frame"]),
            ]
            strips.append(Strip([*left, *grid.segments(row, styles)]))
        if self.content_size.height > frame.height:
            strips.append(_time_axis(frame, picture, styles))
        width = self.content_size.width
        return [s.adjust_cell_length(width, base) for s in strips]


class _Styles(dict[str, Style]):
    """Rich styles by theme variable, on the widget's own ground."""

    def __init__(self, base: Style, variables: dict[str, str]) -> None:
        super().__init__()
        self._base, self._variables = base, variables

    def __missing__(self, name: str) -> Style:
        colour = self._variables.get(name.removeprefix("bold "))
        style = self._base + Style(color=colour, bold=name.startswith("bold ") or None)
        self[name] = style
        return style


class _Grid:
    """Characters and style names of the plotting area."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.chars: NDArray[np.uint32] = np.full((frame.height, frame.width), ord(" "), np.uint32)
        self.paint: NDArray[np.int16] = np.zeros((frame.height, frame.width), np.int16)
        self.names: list[str] = ["faint"]

    def _style(self, name: str) -> int:
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)

    def put_every(self, row: int, step: int, char: str, style: str) -> None:
        """A dotted grid line."""
        self.chars[row, ::step] = ord(char)
        self.paint[row, ::step] = self._style(style)

    def hatch(self, start: float, end: float) -> None:
        """Nothing was measured here."""
        frame = self.frame
        scale = frame.width / (frame.t1 - frame.t0)
        first = int(np.floor((start - frame.t0) * scale))
        last = int(np.ceil((end - frame.t0) * scale))
        first, last = max(0, first), min(frame.width, max(last, first + 1))
        if first < last:
            self.chars[:, first:last] = ord("░")
            self.paint[:, first:last] = self._style("faint")

    def dash(self, limit: Limit) -> None:
        """A limit: dashes over the whole width."""
        row = self.frame.row(limit.value)
        if row is not None:
            self.chars[row, :] = ord("╌")
            self.paint[row, :] = self._style(limit.colour)

    def name(self, limit: Limit) -> None:
        """A limit's words on its dashes, at the right or the left end: where nothing was drawn over them.

        A line that runs on its limit covers the dashes: then the words stand in the row beside.
        """
        row = self.frame.row(limit.value)
        if row is None:
            return
        for at, ground in ((row, "╌"), (row + 1, " ·"), (row - 1, " ·")):
            if not 0 <= at < self.frame.height:
                continue
            held = [ord(c) for c in ground]
            for label in (limit.label, limit.short):
                text = f" {label} " if at == row else f"╌{label}╌"
                wide = cell_len(text)
                if not label or wide >= self.frame.width // 2:
                    continue
                for start in (self.frame.width - wide - 1, 1):
                    if np.isin(self.chars[at, start : start + wide], held).all():
                        self._write(at, start, text)
                        self.paint[at, start : start + wide] = self._style(limit.colour)
                        return

    def _write(self, row: int, column: int, text: str) -> None:
        cells: list[int] = []
        for ch in text:
            cells.append(ord(ch))
            cells.extend([0] * (cell_len(ch) - 1))  # the second half of a wide character
        self.chars[row, column : column + len(cells)] = cells

    def draw(self, one: Line) -> bool:
        """A line; False when none of it lies in the frame."""
        lows, highs = raster.envelope(one.t, one.low, one.mean, one.high, self.frame, one.break_s)
        if not np.isfinite(lows).any():
            return False
        cells = raster.cells(raster.dots(lows, highs, self.frame))
        where = cells > 0
        held = (self.chars >= raster.BRAILLE) & (self.chars < raster.BRAILLE + 256) & where
        self.chars[where & ~held] = raster.BRAILLE
        self.chars[where] |= cells[where].astype(np.uint32)
        self.paint[where] = self._style(one.colour)
        return True

    def mark(self, mark: Mark) -> None:
        """A shape on the top row."""
        column = self.frame.column(mark.t)
        if column is not None:
            self.chars[0, column] = ord(mark.shape)
            self.paint[0, column] = self._style(f"bold {mark.colour}")

    def cursor(self, t: float) -> None:
        """A vertical line between the dots."""
        column = self.frame.column(t)
        if column is not None:
            blank = self.chars[:, column] < raster.BRAILLE
            self.chars[blank, column] = ord("│")
            self.paint[:, column] = self._style("bold ink")

    def words(self, text: str) -> None:
        """Words in the middle of an empty plot."""
        text = cut(text, self.frame.width - 2)
        row = self.frame.height // 2
        self._write(row, 1, text)
        self.paint[row, 1 : 1 + cell_len(text)] = self._style("quiet")

    def segments(self, row: int, styles: _Styles) -> list[Segment]:
        """One row as runs of one style."""
        paint = self.paint[row]
        cuts = np.flatnonzero(np.diff(paint)) + 1
        edges = [0, *cuts.tolist(), len(paint)]
        chars = self.chars[row]
        if not chars.all():
            _mend(chars)
        return [
            Segment(
                chars[a:b][chars[a:b] > 0].tobytes().decode("utf-32-le"),
                styles[self.names[int(paint[a])]],
            )
            for a, b in pairwise(edges)
        ]


def _mend(chars: NDArray[np.uint32]) -> None:
    """A dot drawn over half of a wide character leaves no half behind (0 = its second cell)."""
    for i in range(len(chars)):
        second = i + 1 < len(chars) and chars[i + 1] == 0
        if chars[i] == 0:
            if i == 0 or chars[i - 1] == 0 or cell_len(chr(chars[i - 1])) < 2:
                chars[i] = ord(" ")
        elif not second and cell_len(chr(chars[i])) > 1:
            chars[i] = ord(" ")


def _y_range(picture: Picture) -> tuple[float, float]:
    lows, highs = [], []
    for one in picture.lines:
        inside = (one.t >= picture.t0) & (one.t <= picture.t1) & np.isfinite(one.mean)
        if inside.any():
            lows.append(float(np.nanmin(np.fmin(one.low[inside], one.mean[inside]))))
            highs.append(float(np.nanmax(np.fmax(one.high[inside], one.mean[inside]))))
    if not lows:
        values = [limit.value for limit in picture.limits]
        if not values:
            return 0.0, picture.least_span
        return raster.nice_range(min(values), max(values), picture.least_span)
    low, high = min(lows), max(highs)
    reach = max(picture.near, (high - low) * 0.7)
    for limit in picture.limits:
        if low - reach <= limit.value <= high + reach:
            low, high = min(low, limit.value), max(high, limit.value)
    return raster.nice_range(low, high, picture.least_span)


def _y_ticks(frame: Frame) -> list[float]:
    step = raster.nice_step(frame.y1 - frame.y0, max(2, (frame.height + 1) // 3))
    first = int(np.ceil(frame.y0 / step - 1e-9))
    last = int(np.floor(frame.y1 / step + 1e-9))
    ticks = [k * step for k in range(first, last + 1)]
    # The top edge belongs to the row above the picture: its label goes on the first row.
    top = frame.y1 - (frame.y1 - frame.y0) * 1e-6
    return [
        min(t, top) if abs(t - frame.y1) < step * 1e-6 else max(t, frame.y0 + step * 1e-6)
        for t in ticks
    ]


def _decimals(ticks: Sequence[float]) -> int:
    if len(ticks) < 2:
        return 1
    step = abs(ticks[1] - ticks[0])
    return int(min(4, max(0, np.ceil(-np.log10(max(step, 1e-9)) - 0.05))))


def _time_axis(frame: Frame, picture: Picture, styles: _Styles) -> Strip:
    """Time labels at round times; a live plot's labels move with its line."""
    span = frame.t1 - frame.t0
    wide = 12
    step = next((s for s in _STEPS_S if span / s * wide <= frame.width), _STEPS_S[-1])
    text = [" "] * frame.width
    offset = _local_offset(picture.base_ns)
    base = picture.base_ns / NS + offset if picture.base_ns else 0.0
    first = int(np.ceil((base + frame.t0) / step))
    for k in range(first, first + frame.width):
        t = k * step - base
        column = frame.column(t)
        if column is None:
            break
        label = _label(k * step, step, span, bool(picture.base_ns))
        if column + len(label) + 1 <= frame.width and all(
            c == " " for c in text[column : column + len(label) + 1]
        ):
            text[column : column + 1 + len(label)] = ["╵", *label]
    return Strip(
        [Segment(" " * (AXIS - 1) + "╰", styles["frame"]), Segment("".join(text), styles["quiet"])]
    )


def _local_offset(base_ns: int) -> float:
    if not base_ns:
        return 0.0
    moment = datetime.fromtimestamp(base_ns / NS).astimezone()
    offset = moment.utcoffset()
    return 0.0 if offset is None else offset.total_seconds()


def _label(local_s: float, step: float, span: float, absolute: bool) -> str:
    if not absolute:
        sign, seconds = ("-" if local_s < 0 else ""), int(abs(local_s))
        hours, rest = divmod(seconds, 3600)
        head = f"{hours}:{rest // 60:02d}" if hours else str(rest // 60)
        return f"{sign}{head}:{rest % 60:02d}"
    day, rest = divmod(int(local_s), 86_400)
    if step >= 86_400 or (span > 172_800 and rest == 0):
        moment = datetime(1970, 1, 1).toordinal() + day  # noqa: DTZ001  a calendar day, already local
        return f"{datetime.fromordinal(moment):%m-%d}"
    hours, rest = divmod(rest, 3600)
    return f"{hours:02d}:{rest // 60:02d}" + (f":{rest % 60:02d}" if step < 60 else "")
