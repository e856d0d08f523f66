"""FNIRSI host side over USB HID: start, keep-alive, drain; frames of four samples.

Facts and their sources: README.md beside this file. Never sends a trigger command.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from denchi_protocol.checksum import CRC8_FNIRSI
from denchi_protocol.codec import (
    Action,
    Closing,
    DeviceInfo,
    Done,
    Event,
    Frames,
    Rejected,
    Send,
    Wait,
)
from denchi_protocol.fields import check_run, split_where
from denchi_protocol.framing import MORE, Framer, Junk, Verdict
from denchi_protocol.meters.fnirsi.stamps import spread
from denchi_protocol.samples import MISSING, Int32s, Int64s, Quality, SampleBlock
from denchi_protocol.table import Table, value

MS: Final = 1_000_000
FRAME: Final = 64
HEAD: Final = 0xAA
MEASUREMENT, INFO = 0x04, 0x03
SAMPLES: Final = 4
SAMPLE_STEP_NS: Final = 10 * MS

IDENTIFY, START, CONTINUE = 0x81, 0x82, 0x83
START_OLD: Final = (IDENTIFY, START, CONTINUE)
"""FNB48, C1."""
START_NEW: Final = (IDENTIFY, START, START)
"""FNB58, FNB48S/P, FNAC-28."""

START_PAUSE_NS: Final = 50 * MS
"""Between the commands of the start sequence; with less the device may crash."""
PAUSE_NS: Final = 25 * MS
"""Between any two commands."""
KEEP_ALIVE_NS: Final = 100 * MS
SILENT_NS: Final = 500 * MS
DRAIN_NS: Final = 1000 * MS
DRAIN_AT_MOST_NS: Final = 5000 * MS

VBUS_V: Final = (-0.1, 120.0)
IBUS_A: Final = (-0.1, 7.5)
"""A frame with a voltage or current outside is no measurement at all."""

_SAMPLE: Final = 15
_TABLE: Final = Table(
    _SAMPLE,
    value("vbus_uv", 0, "<i", 10),
    value("ibus_ua", 4, "<i", 10),
    value("dp_uv", 8, "<H", 1000),
    value("dm_uv", 10, "<H", 1000),
    value("temp_mc.meter", 13, "<H", 100),
    flag=Quality.TIME_SPREAD,
)
_LIMITS: Final = tuple(
    (name, round(low * 1e6), round(high * 1e6))
    for name, (low, high) in (("vbus_uv", VBUS_V), ("ibus_ua", IBUS_A))
)
_INSIDE: Final = slice(1, FRAME - 1)
_NOT_MEASURED: Final = np.uint16(Quality.OUT_OF_RANGE | Quality.TIME_SPREAD)


def command(number: int) -> bytes:
    """The 64-byte report of a command without parameters."""
    body = bytes([number]) + bytes(FRAME - 3)
    return bytes([HEAD]) + body + bytes([CRC8_FNIRSI.of(body)])


_COMMANDS: Final = {number: command(number) for number in (IDENTIFY, START, CONTINUE)}


def _rule(view: bytes) -> Verdict:
    if len(view) < FRAME:
        return MORE
    if CRC8_FNIRSI.of(view[_INSIDE]) != view[FRAME - 1]:
        return FRAME, "wrong checksum"
    if view[1] not in (MEASUREMENT, INFO):
        return FRAME, f"unknown frame type {view[1]:02x}"
    return FRAME, ""


def _check_rows(rows: Frames) -> NDArray[np.bool_]:
    good: NDArray[np.bool_] = (
        (rows[:, 0] == HEAD)
        & ((rows[:, 1] == MEASUREMENT) | (rows[:, 1] == INFO))
        & (CRC8_FNIRSI.of_rows(rows[:, _INSIDE]) == rows[:, FRAME - 1])
    )
    return good


class FnirsiCodec:
    """One connection to an FNB48, FNB48S/P, FNB58, C1 or FNAC-28 by USB."""

    def __init__(self, start: Iterable[int] = START_NEW) -> None:
        self._start = list(start)
        self._framer = Framer(_rule, bytes([HEAD]), longest=FRAME, rows=_check_rows)
        self._sent_ns: int | None = None
        self._ready_ns = 0
        self._heard_ns = 0
        self._packet = False
        self._last_frame_ns: int | None = None
        self._closing_ns: int | None = None

    # -- what to send ------------------------------------------------------------------------

    def next(self, now_ns: int) -> Action:
        """Start sequence, then 83 after every packet (at least every 100 ms), 82 after silence."""
        if self._sent_ns is not None and now_ns < self._ready_ns:
            return Wait(self._ready_ns)
        if self._start:
            self._heard_ns = now_ns
            return self._send(self._start.pop(0), now_ns, START_PAUSE_NS)
        assert self._sent_ns is not None
        if now_ns >= self._heard_ns + SILENT_NS:
            # 83 is ignored once sampling has stopped: only 82 starts it again.
            self._heard_ns = now_ns
            return self._send(START, now_ns, START_PAUSE_NS)
        if self._packet or now_ns >= self._sent_ns + KEEP_ALIVE_NS:
            return self._send(CONTINUE, now_ns, PAUSE_NS)
        return Wait(min(self._sent_ns + KEEP_ALIVE_NS, self._heard_ns + SILENT_NS))

    def _send(self, number: int, now_ns: int, pause_ns: int) -> Send:
        self._sent_ns, self._ready_ns = now_ns, now_ns + pause_ns
        self._packet = False
        return Send(_COMMANDS[number])

    def close(self, now_ns: int) -> Closing:
        """Send nothing and read until a second of silence: an undrained meter freezes."""
        if self._sent_ns is None:
            return Done()
        if self._closing_ns is None:
            self._closing_ns = now_ns
            self._heard_ns = max(self._heard_ns, now_ns)
        until = min(self._heard_ns + DRAIN_NS, self._closing_ns + DRAIN_AT_MOST_NS)
        return Done() if now_ns >= until else Wait(until)

    # -- what arrives ------------------------------------------------------------------------

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; runs of whole frames become blocks of 10 ms samples."""
        if data:
            self._heard_ns = max(self._heard_ns, t_ns)
        events: list[Event] = []
        for piece in self._framer.feed_runs(data):
            if isinstance(piece, Junk):
                events.append(Rejected(t_ns, piece.reason, piece.data))
                continue
            self._packet = True
            for run in split_where(piece, piece[:, 1] == MEASUREMENT):
                if run[0, 1] == MEASUREMENT:
                    self._measured(run, t_ns, events)
                    continue
                for frame in run:
                    raw = frame[2 : FRAME - 1].tobytes().hex()
                    events.append(DeviceInfo(t_ns, maker="FNIRSI", fields={"raw": raw}))
        return events

    def _measured(self, frames: Frames, t_ns: int, events: list[Event]) -> None:
        n = len(frames)
        if n == 1:
            arrival = np.array((t_ns,), np.int64)
        else:
            back = np.arange(n - 1, -1, -1, dtype=np.int64)
            arrival = t_ns - back * (SAMPLES * SAMPLE_STEP_NS)
        if self._last_frame_ns is not None and int(arrival[0]) <= self._last_frame_ns:
            # They waited somewhere on the way: they share the time since the frame before.
            step = max(t_ns - self._last_frame_ns, 0) // n
            arrival = self._last_frame_ns + step * np.arange(1, n + 1, dtype=np.int64)
        block, whole = self._decoded(frames, arrival, self._last_frame_ns)
        self._last_frame_ns = int(block.t_ns[-1])
        if not whole:
            bad = block.quality == _NOT_MEASURED
            events.extend(
                Rejected(t_ns, "values that cannot be", frames[i].tobytes())
                for i in np.flatnonzero(bad[::SAMPLES])
            )
            block = block[~bad]
        if len(block):
            events.append(block)

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode checked measurement frames (n, 64) into 4 n samples, 10 ms apart.

        A frame with an impossible voltage or current is all MISSING (a reply of another kind has
        been seen in the place of a measurement). Current is unsigned, as the meter has it.
        """
        check_run(frames, t_ns)
        return self._decoded(frames, t_ns, None)[0]

    def _decoded(
        self, frames: Frames, t_ns: Int64s, previous_ns: int | None
    ) -> tuple[SampleBlock, bool]:
        """The samples, and whether all of them can be."""
        inside = frames[:, 2 : 2 + SAMPLES * _SAMPLE].reshape(len(frames), SAMPLES, _SAMPLE)
        columns, quality = _TABLE.read(inside)
        whole = all(_within(columns[n], low, high) for n, low, high in _LIMITS)
        if not whole:
            outside = [(columns[n] < low) | (columns[n] > high) for n, low, high in _LIMITS]
            wrong = (outside[0] | outside[1]).reshape(-1, SAMPLES).any(axis=1).repeat(SAMPLES)
            quality[wrong] = _NOT_MEASURED
            columns = {
                name: np.where(wrong, np.int32(MISSING), values) for name, values in columns.items()
            }
        stamps = spread(t_ns, SAMPLES, SAMPLE_STEP_NS, previous_ns)
        return SampleBlock.trusted(stamps, columns, quality), whole


def _within(column: Int32s, low: int, high: int) -> bool:
    if len(column) <= SAMPLES:  # of one frame: cheaper than a reduction of an array
        values = column.tolist()
        return bool(low <= min(values) and max(values) <= high)
    return bool(low <= column.min() and column.max() <= high)
