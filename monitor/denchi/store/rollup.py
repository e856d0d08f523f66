"""Roll-ups: minimum, mean, maximum, count and energy of samples in buckets of time.

Kept at 1 s, 1 min and 1 h so that a plot of a day or a year costs the same. A roll-up is made from a
block in one pass of numpy and merged into the stored chunk of its bucket, so a bucket may be filled
in any number of pieces. Buckets stand on multiples of their width since the epoch.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from denchi.store.pack import CODES, Damaged, compress, decompress
from denchi_protocol.samples import MISSING, Floats, Int64s, Quality, SampleBlock, channel

NS: Final = 1_000_000_000
RESOLUTIONS_S: Final = (1, 60, 3600)
CHUNK_S: Final[Mapping[int, int]] = {1: 600, 60: 6 * 3600, 3600: 30 * 86_400}
"""Seconds that one stored row of each resolution covers."""
POWER: Final = "power_w"
ENERGY: Final = ("out_wh", "in_wh", "out_ah", "in_ah", "covered_s")
LONGEST_STEP_S: Final = 120.0
"""Two samples further apart than this are not joined to an energy, whatever the gap marks say."""

_CODES: Final = CODES | {POWER: 0x300}
_NAMES: Final = {code: name for name, code in _CODES.items()}
_HEAD: Final = struct.Struct("<I2sBxqIHH")
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Band:
    """One channel's buckets: ``low``, ``mean``, ``high`` float64 (n,) in SI units, ``count`` uint32 (n,)."""

    low: Floats
    mean: Floats
    high: Floats
    count: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Rollup:
    """Buckets of ``width_ns``, by number (time / width), increasing; empty ones are left out."""

    width_ns: int
    bucket: Int64s
    bands: Mapping[str, Band] = field(default_factory=dict)
    energy: Mapping[str, Floats] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.bucket)

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        bands = sum(
            b.low.nbytes + b.mean.nbytes + b.high.nbytes + b.count.nbytes
            for b in self.bands.values()
        )
        return self.bucket.nbytes + bands + sum(e.nbytes for e in self.energy.values())

    @property
    def t_ns(self) -> Int64s:
        """Start of each bucket."""
        return self.bucket * np.int64(self.width_ns)

    def between(self, from_ns: int, to_ns: int) -> Rollup:
        """Buckets that touch [from_ns, to_ns)."""
        return self.pick(
            (self.bucket >= from_ns // self.width_ns)
            & (self.bucket <= (to_ns - 1) // self.width_ns)
        )

    def pick(self, where: NDArray[Any]) -> Rollup:
        """Buckets by mask or index."""
        bands = {
            name: Band(b.low[where], b.mean[where], b.high[where], b.count[where])
            for name, b in self.bands.items()
        }
        energy = {name: values[where] for name, values in self.energy.items()}
        return Rollup(self.width_ns, self.bucket[where], bands, energy)


@dataclass(frozen=True, slots=True)
class Before:
    """The last sample ahead of a block, so that the energy of the step between them is not lost."""

    t_ns: int
    power_w: float
    current_a: float


def power_of(block: SampleBlock) -> tuple[Floats, Floats] | None:
    """(power, current) of a block: VBUS where measured, else the pack; None when it has neither."""
    if "vbus_uv" in block.columns and "ibus_ua" in block.columns:
        return block.power_w(), block.ibus_a()
    if "pack_uv" in block.columns and "pack_ua" in block.columns:
        return block.pack_power_w(), block.si("pack_ua")
    return None


def last_of(block: SampleBlock) -> Before | None:
    """The ``Before`` of the block that follows this one."""
    found = power_of(block)
    if found is None or not len(block):
        return None
    return Before(int(block.t_ns[-1]), float(found[0][-1]), float(found[1][-1]))


def _energy(
    block: SampleBlock, found: tuple[Floats, Floats] | None, before: Before | None
) -> dict[str, Floats]:
    """Energy and charge of the step that ends at each sample (trapezoid) of ``power_of``; 0 over gaps."""
    if found is None:
        return {}
    power, current = found
    joined = before is not None and before.t_ns < int(block.t_ns[0])
    first_t = before.t_ns if joined and before else int(block.t_ns[0])
    step_s = np.diff(block.t_ns, prepend=np.int64(first_t)) / NS
    earlier_w = np.concatenate(([before.power_w if joined and before else np.nan], power[:-1]))
    earlier_a = np.concatenate(([before.current_a if joined and before else np.nan], current[:-1]))
    mean_w, mean_a = (power + earlier_w) / 2, (current + earlier_a) / 2
    after_gap = (block.quality & np.uint16(Quality.AFTER_GAP)) != 0
    usable = ~after_gap & (step_s <= LONGEST_STEP_S) & ~np.isnan(mean_w)
    hours = np.where(usable, step_s, 0.0) / 3600
    mean_w, mean_a = np.where(usable, mean_w, 0.0), np.where(usable, mean_a, 0.0)
    return {
        "out_wh": np.maximum(mean_w, 0) * hours,
        "in_wh": np.maximum(-mean_w, 0) * hours,
        "out_ah": np.maximum(mean_a, 0) * hours,
        "in_ah": np.maximum(-mean_a, 0) * hours,
        "covered_s": hours * 3600,
    }


def of_block(block: SampleBlock, width_ns: int, before: Before | None = None) -> Rollup:
    """Roll a block up into buckets of ``width_ns``."""
    if not len(block):
        return Rollup(width_ns, np.zeros(0, np.int64))
    numbers = block.t_ns // width_ns
    starts = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 1))
    series = {name: block.si(name) for name in block.columns}
    if (found := power_of(block)) is not None:
        series[POWER] = found[0]
    bands = {}
    for name, values in series.items():
        known = ~np.isnan(values)
        if known.any():
            bands[name] = _band(values, known, starts)
    energy = {k: np.add.reduceat(v, starts) for k, v in _energy(block, found, before).items()}
    return Rollup(width_ns, numbers[starts], bands, energy)


