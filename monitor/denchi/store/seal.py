"""Sealing: an instrument's open frames become column segments and roll-ups, in one transaction."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from denchi.store import pack, rollup
from denchi.store.tail import Frame
from denchi_protocol.samples import SampleBlock

FILLING_BYTES: Final = 8 << 20
"""Chunks being filled that are kept: of about 20 meters. Beyond it they are read from the database again."""
Key = tuple[int, int, int]
"""(instrument, resolution in seconds, chunk)"""


class Filling:
    """The chunk being filled of each instrument and resolution: a copy of what the database holds.

    Stamps of an instrument increase, so a full chunk is never merged into again: the next one takes its
    place (kept, an hour of one meter would cost 1 MB). What ended sessions leave goes by age.
    """

    def __init__(self, most_bytes: int = FILLING_BYTES) -> None:
        self.most_bytes = most_bytes
        self.nbytes = 0
        self._chunks: OrderedDict[tuple[int, int], tuple[int, rollup.Rollup]] = OrderedDict()

    def clear(self) -> None:
        """Forget all."""
        self._chunks.clear()
        self.nbytes = 0

    def get(self, key: Key) -> rollup.Rollup | None:
        """The chunk of a key, if it is the one being filled."""
        chunk, found = self._chunks.get(key[:2], (-1, None))
        return found if chunk == key[2] else None

    def put(self, key: Key, merged: rollup.Rollup) -> None:
        """Keep a chunk in place of the one before; the longest untouched go when all are too large."""
        _, old = self._chunks.pop(key[:2], (-1, None))
        self.nbytes += merged.nbytes - (old.nbytes if old is not None else 0)
        self._chunks[key[:2]] = key[2], merged
        while self.nbytes > self.most_bytes:
            _, (_, gone) = self._chunks.popitem(last=False)
            self.nbytes -= gone.nbytes


@dataclass(slots=True)
class Sealer:
    """Writes segments and roll-ups through the writer's connection.

    What it remembers is dropped whenever a transaction fails.
    """

    filling: Filling = field(default_factory=Filling)
    before: dict[int, rollup.Before | None] = field(default_factory=dict)

    def forget(self) -> None:
        """Drop what is remembered (a transaction failed, another database)."""
        self.filling.clear()
        self.before.clear()

    def seal(self, con: sqlite3.Connection, instrument: int, frames: Sequence[Frame]) -> int:
        """Seal the frames of one instrument inside the caller's transaction; returns the samples."""
        block = SampleBlock.concat([frame.block for frame in frames])
        seq = frames[-1].seq
        if len(block):
            before = self._before(con, instrument, int(block.t_ns[0]))
            for piece in block.split(pack.MAX_SAMPLES):
                self._insert(con, instrument, piece)
                self._roll(con, instrument, piece, before)
                before = rollup.last_of(piece)
            self.before[instrument] = before
            con.execute(
                "UPDATE instrument SET sealed_seq = max(sealed_seq, ?), samples = samples + ?,"
                " first_ns = min(coalesce(first_ns, ?), ?), last_ns = max(coalesce(last_ns, 0), ?)"
                " WHERE id = ?",
                (
                    seq,
                    len(block),
                    int(block.t_ns[0]),
                    int(block.t_ns[0]),
                    int(block.t_ns[-1]),
                    instrument,
                ),
            )
        return len(block)

    def _insert(self, con: sqlite3.Connection, instrument: int, block: SampleBlock) -> None:
        con.execute(
            "INSERT INTO segment(instrument, from_ns, to_ns, n, data) VALUES (?, ?, ?, ?, ?)",
            (
                instrument,
                int(block.t_ns[0]),
                int(block.t_ns[-1]),
                len(block),
                pack.encode(block, packed=True),
            ),
        )

    def _before(self, con: sqlite3.Connection, instrument: int, t_ns: int) -> rollup.Before | None:
        if instrument in self.before:
            return self.before[instrument]
        row = con.execute(
            "SELECT data FROM segment WHERE instrument = ? AND from_ns < ?"
            " ORDER BY from_ns DESC LIMIT 1",
            (instrument, t_ns),
        ).fetchone()
        try:
            return None if row is None else rollup.last_of(pack.decode(row[0]))
        except pack.Damaged:
            return None

    def _roll(
        self,
        con: sqlite3.Connection,
        instrument: int,
        block: SampleBlock,
        before: rollup.Before | None,
    ) -> None:
        finest, *_ = rollup.RESOLUTIONS_S
        fresh, width_s = rollup.of_block(block, finest * rollup.NS, before), finest
        for res_s in rollup.RESOLUTIONS_S:
            # Each from the one before it: the samples are gone through once.
            fresh, width_s = rollup.coarser(fresh, res_s // width_s), res_s
            merge_into(con, instrument, res_s, fresh, self.filling)


def merge_into(
    con: sqlite3.Connection,
    instrument: int,
    res_s: int,
    fresh: rollup.Rollup,
    filling: Filling | None = None,
) -> None:
    """Merge buckets into the stored chunks they belong to."""
    per_chunk = rollup.CHUNK_S[res_s] // res_s
    chunks = fresh.bucket // per_chunk
    for chunk in dict.fromkeys(chunks.tolist()):
        part = fresh.pick(chunks == chunk)
        key = (instrument, res_s, chunk)
        stored = filling.get(key) if filling is not None else None
        if stored is None:
            stored = _load(con, key)
        merged = part if stored is None else rollup.merge([stored, part])
        con.execute(
            "INSERT OR REPLACE INTO rollup(instrument, res_s, chunk, data) VALUES (?, ?, ?, ?)",
            (*key, rollup.encode(merged)),
        )
        if filling is not None:
            filling.put(key, merged)


def _load(con: sqlite3.Connection, key: Key) -> rollup.Rollup | None:
    row = con.execute(
        "SELECT data FROM rollup WHERE instrument = ? AND res_s = ? AND chunk = ?", key
    ).fetchone()
    try:
        return None if row is None else rollup.decode(row[0])
    except pack.Damaged:
        return None
