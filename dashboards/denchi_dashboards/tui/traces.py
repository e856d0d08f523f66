"""From samples to pictures: rings for the last minutes, roll-ups of the API for everything older."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from denchi.clock import NS
from denchi_dashboards.tui import words
from denchi_dashboards.tui.layout import said
from denchi_dashboards.tui.panels import temperature_colour
from denchi_dashboards.tui.plot import Limit, Line, Mark, Picture
from denchi_dashboards.tui.present import AMP_CHANNELS, VOLT_CHANNELS, BenchView, Present
from denchi_dashboards.tui.raster import Floats
from denchi_dashboards.tui.words import _

SPANS_S: Final = (60, 300, 900, 3600, 6 * 3600, 86_400, 7 * 86_400, 30 * 86_400)
KINDS: Final = ("v", "a", "w", "t")
POINTS: Final = 400
_LEAST: Final = {"v": 0.2, "a": 0.1, "w": 0.5, "t": 4.0}
_NEAR: Final = {"v": 0.4, "a": 0.5, "w": 2.0, "t": 15.0}
_DECIMALS: Final = {"v": 2, "a": 1, "w": 0, "t": 0}
_UNITS: Final = {"v": "V", "a": "A", "w": "W", "t": "°C"}
_NONE: Final = np.zeros(0)


def span_name(seconds: int) -> str:
    """A span in words."""
    if seconds < 3600:
        return _("{n} min").format(n=seconds // 60)
    if seconds < 86_400:
        return _("{n} h").format(n=seconds // 3600)
    return _("{n} d").format(n=seconds // 86_400)


@dataclass(slots=True)
class Series:
    """A ``/series`` answer in arrays: times in seconds after ``base_ns``, SI values."""

    base_ns: int
    resolution_s: float
    t: Floats
    channels: dict[str, tuple[Floats, Floats, Floats]]
    gaps: list[tuple[int, int | None, str]]

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> Series:
        """Arrays from JSON; null = NaN."""
        stamps = np.asarray(answer.get("t_ns") or [], np.int64)
        base = int(stamps[0]) if len(stamps) else 0
        channels = {}
        for name, one in (answer.get("channels") or {}).items():
            arrays = [np.asarray(one.get(k) or [], np.float64) for k in ("min", "mean", "max")]
            if all(len(a) == len(stamps) for a in arrays):
                channels[str(name)] = (arrays[0], arrays[1], arrays[2])
        gaps = [
            (int(g[0]), None if g[1] is None else int(g[1]), str(g[2]) if len(g) > 2 else "")
            for g in answer.get("gaps") or []
            if isinstance(g, (list, tuple)) and len(g) >= 2 and words.number(g[0]) is not None
        ]
        resolution = words.number(answer.get("resolution_s")) or 1.0
        return cls(base, resolution, (stamps - base) / NS, channels, gaps)


@dataclass(slots=True)
class Trace:
    """What part of time is looked at: a span, live or paused, and a cursor."""

    span: int = 0
    paused_ns: int | None = None
    cursor: float | None = None
    """Share of the picture's width, 0 left to 1 right."""
    history: dict[tuple[str, str, int], Series] = field(default_factory=dict)
    """By (session, role, span index)."""
    fetched_at: dict[tuple[str, str, int], float] = field(default_factory=dict)

    @property
    def span_s(self) -> int:
        """Seconds shown."""
        return SPANS_S[self.span]

    def end_ns(self, present: Present, bench: BenchView) -> int:
        """The right edge."""
        return self.paused_ns if self.paused_ns is not None else present.now_ns(bench)

    def roles(self, bench: BenchView) -> list[str]:
        """The instruments of the bench."""
        channels = bench.part("live").get("channels")
        told = channels.values() if isinstance(channels, dict) else ()
        roles = {str(c.get("role") or "meter") for c in told if isinstance(c, dict)}
        return sorted(roles | set(bench.rings) | {"meter"})[:8]

    def due(self, present: Present, bench: BenchView, now_s: float) -> list[tuple[str, int, int]]:
        """(role, from_ns, to_ns) of the roll-ups to ask for now."""
        end = self.end_ns(present, bench)
        start = end - self.span_s * NS
        wanted = []
        for role in self.roles(bench):
            ring = bench.rings.get(role)
            oldest = ring.oldest_ns if ring is not None else None
            if oldest is not None and oldest <= start:
                continue
            key = (bench.session_id, role, self.span)
            # A new point of a 400-point picture is due each span/400; the rings fill in meanwhile.
            every = max(5.0, self.span_s / POINTS)
            if bench.session_id and now_s - self.fetched_at.get(key, -1e12) >= every:
                self.fetched_at[key] = now_s
                wanted.append((role, start, end))
        return wanted

    def store(self, session: str, role: str, span: int, series: Series) -> None:
        """Keep an answer; answers of other sessions are forgotten."""
        self.history = {k: v for k, v in self.history.items() if k[0] == session}
        self.history[session, role, span] = series


