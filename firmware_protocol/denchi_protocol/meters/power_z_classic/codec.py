"""POWER-Z KM001 (KingMeter) and FL001 host sides, USB HID reports of 64 bytes.

Facts and their one source: README.md beside this file. The KM001 is asked for samples and for nothing
else: its rate stays what it is set to. To the FL001 nothing is sent.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from denchi_protocol.checksum import CRC16_MODBUS, sum8
from denchi_protocol.codec import Action, Closing, Done, Event, Frames, Rejected, Send, Wait
from denchi_protocol.fields import check_run
from denchi_protocol.framing import MORE, Framer, Junk, Verdict
from denchi_protocol.polling import MS
from denchi_protocol.samples import TIME_STEP_NS, Int64s, Quality, SampleBlock
from denchi_protocol.table import Real, Table, value

REPORT: Final = 64
ASK_EVERY_NS: Final = 200 * MS
"""One request is worth 200 samples; the source repeats it at this interval."""


def command(body: bytes) -> bytes:
    """A request: 55, length, body, sum and CRC-16 of all that, filled up to a report."""
    head = bytes((0x55, len(body) + 1)) + body
    crc = CRC16_MODBUS.of(head).to_bytes(2, "little")
    return (head + bytes((sum8(head),)) + crc).ljust(REPORT, b"\0")


ASK: Final = command(bytes.fromhex("22050b00"))
_SAMPLE: Final = bytes.fromhex("aa2562050b01")
_OTHER: Final = bytes.fromhex("aa4062050b")
_FL: Final = bytes.fromhex("00033b")


def _starts(view: bytes, head: bytes) -> bool:
    size = min(len(view), len(head))
    return view[:size] == head[:size]


def _rule_km(view: bytes) -> Verdict:
    if not _starts(view, _SAMPLE) and not _starts(view, _OTHER):
        return 1, "no report begins here"
    if len(view) < REPORT:
        return MORE
    # No checksum: what has always been zero has to be zero.
    if view[: len(_SAMPLE)] == _SAMPLE and any(view[37:63]):
        return REPORT, "not empty where a sample is empty"
    return REPORT, ""


def _rule_fl(view: bytes) -> Verdict:
    if not _starts(view, _FL):
        return 1, "no report begins here"
    if len(view) < REPORT:
        return MORE
    if CRC16_MODBUS.of(view[:62]) != int.from_bytes(view[62:64], "little"):
        return REPORT, "wrong checksum"
    return REPORT, ""


def _head(rows: Frames, head: bytes) -> NDArray[np.bool_]:
    good: NDArray[np.bool_] = np.logical_and.reduce(
        rows[:, : len(head)] == np.frombuffer(head, np.uint8), axis=1
    )
    return good


KM_TABLE: Final = Table(
    REPORT,
    value("vbus_uv", 6, "<i"),
    value("ibus_ua", 10, "<i"),
    value("dp_uv", 18, "<i", 1000),
    value("dm_uv", 22, "<i", 1000),
    value("temp_mc.meter", 34, "<h", 100),
    flag=Quality.UNCHECKED,
)
FL_TABLE: Final = Table(
    REPORT,
    *(
        Real(name, 3 + 4 * place, ">f")
        for name, place in (
            ("vbus_uv", 0), ("ibus_ua", 1), ("dp_uv", 3), ("dm_uv", 4), ("temp_mc.meter", 5),
        )
    ),
)  # fmt: skip


def _check_km(rows: Frames) -> NDArray[np.bool_]:
    """Sample reports only: the others are judged alone."""
    good = _head(rows, _SAMPLE)
    good &= ~np.logical_or.reduce(rows[:, 37:63] != 0, axis=1)
    return good


def _check_fl(rows: Frames) -> NDArray[np.bool_]:
    sums = rows[:, 62].astype(np.uint32) | rows[:, 63].astype(np.uint32) << np.uint32(8)
    good: NDArray[np.bool_] = _head(rows, _FL) & (CRC16_MODBUS.of_rows(rows[:, :62]) == sums)
    return good


class _Listener:
    """What both have in common: reports in, runs of them decoded, stamped by arrival."""

    def __init__(self, framer: Framer, ignored: bytes) -> None:
        self._framer, self._ignored = framer, ignored
        self._last_ns: int | None = None

    def close(self, now_ns: int) -> Closing:
        """Nothing to stop."""
        return Done()

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; every whole report becomes a sample."""
        events: list[Event] = []
        run: list[Frames] = []
        for piece in self._framer.feed_runs(data):
            if isinstance(piece, Junk):
                self._measured(run, t_ns, events)
                run = []
                events.append(Rejected(t_ns, piece.reason, piece.data))
            elif not self._ignored or (
                len(piece) == 1 and not piece[0].tobytes().startswith(self._ignored)
            ):
                run.append(piece)
            elif len(kept := piece[~_head(piece, self._ignored)]):
                run.append(kept)
        self._measured(run, t_ns, events)
        return events

    def _measured(self, run: list[Frames], t_ns: int, events: list[Event]) -> None:
        if not run:
            return
        frames = run[0] if len(run) == 1 else np.concatenate(run)
        n = len(frames)
        floor = t_ns - 1000 * MS if self._last_ns is None else self._last_ns
        if n == 1:  # the usual live report, without arrays
            self._last_ns = max(t_ns, floor + TIME_STEP_NS)
            events.append(self.decode_run(frames, np.array((self._last_ns,), np.int64)))
            return
        step = min(max((t_ns - floor) // n, TIME_STEP_NS), 2 * MS)
        stamps = t_ns - step * np.arange(n - 1, -1, -1, dtype=np.int64)
        stamps = np.maximum(stamps, floor + TIME_STEP_NS * np.arange(1, n + 1, dtype=np.int64))
        self._last_ns = int(stamps[-1])
        events.append(self.decode_run(frames, stamps))

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode checked reports (n, 64)."""
        raise NotImplementedError


class Km001Codec(_Listener):
    """One connection to a KM001."""

    def __init__(self) -> None:
        super().__init__(Framer(_rule_km, b"\xaa", longest=REPORT, rows=_check_km), _OTHER)
        self._asked_ns: int | None = None

    def next(self, now_ns: int) -> Action:
        """Ask for 200 samples every 200 ms."""
        if self._asked_ns is not None and now_ns < self._asked_ns + ASK_EVERY_NS:
            return Wait(self._asked_ns + ASK_EVERY_NS)
        self._asked_ns = now_ns
        return Send(ASK)

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode sample reports (n, 64): the first pair of voltage and current, uV and uA.

        A second pair differs a little from the first; what it measures is not known.
        """
        check_run(frames, t_ns)
        return KM_TABLE.block(frames, t_ns)


class Fl001Codec(_Listener):
    """One connection to an FL001."""

    def __init__(self) -> None:
        super().__init__(Framer(_rule_fl, b"\0", longest=REPORT, rows=_check_fl), b"")

    def next(self, now_ns: int) -> Action:
        """Only listen."""
        return Wait(now_ns + 1000 * MS)

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode checked reports (n, 64) of seven big-endian floats; the power is not taken."""
        check_run(frames, t_ns)
        return FL_TABLE.block(frames, t_ns)
