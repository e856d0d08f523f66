"""Reading the journal for an output: what it has not got yet, the live end first, the backlog beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from denchi.model import Session
from denchi.store import rollup
from denchi.store.cursor import Cursor, Span, missing
from denchi.store.rows import StoredFinding, StoredGap, StoredInstrument, StoredSession
from denchi_protocol.samples import SampleBlock

if TYPE_CHECKING:
    from denchi.store.reader import JournalReader

NS: Final = 1_000_000_000
MAX_RECORDS: Final = 500


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event of a session (or of the daemon, without one)."""

    id: int
    session_id: str | None
    t_ns: int
    kind: str
    data: Mapping[str, object]


Record = StoredSession | StoredFinding | StoredGap | StoredEvent


@dataclass(frozen=True, slots=True)
class Source:
    """Where samples come from: the instrument and its session as they are now."""

    instrument: StoredInstrument
    session: Session


@dataclass(frozen=True, slots=True)
class Batch:
    """One delivery: samples by source (each in time order), records, and how much is still behind."""

    pieces: tuple[tuple[Source, SampleBlock], ...] = ()
    records: tuple[Record, ...] = ()
    sessions: Mapping[str, Session] | None = None
    """Sessions that the records speak of."""
    backlog_samples: int = 0
    """Samples that are behind after this batch (estimated from spans and mean rates)."""
    backlog_s: float = 0.0
    """Seconds of recording that are behind after this batch."""
    before: Mapping[tuple[int, int], rollup.Before] = field(default_factory=dict)
    """For roll-ups, by (instrument, first stamp of a piece): the journal's sample ahead of it.

    Pieces come newest first, so the piece sent last is not the one that stands ahead.
    """

    @property
    def samples(self) -> int:
        """Samples in this batch."""
        return sum(len(block) for _, block in self.pieces)

    def __bool__(self) -> bool:
        return bool(self.pieces or self.records)


@dataclass(slots=True)
class _Want:
    source: Source
    span: Span
    live: bool


def read_after(
    reader: JournalReader,
    cursor: Cursor,
    max_samples: int,
    *,
    live_s: float = 10.0,
    align_ns: int = 1,
    simulated: bool = False,
) -> tuple[Batch, Cursor]:
    """The next batch for an output at ``cursor`` and the cursor to store once it is delivered.

    ``live_s``: how much of the newest end goes ahead of the backlog. ``align_ns``: hand out whole
    buckets of this width only (an output that sends roll-ups), except at the end of a session.
    ``simulated``: include simulated sessions.
    """
    with reader.snapshot():
        wants, cursor = _wants(reader, cursor, int(live_s * NS), align_ns, simulated)
        pieces: list[tuple[Source, SampleBlock]] = []
        left = max_samples
        before: dict[tuple[int, int], rollup.Before] = {}
        after = cursor
        for want in wants:
            if left <= 0:
                break
            block, span = _read(reader, want, left, align_ns)
            after = after.delivered([(want.source.instrument.id, span)])
            if len(block):
                pieces.append((want.source, block))
                left -= len(block)
                number, first = want.source.instrument.id, int(block.t_ns[0])
                if align_ns > 1 and (ahead := reader.last_before(number, first)) is not None:
                    before[number, first] = ahead
        records, sessions, log = reader.records_after(cursor.log, MAX_RECORDS, simulated)
        after = after.delivered([], log)
        backlog_s, backlog = _behind(wants, after)
    return Batch(tuple(pieces), tuple(records), sessions, backlog, backlog_s, before), after


def _wants(
    reader: JournalReader, cursor: Cursor, live_ns: int, align_ns: int, simulated: bool
) -> tuple[list[_Want], Cursor]:
    live: list[_Want] = []
    backlog: list[_Want] = []
    finished: list[int] = []
    for source in reader.sources(cursor.below, skip=cursor.done):
        number = source.instrument.id
        ended = source.session.ended_ns is not None
        if source.session.origin == "simulated" and not simulated:
            finished.append(number)
            continue
        first, last = source.instrument.first_ns, source.instrument.last_ns
        if first is None or last is None:
            if ended:
                finished.append(number)
            continue
        end = last + 1 if ended else (last + 1) // align_ns * align_ns
        start = first // align_ns * align_ns
        holes = missing(cursor.spans.get(number, ()), start, end)
        if not holes:
            if ended:
                finished.append(number)
            continue
        if not ended and holes[-1][1] == end:
            tail_start = max(holes[-1][0], (end - live_ns) // align_ns * align_ns)
            live.append(_Want(source, (tail_start, end), True))
            holes[-1] = (holes[-1][0], tail_start)
        backlog += [_Want(source, hole, False) for hole in holes if hole[0] < hole[1]]
    backlog.sort(key=lambda want: want.span[0])
    return live + backlog, cursor.finish(finished)


def _read(
    reader: JournalReader, want: _Want, limit: int, align_ns: int
) -> tuple[SampleBlock, Span]:
    """Samples of a span, oldest first, at most about ``limit``; and the span they cover."""
    start, end = want.span
    taken: list[SampleBlock] = []
    n = 0
    for block in reader.blocks(want.source.instrument.id, start, end):
        taken.append(block)
        n += len(block)
        if n > limit:
            break
    block = SampleBlock.concat(taken) if taken else SampleBlock.concat([])
    if len(block) <= limit:
        return block, want.span
    cut = int(block.t_ns[limit]) // align_ns * align_ns
    if align_ns > 1 and cut <= start:
        # One bucket holds more samples than the limit: it goes whole.
        cut = min(end, (int(block.t_ns[0]) // align_ns + 1) * align_ns)
        if int(block.t_ns[-1]) < cut:
            block = SampleBlock.concat(list(reader.blocks(want.source.instrument.id, start, cut)))
    return block[block.t_ns < cut], (start, cut)


def _behind(wants: list[_Want], after: Cursor) -> tuple[float, int]:
    seconds, samples = 0.0, 0.0
    for want in wants:
        instrument = want.source.instrument
        holes = missing(after.spans.get(instrument.id, ()), *want.span)
        span_ns = sum(b - a for a, b in holes)
        if span_ns and instrument.first_ns is not None and instrument.last_ns is not None:
            whole = max(1, instrument.last_ns - instrument.first_ns)
            samples += instrument.samples * min(1.0, span_ns / whole)
            seconds += span_ns / NS
    return seconds, round(samples)