def channels_of(bench: BenchView, kind: str) -> list[str]:
    """The channels that a kind of plot shows."""
    if kind == "t":
        return bench.temperatures()[:6]
    names = {"v": VOLT_CHANNELS, "a": AMP_CHANNELS, "w": ("power_w",)}[kind]
    known = bench.part("live").get("channels")
    known = known if isinstance(known, dict) else {}
    held = {c for ring in bench.rings.values() for c in ring.channels}
    return [next((n for n in names if n in known or n in held), names[0])]


def picture(present: Present, bench: BenchView, trace: Trace, kind: str) -> Picture:
    """The picture of one kind (``v a w t``) for a bench."""
    end = trace.end_ns(present, bench)
    base = end - trace.span_s * NS
    lines = []
    for i, name in enumerate(channels_of(bench, kind)):
        colour = f"line-{kind}" if kind != "t" else temperature_colour(name, i)
        label = words.place(name.split(".", 1)[1]) if kind == "t" else ""
        one = _line(bench, trace, name, base, end, colour, label)
        if one is not None:
            lines.append(one)
    span = float(trace.span_s)
    return Picture(
        tuple(lines),
        0.0,
        span,
        base_ns=base,
        limits=tuple(limits(bench, kind)),
        marks=tuple(marks(bench, base)),
        gaps=tuple(gaps(present, bench, trace, base, end)),
        cursor_t=None if trace.cursor is None else trace.cursor * span,
        least_span=_LEAST[kind],
        near=_NEAR[kind],
        decimals=_DECIMALS[kind],
        empty=_("not measured"),
    )


def _role_of(bench: BenchView, name: str) -> tuple[str, ...]:
    roles = tuple(role for role, ring in bench.rings.items() if name in ring.channels)
    channels = bench.part("live").get("channels")
    told = channels.get(name) if isinstance(channels, dict) else None
    role = str(told.get("role") or "meter") if isinstance(told, dict) else "meter"
    return roles or (role,)


def _line(
    bench: BenchView, trace: Trace, name: str, base: int, end: int, colour: str, label: str
) -> Line | None:
    role = _role_of(bench, name)[0]
    ring = bench.rings.get(role)
    t_ns, y = ring.window(name, base, end) if ring is not None else (np.zeros(0, np.int64), _NONE)
    t = (t_ns - base) / NS
    rate = words.number(bench.part("link").get("rate_hz")) if role == "meter" else None
    join_s = max(3.0, 3.0 / rate if rate else 3.0)
    series = trace.history.get((bench.session_id, role, trace.span))
    old = series.channels.get(name) if series is not None else None
    if series is None or old is None:
        return Line(t, y, y, y, colour, label, join_s) if len(t) else None
    shift = (series.base_ns - base) / NS
    old_t = series.t + shift
    before = old_t < (t[0] if len(t) else np.inf)
    count = int(before.sum())
    joined = np.concatenate([old_t[before], t])
    breaks = np.concatenate(
        [np.full(count, max(3.0, 1.5 * series.resolution_s)), np.full(len(t), join_s)]
    )
    if count and len(t):
        breaks[count] = breaks[0]
    low, mean, high = (np.concatenate([a[before], y]) for a in old)
    return Line(joined, low, mean, high, colour, label, breaks)


