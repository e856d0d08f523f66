"""The health engine of one session: blocks of its instruments in, findings out. Pure; time is an argument.

The main instrument (meter or battery) drives the seconds; a probe's newest value is joined to them
with its age. ``advance`` lets time pass when nothing comes. The same samples give the same findings
in any cutting, live or replayed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np

from denchi.health.base import NS, Context, Detector, Second
from denchi.health.contract import Contract, ContractWatch
from denchi.health.grid import NAN, POWER, UNUSED, Row, rows_of
from denchi.health.profiles import Limits, Profile
from denchi.health.verdict import Coverage, judge
from denchi.model import Finding, Gap, RecallStatus, SessionMeta, VerdictReport
from denchi_protocol.codec import PdMessage, Telemetry
from denchi_protocol.samples import SampleBlock

MAIN: Final = ("meter", "battery")
LAG_S: Final = 2
"""``advance`` closes seconds this long after they ended: what is on its way still counts."""
HOLD_MIN_S: Final = 3.0
HOLD_PERIODS: Final = 3.0
JUMP_S: Final = 120
"""More empty seconds than this are passed over at once: nothing can be seen in them."""
IDLE_W: Final = 0.15
CHARGING_A: Final = -0.05
UNIT_PLACES: Final = ("case", "pd", "cell")


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures of a session so far."""

    rows: int
    span_s: float
    gaps: int
    gap_s: float
    wh_out: float
    wh_in: float
    ah_out: float
    ah_in: float
    max_temp_c: dict[str, float]
    """Greatest temperature by place (median of three seconds: one wrong reading is none)."""
    max_load_a: float
    min_vbus_loaded_v: float | None
    seconds_measured: float
    seconds_unit_temp: float
    idle_after_load_s: float
    to_empty: bool
    figures: dict[str, float]
    """What was measured of the unit, for its history."""


@lru_cache(maxsize=1)
def load_detectors() -> tuple[Callable[[], Detector], ...]:
    """Factories of the detectors, by entry-point group ``denchi.detectors``; names give the order."""
    from importlib.metadata import entry_points

    found = sorted(entry_points(group="denchi.detectors"), key=lambda e: e.name)
    return tuple(e.load() for e in found)


class _Place:
    """The newest temperature of a place and how long it may be used."""

    __slots__ = ("high", "last_k", "last_t_ns", "period_s", "recent", "value")

    def __init__(self) -> None:
        self.value = NAN
        self.last_k = -1
        self.last_t_ns = 0
        self.period_s = 1.0
        self.recent: list[float] = []
        self.high = -math.inf

    def take(self, value: float, k: int, t_ns: int) -> None:
        if self.last_k >= 0:
            self.period_s = max(1.0, min(float(k - self.last_k), 30.0))
        self.value, self.last_k, self.last_t_ns = value, k, t_ns
        self.recent = [*self.recent[-2:], value]
        if len(self.recent) == 3:
            self.high = max(self.high, sorted(self.recent)[1])

    def at(self, k: int) -> float:
        age = k - self.last_k
        if self.last_k < 0 or age > max(HOLD_MIN_S, HOLD_PERIODS * self.period_s):
            return NAN
        return self.value


def _unit_temperatures(block: SampleBlock) -> tuple[tuple[str, str], ...]:
    """(channel, place) of the temperatures in a block that speak of the unit.

    The channel's name tells the place: a thermometer's was named after its role when its block was taken
    in, and a board in the role ``case`` that also measures the air and itself names each.
    """
    return tuple(
        (name, name[8:])
        for name in block.columns
        if name.startswith("temp_mc.") and name[8:].split(".")[0] in UNIT_PLACES
    )


def _near_c(limits: Limits) -> float:
    """From this temperature on every sample of the unit is shown to the detectors."""
    return min(limits.charge_danger_c, limits.case_danger_c) - 8.0


@dataclass(slots=True)
class _Waiting:
    """The newest second of an instrument, not over yet."""

    k: int
    parts: list[SampleBlock]


