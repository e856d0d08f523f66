"""The ingest gate: what a codec decoded becomes samples that count.

The same gate stands before live data and recordings. Vectorised; state is one row a channel.

* after a (re)connect the first block is dropped and three consistent ones must follow before
  samples count (a first frame of 188 V and 170 A has been seen: fnirsi.md §4);
* values outside the meter's physical limits and sensor fault codes become MISSING, with a flag;
* families without a checksum also pass a step gate: a jump is removed until the next sample stands
  beside it;
* current is turned to "positive out of the unit";
* stamps are rounded to 100 us and strictly increasing;
* silence longer than max(3 s, 3 sample periods) becomes a Gap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from denchi.model import Gap
from denchi_protocol.codec import MeterSpec
from denchi_protocol.samples import (
    MISSING,
    TIME_STEP_NS,
    Int32s,
    Int64s,
    Quality,
    SampleBlock,
    channel,
)

NS: Final = 1_000_000_000
CONSISTENT_BLOCKS: Final = 3
STALE_MIN_S: Final = 3.0
"""Stale after max(3 s, 3 sample periods) (DESIGN.md §7)."""
STALE_PERIODS: Final = 3

# Sensor fault codes, milli-degC: DS18B20 at power-on (85.0) and disconnected (-127), POWER-Z "no
# reading" (raw 0x8000 = -256).
_ALWAYS_FAULT: Final = (-127_000, -256_000)
_POWER_ON: Final = 85_000
_POWER_ON_NEAR: Final = 3_000
"""85.000 is believed only when the same sensor read within 3 degC of it just before."""

# Steps that an unchecked family may not make between two samples without confirmation.
_STEP_LIMIT: Final[Mapping[str, int]] = {"uV": 3_000_000, "uA": 2_000_000, "mdegC": 15_000}

ANY_LIMITS: Final[Mapping[str, tuple[float, float]]] = {
    "vbus_uv": (-1.0, 60.0),  # USB PD EPR ends at 48 V
    "ibus_ua": (-12.0, 12.0),
    "temp_mc": (-60.0, 200.0),
}
"""Limits of a recording, whose meter is not known."""


def stale_after_s(rate_hz: float | None) -> float:
    """Seconds of silence after which an instrument is stale."""
    return STALE_MIN_S if not rate_hz else max(STALE_MIN_S, STALE_PERIODS / rate_hz)


@dataclass(frozen=True, slots=True)
class Gated:
    """What one block became: samples that count (maybe none) and gaps found before them."""

    block: SampleBlock | None
    gaps: tuple[Gap, ...] = ()
    dropped: int = 0
    """Samples that did not count (settling)."""


class _Bounds(NamedTuple):
    """What a channel's counts may be; ``faults``: its sensor says some faults in the way of readings."""

    low: int
    high: int
    step: int
    faults: bool


