"""YZXStudio host side: listens to 28-byte frames that come unasked every 250 ms.

Layout and source: README.md beside this file. Nothing is ever sent.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from denchi_protocol.checksum import sum8, sum8_rows
from denchi_protocol.codec import Action, Closing, Done, Event, Frames, Rejected, Telemetry, Wait
from denchi_protocol.fields import check_run
from denchi_protocol.framing import MORE, Framer, Junk, Verdict
from denchi_protocol.polling import MS
from denchi_protocol.runs import ArrivalClock, News, in_order
from denchi_protocol.samples import Int64s, SampleBlock
from denchi_protocol.table import Table, value

START: Final = 0xAB
LENGTH: Final = 28
TABLE: Final = Table(
    LENGTH,
    value("vbus_uv", 3, "<i", 100),
    value("ibus_ua", 7, "<I", 100),
    value("dp_uv", 23, "<H", 1000),
    value("dm_uv", 25, "<H", 1000),
)
_INSIDE: Final = np.dtype(
    {"names": ["v", "a", "dp", "dm"], "formats": ["<i4", "<u4", "<u2", "<u2"], "offsets": [3, 7, 23, 25], "itemsize": LENGTH}
)  # fmt: skip


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


def _rows(rows: Frames) -> NDArray[np.bool_]:
    inside = rows.view(_INSIDE)[:, 0]
    good: NDArray[np.bool_] = (
        (rows[:, 0] == START)
        & (sum8_rows(rows[:, :-1]) == rows[:, -1])
        & (inside["v"] >= -10_000)
        & (inside["v"] <= 320_000)
        & (inside["a"] <= 70_000)
        & (np.maximum(inside["dp"], inside["dm"]) <= 32_000)
    )
    return good


class YzxCodec:
    """One connection to a ZY12xx."""

    def __init__(self) -> None:
        self._framer = Framer(_rule, bytes([START]), longest=LENGTH, rows=_rows)
        self._clock = ArrivalClock()
        self._news = News()

    def next(self, now_ns: int) -> Action:
        """Only listen."""
        return Wait(now_ns + 1000 * MS)

    def close(self, now_ns: int) -> Closing:
        """Nothing to stop."""
        return Done()

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; every whole frame becomes a sample and its counters."""
        events: list[Event] = []
        for piece in self._framer.feed_runs(data):
            if isinstance(piece, Junk):
                events.append(Rejected(t_ns, piece.reason, piece.data))
                continue
            block = self.decode_run(piece, self._clock.stamps(len(piece), t_ns))
            told = [(i, _counters(piece[i].tobytes(), t_ns)) for i in self._news.among(piece, t_ns)]
            events += in_order(block, told)
        return events

    def finish(self, t_ns: int) -> list[Event]:
        """The counters of the last frame, at the end of a recording."""
        return [_counters(frame, t_ns) for frame in self._news.left()]

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode checked frames (n, 28)."""
        check_run(frames, t_ns)
        return TABLE.block(frames, t_ns)


def _counters(frame: bytes, t_ns: int) -> Telemetry:
    capacity, energy, active = struct.unpack_from("<III", frame, 11)
    return Telemetry(
        t_ns,
        {
            "capacity_ah": capacity / 10_000,
            "energy_wh": energy / 10_000,
            # Runs only while there is power: a duration, no clock.
            "active_s": active / 100,
        },
    )
