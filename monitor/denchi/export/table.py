"""A session's samples as the rows of a recording: all instruments on one time axis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from denchi.clock import iso
from denchi.export.columns import HEADER, OPTIONAL, channels
from denchi.model import MeterPosition, Session
from denchi_protocol.samples import MISSING, SampleBlock

if TYPE_CHECKING:
    from denchi.store.reader import JournalReader

NS: Final = 1_000_000_000
WINDOW_NS: Final = 600 * NS
"""Samples of several instruments are joined in windows of this length, so memory stays flat."""


@dataclass(frozen=True, slots=True)
class Source:
    """A session and where its samples are read."""

    session: Session
    instruments: tuple[int, ...]
    first_ns: int
    last_ns: int
    names: tuple[str, ...]
    """Channels that were measured."""

    def about(self) -> dict[str, Any]:
        """Further keys of the meta file."""
        session = self.session
        unit = {"brand": session.unit.brand, "model": session.unit.model}
        told = {
            "origin": session.origin,
            "session": session.id,
            "started": iso(session.started_ns),
            "meter": session.meter,
            "bench": session.bench,
            "profile": session.profile,
            "unit": {k: v for k, v in unit.items() if v},
        }
        return {k: v for k, v in told.items() if v}


def source(reader: JournalReader, session_id: str, role: str | None = None) -> Source | None:
    """The session to export (one role of it), or None when there is none of that id."""
    stored = reader.session(session_id)
    if stored is None:
        return None
    instruments = [i for i in reader.instruments(session_id) if role in (None, i.role)]
    measured = [i for i in instruments if i.first_ns is not None and i.last_ns is not None]
    names: dict[str, None] = {}
    for instrument in measured:
        names.update(dict.fromkeys(instrument.channels))
    first = min((i.first_ns or 0 for i in measured), default=stored.session.started_ns)
    last = max((i.last_ns or 0 for i in measured), default=first)
    if not all(i.channels for i in measured):
        for instrument in measured:
            for block in reader.blocks(instrument.id):
                names.update(dict.fromkeys(block.columns))
    return Source(stored.session, tuple(i.id for i in measured), first, last, tuple(names))


def windows(reader: JournalReader, what: Source) -> Iterator[SampleBlock]:
    """The session's samples, instruments joined on one axis; absent = missing."""
    if len(what.instruments) == 1:
        yield from reader.blocks(what.instruments[0])
        return
    for start in range(what.first_ns, what.last_ns + 1, WINDOW_NS):
        blocks = [
            SampleBlock.concat(found)
            for number in what.instruments
            if (found := list(reader.blocks(number, start, start + WINDOW_NS)))
        ]
        if blocks:
            yield join(blocks)


def join(blocks: list[SampleBlock]) -> SampleBlock:
    """Blocks of several instruments on the union of their stamps; the first to measure a channel wins."""
    t_ns = np.unique(np.concatenate([b.t_ns for b in blocks]))
    columns: dict[str, Any] = {}
    quality = np.zeros(len(t_ns), np.uint16)
    for block in blocks:
        at = np.searchsorted(t_ns, block.t_ns)
        quality[at] |= block.quality
        for name, values in block.columns.items():
            column = columns.setdefault(name, np.full(len(t_ns), MISSING, np.int32))
            free = column[at] == MISSING
            column[at[free]] = values[free]
    return SampleBlock(t_ns, columns, quality)


def header(what: Source) -> list[str]:
    """Columns of the recording: the fixed ones, and of the others those that were measured."""
    named = channels(position(what))
    return [*HEADER, *(name for name in OPTIONAL if named[name] in what.names)]


def position(what: Source) -> MeterPosition:
    """Where voltage and current belong: a session that measured only a pack is one at the cell."""
    if "vbus_uv" not in what.names and "pack_uv" in what.names:
        return "cell"
    chosen = what.session.meta.meter_position
    return "output" if chosen == "cell" and "vbus_uv" in what.names else chosen


def values(what: Source, block: SampleBlock, names: list[str]) -> Mapping[str, Any]:
    """SI values by column, current as the meter shows it (NaN = not measured)."""
    named = channels(position(what))
    if position(what) == "input":
        block = block.negated(("ibus_ua",))
    return {name: block.si(named[name]) for name in names if name != "t_s"}
