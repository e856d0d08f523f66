"""YZXStudio host side: listens to 28-byte frames that come unasked every 250 ms.

Layout and source: README.md beside this file. Nothing is ever sent.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from denchi_protocol.checksum import sum8
from denchi_protocol.codec import Action, Closing, Done, Event, Frames, Rejected, Telemetry, Wait
from denchi_protocol.fields import as_frames, check_run, counts, signed, unsigned
from denchi_protocol.framing import MORE, Framer, Junk, Verdict
from denchi_protocol.polling import MS
from denchi_protocol.samples import Int64s, SampleBlock

START: Final = 0xAB
LENGTH: Final = 28


def _rule(view: bytes) -> Verdict:
    if len(view) < LENGTH:
        return MORE
    if sum8(view[: LENGTH - 1]) != view[LENGTH - 1]:
        return LENGTH, "wrong checksum"
    # The check is one byte: of 256 broken frames one passes it, hardly one of those has possible values.
    if not _possible(view):
        return LENGTH, "impossible values behind a checksum that fits"
    return LENGTH, ""


def _possible(view: bytes) -> bool:
    volts = int.from_bytes(view[3:7], "little", signed=True)
    amps = int.from_bytes(view[7:11], "little")
    lines_mv = max(int.from_bytes(view[23:25], "little"), int.from_bytes(view[25:27], "little"))
    return -10_000 <= volts <= 320_000 and amps <= 70_000 and lines_mv <= 32_000


class YzxCodec:
    """One connection to a ZY12xx."""

    def __init__(self) -> None:
        self._framer = Framer(_rule, bytes([START]), longest=LENGTH)

    def next(self, now_ns: int) -> Action:
        """Only listen."""
        return Wait(now_ns + 1000 * MS)

    def close(self, now_ns: int) -> Closing:
        """Nothing to stop."""
        return Done()

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; every whole frame becomes a sample and its counters."""
        events: list[Event] = []
        for piece in self._framer.feed(data):
            if isinstance(piece, Junk):
                events.append(Rejected(t_ns, piece.reason, piece.data))
                continue
            events.append(self.decode_run(as_frames(piece), np.array([t_ns], np.int64)))
            values = {
                "capacity_ah": int.from_bytes(piece[11:15], "little") / 10_000,
                "energy_wh": int.from_bytes(piece[15:19], "little") / 10_000,
                # Runs only while there is power: a duration, no clock.
                "active_s": int.from_bytes(piece[19:23], "little") / 100,
            }
            events.append(Telemetry(t_ns, values))
        return events

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode checked frames (n, 28)."""
        check_run(frames, t_ns)
        return SampleBlock(
            t_ns,
            {
                "vbus_uv": counts(signed(frames, 3, 4, little=True) * 100),
                "ibus_ua": counts(unsigned(frames, 7, 4, little=True) * 100),
                "dp_uv": counts(unsigned(frames, 23, 2, little=True) * 1000),
                "dm_uv": counts(unsigned(frames, 25, 2, little=True) * 1000),
            },
        )
