"""A recorded session as the API tells it: its roll-ups, its figures, and two of them side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from denchi.clock import NS
from denchi_dashboards.tui import words
from denchi_dashboards.tui.layout import said
from denchi_dashboards.tui.panels import temperature_colour
from denchi_dashboards.tui.plot import Line, Mark, Picture
from denchi_dashboards.tui.raster import Floats
from denchi_dashboards.tui.traces import Series
from denchi_dashboards.tui.words import _

KINDS: Final = ("v", "a", "w", "t")
UNITS: Final = {"v": "V", "a": "A", "w": "W", "t": "°C"}
DECIMALS: Final = {"v": 2, "a": 1, "w": 0, "t": 0}
LEAST: Final = {"v": 0.2, "a": 0.1, "w": 0.5, "t": 4.0}
PAIR_COLOURS: Final = ("line-v", "line-t")
"""First and second session of a comparison; the legend names them A and B."""
_NONE: Final = np.zeros(0)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One session: its line, its details, its findings and the roll-ups of each instrument."""

    line: Mapping[str, Any]
    detail: Mapping[str, Any]
    findings: Sequence[Mapping[str, Any]]
    series: Mapping[str, Series]

    @property
    def start_ns(self) -> int:
        """When it began."""
        told = words.number(self.detail.get("started_ns"))
        return int(told) if told is not None else words.parse_iso(self.line.get("started")) or 0

    @property
    def end_ns(self) -> int:
        """When it ended, or its newest bucket."""
        ended = words.parse_iso(self.line.get("ended"))
        last = [
            s.base_ns + int((float(s.t[-1]) + s.resolution_s) * NS)
            for s in self.series.values()
            if len(s.t)
        ]
        return ended or max(last, default=self.start_ns + NS)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return max(1.0, (self.end_ns - self.start_ns) / NS)

    @property
    def simulated(self) -> bool:
        """Whether its data are simulated."""
        return self.line.get("origin") == "simulated"

    def channels(self, kind: str) -> list[str]:
        """The channels of a kind of plot, over all instruments."""
        held = [c for s in self.series.values() for c in s.channels]
        if kind == "t":
            order = {"case": 0, "pd": 1, "cell": 2, "ambient": 3, "meter": 9}
            found = {c for c in held if c.startswith("temp_mc.")}
            return sorted(found, key=lambda c: (order.get(c.split(".")[1], 5), c))
        names = {"v": ("vbus_uv", "pack_uv"), "a": ("ibus_ua", "pack_ua"), "w": ("power_w",)}[kind]
        return [n for n in names if n in held][:1]

    def values(self, channel: str) -> tuple[Floats, Floats, Floats, Floats, float]:
        """Seconds since the start, lowest, mean, highest, and the buckets' width in seconds."""
        for series in self.series.values():
            if channel in series.channels:
                low, mean, high = series.channels[channel]
                return (
                    series.t + (series.base_ns - self.start_ns) / NS,
                    low,
                    mean,
                    high,
                    series.resolution_s,
                )
        return _NONE, _NONE, _NONE, _NONE, 1.0

    def line_of(self, channel: str, colour: str, label: str) -> Line:
        """A plot's line of one channel."""
        t, low, mean, high, width = self.values(channel)
        return Line(t, low, mean, high, colour, label, max(3.0, 1.5 * width))

    def gaps(self) -> list[tuple[float, float]]:
        """Gaps in seconds since the start."""
        series = self.series.get("meter")
        return [
            ((a - self.start_ns) / NS, ((b if b is not None else self.end_ns) - self.start_ns) / NS)
            for a, b, _cause in (series.gaps if series is not None else ())
        ]