class HealthEngine:
    """Detectors, contract, energy and completeness of one session.

    ``temperature_places``: where the bench's instruments measure (``case``, ``cell``, ``pd``, ``ambient``,
    ``meter``). ``rate_hz``: the main instrument's, None when not known. ``detectors``: all that are installed,
    unless others are named.
    """

    def __init__(
        self,
        profile: Profile,
        meta: SessionMeta,
        *,
        start_ns: int,
        temperature_places: frozenset[str] = frozenset(),
        rate_hz: float | None = None,
        detectors: Sequence[Callable[[], Detector]] | None = None,
    ) -> None:
        self.profile = profile
        self.context = Context(profile.limits, meta, start_ns, places=temperature_places)
        self._near_c = _near_c(profile.limits)
        self.detectors = [make() for make in (load_detectors() if detectors is None else detectors)]
        # A second goes to those that look at it; most detectors override two or three of the eight calls.
        self._lookers = self._overriding("second")
        self._openers = self._overriding("open_codes")
        self._watch = ContractWatch()
        self._period_s = max(1.0, 1.0 / rate_hz) if rate_hz else 1.0
        self._rate_hz = rate_hz
        self._pending: dict[str, _Waiting] = {}
        self._main: str | None = None
        self._done_k = -1
        self._row: Row | None = None
        """The newest closed row of the main instrument: what a slow meter still says."""
        self._places: dict[str, _Place] = {}
        self._hot: set[str] = set()
        self._unit_temps: dict[tuple[str, ...], tuple[tuple[str, str], ...]] = {}
        self._cells: tuple[float, ...] = ()
        self._cells_k = -1
        self._rows = 0
        self._gaps = 0
        self._gap_s = 0.0
        self._coverage = Coverage()
        self._worst: dict[str, Finding] = {}
        """The most severe finding of each code: what a verdict rests on, and never more than that."""
        self._first_ns: int | None = None
        self._last_ns = start_ns
        self._stale_raised = False
        self._max_load_a = 0.0
        self._min_loaded_v = math.inf

    @property
    def contract(self) -> Contract | None:
        """The contract in force, as far as it is known."""
        return self._watch.contract

    def _overriding(self, name: str) -> list[Detector]:
        """The detectors with a method of this name of their own."""
        return [d for d in self.detectors if getattr(type(d), name) is not getattr(Detector, name)]

    # -- what comes in -----------------------------------------------------------------------

    def feed(self, role: str, block: SampleBlock) -> list[Finding]:
        """Take a block of the instrument ``role`` (``meter battery case ambient``)."""
        found: list[Finding] = []
        self._rows += (n := len(block.t_ns))
        if self._main is None and role in MAIN:
            self._main = role
        if n:
            first_ns, last_ns = block.t_ns.item(0), block.t_ns.item(-1)
            if self._first_ns is None:
                self._first_ns = first_ns
            if last_ns > self._last_ns:
                self._last_ns = last_ns
            if hot := self._hot_places(block):
                for part in self._seconds_of(block):
                    found += self._take(role, part, int(part.t_ns[0]), int(part.t_ns[-1]))
                    found += self._warm(part, hot)
            else:
                found = self._take(role, block, first_ns, last_ns)
        return self._keep(found) if found else found

    def _take(self, role: str, block: SampleBlock, first_ns: int, last_ns: int) -> list[Finding]:
        """Close the seconds that are over; what belongs to the newest second waits for its end."""
        start = self.context.start_ns
        last_k = (last_ns - start) // NS
        waiting = self._pending.get(role)
        if waiting is not None and waiting.k >= last_k:
            # Most live blocks: the second goes on. Stamps of one instrument increase, so none is older.
            waiting.parts.append(block)
            return []
        found: list[Finding] = []
        first_k = (first_ns - start) // NS
        if waiting is not None:
            if first_k == waiting.k:
                cut = int(np.searchsorted(block.t_ns, start + (waiting.k + 1) * NS))
                waiting.parts.append(block[:cut])
                block = block[cut:]
            found += self._close(role, waiting)
        cut = int(np.searchsorted(block.t_ns, start + last_k * NS)) if first_k < last_k else 0
        if cut:
            for row in rows_of(block[:cut], start):
                found += self._closed(role, row)
            block = block[cut:]
        self._pending[role] = _Waiting(last_k, [block])
        return found

    def _warm(self, block: SampleBlock, hot: tuple[tuple[str, str], ...]) -> list[Finding]:
        """Show every sample of temperatures near a limit."""
        found: list[Finding] = []
        stamps = block.t_ns.tolist()
        for name, place in hot:
            values = block.si(name).tolist()
            for detector in self.detectors:
                found += detector.temperatures(place, stamps, values, self.context)
        return found

    def _hot_places(self, block: SampleBlock) -> tuple[tuple[str, str], ...]:
        """(channel, place) of the unit's temperatures that come near a limit in this block, or just did."""
        key = tuple(block.columns)
        names = self._unit_temps.get(key)
        if names is None:
            names = self._unit_temps[key] = _unit_temperatures(block)
        if not names:
            return ()
        near: list[tuple[str, str]] = []
        low = self._near_c
        for name, place in names:
            if block.greatest(name) >= low:
                self._hot.add(place)
                near.append((name, place))
            elif place in self._hot:
                # What follows a value near the limit is shown too: "in a row" means the next sample.
                self._hot.discard(place)
                near.append((name, place))
        return tuple(near)

    def _seconds_of(self, block: SampleBlock) -> Iterable[SampleBlock]:
        seconds = (block.t_ns - self.context.start_ns) // NS
        edges = [0, *(np.flatnonzero(np.diff(seconds)) + 1).tolist(), len(block)]
        return (block[lo:hi] for lo, hi in pairwise(edges))

    def gap(self, role: str, gap: Gap) -> list[Finding]:
        """An instrument was away from ``gap.start_ns`` to ``gap.end_ns``."""
        found: list[Finding] = []
        if role in MAIN:
            self._gaps += 1
            if gap.end_ns is not None:
                seconds = (gap.end_ns - gap.start_ns) / NS
                self._gap_s += seconds
                self._coverage.gap(seconds)
            self._watch.gap()
            self.context.since_gap_s = 0.0
            self._stale_raised = False
            for detector in self.detectors:
                found += detector.gap(gap, self.context)
        return self._keep(found)

    def pd(self, message: PdMessage) -> list[Finding]:
        """Take a USB-PD message."""
        self._watch.pd(message)
        self.context.contract = self._watch.contract
        found: list[Finding] = []
        for detector in self.detectors:
            found += detector.pd(message, self.context)
        return self._keep(found)

    def telemetry(self, role: str, telemetry: Telemetry) -> list[Finding]:
        """Take what a battery or meter says beside its samples."""
        found: list[Finding] = []
        for detector in self.detectors:
            found += detector.telemetry(telemetry, self.context)
        return self._keep(found)

    def advance(self, now_ns: int) -> list[Finding]:
        """Let time pass: close the seconds that are over, tell when nothing comes any more."""
        found: list[Finding] = []
        end_k = (now_ns - self.context.start_ns) // NS - LAG_S
        for role in [r for r in self._pending if r not in MAIN] + [
            r for r in self._pending if r in MAIN
        ]:
            waiting = self._pending[role]
            if waiting.k < end_k:
                found += self._close(role, waiting)
        if self._first_ns is not None and self._done_k < end_k - 1:
            found += self._through(end_k - 1, None)
        found += self._stale(now_ns)
        return self._keep(found)

    def answer(self, question: str, value: bool, t_ns: int) -> list[Finding]:
        """Take the answer to a question that a finding asked."""
        self.context.answers[question] = value
        found: list[Finding] = []
        for detector in self.detectors:
            found += detector.answer(question, value, t_ns, self.context)
        return self._keep(found)

    def finish(self, end_ns: int) -> list[Finding]:
        """The session ends: the last seconds are closed."""
        found: list[Finding] = []
        for role in sorted(self._pending, key=lambda r: r in MAIN):
            found += self._close(role, self._pending[role])
        for detector in self.detectors:
            found += detector.finish(max(end_ns, self._last_ns), self.context)
        return self._keep(found)

    def note(self, found: list[Finding]) -> list[Finding]:
        """Take findings made beside the detectors (the unit's history): the verdict rests on them too."""
        return self._keep(found)

    def set_meta(self, meta: SessionMeta) -> None:
        """More is known of the unit now."""
        self.context.meta = meta

    def set_profile(self, profile: Profile) -> None:
        """Limits changed; state is kept."""
        self.profile = profile
        self.context.limits = profile.limits
        self._near_c = _near_c(profile.limits)

    # -- seconds -----------------------------------------------------------------------------

    def _close(self, role: str, waiting: _Waiting) -> list[Finding]:
        """The second that waited is over."""
        self._pending.pop(role, None)
        found: list[Finding] = []
        for row in rows_of(SampleBlock.concat(waiting.parts, UNUSED), self.context.start_ns):
            found += self._closed(role, row)
        return found

    def _closed(self, role: str, row: Row) -> list[Finding]:
        """A second of one instrument is complete."""
        t_ns = self.context.start_ns + (row.k + 1) * NS
        cell_max = -math.inf
        for name in row.cells:
            if name.startswith("temp_mc."):
                place = name[8:]
                if place.startswith("cell."):
                    cell_max = max(cell_max, row.mean(name))
                else:
                    self._place(place).take(row.mean(name), row.k, t_ns)
        if cell_max > -math.inf:
            self._place("cell").take(cell_max, row.k, t_ns)
        if role not in MAIN:
            return []
        if row.k <= self._done_k:
            return []
        for other, waiting in list(self._pending.items()):
            # A probe's second that is over need not wait for its next sample.
            if other not in MAIN and waiting.k <= row.k:
                self._close(other, waiting)
        return self._through(row.k, row)

    def _place(self, name: str) -> _Place:
        return self._places.setdefault(name, _Place())

    def _through(self, k: int, row: Row | None) -> list[Finding]:
        """Show the detectors every second up to ``k``; ``row`` is the main instrument's own for ``k``."""
        found: list[Finding] = []
        first = self._done_k + 1
        if k - first > JUMP_S:
            # What a slow meter last said holds for a while; after that there is nothing to see.
            for empty in range(first, first + int(HOLD_MIN_S) + 1):
                found += self._second(empty, None)
            first = k
            self.context.since_gap_s = 0.0
        for empty in range(first, k):
            found += self._second(empty, None)
        found += self._second(k, row)
        return found

    def _second(self, k: int, row: Row | None) -> list[Finding]:
        ctx = self.context
        s = Second(k, ctx.start_ns + (k + 1) * NS)
        if row is not None:
            if self._row is not None:
                self._period_s = max(1.0, min(float(k - self._row.k), 30.0))
            self._row = row
            s.fresh, s.n, s.dark, s.unchecked = True, row.rows, row.dark, row.unchecked
        used = row
        if used is None and self._row is not None:
            if k - self._row.k <= max(HOLD_MIN_S, HOLD_PERIODS * self._period_s):
                used = self._row
        if used is not None:
            self._fill(s, used)
        case = self._places.get("case")
        s.case_fresh = case is not None and case.last_k == k
        for place in ("case", "ambient", "meter", "pd"):
            if (known := self._places.get(place)) is not None:
                setattr(s, place, known.at(k))
        if (known := self._places.get("cell")) is not None:
            s.cell_temp = known.at(k)
        self._done_k = k
        return self._show(s, ctx)

    def _fill(self, s: Second, row: Row) -> None:
        volts, amps = "vbus_uv", "ibus_ua"
        if volts not in row.cells and "pack_uv" in row.cells:
            volts, amps = "pack_uv", "pack_ua"
        s.pack = volts == "pack_uv" or self.context.cell_side
        s.v, s.v_low, s.v_high = row.mean(volts), row.low(volts), row.high(volts)
        s.i, s.i_low, s.i_high = row.mean(amps), row.low(amps), row.high(amps)
        s.p = row.mean(POWER)
        cells = [n for n in row.cells if n.startswith("cell_uv.")]
        if cells:
            cells.sort(key=lambda n: int(n[8:]))
            s.cells = [row.mean(n) for n in cells]

    def _show(self, s: Second, ctx: Context) -> list[Finding]:
        self._account(s, ctx)
        if not s.pack and not ctx.input_side:
            self._watch.second(s.v, s.t_ns)
        ctx.contract = self._watch.contract
        found: list[Finding] = []
        for detector in self._lookers:
            if got := detector.second(s, ctx):
                found += got
        active = ctx.active
        active.clear()
        for detector in self._openers:
            for code, severity in detector.open_codes():
                active[code] = severity
        return found

    def _account(self, s: Second, ctx: Context) -> None:
        """Energy, idle and load time, and what the verdict needs to know of completeness."""
        ctx.since_gap_s += 1.0
        power = s.p
        if power == power:
            if power >= 0:
                ctx.wh_out += power / 3600
                ctx.ah_out += max(s.i, 0.0) / 3600
            else:
                ctx.wh_in -= power / 3600
                ctx.ah_in -= min(s.i, 0.0) / 3600
            if abs(power) < IDLE_W:
                ctx.idle_s += 1.0
                ctx.load_s = 0.0
            else:
                ctx.load_s += 1.0
                ctx.idle_s = 0.0
            ctx.charging = s.i < CHARGING_A
            self._max_load_a = max(self._max_load_a, s.i)
            if s.i > 0.3 and not s.pack and s.v_low > 2.5:
                self._min_loaded_v = min(self._min_loaded_v, s.v)
        self._coverage.second(s, ctx)

    def _stale(self, now_ns: int) -> Iterable[Finding]:
        """A live session hears nothing any more (DESIGN.md §7: after max(10 s, 10 periods))."""
        if self._stale_raised or self._first_ns is None:
            return ()
        age_s = (now_ns - self._last_ns) / NS
        limit_s = max(10.0, 10.0 / self._rate_hz if self._rate_hz else 0.0)
        if age_s <= limit_s:
            return ()
        self._stale_raised = True
        from denchi.health.detectors.silence import silent

        return [silent(self._last_ns, now_ns, age_s, limit_s)]

    # -- what comes out ----------------------------------------------------------------------

    def _keep(self, found: list[Finding]) -> list[Finding]:
        if len(found) > 1:
            found.sort(key=lambda f: f.t_ns)
        for finding in found:
            known = self._worst.get(finding.code)
            if known is None or finding.severity > known.severity:
                self._worst[finding.code] = finding
        return found

    def summary(self) -> Summary:
        """Figures so far."""
        ctx = self.context
        first = self._first_ns if self._first_ns is not None else ctx.start_ns
        return Summary(
            rows=self._rows,
            span_s=max(0.0, (self._last_ns - first) / NS),
            gaps=self._gaps,
            gap_s=self._gap_s,
            wh_out=ctx.wh_out,
            wh_in=ctx.wh_in,
            ah_out=ctx.ah_out,
            ah_in=ctx.ah_in,
            max_temp_c={p: v.high for p, v in self._places.items() if v.high > -math.inf},
            max_load_a=self._max_load_a,
            min_vbus_loaded_v=None if math.isinf(self._min_loaded_v) else self._min_loaded_v,
            seconds_measured=self._coverage.measured_s.get("vbus_uv", 0.0)
            or self._coverage.measured_s.get("pack_uv", 0.0),
            seconds_unit_temp=self._coverage.measured_s.get("unit_temperature", 0.0),
            idle_after_load_s=self._coverage.idle_after_load_s,
            to_empty=ctx.emptied,
            figures=dict(ctx.figures),
        )

    def verdict(
        self,
        *,
        recall: RecallStatus | None,
        recall_answered: bool,
        symptoms: tuple[str, ...],
        end_ns: int,
    ) -> VerdictReport:
        """The verdict if the session ended at ``end_ns`` (DESIGN.md §4)."""
        return judge(
            self.profile,
            self._coverage,
            list(self._worst.values()),
            recall=recall,
            recall_answered=recall_answered,
            symptoms=symptoms,
            emptied=self.context.emptied,
            started_ns=self._first_ns,
            last_ns=self._last_ns,
            end_ns=end_ns,
        )
