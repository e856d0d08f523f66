"""SampleBlock: a run of samples of one instrument, in columns. The one type of the house.

Columns are int32 in small units (uV, uA, milli-degC), so that a value is stored exactly as it
was rounded once, and a block compresses well. ``MISSING`` (INT32_MIN) means "not measured at
this instant": never 0, never the last value. Arithmetic goes only through the float accessors
in SI units (``vbus_v()``, ``power_w()``, ...), because int32 products wrap silently; a house test
forbids arithmetic on raw columns outside this file.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from functools import lru_cache
from itertools import repeat
from typing import Final

import numpy as np
from numpy.typing import NDArray

from denchi_protocol.errors import LocalProtocolError

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.uint16]

MISSING: Final = int(np.iinfo(np.int32).min)
"""Column value for "not measured at this instant"."""

TIME_STEP_NS: Final = 100_000
"""Time stamps are rounded to 100 us when a sample is stamped."""


class Quality(IntFlag):
    """What is known against a sample; 0 is a plainly measured one."""

    NONE = 0
    UNCHECKED = 1
    """The family has no checksum: only range and step were checked."""
    OUT_OF_RANGE = 2
    """A value outside the meter's physical limits was removed (that cell is MISSING)."""
    FAULT_CODE = 4
    """A sensor's fault code (85.0, -127, -256 degC) was removed (that cell is MISSING)."""
    AFTER_GAP = 8
    """First sample after a gap or a (re)connect."""
    TIME_SPREAD = 16
    """The device gave no time: the stamp was spread back from its frame's arrival."""
    STEP = 32
    """The value jumped further than this family can and was removed until confirmed."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One entry of the channel registry: ``name`` with its ``unit``, ``place`` and SI scale."""

    name: str
    quantity: str
    """``voltage`` | ``current`` | ``temperature``."""
    unit: str
    """Unit of the int32 column: ``uV`` | ``uA`` | ``mdegC``."""
    place: str
    """Where it is measured: ``vbus dp dm cc1 cc2 pack cell.N case ambient pd meter``."""
    si_unit: str
    """Unit of the float accessor: ``V`` | ``A`` | ``degC``."""
    per_si: int
    """Column counts per SI unit (1_000_000 for uV)."""


def _voltage(name: str, place: str) -> Channel:
    return Channel(name, "voltage", "uV", place, "V", 1_000_000)


def _current(name: str, place: str) -> Channel:
    return Channel(name, "current", "uA", place, "A", 1_000_000)


def _temperature(name: str, place: str) -> Channel:
    return Channel(name, "temperature", "mdegC", place, "degC", 1_000)


CHANNELS: Final[Mapping[str, Channel]] = {
    c.name: c
    for c in (
        _voltage("vbus_uv", "vbus"),
        _current("ibus_ua", "vbus"),
        _voltage("dp_uv", "dp"),
        _voltage("dm_uv", "dm"),
        _voltage("cc1_uv", "cc1"),
        _voltage("cc2_uv", "cc2"),
        _voltage("pack_uv", "pack"),
        _current("pack_ua", "pack"),
        _temperature("temp_mc.case", "case"),
        _temperature("temp_mc.ambient", "ambient"),
        _temperature("temp_mc.pd", "pd"),
        _temperature("temp_mc.meter", "meter"),
    )
}
"""The closed registry; ``cell_uv.N`` and ``temp_mc.cell.N`` (N = 1..64) complete it."""

_NUMBERED = re.compile(r"(?P<stem>cell_uv|temp_mc\.cell)\.(?P<n>[1-9]\d?)\Z")
MAX_CELLS: Final = 64


@lru_cache(maxsize=256)
def channel(name: str) -> Channel:
    """Look up a channel by its column name.

    Raises ``LocalProtocolError`` for a name that is not in the registry: the registry is closed
    so that a misspelt column cannot travel through the house as data nobody reads.
    """
    if (known := CHANNELS.get(name)) is not None:
        return known
    if (match := _NUMBERED.match(name)) and int(match["n"]) <= MAX_CELLS:
        place = f"cell.{match['n']}"
        return _voltage(name, place) if match["stem"] == "cell_uv" else _temperature(name, place)
    raise LocalProtocolError(
        f"no channel {name!r}; known: {', '.join(CHANNELS)}, cell_uv.N, temp_mc.cell.N"
    )