def gaps(
    present: Present, bench: BenchView, trace: Trace, base: int, end: int
) -> list[tuple[float, float]]:
    """Gaps within the picture, in seconds, the one still open included."""
    found = dict.fromkeys((g[0], g[1]) for g in bench.gaps)
    series = trace.history.get((bench.session_id, "meter", trace.span))
    if series is not None:
        found.update(dict.fromkeys((g[0], g[1]) for g in series.gaps))
    spans = []
    for start, stop in found:
        last = end if stop is None else stop
        if last > base and start < end:
            spans.append(((start - base) / NS, (last - base) / NS))
    newest = bench.newest_ns
    live = bench.part("live")
    silent = bool(live.get("stale")) or not present.fresh
    if newest is not None and trace.paused_ns is None and silent and end - newest > 2 * NS:
        spans.append(((newest - base) / NS, (end - base) / NS))
    return spans


def limits(bench: BenchView, kind: str) -> list[Limit]:
    """Contract limits, limits the daemon names, and the limits that findings rest on."""
    found: list[Limit] = []
    contract = bench.part("contract")
    if kind == "v":
        for key, words_ in (("low_v", _("contract min")), ("high_v", _("contract max"))):
            value = words.number(contract.get(key))
            if value is not None:
                found.append(Limit(value, "quiet", f"{words_} {value:.2f} V", f"{value:.2f} V"))
    if kind == "a":
        value = words.number(contract.get("current_a"))
        if value is not None:
            found.append(Limit(value, "quiet", f"{_('contract')} {value:.2f} A", f"{value:.2f} A"))
    for told in bench.state.get("limits") or []:
        if isinstance(told, Mapping) and _kind_of(said(told.get("unit"), 8)) == kind:
            value = words.number(told.get("value"))
            if value is not None:
                found.append(_limit(value, str(told.get("severity")), kind))
    for one in bench.findings()[-20:]:
        if one.get("severity") in ("caution", "danger"):
            value = limit_value(str(one.get("limit") or ""), kind)
            if value is not None:
                found.append(_limit(value, str(one.get("severity")), kind))
    return list({round(x.value, 4): x for x in found}.values())[:6]


def _limit(value: float, severity: str, kind: str) -> Limit:
    colour = severity if severity in ("caution", "danger") else "quiet"
    figure = f"{value:g} {_UNITS[kind]}"
    return Limit(value, colour, f"{words.severity(severity)} {figure}", figure)


def _kind_of(unit: str) -> str:
    return {"V": "v", "A": "a", "W": "w", "degC": "t", "°C": "t"}.get(unit, "")


def limit_value(text: str, kind: str) -> float | None:
    """The figure of a finding's limit if it is one of this plot's quantity (``< 4.75 V``).

    "2 in 20 min above 0.15 A" is a limit on a count: no line of any plot.
    """
    signs = {"v": "V", "a": "A", "w": "W", "t": "(?:°C|degC)"}[kind]
    match = re.match(rf"[^\d]*?(-?\d+(?:\.\d+)?)\s*{signs}(?![\w/·*])", text)
    return float(match[1]) if match else None


def marks(bench: BenchView, base: int) -> list[Mark]:
    """Onsets of cautions and dangers."""
    found = []
    for one in bench.findings()[-40:]:
        onset = words.number(one.get("onset_ns"))
        severity = str(one.get("severity"))
        if onset is not None and severity in ("caution", "danger"):
            found.append(Mark((onset - base) / NS, words.shape(severity), severity))
    return found


def read_at(one: Line, t: float, reach: float) -> float | None:
    """The value of a line nearest to ``t``; None when nothing was measured within ``reach`` s."""
    measured = np.isfinite(one.mean)
    if not measured.any():
        return None
    times = one.t[measured]
    index = int(np.argmin(np.abs(times - t)))
    if abs(float(times[index]) - t) > reach:
        return None
    return float(one.mean[measured][index])
