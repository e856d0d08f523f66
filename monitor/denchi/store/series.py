"""Series for plots: from raw samples, 1 s, 1 min or 1 h roll-ups, whichever is just fine enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from denchi.store import pack, rollup
from denchi.store.rollup import NS, Rollup
from denchi_protocol.samples import SampleBlock

if TYPE_CHECKING:
    from denchi.store.reader import JournalReader
    from denchi.store.rows import StoredInstrument

MAX_POINTS: Final = 5000


@dataclass(frozen=True, slots=True)
class Series:
    """Buckets of one instrument (``rollup``) and the gaps of its session (start, end or None, cause)."""

    rollup: Rollup
    channels: tuple[str, ...]
    gaps: tuple[tuple[int, int | None, str], ...] = ()

    @property
    def resolution_s(self) -> float:
        """Width of a bucket."""
        return self.rollup.width_ns / NS

    def to_json(self) -> Mapping[str, Any]:
        """The answer of ``GET /v1/sessions/{id}/series``; null = not measured."""
        channels = {}
        for name in self.channels:
            band = self.rollup.bands.get(name)
            if band is None:
                nothing: list[float | None] = [None] * len(self.rollup)
                channels[name] = {"min": nothing, "mean": nothing, "max": nothing}
            else:
                channels[name] = {
                    "min": _nulls(band.low),
                    "mean": _nulls(band.mean),
                    "max": _nulls(band.high),
                }
        return {
            "resolution_s": self.resolution_s,
            "t_ns": self.rollup.t_ns.tolist(),
            "channels": channels,
            "gaps": [list(gap) for gap in self.gaps],
        }


def _nulls(values: Any) -> list[float | None]:
    rounded = np.round(values, 6)
    return [None if v != v else v for v in rounded.tolist()]


def read_series(
    reader: JournalReader,
    session_id: str,
    role: str,
    channels: Sequence[str],
    from_ns: int | None,
    to_ns: int | None,
    points: int,
) -> Series:
    """Buckets of a session's instrument(s) of one role between two times, about ``points`` of them.

    A role may have had several instruments (a meter exchanged): they follow each other. Without
    ``channels``: all that were measured, and ``power_w``.
    """
    points = max(1, min(points, MAX_POINTS))
    with reader.snapshot():
        instruments = [i for i in reader.instruments(session_id) if i.role == role]
        measured = [i for i in instruments if i.first_ns is not None and i.last_ns is not None]
        gaps = tuple(
            (g.gap.start_ns, g.gap.end_ns, g.gap.cause)
            for g in reader.gaps(session_id)
            if g.instrument is None or g.instrument in {i.id for i in instruments}
        )
        if not measured:
            return Series(Rollup(NS, np.zeros(0, np.int64)), tuple(channels), gaps)
        start = min(i.first_ns or 0 for i in measured) if from_ns is None else from_ns
        end = max(i.last_ns or 0 for i in measured) + 1 if to_ns is None else to_ns
        width_ns = max(1, (end - start) // points)
        parts = [_of_instrument(reader, i, start, end, width_ns) for i in measured]
        parts = [part for part in parts if len(part)]
        joined = rollup.merge(_same_width(parts)).between(start, end)
    names = tuple(channels) or tuple(joined.bands)
    kept = [g for g in gaps if g[0] < end and (g[1] is None or g[1] > start)]
    return Series(joined, names, tuple(kept))


def _same_width(parts: Sequence[Rollup]) -> list[Rollup]:
    widest = max((p.width_ns for p in parts), default=NS)
    return [rollup.coarser(p, widest // p.width_ns) for p in parts]


def _of_instrument(
    reader: JournalReader, instrument: StoredInstrument, start: int, end: int, width_ns: int
) -> Rollup:
    finer = [r for r in rollup.RESOLUTIONS_S if r * NS <= width_ns]
    if not finer:
        raw = _from_raw(reader, instrument, start, end, width_ns)
        if len(raw):
            return raw
        finer = [1]  # retention took the raw samples: seconds are what is left
    found = stored(reader, instrument.id, finer[-1], start, end)
    factor = max(1, width_ns // (finer[-1] * NS))
    return rollup.coarser(found, factor)


def _from_raw(
    reader: JournalReader, instrument: StoredInstrument, start: int, end: int, width_ns: int
) -> Rollup:
    # 100 us is the finest step of a stamp; powers of it keep buckets of neighbours alike.
    width = max(100_000, width_ns // 100_000 * 100_000)
    parts = [rollup.of_block(b, width) for b in reader.blocks(instrument.id, start, end)]
    return rollup.merge(parts) if parts else Rollup(width, np.zeros(0, np.int64))


def stored(reader: JournalReader, instrument_id: int, res_s: int, start: int, end: int) -> Rollup:
    """Stored buckets of one resolution between two times, those of the open tail joined in."""
    chunk_ns = rollup.CHUNK_S[res_s] * NS
    with reader.snapshot() as con:
        rows = con.execute(
            "SELECT data FROM rollup WHERE instrument = ? AND res_s = ? AND chunk BETWEEN ? AND ?"
            " ORDER BY chunk",
            (instrument_id, res_s, start // chunk_ns, (end - 1) // chunk_ns),
        ).fetchall()
        open_blocks = reader.open_blocks(instrument_id)
    parts = []
    for row in rows:
        try:
            parts.append(rollup.decode(row[0]))
        except pack.Damaged:
            continue
    if open_blocks:
        block = SampleBlock.concat(open_blocks)
        before = reader.last_sealed(instrument_id, int(block.t_ns[0])) if len(block) else None
        parts.append(rollup.of_block(block, res_s * NS, before))
    if not parts:
        return Rollup(res_s * NS, np.zeros(0, np.int64))
    return rollup.merge(parts).between(start, end)
