"""Atorch host side: listens to FF 55 reports; on a DL24 or PX-100 also asks by PX100.

Layouts and their sources: README.md beside this file. FF 55 commands and PX100 commands below 10 hex
change the instrument or its load and are never built here.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np

from denchi_protocol.codec import Action, Closing, Done, Event, Frames, Rejected, Telemetry, Wait
from denchi_protocol.confirm import Confirm
from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.fields import check_run
from denchi_protocol.framing import Framer, Junk
from denchi_protocol.meters.atorch.frames import AC, DC, LENGTHS, LONGEST, REPORT, USB, Tokenizer
from denchi_protocol.polling import MS, Poller
from denchi_protocol.runs import ArrivalClock, News, changes, in_order
from denchi_protocol.samples import Int64s, SampleBlock
from denchi_protocol.table import Part, Table, Value, value


def _ask(command: int) -> bytes:
    return bytes([0xB1, 0xB2, command, 0, 0, 0xB6])


ASK_VOLTS: Final = _ask(0x11)
ASK_AMPS: Final = _ask(0x12)
ASK_AH: Final = _ask(0x14)
ASK_WH: Final = _ask(0x15)
ASK_TEMP: Final = _ask(0x16)
PX_REQUESTS: Final = (ASK_VOLTS, ASK_AMPS, ASK_TEMP, ASK_AH, ASK_WH)


def _u24(name: str, at: int, scale: int) -> Value:
    return Value(name, (Part(at, ">H", 256), Part(at + 2, "B")), scale)


TABLES: Final = {
    # 0 degC of a USB meter: an UD18 has no sensor and always says so.
    USB: Table(
        LENGTHS[REPORT],
        _u24("vbus_uv", 4, 10_000),
        _u24("ibus_ua", 7, 10_000),
        value("dm_uv", 17, ">H", 10_000),
        value("dp_uv", 19, ">H", 10_000),
        value("temp_mc.meter", 21, ">H", 1000, none=(0,)),
    ),
    DC: Table(
        LENGTHS[REPORT],
        _u24("vbus_uv", 4, 100_000),
        _u24("ibus_ua", 7, 1_000),
        value("temp_mc.meter", 24, ">H", 1000),
    ),
}
PX_TABLE: Final = Table(
    9, *(_u24(name, 3 * i, 1000) for i, name in enumerate(("vbus_uv", "ibus_ua", "temp_mc.meter")))
)
"""The three values of PX100 replies to volts, amperes and temperature, one after the other."""

COUNTERS_EVERY: Final = 10
"""Rounds between two looks at the PX100 counters."""
PX_FRESH_NS: Final = 3_000 * MS
"""While PX100 answered within this time, the coarser FF 55 samples are left out."""


class AtorchCodec:
    """One connection to an Atorch instrument; ``poll`` for those that answer PX100."""

    def __init__(self, *, poll: bool = False) -> None:
        self._tokens = Tokenizer()
        self._framer = Framer(
            self._tokens.rule, Tokenizer.STARTS, longest=LONGEST, rows=self._tokens.rows
        )
        self._clock = ArrivalClock()
        self._news = News()
        self._confirm = Confirm()
        self._px_confirm = Confirm()
        # 29-104 ms an answer were measured; a reply does not name its command, so after a silence
        # everything is left to drain before the next round.
        self._poller = (
            Poller(self._plan, period_ms=500, resend_ms=400, tries=1, quiet_ms=800)
            if poll
            else None
        )
        self._rounds = 0
        self._row: dict[bytes, int] = {}
        self._px_ns: int | None = None

    def _plan(self) -> tuple[bytes, ...]:
        self._row = {}
        self._rounds += 1
        counters = (ASK_AH, ASK_WH) if self._rounds % COUNTERS_EVERY == 1 else ()
        return (ASK_VOLTS, ASK_AMPS, ASK_TEMP, *counters)

    def next(self, now_ns: int) -> Action:
        """Ask by PX100 where that is spoken; else only listen."""
        if self._poller is None:
            return Wait(now_ns + 1000 * MS)
        return self._poller.next(now_ns)

    def asked(self, request: bytes, t_ns: int) -> bool:
        """A recording shows that ``request`` was sent: the next PX100 reply answers it."""
        if self._poller is None or request not in PX_REQUESTS:
            return False
        if request == ASK_VOLTS:
            self._row = {}
        self._poller.asked(request, t_ns)
        return True

    def close(self, now_ns: int) -> Closing:
        """Nothing to stop."""
        return Done()

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; reports and replies become their events."""
        events: list[Event] = []
        for piece in self._framer.feed_runs(data):
            if isinstance(piece, Junk):
                events.append(Rejected(t_ns, piece.reason, piece.data))
            elif piece[0, 0] == 0xCA:
                for reply in piece:
                    events += self._px_reply(reply.tobytes(), t_ns)
            elif piece[0, 2] == REPORT:
                for start, end in pairwise(changes(piece[:, 3])):
                    events += self._reports(piece[start:end], t_ns)
        return events

    def finish(self, t_ns: int) -> list[Event]:
        """The counters of the last report, at the end of a recording."""
        return [Telemetry(t_ns, _counters(frame)) for frame in self._news.left()]

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode reports of one device type (n, 36): 3 = USB meter, 2 = DC meter or load.

        Exactly 0 degC of a USB meter is MISSING: an UD18 has no sensor and always says 0.
        Raises ``LocalProtocolError`` for a mixed run or a mains meter.
        """
        check_run(frames, t_ns)
        kind = int(frames[0, 3])
        if (frames[:, 2] != REPORT).any() or (frames[:, 3] != kind).any() or kind not in TABLES:
            raise LocalProtocolError("a run holds reports of one DC device type")
        return TABLES[kind].block(frames, t_ns)

    def _reports(self, frames: Frames, t_ns: int) -> list[Event]:
        """Reports of one device type."""
        events: list[Event] = []
        begun = 0
        while begun < len(frames):
            count = self._tokens.taken(len(frames) - begun)
            events += self._run(frames[begun : begun + count], t_ns)
            begun += count
        return events

    def _run(self, frames: Frames, t_ns: int) -> list[Event]:
        """Reports that were judged alike."""
        if frames[0, 3] == AC:
            return [Rejected(t_ns, "a mains meter's report", frame.tobytes()) for frame in frames]
        told: list[tuple[int, Event]] = [
            (i, Telemetry(t_ns, _counters(frames[i].tobytes())))
            for i in self._news.among(frames, t_ns)
        ]
        if self._px_ns is not None and t_ns - self._px_ns <= PX_FRESH_NS:
            return [mark for _, mark in told]
        block = TABLES[int(frames[0, 3])].block(frames, self._clock.stamps(len(frames), t_ns))
        if self._tokens.fitted:
            return in_order(block, told)
        events: list[Event] = []
        for part in in_order(block, told):
            if isinstance(part, SampleBlock):
                events += self._confirm.pass_on(part, t_ns)
            else:
                events.append(part)
        return events

    def _px_reply(self, frame: bytes, t_ns: int) -> list[Event]:
        request = self._poller.in_flight if self._poller is not None else None
        if self._poller is None or request is None:
            return [Rejected(t_ns, "a PX100 reply that nothing was asked for", frame)]
        self._poller.answered(t_ns)
        value = int.from_bytes(frame[2:5], "big")
        if request == ASK_AH:
            return [Telemetry(t_ns, {"capacity_ah": value / 1000})]
        if request == ASK_WH:
            return [Telemetry(t_ns, {"energy_wh": value / 1000})]
        self._row[request] = value
        if request != ASK_TEMP or len(self._row) != 3:
            return []
        self._px_ns = t_ns
        values = b"".join(self._row[ask].to_bytes(3, "big") for ask in PX_REQUESTS[:3])
        frames = np.frombuffer(values, np.uint8).reshape(1, -1)
        block = PX_TABLE.block(frames, self._clock.stamps(1, t_ns))
        return self._px_confirm.pass_on(block, t_ns)


def _counters(frame: bytes) -> dict[str, float]:
    def number(at: int, size: int) -> int:
        return int.from_bytes(frame[at : at + size], "big")

    if frame[3] == DC:
        run_s = number(26, 2) * 3600 + frame[28] * 60 + frame[29]
        return {
            "capacity_ah": number(10, 3) / 100,
            "energy_wh": number(13, 4) * 10.0,
            "run_s": float(run_s),
        }
    values = {
        "capacity_ah": number(10, 3) / 1000,
        "energy_wh": number(13, 4) / 100,
        "run_s": float(number(23, 2) * 3600 + frame[25] * 60 + frame[26]),
    }
    if any(frame[28:34]):  # J7-C and UD24 show their protection limits there
        values["limit_over_v"] = number(28, 2) / 100
        values["limit_under_v"] = number(30, 2) / 100
        values["limit_over_a"] = number(32, 2) / 100
    return values


def polling_codec() -> AtorchCodec:
    """The codec for a DL24 or PX-100, which answers PX100."""
    return AtorchCodec(poll=True)