def _band(values: Floats, known: NDArray[np.bool_], starts: NDArray[np.intp]) -> Band:
    count = np.add.reduceat(known, starts, dtype=np.uint32)
    total = np.add.reduceat(np.where(known, values, 0.0), starts)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count
    return Band(np.fmin.reduceat(values, starts), mean, np.fmax.reduceat(values, starts), count)


def coarser(rollup: Rollup, factor: int) -> Rollup:
    """The same in buckets ``factor`` times as wide."""
    if factor <= 1 or not len(rollup):
        return rollup
    numbers = rollup.bucket // factor
    starts = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 1))
    bands = {name: _gather(band, starts) for name, band in rollup.bands.items()}
    energy = {k: np.add.reduceat(v, starts) for k, v in rollup.energy.items()}
    return Rollup(rollup.width_ns * factor, numbers[starts], bands, energy)


def _gather(band: Band, starts: NDArray[np.intp]) -> Band:
    count = np.add.reduceat(band.count, starts, dtype=np.uint32)
    weighted = np.where(band.count > 0, band.mean * band.count, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.add.reduceat(weighted, starts) / count
    return Band(
        np.fmin.reduceat(band.low, starts), mean, np.fmax.reduceat(band.high, starts), count
    )


def merge(parts: Iterable[Rollup]) -> Rollup:
    """Join roll-ups of one width; a bucket that stands in several is their union."""
    found = [part for part in parts if len(part)]
    if not found:
        return Rollup(NS, np.zeros(0, np.int64))
    if len(found) == 1:
        return found[0]
    numbers = np.concatenate([part.bucket for part in found])
    order = np.argsort(numbers, kind="stable")
    numbers = numbers[order]
    starts = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 1))
    names = list(dict.fromkeys(name for part in found for name in part.bands))
    bands = {name: _gather(_joined(found, name, order), starts) for name in names}
    kinds = list(dict.fromkeys(name for part in found for name in part.energy))
    energy = {
        kind: np.add.reduceat(
            np.concatenate([p.energy.get(kind, np.zeros(len(p))) for p in found])[order], starts
        )
        for kind in kinds
    }
    return Rollup(found[0].width_ns, numbers[starts], bands, energy)


