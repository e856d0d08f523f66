"""One session's pipe: gate -> journal and, beside it, health. Live and replay use the same one.

``take`` is the half that a meter's own thread runs (gate, journal: neither blocks); ``judge`` is the
half that may take its time (health).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from denchi.ingest import Gate
from denchi.model import Finding, Gap, Session
from denchi_protocol.codec import (
    DeviceInfo,
    Event,
    MeterGap,
    PdMessage,
    Rejected,
    Telemetry,
)
from denchi_protocol.samples import SampleBlock
from denchi_protocol.usb_pd.header import is_extended

if TYPE_CHECKING:
    from denchi.health.engine import HealthEngine
    from denchi.store.journal import Journal


@dataclass(frozen=True, slots=True)
class Taken:
    """One thing that has been accepted from an instrument and waits to be judged."""

    role: str
    what: SampleBlock | Gap | PdMessage | Telemetry | DeviceInfo


@dataclass(slots=True)
class Instrument:
    """One instrument of a session: its gate and its row in the journal."""

    role: str
    gate: Gate
    row: int | None = None
    samples: int = 0
    rejected: int = 0
    dropped: int = 0
    unchecked: bool = False
    place: str = ""
    """Where a probe sits by its role: its temperature counts as that place's."""


def placed(block: SampleBlock, place: str) -> SampleBlock:
    """A probe's block with its temperature under the name of ``place``.

    A thermometer cannot know where it was put; the bench does.
    """
    names = [name for name in block.columns if name.startswith("temp_mc.")]
    if not names:
        return block
    columns = {name: c for name, c in block.columns.items() if name not in names}
    columns[f"temp_mc.{place}"] = block.columns[names[0]]
    return block.replace(columns=columns)


