"""ZKETech EBD-USB host side: connect, listen, disconnect. Only 05 and 06 are ever sent.

Layout and source: README.md beside this file. The load's own commands (01 on, 02 toggle, 07 change
limits) draw current from the unit and are never built here.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from denchi_protocol.checksum import xor8
from denchi_protocol.codec import (
    Action,
    Closing,
    Done,
    Event,
    Frames,
    Rejected,
    Send,
    Telemetry,
    Wait,
)
from denchi_protocol.fields import check_run
from denchi_protocol.framing import MORE, Framer, Junk, Verdict
from denchi_protocol.polling import MS
from denchi_protocol.runs import ArrivalClock, News, in_order
from denchi_protocol.samples import Int64s, SampleBlock
from denchi_protocol.table import Part, Table, Value

CONNECT: Final = bytes.fromhex("fa0500000000000005f8")
DISCONNECT: Final = bytes.fromhex("fa0600000000000006f8")

BEGIN, END = 0xFA, 0xF8
LENGTH: Final = 19
TYPES: Final = {0x00: False, 0x64: False, 0x0A: True, 0x6E: True}
"""Frame type -> whether the load is on."""
NUMBERS: Final = slice(2, 14)
"""Base-240 digits: a byte of F0 or more cannot stand here."""
STATE: Final = (slice(1, 2), slice(10, 14))
"""Whether the load is on, and its limits."""
SILENCE_MS: Final = 6000


def _digits(name: str, at: int, scale: int) -> Value:
    return Value(name, (Part(at, "B", 240), Part(at + 1, "B")), scale)


TABLE: Final = Table(
    LENGTH,
    _digits("ibus_ua", 2, 100),
    _digits("vbus_uv", 4, 1000),
    _digits("dp_uv", 6, 1000),
    _digits("dm_uv", 8, 1000),
)


def _rule(view: bytes) -> Verdict:
    # The begin byte inside means that a frame was cut short and the next began (sigrok); the XOR at
    # 17 may be any byte.
    inside = view.find(BEGIN, 1, LENGTH - 2)
    if inside > 0:
        return inside, "a frame begins inside the frame"
    if len(view) < LENGTH:
        return MORE
    if view[LENGTH - 1] != END:
        return LENGTH, "no end byte"
    if xor8(view[1 : LENGTH - 1]):
        return LENGTH, "wrong checksum"
    if view[1] not in TYPES or max(view[NUMBERS]) >= 240:
        return LENGTH, "no reading"
    return LENGTH, ""


_IS_TYPE: Final = np.isin(np.arange(256), list(TYPES))


def _rows(rows: Frames) -> NDArray[np.bool_]:
    good: NDArray[np.bool_] = (
        (rows[:, 0] == BEGIN)
        & (rows[:, -1] == END)
        & _IS_TYPE[rows[:, 1]]
        & (np.bitwise_xor.reduce(rows[:, 1:-1], axis=1) == 0)
        & (np.maximum.reduce(rows[:, NUMBERS], axis=1) < 240)
        # Between the numbers and the XOR a begin byte would mean a frame cut short.
        & ~np.logical_or.reduce(rows[:, NUMBERS.stop : LENGTH - 2] == BEGIN, axis=1)
    )
    return good


class EbdCodec:
    """One connection to an EBD-USB or EBD-USB+."""

    def __init__(self) -> None:
        self._framer = Framer(_rule, bytes([BEGIN]), longest=LENGTH, rows=_rows)
        self._clock = ArrivalClock()
        self._news = News(*STATE)
        self._due_ns: int | None = None
        self._closing = False

    def next(self, now_ns: int) -> Action:
        """Connect at the start and after a silence; else listen."""
        if self._due_ns is not None and now_ns < self._due_ns:
            return Wait(self._due_ns)
        self._due_ns = now_ns + SILENCE_MS * MS
        return Send(CONNECT)

    def close(self, now_ns: int) -> Closing:
        """Say goodbye once."""
        if self._closing:
            return Done()
        self._closing = True
        return Send(DISCONNECT)

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; every whole frame becomes a sample and the load's state."""
        events: list[Event] = []
        for piece in self._framer.feed_runs(data):
            if isinstance(piece, Junk):
                events.append(Rejected(t_ns, piece.reason, piece.data))
                continue
            self._due_ns = t_ns + SILENCE_MS * MS
            block = self.decode_run(piece, self._clock.stamps(len(piece), t_ns))
            told = self._news.among(piece, t_ns)
            events += in_order(
                block, [(i, Telemetry(t_ns, _state(piece[i].tobytes()))) for i in told]
            )
        return events

    def finish(self, t_ns: int) -> list[Event]:
        """The counters of the last frame, at the end of a recording."""
        return [Telemetry(t_ns, _state(frame)) for frame in self._news.left()]

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode checked frames (n, 19)."""
        check_run(frames, t_ns)
        return TABLE.block(frames, t_ns)


def _state(frame: bytes) -> dict[str, float]:
    on = TYPES[frame[1]]
    values = {"load_on": float(on)}
    if on:
        values["limit_a"] = (frame[10] * 240 + frame[11]) / 1000
        values["limit_under_v"] = (frame[12] * 240 + frame[13]) / 100
    return values
