"""POWER-Z KM002C / KM003C host side: polls ADC and PD packets, never anything else.

Facts and their sources: README.md beside this file. No connect, no key, no memory read, no setting.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from denchi_protocol.codec import (
    Action,
    Closing,
    Done,
    Event,
    Frames,
    PdMessage,
    Rejected,
    Telemetry,
    Wait,
)
from denchi_protocol.devclock import DeviceClock
from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.fields import as_frames, check_run, unsigned
from denchi_protocol.framing import Framer, Junk
from denchi_protocol.meters.power_z.packets import (
    ADC,
    ADC_SIZES,
    LONGEST,
    PD,
    PD_STATUS,
    QUEUE,
    QUEUE_SIZE,
    SAMPLE,
    STARTS,
    Packet,
    adc_size,
    check_rows,
    headed_queue,
    packets,
    pd_events,
    queue_samples,
    rule,
)
from denchi_protocol.meters.power_z.stream import MS, SequenceClock
from denchi_protocol.polling import Poller
from denchi_protocol.samples import MISSING, TIME_STEP_NS, Int64s, Quality, SampleBlock
from denchi_protocol.table import Table, value

GET_DATA: Final = 0x0C
BOTH: Final = ADC | PD
PERIOD_MS: Final = 10
RESEND_MS: Final = 50
APART_AFTER: Final = 3
"""Unanswered combined requests after which ADC and PD are asked for one by one (HID: 64-byte reports)."""
APART_FIRST, APART_MOST = 20, 20_000
"""Answers after which both are asked for together again: the device may only have been slow to start."""
NO_TEMPERATURE: Final = -32768
STREAM_NS: Final = 2_000 * MS
"""This long after samples of a stream, ADC packets lend it their temperature and add no samples."""
STATUS_NS: Final = 1_000 * MS
"""PD status is told as a sample (mV, mA) only where nothing finer has come for this long."""

ADC_TABLE: Final = Table(
    min(ADC_SIZES),
    value("vbus_uv", 0, "<i"),
    value("ibus_ua", 4, "<i"),
    # 1/128 degC, rounded half up to the milli-degree; negative ones too.
    value(
        "temp_mc.meter", 24, "<h", 1000,
        divide=128, none=(NO_TEMPERATURE,), none_flag=Quality.FAULT_CODE,
    ),
    *(
        value(name, at, "<H", 100)
        for name, at in (("cc1_uv", 26), ("cc2_uv", 28), ("dp_uv", 30), ("dm_uv", 32))
    ),
    flag=Quality.UNCHECKED,
)  # fmt: skip
STATUS_TABLE: Final = Table(
    PD_STATUS,
    value("vbus_uv", 4, "<H", 1000),
    value("ibus_ua", 6, "<h", 1000),
    value("cc1_uv", 8, "<H", 1000),
    value("cc2_uv", 10, "<H", 1000),
    flag=Quality.UNCHECKED,
)

QUEUE_TABLES: Final = {
    slow: Table(
        QUEUE_SIZE,
        value("vbus_uv", 4, "<i"),
        value("ibus_ua", 8, "<i"),
        *(
            value(name, at, "<H", 100 if slow else 1000)
            for name, at in (("cc1_uv", 12), ("cc2_uv", 14), ("dp_uv", 16), ("dm_uv", 18))
        ),
        flag=Quality.UNCHECKED,
    )
    for slow in (False, True)
}
"""Stream samples; the scale of the lines depends on the rate."""
LENT: Final = ("temp_mc.meter", "cc1_uv", "cc2_uv", "dp_uv", "dm_uv")
"""What an ADC packet lends the newest sample of a stream; the first is in no sample of its own."""
STEADY_REPLIES: Final = 1024

ORDER: Final = {ADC: 0, QUEUE: 1, PD: 2}
"""A stream's newest sample takes the ADC packet's temperature along."""


def request(number: int, mask: int) -> bytes:
    """GetData for the packets of ``mask``; the attribute field begins at bit 17."""
    return bytes((GET_DATA, number & 0xFF)) + (mask << 1).to_bytes(2, "little")


class PowerZCodec:
    """One connection to a KM002C or KM003C."""

    def __init__(self) -> None:
        self._framer = Framer(rule, STARTS, longest=LONGEST, rows=check_rows)
        self._poller = Poller(self._plan, period_ms=PERIOD_MS, resend_ms=RESEND_MS, tries=1)
        self._number = 0
        self._misses = 0
        self._apart = 0
        self._patience = APART_FIRST
        self._late: list[bytes | Junk] = []
        self._sequence = SequenceClock()
        self._pd_clock = DeviceClock()
        self._lent: SampleBlock | None = None
        self._stream_ns: int | None = None
        self._fine_ns: int | None = None
        self._last_ns: int | None = None

    # -- what to send ------------------------------------------------------------------------

    def next(self, now_ns: int) -> Action:
        """Ask for ADC and PD packets every 10 ms; one request in flight."""
        expired, given_up = self._poller.expired, self._poller.given_up
        flight = self._poller.in_flight
        action = self._poller.next(now_ns)
        if flight and self._poller.given_up != given_up and flight == request(flight[1], BOTH):
            self._missed()
        if self._poller.expired != expired:
            # What came of the answer stays a piece: nothing may be joined to it.
            self._late += self._framer.flush()
        return action

    def _missed(self) -> None:
        """A combined request stayed unanswered."""
        self._misses += 1
        if self._misses >= APART_AFTER:
            self._misses, self._apart = 0, self._patience
            self._patience = min(self._patience * 4, APART_MOST)

    def _plan(self) -> list[bytes]:
        out = []
        for mask in (ADC, PD) if self._apart else (BOTH,):
            self._number = (self._number + 1) & 0xFF
            out.append(request(self._number, mask))
        return out

    def close(self, now_ns: int) -> Closing:
        """Wait for the answer in flight, so that the next program does not read it."""
        if self._poller.in_flight is None:
            return Done()
        action = self.next(now_ns)
        return action if isinstance(action, Wait) else Done()

    # -- what arrives ------------------------------------------------------------------------

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; every whole reply becomes samples and PD messages."""
        events: list[Event] = []
        late, self._late = self._late, []
        for piece in [*late, *self._framer.feed_runs(data)]:
            if isinstance(piece, Junk):
                if piece.data.strip(b"\0"):  # zeros fill up a HID report
                    events.append(Rejected(t_ns, piece.reason, piece.data))
            elif not isinstance(piece, bytes):
                if (size := adc_size(piece)) and not self._streams(t_ns):
                    self._adcs(piece, size, t_ns, events)
                    continue
                at = 0
                while at < len(piece):
                    if steady := self._steady(piece[at:], t_ns, events):
                        at += steady
                        continue
                    self._reply(piece[at].tobytes(), t_ns, events)
                    at += 1
        return events

    def _steady(self, rows: Frames, t_ns: int, events: list[Event]) -> int:
        """Replies of a stream that goes on evenly are read at once: how many."""
        if len(rows) < 2 or self._lent is not None or not headed_queue(rows[:2]).all():
            return 0
        # In slices that stay in the processor's cache.
        rows = rows[:STEADY_REPLIES]
        good = headed_queue(rows)
        rows = rows if good.all() else rows[: int(np.argmin(good))]
        samples = queue_samples(rows)
        count = samples.shape[1]
        steady = self._sequence.steady(samples.view(SAMPLE)["seq"].reshape(-1), count)
        if steady < 2:
            return 0
        if self._poller.in_flight is not None:
            for number in rows[:steady, 1].tolist():
                self._answered(number, t_ns)
        stamps = self._sequence.go_on(steady * count, t_ns)
        self._placed(samples[:steady], stamps, t_ns, events)
        return steady

    def _streams(self, t_ns: int) -> bool:
        return self._stream_ns is not None and t_ns - self._stream_ns < STREAM_NS

    def _adcs(self, rows: Frames, size: int, t_ns: int, events: list[Event]) -> None:
        """Replies of one ADC packet each, with nothing to tell behind it."""
        for number in rows[:, 1].tolist() if self._poller.in_flight is not None else ():
            self._answered(number, t_ns)
        self._fine_ns = t_ns
        events.append(self.decode_run(rows[:, 8 : 8 + size], self._stamps(len(rows), t_ns)))

    def _answered(self, number: int, t_ns: int) -> None:
        flight = self._poller.in_flight
        if flight is not None and number == flight[1]:
            self._poller.answered(t_ns)
            if flight == request(flight[1], BOTH):
                self._misses, self._patience = 0, APART_FIRST
            self._apart = max(0, self._apart - 1)

    def _reply(self, reply: bytes, t_ns: int, events: list[Event]) -> None:
        self._answered(reply[1], t_ns)
        found = sorted(packets(reply), key=lambda p: ORDER.get(p.att, 0))
        streams = any(p.att == QUEUE for p in found)
        for packet in found:
            if packet.att == ADC:
                self._adc(packet, t_ns, events, streams=streams)
            elif packet.att == QUEUE:
                self._queue(packet, t_ns, events)
            elif packet.att == PD:
                self._pd(packet, t_ns, events)

    def _adc(self, packet: Packet, t_ns: int, events: list[Event], *, streams: bool) -> None:
        self._fine_ns = t_ns
        payload = as_frames(packet.payload)
        if streams or self._streams(t_ns):
            self._lent = self.decode_run(payload, np.array([t_ns], np.int64))
        else:
            events.append(self.decode_run(payload, self._stamps(1, t_ns)))

    def _stamps(self, n: int, t_ns: int) -> Int64s:
        """The arrival, or a step after the sample before where several came in one read."""
        if self._last_ns is not None:
            t_ns = max(t_ns, self._last_ns + TIME_STEP_NS)
        self._last_ns = t_ns + (n - 1) * TIME_STEP_NS
        if n == 1:
            return np.array((t_ns,), np.int64)
        return np.arange(t_ns, self._last_ns + 1, TIME_STEP_NS, dtype=np.int64)

    def _queue(self, packet: Packet, t_ns: int, events: list[Event]) -> None:
        rows = np.frombuffer(packet.payload, np.uint8).reshape(-1, QUEUE_SIZE)
        self._samples(rows, t_ns, events)

    def _samples(self, rows: Frames, t_ns: int, events: list[Event]) -> None:
        stamps, gaps = self._sequence.place(rows.view(SAMPLE)["seq"][:, 0].astype(np.int64), t_ns)
        events += gaps
        self._placed(rows, stamps, t_ns, events)

    def _placed(self, rows: Frames, stamps: Int64s, t_ns: int, events: list[Event]) -> None:
        """Samples (n, 20) or (replies, samples, 20) with their stamps, and what an ADC packet lends the newest."""
        self._stream_ns = self._fine_ns = t_ns
        if self._last_ns is not None and stamps[0] <= self._last_ns:
            ramp = np.arange(1, len(stamps) + 1, dtype=np.int64)
            stamps = np.maximum(stamps, self._last_ns + ramp)
        self._last_ns = int(stamps[-1])
        block = _queue_block(rows, stamps, self._sequence.step_ms)
        if self._lent is not None:
            columns = dict(block.columns)
            for name in LENT:
                column = columns[name].copy()
                column[-1] = self._lent.columns[name][0]
                columns[name] = column
            block, self._lent = block.replace(columns=columns), None
        events.append(block)

    def _pd(self, packet: Packet, t_ns: int, events: list[Event]) -> None:
        status = as_frames(packet.payload[:PD_STATUS])
        now_ms = int(unsigned(status, 0, 4, little=True)[0])
        found = pd_events(packet.payload) or []
        if self._fine_ns is None or t_ns - self._fine_ns > STATUS_NS:
            events.append(self.decode_run(status, self._stamps(1, t_ns)))
        if not found:
            return
        # Ages before the status; what claims to be newer than it came with it.
        ages = np.array([(now_ms - e.ms) % (1 << e.ms_bits) for e in found], np.int64)
        ages[ages > 60_000] = 0
        device_ms = np.append(np.maximum.accumulate(now_ms - ages), now_ms)
        stamps = self._pd_clock.stamps(device_ms * MS, t_ns)
        for event, stamp in zip(found, stamps.tolist(), strict=False):
            if event.wire:
                events.append(PdMessage(stamp, event.sop, event.wire))
            elif event.code & 0x0F in (1, 2):
                attached = float(event.code & 0x0F == 1)
                events.append(Telemetry(stamp, {"attached": attached}))

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode payloads: ADC (n, 44 or 40), stream samples (n, 20) or PD status (n, 12).

        The temperature is that of the meter's own board; its raw value 8000 means none. Lines of
        stream samples are MISSING: their scale depends on the rate, which one frame does not tell.
        """
        check_run(frames, t_ns)
        width = frames.shape[1]
        if width in ADC_SIZES:
            return ADC_TABLE.block(frames, t_ns)
        if width == QUEUE_SIZE:
            return _queue_block(frames, t_ns, None)
        if width == PD_STATUS:
            return STATUS_TABLE.block(frames, t_ns)
        raise LocalProtocolError(f"no packet of a POWER-Z is {width} bytes long")


def _queue_block(frames: Frames, t_ns: Int64s, step_ms: int | None) -> SampleBlock:
    columns, quality = QUEUE_TABLES[step_ms == 500].read(frames)
    none = np.full(len(quality), MISSING, np.int32)
    for name in LENT if step_ms is None else LENT[:1]:
        columns[name] = none
    return SampleBlock.trusted(t_ns, columns, quality)