def picture(session: Recorded, kind: str, t0: float, t1: float, cursor: float | None) -> Picture:
    """One session's plot of one kind, time since its start."""
    lines = []
    for i, channel in enumerate(session.channels(kind)):
        colour = f"line-{kind}" if kind != "t" else temperature_colour(channel, i)
        label = words.place(channel.split(".", 1)[1]) if kind == "t" else ""
        lines.append(session.line_of(channel, colour, label))
    marks = []
    for one in session.findings:
        onset = words.number(one.get("onset_ns"))
        if onset is not None and one.get("severity") in ("caution", "danger"):
            severity = str(one.get("severity"))
            marks.append(Mark((onset - session.start_ns) / NS, words.shape(severity), severity))
    return Picture(
        tuple(lines),
        t0,
        t1,
        marks=tuple(marks),
        gaps=tuple(session.gaps()),
        cursor_t=cursor,
        least_span=LEAST[kind],
        decimals=DECIMALS[kind],
        empty=_("not measured"),
    )


def overlay(
    pair: Sequence[Recorded], kind: str, t0: float, t1: float, cursor: float | None
) -> Picture:
    """Two sessions over each other, both from their own start."""
    lines = []
    for session, colour, name in zip(pair, PAIR_COLOURS, ("A", "B"), strict=False):
        lines += [session.line_of(c, colour, name) for c in session.channels(kind)[:1]]
    return Picture(
        tuple(lines),
        t0,
        t1,
        cursor_t=cursor,
        least_span=LEAST[kind],
        decimals=DECIMALS[kind],
        empty=_("not measured"),
    )


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the comparison: a name, a value, how to write it."""

    name: str
    value: float | None
    decimals: int
    unit: str


def figures(session: Recorded) -> list[Figure]:
    """Figures of a session from its roll-ups; None where nothing was measured."""
    rows = [Figure(_("duration"), session.duration_s, 0, "s")]
    energy = _integral(session, session.channels("w"))
    charge = _integral(session, session.channels("a"))
    rows.append(Figure(_("energy"), None if energy is None else energy / 3600, 3, "Wh"))
    rows.append(Figure(_("charge"), None if charge is None else charge / 3.6, 0, "mAh"))
    for kind, name in (("v", _("voltage")), ("a", _("current")), ("w", _("power"))):
        low, mean, high = _extremes(session, session.channels(kind)[:1])
        decimals = 2 if kind == "w" else 3
        rows.append(Figure(_("{name}, mean").format(name=name), mean, decimals, UNITS[kind]))
        if kind == "v":
            rows.append(Figure(_("{name}, lowest").format(name=name), low, decimals, UNITS[kind]))
        rows.append(Figure(_("{name}, highest").format(name=name), high, decimals, UNITS[kind]))
    for channel in session.channels("t"):
        place = words.place(channel.split(".", 1)[1])
        high = _extremes(session, [channel])[2]
        rows.append(Figure(_("{name}, highest").format(name=place), high, 1, "°C"))
    count = {
        s: sum(1 for f in session.findings if f.get("severity") == s) for s in ("caution", "danger")
    }
    rows.append(Figure(_("cautions"), float(count["caution"]), 0, ""))
    rows.append(Figure(_("dangers"), float(count["danger"]), 0, ""))
    rows.append(Figure(_("gaps"), words.number(session.line.get("gaps")), 0, ""))
    return rows


def _integral(session: Recorded, channels: Sequence[str]) -> float | None:
    for channel in channels:
        mean, width = session.values(channel)[2], session.values(channel)[4]
        if np.isfinite(mean).any():
            return float(np.nansum(mean) * width)
    return None


def _extremes(
    session: Recorded, channels: Sequence[str]
) -> tuple[float | None, float | None, float | None]:
    for channel in channels:
        _t, low, mean, high, _w = session.values(channel)
        if np.isfinite(mean).any():
            return float(np.nanmin(low)), float(np.nanmean(mean)), float(np.nanmax(high))
    return None, None, None


def name_of(line: Mapping[str, Any]) -> str:
    """A session in one line."""
    return " · ".join(
        p
        for p in (
            said(line.get("unit"), 60) or _("unit not named"),
            words.date_time(words.parse_iso(line.get("started"))),
            said(line.get("bench"), 20),
        )
        if p
    )
