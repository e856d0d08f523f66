"""ZKETech EBD-USB host side: connect, listen, disconnect. Only 05 and 06 are ever sent.

Layout and source: README.md beside this file. The load's own commands (01 on, 02 toggle, 07 change
limits) draw current from the unit and are never built here.
"""

from __future__ import annotations

from typing import Final

import numpy as np

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
from denchi_protocol.fields import as_frames, check_run, counts, unsigned
from denchi_protocol.framing import MORE, Framer, Junk, Verdict
from denchi_protocol.polling import MS
from denchi_protocol.samples import Int64s, SampleBlock

CONNECT: Final = bytes.fromhex("fa0500000000000005f8")
DISCONNECT: Final = bytes.fromhex("fa0600000000000006f8")

BEGIN, END = 0xFA, 0xF8
LENGTH: Final = 19
TYPES: Final = {0x00: False, 0x64: False, 0x0A: True, 0x6E: True}
"""Frame type -> whether the load is on."""
NUMBERS: Final = slice(2, 14)
"""Base-240 digits: a byte of F0 or more cannot stand here."""
SILENCE_MS: Final = 6000


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


class EbdCodec:
    """One connection to an EBD-USB or EBD-USB+."""

    def __init__(self) -> None:
        self._framer = Framer(_rule, bytes([BEGIN]), longest=LENGTH)
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
        for piece in self._framer.feed(data):
            if isinstance(piece, Junk):
                events.append(Rejected(t_ns, piece.reason, piece.data))
                continue
            self._due_ns = t_ns + SILENCE_MS * MS
            events.append(self.decode_run(as_frames(piece), np.array([t_ns], np.int64)))
            events.append(Telemetry(t_ns, _state(piece)))
        return events

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode checked frames (n, 19)."""
        check_run(frames, t_ns)

        def number(at: int) -> Int64s:
            return unsigned(frames, at, 1) * 240 + unsigned(frames, at + 1, 1)

        return SampleBlock(
            t_ns,
            {
                "ibus_ua": counts(number(2) * 100),
                "vbus_uv": counts(number(4) * 1000),
                "dp_uv": counts(number(6) * 1000),
                "dm_uv": counts(number(8) * 1000),
            },
        )


def _state(frame: bytes) -> dict[str, float]:
    on = TYPES[frame[1]]
    values = {"load_on": float(on)}
    if on:
        values["limit_a"] = (frame[10] * 240 + frame[11]) / 1000
        values["limit_under_v"] = (frame[12] * 240 + frame[13]) / 100
    return values
