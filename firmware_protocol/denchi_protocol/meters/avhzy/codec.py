"""AVHzY / Shizuku host side: stop, start, a stream of samples; and the older text protocol.

Framing and fields, and how little is known of them: README.md beside this file.
"""

from __future__ import annotations

import struct
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from denchi_protocol.checksum import xor8
from denchi_protocol.codec import (
    Action,
    Closing,
    Done,
    Event,
    Frames,
    MeterGap,
    Rejected,
    Send,
    Telemetry,
    Wait,
)
from denchi_protocol.confirm import Confirm
from denchi_protocol.devclock import DeviceClock
from denchi_protocol.fields import check_run, split_where, unsigned
from denchi_protocol.framing import MORE, Framer, Junk, Verdict
from denchi_protocol.polling import MS, Poller
from denchi_protocol.samples import Int64s, SampleBlock
from denchi_protocol.table import Real, Table

START, END = 0xA5, 0x5A
STOP_PREFIX: Final = bytes.fromhex("a5040000000107")
START_PREFIX: Final = bytes.fromhex("a5080000000109")
INTERVAL_MS: Final = 1
SAMPLE: Final = 0x04
SHORTEST_SAMPLE: Final = 20
"""Class, command, id, zero, volts, amperes, time."""
LONGEST_PAYLOAD: Final = 256
LOST_NS: Final = 20 * MS
"""A hole this wide in the device's own time is a gap, not jitter."""


def command(payload: bytes) -> bytes:
    """Frame a payload: A5, length, payload, XOR, 5A."""
    return struct.pack("<BI", START, len(payload)) + payload + bytes((xor8(payload), END))


def _rule(view: bytes) -> Verdict:
    if len(view) < 5:
        return MORE
    length = int.from_bytes(view[1:5], "little")
    if not 4 <= length <= LONGEST_PAYLOAD:
        return 1, "no believable length"
    if len(view) < length + 7:
        return MORE
    if view[length + 6] != END:
        return length + 7, "no end byte"
    if view[length + 5] != xor8(view[5 : length + 5]):
        return length + 7, "wrong checksum"
    return length + 7, ""


_BELIEVABLE: Final = 2**53 - 1
TABLE: Final = Table(SHORTEST_SAMPLE + 7, Real("vbus_uv", 9, "<f"), Real("ibus_ua", 13, "<f"))
TEXT_TABLE: Final = Table(
    20,
    *(
        Real(n, 4 * i, "<f")
        for n, i in (("vbus_uv", 0), ("ibus_ua", 1), ("dp_uv", 3), ("dm_uv", 4))
    ),
)


def _check_rows(rows: Frames) -> NDArray[np.bool_]:
    length = np.frombuffer((rows.shape[1] - 7).to_bytes(4, "little"), np.uint8)
    good: NDArray[np.bool_] = (
        (rows[:, 0] == START)
        & (rows[:, -1] == END)
        & (rows[:, 1:5] == length).all(axis=1)
        & (np.bitwise_xor.reduce(rows[:, 5:-2], axis=1) == rows[:, -2])
    )
    return good


