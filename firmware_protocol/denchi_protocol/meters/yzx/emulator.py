"""YZXStudio device side, from the protocol page (README.md)."""

from __future__ import annotations

import struct
from collections import deque
from typing import Final

from denchi_protocol.codec import Action, SceneSource, Send, Wait

ODDITIES: Final = ("bad_sum", "lost_bytes", "split", "backwards")
"""bad_sum: every fifth frame's sum is wrong. lost_bytes: every fifth frame lacks four bytes. split:
frames come in two halves. backwards: the voltage is slightly below zero."""

_NS_A_MS: Final = 1_000_000


class YzxEmulator:
    """A ZY1280E that reports every 250 ms, asked or not."""

    ODDITIES = ODDITIES

    def __init__(
        self, source: SceneSource, *, now_ns: int = 0, oddity: str = "", seed: int = 0
    ) -> None:
        if oddity and oddity not in ODDITIES:
            raise ValueError(f"no oddity {oddity!r}; known: {', '.join(ODDITIES)}")
        self._source, self._oddity = source, oddity
        self._due_ns = now_ns + 20 * _NS_A_MS
        self._active_ms = 0
        self._frames = 0
        self._out: deque[bytes] = deque()

    def receive(self, data: bytes, now_ns: int) -> None:
        """Nothing is understood."""

    def next(self, now_ns: int) -> Action:
        """A frame every 250 ms."""
        if self._out:
            return Send(self._out.popleft())
        if now_ns < self._due_ns:
            return Wait(self._due_ns)
        self._due_ns = max(self._due_ns + 250 * _NS_A_MS, now_ns)
        frame = self._frame(now_ns)
        if self._oddity == "split":
            self._out.append(frame[11:])
            return Send(frame[:11])
        return Send(frame)

    def _frame(self, now_ns: int) -> bytes:
        scene = self._source.at(now_ns)
        volts, amps = scene.vbus_v or 0.0, abs(scene.ibus_a or 0.0)
        if self._oddity == "backwards":
            volts = -0.0012
        if volts * amps > 0:
            self._active_ms += 250
        body = struct.pack(
            "<BHiIIIIHH",
            0xAB,
            0x1234,  # two bytes of unknown meaning
            round(volts * 1e4),
            round(amps * 1e4),
            round((scene.capacity_ah or 0) * 1e4),
            round((scene.energy_wh or 0) * 1e4),
            self._active_ms // 10,
            round((scene.dp_v or 0) * 1000),
            round((scene.dm_v or 0) * 1000),
        )
        self._frames += 1
        frame = bytearray(body + bytes([sum(body) % 256]))
        if self._oddity == "bad_sum" and self._frames % 5 == 0:
            frame[5] ^= 0x40
        if self._oddity == "lost_bytes" and self._frames % 5 == 0:
            del frame[8:12]
        return bytes(frame)
