"""FNIRSI device side over USB HID, from the protocol page (README.md)."""

from __future__ import annotations

import struct
from collections import deque
from typing import Final

from denchi_protocol.codec import Action, Scene, SceneSource, Send, Wait

ODDITIES: Final = (
    "unclean_exit",
    "garbage_measurement",
    "freezes_undrained",
    "firmware_068",
    "hasty_start",
    "stops",
)
"""unclean_exit: the first packet is of another kind. garbage_measurement: the first packet says it is a
measurement, its checksum is right, and reads 188.74 V, 170.39 A. freezes_undrained: eight packets that
nobody reads freeze it for good. firmware_068: a continue command that comes later than 0.6 s after
the one before freezes it for good. hasty_start: commands less than 20 ms apart at the start crash it.
stops: sampling ends by itself once after 2 s, so that only command 82 starts it again."""

_MS: Final = 1_000_000
_FRAME_NS: Final = 40 * _MS
_STREAM_NS: Final = 1000 * _MS
_FIFO: Final = 8
# Seen after an unclean exit where samples were expected (protocol page §4).
_OTHER_REPLY: Final = bytes.fromhex("020020013000040180ca00")


def crc8(data: bytes) -> int:
    """CRC-8, polynomial 39, start 42, bit by bit."""
    value = 0x42
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x39) & 0xFF if value & 0x80 else value << 1
    return value


def report(kind: int, payload: bytes) -> bytes:
    """A 64-byte report: AA, kind, 61 bytes, checksum."""
    inner = bytes([kind]) + payload.ljust(61, b"\0")
    return b"\xaa" + inner + bytes([crc8(inner)])


class FnirsiEmulator:
    """One meter of the family behind a HID interface."""

    ODDITIES = ODDITIES

    def __init__(
        self, source: SceneSource, *, now_ns: int = 0, oddity: str = "", seed: int = 0
    ) -> None:
        if oddity and oddity not in ODDITIES:
            raise ValueError(f"no oddity {oddity!r}; known: {', '.join(ODDITIES)}")
        self._source, self._oddity = source, oddity
        self._fifo: deque[bytes] = deque()
        self._frozen = False
        self._streaming_until = 0
        self._due = 0
        self._started = 0  # frames begin here; 0 = not sampling
        self._last_command: int | None = None
        self._last_continue: int | None = None
        self._first = True
        self._stopped_once = False

    @property
    def frozen(self) -> bool:
        """Whether only a replug would help."""
        return self._frozen

    def receive(self, data: bytes, now_ns: int) -> None:
        """Take one report from the host."""
        self._run(now_ns)
        if self._frozen or len(data) != 64 or data[0] != 0xAA or crc8(data[1:63]) != data[63]:
            return
        command = data[1]
        self._check_haste(command, now_ns)
        if self._frozen:
            return
        if command == 0x81:
            self._fifo.append(report(0x03, b"emulated"))
        elif command == 0x82:
            self._begin(now_ns)
        elif command == 0x83:
            self._continue(now_ns)

    def next(self, now_ns: int) -> Action:
        """Give the host's next read its packet."""
        self._run(now_ns)
        if self._fifo and not self._frozen:
            return Send(self._fifo.popleft())
        if self._started and not self._frozen:
            return Wait(max(self._due, now_ns + 1))
        return Wait(now_ns + 1000 * _MS)

    # -- inside the meter --------------------------------------------------------------------

    def _check_haste(self, command: int, now_ns: int) -> None:
        hasty = self._last_command is not None and now_ns - self._last_command < 20 * _MS
        self._last_command = now_ns
        if self._oddity == "hasty_start" and hasty and command in (0x81, 0x82):
            self._frozen = True

    def _begin(self, now_ns: int) -> None:
        if not self._started:
            self._started = now_ns
            self._due = now_ns + _FRAME_NS
            self._last_continue = None
        self._streaming_until = now_ns + _STREAM_NS

    def _continue(self, now_ns: int) -> None:
        late = self._last_continue is not None and now_ns - self._last_continue > 600 * _MS
        self._last_continue = now_ns
        if self._oddity == "firmware_068" and late:
            self._frozen = True
        elif self._started:
            self._streaming_until = now_ns + _STREAM_NS

    def _run(self, now_ns: int) -> None:
        while self._started and not self._frozen:
            if (
                self._oddity == "stops"
                and not self._stopped_once
                and self._due - self._started > 2000 * _MS
            ):
                self._stopped_once = True
                self._started = 0
                return
            if self._due > self._streaming_until:
                if now_ns >= self._streaming_until:
                    self._started = 0
                return
            if self._due > now_ns:
                return
            self._put(self._frame(self._due))
            self._due += _FRAME_NS

    def _put(self, frame: bytes) -> None:
        if len(self._fifo) >= _FIFO:
            if self._oddity == "freezes_undrained":
                self._frozen = True
            self._fifo.popleft()
        self._fifo.append(frame)

    def _frame(self, t_ns: int) -> bytes:
        if self._first:
            self._first = False
            if self._oddity == "unclean_exit":
                return report(0x05, _OTHER_REPLY)
            if self._oddity == "garbage_measurement":
                return report(0x04, _OTHER_REPLY)
        samples = b"".join(self._sample(self._source.at(t_ns - k * 10 * _MS)) for k in (3, 2, 1, 0))
        return report(0x04, samples + b"\x30")

    @staticmethod
    def _sample(scene: Scene) -> bytes:
        temp_c = 25.0 if scene.meter_temp_c is None else scene.meter_temp_c
        return struct.pack(
            "<IIHHBH",
            max(0, round((scene.vbus_v or 0.0) * 100_000)),
            abs(round((scene.ibus_a or 0.0) * 100_000)),  # the direction is not signalled
            max(0, round((scene.dp_v or 0.0) * 1000)),
            max(0, round((scene.dm_v or 0.0) * 1000)),
            1,
            max(0, round(temp_c * 10)),  # negative temperatures read as zero
        )