def _column(values: object, n: int, name: str) -> Int32s:
    array = np.asarray(values, dtype=np.int32)
    if array.shape != (n,):
        raise LocalProtocolError(f"column {name} has shape {array.shape}, expected ({n},)")
    return array


def to_column(values_si: object, name: str) -> Int32s:
    """Round SI values (float, NaN = not measured) to the int32 column of channel ``name``.

    Rounding is to the nearest count (half a unit at most); what does not fit int32 is MISSING,
    because a wrapped value would be a wrong one.
    """
    scaled = np.rint(np.asarray(values_si, dtype=np.float64) * channel(name).per_si)
    with np.errstate(invalid="ignore"):
        fits = np.abs(scaled) < 2**31
    return (scaled if fits.all() else np.where(fits, scaled, MISSING)).astype(np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """Quantities over consecutive runs of rows, as exact integers: the same whatever the cutting was.

    Arrays are int64 (quantities, runs): ``n`` measured rows, ``total`` their sum, ``low`` and ``high``
    their extremes (meaningless where n is 0). ``per_si``: counts per SI unit of each quantity.
    """

    names: tuple[str, ...]
    n: Int64s
    total: Int64s
    low: Int64s
    high: Int64s
    per_si: tuple[int, ...]


_FAR: Final = 2**62
POWER: Final = "power"
"""Name of the product of voltage and current among reduced quantities, in nW."""


@dataclass(frozen=True, slots=True, eq=False)
class SampleBlock:
    """A run of samples of **one instrument**; 1 sample or 100,000, live, replayed or exported.

    ``t_ns``: int64 (n,), UTC nanoseconds, strictly increasing for an instrument.
    ``columns``: channel name -> int32 (n,); no column is mandatory.
    ``quality``: uint16 (n,) of ``Quality`` flags.
    ``ibus`` is positive out of the unit once a block has passed the ingest gate; a codec's block
    carries the meter's own sign.

    Arrays are not copied: whoever hands an array in must not write to it afterwards.
    """

    t_ns: Int64s
    columns: Mapping[str, Int32s]
    quality: Flags = field(default_factory=lambda: np.zeros(0, np.uint16))

    def __post_init__(self) -> None:
        t_ns = np.asarray(self.t_ns, dtype=np.int64)
        if t_ns.ndim != 1:
            raise LocalProtocolError(f"t_ns has shape {t_ns.shape}, expected one dimension")
        n = len(t_ns)
        for name in self.columns:
            channel(name)
        columns = {name: _column(values, n, name) for name, values in self.columns.items()}
        quality = np.asarray(self.quality, dtype=np.uint16)
        if len(quality) != n:
            if len(quality):
                raise LocalProtocolError(f"quality has {len(quality)} entries, expected {n}")
            quality = np.zeros(n, np.uint16)
        object.__setattr__(self, "t_ns", t_ns)
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "quality", quality)

    # -- making blocks -----------------------------------------------------------------------

    @classmethod
    def trusted(cls, t_ns: Int64s, columns: dict[str, Int32s], quality: Flags) -> SampleBlock:
        """A block of arrays that are known to be right: types, one length, names of the registry.

        For what was made of a block or a declared table; nothing is looked at again.
        """
        block = object.__new__(cls)
        object.__setattr__(block, "t_ns", t_ns)
        object.__setattr__(block, "columns", columns)
        object.__setattr__(block, "quality", quality)
        return block

    @classmethod
    def from_si(
        cls,
        t_ns: object,
        values: Mapping[str, object],
        quality: object | None = None,
    ) -> SampleBlock:
        """Make a block from SI floats by channel name (``{"vbus_uv": [5.1], ...}``; NaN = missing)."""
        stamps = np.asarray(t_ns, dtype=np.int64)
        flags = (
            np.zeros(len(stamps), np.uint16) if quality is None else np.asarray(quality, np.uint16)
        )
        return cls(stamps, {name: to_column(v, name) for name, v in values.items()}, flags)

    @classmethod
    def concat(cls, blocks: Sequence[SampleBlock], without: Collection[str] = ()) -> SampleBlock:
        """Join blocks of one instrument in the order given; absent columns become MISSING.

        Columns ``without`` may be left out: they cost nothing where blocks are joined.
        """
        if len(blocks) == 1:
            return blocks[0]
        if not blocks:
            return cls(np.zeros(0, np.int64), {})
        first = blocks[0].columns.keys()
        if all(block.columns.keys() == first for block in blocks):
            wanted = [name for name in first if name not in without] if without else first
            alike = {name: np.concatenate([b.columns[name] for b in blocks]) for name in wanted}
            return cls.trusted(
                np.concatenate([b.t_ns for b in blocks]),
                alike,
                np.concatenate([b.quality for b in blocks]),
            )
        names = list(dict.fromkeys(name for block in blocks for name in block.columns))
        columns = {
            name: np.concatenate(
                [
                    b.columns[name] if name in b.columns else np.full(len(b), MISSING, np.int32)
                    for b in blocks
                ]
            )
            for name in names
        }
        return cls(
            np.concatenate([b.t_ns for b in blocks]),
            columns,
            np.concatenate([b.quality for b in blocks]),
        )

    def __len__(self) -> int:
        return len(self.t_ns)

    def __getitem__(self, where: slice | NDArray[np.bool_] | NDArray[np.intp]) -> SampleBlock:
        """Rows by slice, mask or index array, as a block."""
        return SampleBlock.trusted(
            self.t_ns[where], {n: c[where] for n, c in self.columns.items()}, self.quality[where]
        )

    def singles(self) -> list[SampleBlock]:
        """Each sample as a block of its own."""
        names, n = tuple(self.columns), len(self)
        parts = zip(*(list(column.reshape(-1, 1)) for column in self.columns.values()), strict=True)
        rows = map(dict, map(zip, repeat(names, n), parts)) if names else ({} for _ in range(n))
        flags = self.quality.reshape(-1, 1)
        alike = n > 0 and not (self.quality != self.quality[0]).any()
        # Loops of the interpreter's own: a block a frame is all that some families have.
        blocks = list(map(object.__new__, repeat(SampleBlock, n)))
        for name, values in (
            ("t_ns", self.t_ns.reshape(-1, 1)),
            ("columns", rows),
            ("quality", repeat(flags[0], n) if alike else flags),
        ):
            deque(map(getattr(SampleBlock, name).__set__, blocks, values), maxlen=0)
        return blocks

    def replace(
        self,
        *,
        t_ns: Int64s | None = None,
        columns: Mapping[str, Int32s] | None = None,
        quality: Flags | None = None,
    ) -> SampleBlock:
        """Copy with some parts exchanged."""
        return SampleBlock(
            self.t_ns if t_ns is None else t_ns,
            self.columns if columns is None else columns,
            self.quality if quality is None else quality,
        )

    def split(self, rows: int) -> Iterator[SampleBlock]:
        """Cut into blocks of at most ``rows`` samples."""
        for start in range(0, len(self), rows):
            yield self[start : start + rows]

    # -- reading values ----------------------------------------------------------------------

    def si(self, name: str) -> Floats:
        """Channel ``name`` as float64 (n,) in SI units; NaN where missing or absent."""
        column = self.columns.get(name)
        if column is None:
            channel(name)
            return np.full(len(self), np.nan)
        values = column / np.float64(channel(name).per_si)
        values[column == MISSING] = np.nan
        return values

    def measured(self, name: str) -> NDArray[np.bool_]:
        """Bool (n,): where channel ``name`` was measured."""
        column = self.columns.get(name)
        return np.zeros(len(self), np.bool_) if column is None else column != MISSING

    def vbus_v(self) -> Floats:
        """VBUS in volts; NaN where not measured."""
        return self.si("vbus_uv")

    def ibus_a(self) -> Floats:
        """VBUS current in amperes; NaN where not measured."""
        return self.si("ibus_ua")

    def power_w(self) -> Floats:
        """VBUS power in watts, the product of voltage and current; NaN where one is missing."""
        return self.vbus_v() * self.ibus_a()

    def pack_power_w(self) -> Floats:
        """Battery pack power in watts; NaN where one factor is missing."""
        return self.si("pack_uv") * self.si("pack_ua")

    def temp_c(self, place: str) -> Floats:
        """Temperature at ``place`` (``case``, ``ambient``, ``cell.1``, ``pd``, ``meter``) in degC."""
        return self.si(f"temp_mc.{place}")

    def numbered(self, stem: str) -> list[str]:
        """Names of the numbered channels of ``stem`` (``cell_uv``, ``temp_mc.cell``) in order."""
        found = [name for name in self.columns if name.startswith(stem + ".")]
        return sorted(found, key=lambda name: int(name.rsplit(".", 1)[1]))

    def greatest(self, name: str) -> float:
        """Greatest value of a channel in SI units; NaN when it was not measured."""
        column = self.columns.get(name)
        if column is None or not (n := len(column)):
            return float("nan")
        # Of a short column a list's maximum costs a quarter of an array's.
        top = max(column.tolist()) if n <= 32 else int(column.max())
        return float("nan") if top == MISSING else top / channel(name).per_si

    def reduce(
        self, names: Sequence[str], starts: Int64s, power: tuple[str, str] | None = None
    ) -> Reduced:
        """Channels ``names`` over the runs of rows that begin at ``starts`` (int64, the first is 0).

        ``power``: channels of a voltage and a current; their product in nW, rounded toward minus
        infinity once a sample, comes last.
        """
        count = len(names)
        raw = np.empty((count + (power is not None), len(self)), np.int64)
        for row, name in zip(raw, names, strict=False):
            row[:] = self.columns[name]
        there = raw != MISSING
        listed, per_si = tuple(names), tuple(channel(name).per_si for name in names)
        if power is not None:
            v, i = names.index(power[0]), names.index(power[1])
            np.floor_divide(raw[v] * raw[i], 1000, out=raw[count])
            np.logical_and(there[v], there[i], out=there[count])
            listed, per_si = (*listed, POWER), (*per_si, 1_000_000_000)
        whole = bool(np.logical_and.reduce(there, axis=None))
        kept = raw if whole else np.where(there, raw, 0)
        low = raw if whole else np.where(there, raw, _FAR)
        high = raw if whole else np.where(there, raw, -_FAR)
        if len(starts) == 1:
            # Reductions themselves, not the arrays' methods: those cost as much again where rows are few.
            n = np.add.reduce(there, axis=1, dtype=np.int64, keepdims=True)
            total = np.add.reduce(kept, axis=1, keepdims=True)
            low = np.minimum.reduce(low, axis=1, keepdims=True)
            high = np.maximum.reduce(high, axis=1, keepdims=True)
        else:
            n = np.add.reduceat(there.astype(np.int64), starts, axis=1)
            total = np.add.reduceat(kept, starts, axis=1)
            low = np.minimum.reduceat(low, starts, axis=1)
            high = np.maximum.reduceat(high, starts, axis=1)
        return Reduced(listed, n, total, low, high, per_si)

    def dt_s(self) -> Floats:
        """Seconds since the previous sample of this block; NaN for the first."""
        return np.diff(self.t_ns.astype(np.float64), prepend=np.nan) / 1e9

    def negated(self, names: Iterable[str]) -> SampleBlock:
        """Turn the sign of channels (the meter sat the other way round); MISSING stays."""
        columns = dict(self.columns)
        for name in names:
            if name in columns:
                column = columns[name]
                columns[name] = np.where(column == MISSING, column, -column).astype(np.int32)
        return self.replace(columns=columns)

    def without(self, name: str, where: NDArray[np.bool_], flag: Quality) -> SampleBlock:
        """Mark channel ``name`` as MISSING at ``where`` and say why in ``quality``."""
        if name not in self.columns or not where.any():
            return self
        columns = dict(self.columns)
        columns[name] = np.where(where, np.int32(MISSING), columns[name])
        return self.replace(
            columns=columns, quality=self.quality | (where * np.uint16(flag)).astype(np.uint16)
        )

    def rows(self) -> Iterator[dict[str, float | int | None]]:
        """Yield one dict a sample (``t_ns`` and SI values by channel): for printing, not for work."""
        series = {name: self.si(name) for name in self.columns}
        for i, t in enumerate(self.t_ns):
            row: dict[str, float | int | None] = {"t_ns": int(t)}
            for name, values in series.items():
                value = float(values[i])
                row[name] = None if value != value else value
            yield row


def same(a: SampleBlock, b: SampleBlock) -> bool:
    """Whether two blocks hold the same samples (columns, times and flags)."""
    return (
        np.array_equal(a.t_ns, b.t_ns)
        and np.array_equal(a.quality, b.quality)
        and a.columns.keys() == b.columns.keys()
        and all(np.array_equal(a.columns[n], b.columns[n]) for n in a.columns)
    )