class SessionPipe:
    """Gate, journal and health of one session.

    ``journal`` None: nothing is stored. ``wait``: the journal may slow an import down instead of
    dropping from it.
    """

    def __init__(
        self, session: Session, engine: HealthEngine, journal: Journal | None, *, wait: bool = False
    ) -> None:
        self._wait = wait
        self.session = session
        self.engine = engine
        self.journal = journal
        self.instruments: dict[str, Instrument] = {}
        self.findings: list[tuple[str, Finding]] = []
        self.gaps = 0
        self.gap_ns = 0

    @property
    def samples(self) -> int:
        """Samples that counted, all instruments."""
        return sum(i.samples for i in self.instruments.values())

    def add(self, role: str, gate: Gate, info: dict[str, Any], *, place: str = "") -> Instrument:
        """Register an instrument (``info``: the journal's columns ``key model serial firmware ...``)."""
        row = None
        if self.journal is not None:
            row = self.journal.add_instrument(self.session.id, role, **info)
        instrument = self.instruments[role] = Instrument(
            role, gate, row, unchecked=not gate.checked, place=place
        )
        return instrument

    # -- the meter's thread ------------------------------------------------------------------

    def take(self, role: str, events: list[Event]) -> list[Taken]:
        """Pass events through the gate and into the journal; return what is to be judged."""
        instrument = self.instruments[role]
        taken: list[Taken] = []
        for event in events:
            if isinstance(event, SampleBlock):
                taken += self._take_block(instrument, event)
            elif isinstance(event, Rejected):
                instrument.rejected += 1
            elif isinstance(event, MeterGap):
                gap = Gap(event.start_ns, event.end_ns, "lost", event.lost)
                taken += self._take_gap(instrument, gap)
            else:
                if self.journal is not None:
                    self._store(instrument, event)
                taken.append(Taken(role, event))
                if isinstance(event, PdMessage):
                    taken += self._take_status(role, event)
        return taken

    def _take_status(self, role: str, message: PdMessage) -> list[Taken]:
        """A Status message of the unit is a sample of its own temperature, an instrument of its own.

        The packet's CRC was checked by the meter, so nothing has to settle; sent only when asked for,
        its silence is no gap.
        """
        if not is_extended(message.wire):
            return []
        from denchi.daemon.pd import CHANNEL, ROLE, status_block, unit_role

        block = status_block(message, unit_role(self.session.meta.meter_position))
        if block is None:
            return []
        instrument = self.instruments.get(ROLE)
        if instrument is None:
            gate = Gate(limits={}, settle=False, sensor_faults=False)
            heard_by = {"heard_by": role, "temperature_place": "pd"}
            info = {"key": "usb-pd", "channels": (CHANNEL,), "extra": heard_by}
            instrument = self.add(ROLE, gate, info)
        counted = instrument.gate.feed(block).block
        assert counted is not None
        if self.journal is not None and instrument.row is not None:
            self.journal.append(instrument.row, counted, wait=self._wait)
        instrument.samples += len(counted)
        return [Taken(ROLE, counted)]

    def _take_block(self, instrument: Instrument, block: SampleBlock) -> list[Taken]:
        if instrument.place:
            block = placed(block, instrument.place)
        gated = instrument.gate.feed(block)
        instrument.dropped += gated.dropped
        taken: list[Taken] = []
        for gap in gated.gaps:
            taken += self._take_gap(instrument, gap)
        if gated.block is not None:
            if self.journal is not None and instrument.row is not None:
                self.journal.append(instrument.row, gated.block, wait=self._wait)
            instrument.samples += len(gated.block)
            taken.append(Taken(instrument.role, gated.block))
        return taken

    def _take_gap(self, instrument: Instrument, gap: Gap) -> list[Taken]:
        self.gaps += 1
        if gap.end_ns is not None:
            self.gap_ns += gap.end_ns - gap.start_ns
        if self.journal is not None:
            self.journal.add_gap(self.session.id, instrument.row, gap)
        return [Taken(instrument.role, gap)]

    def _store(self, instrument: Instrument, event: PdMessage | Telemetry | DeviceInfo) -> None:
        assert self.journal is not None
        if isinstance(event, PdMessage):
            self.journal.add_pd(self.session.id, event)
        elif isinstance(event, Telemetry):
            data: dict[str, Any] = {"role": instrument.role, "values": dict(event.values)}
            if event.flags is not None:
                data["flags"] = list(event.flags)
            self.journal.add_event(self.session.id, event.t_ns, "telemetry", data)
        else:
            data = {
                "role": instrument.role,
                "model": event.model,
                "serial": event.serial,
                "firmware": event.firmware,
                "fields": {k: str(v) for k, v in event.fields.items()},
            }
            self.journal.add_event(self.session.id, event.t_ns, "device", data)

    # -- the judging thread ------------------------------------------------------------------

    def judge(self, taken: Taken) -> list[tuple[str, Finding]]:
        """Hand one accepted thing to health; findings are stored and returned with their ids."""
        engine, what = self.engine, taken.what
        if isinstance(what, SampleBlock):
            found = engine.feed(taken.role, what)
        elif isinstance(what, Gap):
            found = engine.gap(taken.role, what)
        elif isinstance(what, PdMessage):
            found = engine.pd(what)
        elif isinstance(what, Telemetry):
            found = engine.telemetry(taken.role, what)
        else:
            found = []
        return self.keep(found)

    def keep(self, found: list[Finding]) -> list[tuple[str, Finding]]:
        """Store findings; returns them with their ids."""
        kept = []
        for finding in found:
            id_ = f"f{len(self.findings) + 1}"
            if self.journal is not None:
                id_ = self.journal.add_finding(self.session.id, finding)
            kept.append((id_, finding))
        self.findings += kept
        return kept


Job: TypeAlias = tuple[SessionPipe, Taken] | Callable[[], None] | None
"""What waits for a bench's thread: something to judge, something to do, or None for the end."""


def joined(jobs: list[Job]) -> list[Job]:
    """Blocks of one instrument joined up to the next thing that is no block: health pays a block."""
    out: list[Job] = []
    open_: dict[tuple[int, str], int] = {}
    held: dict[int, list[SampleBlock]] = {}
    for job in jobs:
        if not (isinstance(job, tuple) and isinstance(job[1].what, SampleBlock)):
            open_ = {}
            out.append(job)
            continue
        pipe, taken = job
        at = open_.setdefault((id(pipe), taken.role), len(out))
        if at == len(out):
            out.append(job)
        held.setdefault(at, []).append(job[1].what)
    for at, blocks in held.items():
        job = out[at]
        if len(blocks) > 1 and isinstance(job, tuple):
            out[at] = (job[0], Taken(job[1].role, SampleBlock.concat(blocks)))
    return out