class AvhzyCodec:
    """One connection to a CT-3 generation meter."""

    def __init__(self) -> None:
        self._framer = Framer(_rule, bytes([START]), longest=LONGEST_PAYLOAD + 7, rows=_check_rows)
        self._clock = DeviceClock()
        self._state: Literal["stop", "start", "stream", "closing", "closed"] = "stop"
        self._id = 0
        self._due_ns: int | None = None
        self._tries = 0
        self._device_ns: int | None = None
        self._stamp_ns = 0

    def next(self, now_ns: int) -> Action:
        """Stop a stream left over, start our own, start again when it stalls."""
        if self._due_ns is not None and now_ns < self._due_ns:
            return Wait(self._due_ns)
        if self._state == "stream":  # nothing for 1.5 s: from the beginning
            self._state, self._tries, self._due_ns = "stop", 0, None
        if self._state == "stop":
            if self._tries < 2:
                return self._send(bytes((0x01, 0x07, self._id, 0)), now_ns)
            self._begin("start")  # some answer to nothing: go on without
        return self._send(
            bytes((0x01, 0x09, self._id, 0)) + INTERVAL_MS.to_bytes(4, "little"), now_ns
        )

    def close(self, now_ns: int) -> Closing:
        """Stop the stream, wait for the answer or 300 ms."""
        if self._state == "closed":
            return Done()
        if self._state != "closing":
            self._begin("closing")
            return self._send(bytes((0x01, 0x07, self._id, 0)), now_ns, wait_ms=300)
        if self._due_ns is not None and now_ns < self._due_ns:
            return Wait(self._due_ns)
        self._state = "closed"
        return Done()

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; runs of samples become blocks on the meter's own clock."""
        events: list[Event] = []
        for piece in self._framer.feed_runs(data):
            if isinstance(piece, Junk):
                events.append(Rejected(t_ns, piece.reason, piece.data))
            elif piece[0, 5] == SAMPLE and piece.shape[1] >= SHORTEST_SAMPLE + 7:
                # A reply as long as a sample would end the run of samples.
                for run in split_where(piece, piece[:, 5] == SAMPLE):
                    events += self._samples(run, t_ns) if run[0, 5] == SAMPLE else []
            else:
                for frame in piece:
                    self._answer(frame.tobytes())
        return events

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode checked sample frames of one length (n, length); ``ibus_ua`` has the meter's sign."""
        check_run(frames, t_ns)
        return TABLE.block(frames, t_ns)

    def _begin(self, state: Literal["stop", "start", "stream", "closing", "closed"]) -> None:
        self._state, self._tries, self._due_ns = state, 0, None
        self._id = (self._id + 1) & 0xFF

    def _send(self, payload: bytes, now_ns: int, wait_ms: int = 500) -> Send:
        self._tries += 1
        self._due_ns = now_ns + wait_ms * MS
        return Send(command(payload))

    def _answer(self, frame: bytes) -> None:
        payload = frame[5:-2]
        if payload[3] != 0x80 or payload[2] != self._id:
            return
        if self._state == "stop":
            self._begin("start")
        elif self._state == "closing":
            self._state = "closed"

    def _samples(self, run: Frames, t_ns: int) -> list[Event]:
        events: list[Event] = []
        end = run.shape[1] - 2
        if len(run) == 1 and self._device_ns is not None:
            now = int.from_bytes(run[0, end - 8 : end].tobytes(), "little") & _BELIEVABLE
            if now * 1000 - self._device_ns <= LOST_NS:  # the usual live sample, without arrays
                self._device_ns = now * 1000
                stamps = self._clock.stamps(np.array((self._device_ns,), np.int64), t_ns)
                self._stamp_ns = int(stamps[0])
                self._streams(t_ns)
                return [self.decode_run(run, stamps)]
        # A count of microseconds cannot reach 2**53 in a century: what does is masked, not believed.
        device_ns = (unsigned(run, end - 8, 8, little=True) & _BELIEVABLE) * 1000
        stamps = self._clock.stamps(device_ns, t_ns)
        first = int(device_ns[0]) if self._device_ns is None else self._device_ns
        before = np.concatenate(((first,), device_ns))
        steps = before[1:] - before[:-1]
        if int(steps.max()) > LOST_NS:
            was = np.concatenate(((self._stamp_ns,), stamps))
            for i in np.flatnonzero(steps > LOST_NS).tolist():
                lost = int(steps[i]) // (INTERVAL_MS * MS) - 1
                reason = "samples missing on the meter's clock"
                events.append(MeterGap(int(was[i]), int(was[i + 1]), lost, reason))
        self._device_ns, self._stamp_ns = int(device_ns[-1]), int(stamps[-1])
        events.append(self.decode_run(run, stamps))
        self._streams(t_ns)
        return events

    def _streams(self, t_ns: int) -> None:
        if self._state in ("start", "stream"):
            self._state = "stream"
            self._due_ns = t_ns + 1500 * MS


# -- CT-2: text request, five floats ----------------------------------------------------------

ASK_TEXT: Final = b"Get Meter Data"
TEXT_LENGTH: Final = 20


def _text_rule(view: bytes) -> Verdict:
    if len(view) < TEXT_LENGTH:
        return MORE
    volts, amps, watts, dp, dm = values = struct.unpack("<5f", view[:TEXT_LENGTH])
    # Nothing frames the reply; the product must agree, and a NaN fails every comparison.
    believable = (
        -0.5 <= volts <= 60
        and -12 <= amps <= 12
        and abs(abs(watts) - abs(volts * amps)) <= 0.05 + 0.02 * abs(watts)
        and -1 <= dp <= 30
        and -1 <= dm <= 30
        # Out of step the exponent is another number's fraction: 1e-38 V is no reading.
        and all(value == 0 or abs(value) > 1e-7 for value in values)
    )
    return (TEXT_LENGTH, "") if believable else (1, "no believable reading")


class TextCodec:
    """One connection to a CT-2 with the older firmware."""

    def __init__(self) -> None:
        self._framer = Framer(_text_rule, bytes(range(256)), longest=TEXT_LENGTH)
        self._poller = Poller(lambda: (ASK_TEXT,), period_ms=200, resend_ms=500, tries=1)
        self._confirm = Confirm()
        self._expired = 0

    def next(self, now_ns: int) -> Action:
        """Ask for a reading, or wait for it."""
        return self._poller.next(now_ns)

    def close(self, now_ns: int) -> Closing:
        """Nothing to stop: the meter only ever answers."""
        return Done()

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; every 20 that can be a reading become one."""
        pieces: list[bytes | Junk] = []
        if self._poller.expired != self._expired:
            self._expired = self._poller.expired
            pieces += self._framer.flush()
        pieces += self._framer.feed(data)
        events: list[Event] = []
        for piece in pieces:
            if isinstance(piece, Junk):
                events.append(Rejected(t_ns, piece.reason, piece.data))
                continue
            self._poller.answered(t_ns)
            rows = np.frombuffer(piece, np.uint8)[None, :]
            block = self.decode_run(rows, np.array([t_ns], np.int64))
            events += self._confirm.pass_on(block, t_ns)
            events.append(Telemetry(t_ns, {"power_w": struct.unpack_from("<f", piece, 8)[0]}))
        return events

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode readings (n, 20): five little-endian floats V, A, W, D+, D-."""
        check_run(frames, t_ns)
        return TEXT_TABLE.block(frames, t_ns)