def _joined(parts: list[Rollup], name: str, order: NDArray[np.intp]) -> Band:
    def column(which: str) -> Any:
        pieces = []
        for part in parts:
            band = part.bands.get(name)
            if band is None:
                empty = 0 if which == "count" else np.nan
                pieces.append(np.full(len(part), empty, np.uint32 if which == "count" else float))
            else:
                pieces.append(getattr(band, which))
        return np.concatenate(pieces)[order]

    return Band(column("low"), column("mean"), column("high"), column("count"))


# -- bytes -------------------------------------------------------------------------------------


def _per_si(name: str) -> int:
    return 1_000_000 if name == POWER else channel(name).per_si


def _counts(values: Floats, per_si: int) -> NDArray[np.int32]:
    scaled = np.nan_to_num(np.rint(values * per_si), nan=float(MISSING))
    clipped: NDArray[np.int32] = np.clip(scaled, MISSING, 2**31 - 1).astype(np.int32)
    return clipped


def _si(counts: NDArray[np.int32], per_si: int) -> Floats:
    values = counts / np.float64(per_si)
    values[counts == MISSING] = np.nan
    return values


def encode(rollup: Rollup) -> bytes:
    """A chunk as bytes; minima and maxima to the count they were measured in."""
    names = list(rollup.bands)
    kinds = [kind for kind in ENERGY if kind in rollup.energy]
    head = _HEAD.pack(0, b"DR", _VERSION, rollup.width_ns, len(rollup), len(names), len(kinds))[4:]
    parts = [head, np.array([_CODES[n] for n in names], np.uint16).tobytes()]
    parts.append(compress(rollup.bucket))
    for name in names:
        band, per_si = rollup.bands[name], _per_si(name)
        parts += [compress(_counts(v, per_si)) for v in (band.low, band.mean, band.high)]
        parts.append(compress(band.count))
    parts += [compress(rollup.energy[kind]) for kind in kinds]
    rest = b"".join(parts)
    return struct.pack("<I", zlib.crc32(rest)) + rest


def decode(data: bytes) -> Rollup:
    """The chunk of ``encode``. Raises ``pack.Damaged``."""
    if len(data) < _HEAD.size:
        raise Damaged("a stored roll-up is cut short")
    crc, magic, version, width_ns, n, n_names, n_kinds = _HEAD.unpack_from(data)
    if magic != b"DR" or version != _VERSION or crc != zlib.crc32(memoryview(data)[4:]):
        raise Damaged("a stored roll-up fails its checksum")
    at = _HEAD.size + 2 * n_names
    codes = np.frombuffer(data, np.uint16, n_names, _HEAD.size)
    bucket, at = decompress(data, at, np.dtype(np.int64), n)
    bands: dict[str, Band] = {}
    for code in codes:
        name = _NAMES.get(int(code), "")
        per_si = _per_si(name) if name else 1
        values = []
        for _ in range(3):
            counts, at = decompress(data, at, np.dtype(np.int32), n)
            values.append(_si(counts, per_si))
        count, at = decompress(data, at, np.dtype(np.uint32), n)
        if name:
            bands[name] = Band(values[0], values[1], values[2], count)
    energy: dict[str, Floats] = {}
    for kind in ENERGY[:n_kinds]:
        energy[kind], at = decompress(data, at, np.dtype(np.float64), n)
    return Rollup(width_ns, bucket, bands, energy)