@dataclass(slots=True)
class Gate:
    """One instrument's gate. ``sign`` turns the meter's current to positive out of the unit.

    ``rate_hz`` None: learned from the first stamps (recordings).
    """

    limits: Mapping[str, tuple[float, float]] = field(default_factory=lambda: ANY_LIMITS)
    rate_hz: float | None = None
    checked: bool = True
    sign: int = 1
    settle: bool = True
    sensor_faults: bool = True
    """Whether temperatures come from a sensor whose fault codes look like readings."""
    _settling: int = 0
    _held: list[SampleBlock] = field(default_factory=list)
    _last_ns: int | None = None
    _raw: dict[str, int] = field(default_factory=dict)
    _good_temp: dict[str, int] = field(default_factory=dict)
    _after_gap: bool = False
    _gap_cause: str = "stalled"
    _bounds: dict[str, _Bounds] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.connected()

    @classmethod
    def of(cls, spec: MeterSpec, *, reversed_: bool = False, position: str = "output") -> Gate:
        """The gate of a meter: its limits, rate, and the direction its bench says."""
        inward = spec.positive == "charge" or (spec.positive == "wiring" and position == "input")
        return cls(
            limits=spec.limits,
            rate_hz=spec.rate_hz,
            checked=spec.checksum,
            sign=-1 if inward != reversed_ else 1,
        )

    def connected(self, cause: str = "unplugged") -> None:
        """A (re)connect: settle again; what was held is forgotten, the silence becomes a gap."""
        self._settling = CONSISTENT_BLOCKS + 1 if self.settle else 0
        self._held = []
        self._raw = {}
        if self._last_ns is not None:
            self._after_gap, self._gap_cause = True, cause

    @property
    def settling(self) -> bool:
        """Whether samples do not count yet."""
        return self._settling > 0

    @property
    def last_ns(self) -> int | None:
        """Stamp of the last sample that counted."""
        return self._last_ns

    def feed(self, block: SampleBlock) -> Gated:
        """Pass one block of a codec (meter's own sign) through the gate."""
        if not len(block):
            return Gated(None)
        block = self._plausible(block)
        if self._settling:
            return self._settle(block)
        return self._count(block)

    # -- values ------------------------------------------------------------------------------

    def _plausible(self, block: SampleBlock) -> SampleBlock:
        for name, column in block.columns.items():
            if not self._usual(name, column):
                block = self._looked_at(block, name)
        return block

    def _usual(self, name: str, column: Int32s) -> bool:
        """Whether nothing is to be removed from a column: told by its extremes, without looking at each value."""
        bounds = self._bounds.get(name) or self._bounds_of(name)
        if len(column) == 1:
            low = high = last = first = int(column[0])
        else:
            low, high = int(np.minimum.reduce(column)), int(np.maximum.reduce(column))
            first, last = int(column[0]), int(column[-1])
        if high == MISSING:  # not measured at all
            return True
        if low < bounds.low or high > bounds.high or low == MISSING:
            return False
        if bounds.faults and (low <= _ALWAYS_FAULT[0] or low <= _POWER_ON <= high):
            return False
        if not self.checked:
            before = self._raw.get(name, first)
            if high - low > bounds.step or abs(first - before) > bounds.step:
                return False
            self._raw[name] = last
        if bounds.faults:
            self._good_temp[name] = last
        return True

    def _bounds_of(self, name: str) -> _Bounds:
        stem = name.split(".", 1)[0]
        limit = self.limits.get(name) or self.limits.get(stem)
        low, high = MISSING, -MISSING
        if limit is not None:
            # In counts the same comparison: a count is the value times a power of ten.
            per_si = channel(name).per_si
            low, high = math.ceil(limit[0] * per_si - 1e-6), math.floor(limit[1] * per_si + 1e-6)
        faults = stem == "temp_mc" and self.sensor_faults
        made = _Bounds(low, high, _STEP_LIMIT[channel(name).unit], faults)
        self._bounds[name] = made
        return made

    def _looked_at(self, block: SampleBlock, name: str) -> SampleBlock:
        """A column without the values that cannot be."""
        bounds = self._bounds_of(name)
        column = block.columns[name]
        outside = ((column < bounds.low) | (column > bounds.high)) & (column != MISSING)
        block = block.without(name, outside, Quality.OUT_OF_RANGE)
        if bounds.faults:
            block = self._without_fault_codes(block, name)
        return block if self.checked else self._without_steps(block, name, bounds.step)

    def _without_fault_codes(self, block: SampleBlock, name: str) -> SampleBlock:
        column = block.columns[name]
        bad = np.isin(column, _ALWAYS_FAULT)
        suspects = np.flatnonzero(column == _POWER_ON)
        if len(suspects):
            # Rare: walk the suspects only, each judged by the last good reading before it.
            good = np.flatnonzero((column != MISSING) & ~bad & (column != _POWER_ON))
            for i in suspects:
                before = good[good < i]
                last = column[before[-1]] if len(before) else self._good_temp.get(name, MISSING)
                if abs(int(last) - _POWER_ON) > _POWER_ON_NEAR:
                    bad[i] = True
        kept = np.flatnonzero((column != MISSING) & ~bad)
        if len(kept):
            self._good_temp[name] = int(column[kept[-1]])
        return block.without(name, bad, Quality.FAULT_CODE)

    def _without_steps(self, block: SampleBlock, name: str, limit: int) -> SampleBlock:
        column = block.columns[name]
        present = np.flatnonzero(column != MISSING)
        if not len(present):
            return block
        values = column[present].astype(np.int64)
        first = self._raw.get(name, int(values[0]))
        jump = np.abs(np.diff(values, prepend=first)) > limit
        self._raw[name] = int(values[-1])
        where = np.zeros(len(block), np.bool_)
        where[present[jump]] = True
        return block.without(name, where, Quality.STEP)

    # -- settling ----------------------------------------------------------------------------

    def _settle(self, block: SampleBlock) -> Gated:
        if self._settling > CONSISTENT_BLOCKS:
            self._settling -= 1
            return Gated(None, dropped=len(block))
        dropped = 0
        if self._held and not _consistent(self._held[-1], block):
            dropped = sum(len(b) for b in self._held)
            self._held = []
            self._settling = CONSISTENT_BLOCKS
        self._held.append(block)
        self._settling -= 1
        if self._settling:
            return Gated(None, dropped=dropped)
        held, self._held = self._held, []
        gated = self._count(SampleBlock.concat(held))
        return Gated(gated.block, gated.gaps, dropped)

    # -- time and sign -----------------------------------------------------------------------

    def _count(self, block: SampleBlock) -> Gated:
        if self.rate_hz is None and len(block) > 1:
            period_s = float(np.median(np.diff(block.t_ns))) / NS
            self.rate_hz = 1.0 / period_s if period_s > 0 else None
        t_ns, quality = self._stamped(block.t_ns), block.quality
        gaps, starts = self._gaps(t_ns)
        if starts:
            quality = quality.copy()
            quality[starts] |= np.uint16(Quality.AFTER_GAP)
        block = SampleBlock.trusted(t_ns, dict(block.columns), quality)
        if self.sign < 0:
            block = block.negated(("ibus_ua", "pack_ua"))
        self._last_ns = int(t_ns[-1])
        return Gated(block, gaps)

    def _stamped(self, t_ns: Int64s) -> Int64s:
        step = TIME_STEP_NS
        if len(t_ns) == 1:  # one live sample: the same without arrays
            stamp = (int(t_ns[0]) + step // 2) // step * step
            if self._last_ns is not None:
                stamp = max(stamp, self._last_ns + step)
            return np.array((stamp,), np.int64)
        rounded = (t_ns + step // 2) // step * step
        floor = rounded[0] if self._last_ns is None else max(rounded[0], self._last_ns + step)
        ramp = _ramp(len(rounded))
        rounded[0] = floor
        stamped: Int64s = np.maximum.accumulate(rounded - ramp) + ramp
        return stamped

    def _gaps(self, t_ns: Int64s) -> tuple[tuple[Gap, ...], list[int]]:
        limit_ns = int(stale_after_s(self.rate_hz) * NS)
        gaps: list[Gap] = []
        starts: list[int] = []
        first, last = int(t_ns[0]), int(t_ns[-1])
        if self._last_ns is None:
            starts.append(0)
        elif self._after_gap or first - self._last_ns > limit_ns:
            cause = self._gap_cause if self._after_gap else "stalled"
            gaps.append(Gap(self._last_ns, first, cause))
            starts.append(0)
        self._after_gap = False
        if last - first > limit_ns:  # else there is no room for a gap
            for i in np.flatnonzero(np.diff(t_ns) > limit_ns).tolist():
                gaps.append(Gap(int(t_ns[i]), int(t_ns[i + 1]), "stalled"))
                starts.append(i + 1)
        return tuple(gaps), starts


def _ramp(n: int) -> Int64s:
    """(n,): a step more for each sample."""
    return _RAMP[:n] if n <= len(_RAMP) else np.arange(n, dtype=np.int64) * TIME_STEP_NS


_RAMP: Final = np.arange(256, dtype=np.int64) * TIME_STEP_NS


def _consistent(before: SampleBlock, after: SampleBlock) -> bool:
    """Whether two blocks could follow each other: at least one value, none far from its neighbour."""
    seen = False
    for name in after.columns:
        a, b = before.si(name), after.si(name)
        a, b = a[~np.isnan(a)], b[~np.isnan(b)]
        if not len(b):
            continue
        seen = True
        if (
            len(a)
            and abs(float(b[0] - a[-1])) * channel(name).per_si > _STEP_LIMIT[channel(name).unit]
        ):
            return False
    return seen
