"""Table: a family's fields declared once, read of one frame as Python integers or of a run as arrays.

A numpy call costs about a microsecond whatever its size, so a live frame is read by ``struct`` and a
run of many in columns. Both ways are made of the same declaration; a property test holds them to
the same result.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from denchi_protocol.codec import Frames
from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.samples import MISSING, Flags, Int32s, Int64s, Quality, SampleBlock, channel

FEW: Final = 4
"""Up to so many frames are cheaper one by one."""
_CODES: Final = frozenset(
    ("B", "b", *(order + code for order in "<>" for code in ("h", "H", "i", "I")))
)
_FLOATS: Final = frozenset(("<f", ">f"))
_NUMPY: Final = {"b": "i1", "B": "u1", "h": "i2", "H": "u2", "i": "i4", "I": "u4", "f": "f4"}
_FITS: Final = 2**31
_BELIEVED: Final = 1e6
"""Further from zero no number of a meter is: in volts, amperes or degrees."""


@dataclass(frozen=True, slots=True)
class Part:
    """An integer of the frame: byte offset, ``struct`` code with its byte order, what one count weighs."""

    at: int
    code: str
    weight: int = 1

    def span(self) -> tuple[int, int]:
        """Least and greatest weighted value."""
        bits = 8 * struct.calcsize(self.code)
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if self.code[-1].islower() else (0, (1 << bits) - 1)  # fmt: skip
        ends = low * self.weight, high * self.weight
        return min(ends), max(ends)


@dataclass(frozen=True, slots=True)
class Value:
    """A channel: ``(sum of parts + add) * scale``, in counts of its column.

    ``none``: sums of parts that say "not measured"; ``none_flag`` is then added to the quality.
    ``minus``: a part and its value that mean the number is below zero. ``divide``: the product is
    divided by it, rounded half up. ``most``: a count further from zero is no measurement.
    """

    name: str
    parts: tuple[Part, ...]
    scale: int = 1
    add: int = 0
    none: tuple[int, ...] = ()
    none_flag: Quality = Quality.NONE
    minus: tuple[Part, int] | None = None
    divide: int = 1
    most: int | None = None


def value(name: str, at: int, code: str, scale: int = 1, **more: object) -> Value:
    """A channel of one integer."""
    return Value(name, (Part(at, code),), scale, **more)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Real:
    """A channel of one 4-byte float in SI units (V, A, degC), rounded to counts once, half to even.

    ``none``: values that say "not measured"; ``least``: what is below it is no measurement either, as is
    what is no number.
    """

    name: str
    at: int
    code: str
    """``<f`` or ``>f``."""
    none: tuple[float, ...] = ()
    least: float = -_BELIEVED

    @property
    def per_si(self) -> int:
        """Counts per SI unit."""
        return channel(self.name).per_si

    def counted(self, read: float) -> int:
        """The count of one value."""
        if not -_BELIEVED < read < _BELIEVED or read < self.least or read in self.none:
            return MISSING
        return round(read * self.per_si)

    def column(self, field: NDArray[np.floating]) -> Int64s:
        """Counts (n,) of a run."""
        with np.errstate(invalid="ignore"):  # a NaN that signals does so when it is widened
            if not self.none and self.least == -_BELIEVED:
                scaled = np.multiply(field, self.per_si, dtype=np.float64)
                most = _BELIEVED * self.per_si
                if scaled.min() > -most and scaled.max() < most:  # no number fails both
                    plain: Int64s = np.rint(scaled, out=scaled).astype(np.int64)
                    return plain
            read = field.astype(np.float64)
            good = (np.abs(read) < _BELIEVED) & (read >= self.least)
            for value_ in self.none:
                good &= read != value_
            counted: Int64s = np.rint(np.where(good, read * self.per_si, MISSING)).astype(np.int64)
        return counted


@dataclass(frozen=True, slots=True)
class _Step:
    """A value with the places of its parts among the unpacked integers."""

    of: Value
    at: tuple[tuple[int, int], ...]
    minus: tuple[int, int] | None
    plain: bool
    """One part of weight 1 and nothing beside a scale."""
    narrow: bool
    """Every possible product fits int32."""


@dataclass(frozen=True, slots=True)
class _RealStep:
    """A float with its place among the unpacked numbers."""

    of: Real
    at: int


class Table:
    """Reads frames of at least ``length`` bytes; raises ``LocalProtocolError`` for a wrong declaration."""

    def __init__(self, length: int, *values: Value | Real, flag: Quality = Quality.NONE) -> None:
        places = sorted({place for v in values for place in _places(v)})
        for at, code in places:
            if at < 0 or at + struct.calcsize(code) > length:
                raise LocalProtocolError(f"no field {code!r} at {at} in {length} bytes")
        for one in values:
            channel(one.name)
        index = {place: i for i, place in enumerate(places)}
        self.length, self.names = length, tuple(v.name for v in values)
        self._unpack = [struct.Struct(code) for _, code in places]
        self._places = [at for at, _ in places]
        self._whole = _joined(places)
        self._dtype = np.dtype(
            {
                "names": [f"f{i}" for i in range(len(places))],
                "formats": [_NUMPY[code[-1]] if len(code) == 1 else code[0] + _NUMPY[code[-1]] for _, code in places],
                "offsets": [at for at, _ in places],
                "itemsize": length,
            }
        )  # fmt: skip
        self._steps = tuple(
            _RealStep(v, index[v.at, v.code]) if isinstance(v, Real) else _step(v, index)
            for v in values
        )
        self._flag = int(flag)
        self._simple = tuple(
            (step.at[0][0], step.of.scale)
            for step in self._steps
            if isinstance(step, _Step) and step.plain and step.narrow
        )
        if len(self._simple) < len(self._steps):
            self._simple = ()

    def block(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """The samples of ``frames`` (n >= 1, at least ``length``) at ``t_ns`` (n,)."""
        if frames.shape[1] < self.length:
            raise LocalProtocolError(f"frames of {frames.shape[1]} bytes, not {self.length}")
        columns, quality = self.read(frames)
        return SampleBlock.trusted(t_ns, columns, quality)

    def read(self, frames: Frames) -> tuple[dict[str, Int32s], Flags]:
        """Columns and quality of ``frames`` (n >= 1, at least ``length``), the cheaper way.

        Samples that stand side by side in larger frames may come as (frames, samples, length), uncopied.
        """
        size = frames.shape[-1]
        return (
            self.few(frames.reshape(-1, size)) if frames.size <= FEW * size else self.many(frames)
        )

    def few(self, frames: Frames) -> tuple[dict[str, Int32s], Flags]:
        """Columns and quality, frame by frame in Python."""
        n, size = frames.shape
        data = frames.tobytes()
        rows: list[list[int]] = []
        flags: list[int] = []
        for first in range(0, n * size, size):
            row, flag = self._read(data, first)
            rows.append(row)
            flags.append(flag)
        out = np.array(rows, np.int32)
        columns = {name: out[:, i] for i, name in enumerate(self.names)}
        return columns, np.array(flags, np.uint16)

    def _read(self, data: bytes, first: int) -> tuple[list[int], int]:
        if self._whole is not None:
            raw: Sequence[int] = self._whole.unpack_from(data, first)
        else:
            raw = [u.unpack_from(data, first + at)[0] for u, at in zip(self._unpack, self._places, strict=True)]  # fmt: skip
        if self._simple:
            return [raw[i] * scale for i, scale in self._simple], self._flag
        row, flag = [], self._flag
        for step in self._steps:
            if isinstance(step, _RealStep):
                counted = step.of.counted(raw[step.at])
                row.append(counted if -_FITS < counted < _FITS else MISSING)
                continue
            if step.plain:
                counted = raw[step.at[0][0]] * step.of.scale
            else:
                found = _counted(step, raw)
                if found is None:
                    flag |= int(step.of.none_flag)
                    counted = MISSING
                else:
                    counted = found
            row.append(counted if step.narrow or -_FITS < counted < _FITS else MISSING)
        return row, flag

    def many(self, frames: Frames) -> tuple[dict[str, Int32s], Flags]:
        """Columns and quality, a few numpy calls a column."""
        raw = frames[..., : self.length]
        if raw.strides[-1] != 1:
            raw = np.ascontiguousarray(raw)
        fields = raw.view(self._dtype)[..., 0]
        quality = np.full(fields.shape, self._flag, np.uint16)
        columns: dict[str, Int32s] = {}
        for name, step in zip(self.names, self._steps, strict=True):
            column = np.empty(fields.shape, np.int32)
            columns[name] = column.reshape(-1)
            if isinstance(step, _RealStep):
                counted = step.of.column(fields[f"f{step.at}"])
                if counted.max() >= _FITS or counted.min() < -_FITS:
                    counted[np.abs(counted) >= _FITS] = MISSING
                column[:] = counted
                continue
            field, scale = fields[f"f{step.at[0][0]}"], step.of.scale
            if not step.plain or not (step.narrow or _small(field, scale)):
                _column(step, fields, column, quality)
                continue
            column[:] = field
            if scale != 1:
                column *= scale
        return columns, quality.reshape(-1)


def _places(v: Value | Real) -> list[tuple[int, str]]:
    """Offsets and codes of what a channel is made of. Raises ``LocalProtocolError`` for a code of another kind."""
    parts = [v] if isinstance(v, Real) else [*v.parts, *((v.minus[0],) if v.minus else ())]
    known = _FLOATS if isinstance(v, Real) else _CODES
    for part in parts:
        if part.code not in known:
            raise LocalProtocolError(
                f"{v.name}: no field {part.code!r}; one of {', '.join(sorted(known))}"
            )
    return [(part.at, part.code) for part in parts]


def _joined(places: list[tuple[int, str]]) -> struct.Struct | None:
    """One format for all places; None where they overlap or mix byte orders."""
    orders = {code[0] for _, code in places if len(code) == 2} or {"<"}
    if len(orders) > 1:
        return None
    text, end = orders.pop(), 0
    for at, code in places:
        if at < end:
            return None
        text += f"{at - end}x{code[-1]}" if at > end else code[-1]
        end = at + struct.calcsize(code)
    return struct.Struct(text)


def _step(v: Value, index: dict[tuple[int, str], int]) -> _Step:
    spans = [p.span() for p in v.parts]
    ends = [(sum(s[k] for s in spans) + v.add) * v.scale for k in (0, 1)]
    widest = max(abs(e) for e in ends)
    at = tuple((index[p.at, p.code], p.weight) for p in v.parts)
    minus = None if v.minus is None else (index[v.minus[0].at, v.minus[0].code], v.minus[1])
    plain = len(at) == 1 and at[0][1] == 1 and not v.add and not v.none and not minus and v.divide == 1 and v.most is None  # fmt: skip
    return _Step(v, at, minus, plain, widest < _FITS)


def _counted(step: _Step, raw: Sequence[int]) -> int | None:
    v = step.of
    total = 0
    for i, weight in step.at:
        total += raw[i] * weight
    if total in v.none:
        return None
    counted = (total + v.add) * v.scale
    if v.divide != 1:
        counted = (counted + v.divide // 2) // v.divide
    if v.most is not None and abs(counted) > v.most:
        return MISSING
    return -counted if step.minus is not None and raw[step.minus[0]] == step.minus[1] else counted


def _small(field: NDArray[np.generic], scale: int) -> bool:
    """Whether no product of this run leaves int32."""
    return int(field.max()) * scale < _FITS and int(field.min()) * scale > -_FITS


def _column(step: _Step, fields: NDArray[np.void], column: Int32s, quality: Flags) -> None:
    v = step.of
    total: Int64s = np.zeros(column.shape, np.int64)
    for i, weight in step.at:
        total += fields[f"f{i}"].astype(np.int64) * weight
    counted: Int64s = (total + v.add) * v.scale if v.add else total * v.scale
    if v.divide != 1:
        counted = (counted + v.divide // 2) // v.divide
    if step.minus is not None:
        counted = np.where(fields[f"f{step.minus[0]}"] == step.minus[1], -counted, counted)
    if v.most is not None:
        counted[np.abs(counted) > v.most] = MISSING
    if not step.narrow:
        counted[np.abs(counted) >= _FITS] = MISSING
    for code in v.none:
        where = total == code
        counted[where] = MISSING
        if v.none_flag:
            quality[where] |= np.uint16(v.none_flag)
    column[:] = counted
