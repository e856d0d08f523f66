"""FNIRSI device side over Bluetooth LE, from the protocol page (README.md)."""

from __future__ import annotations

import binascii
import struct
from collections import deque
from typing import Final

from denchi_protocol.codec import Action, Scene, SceneSource, Send, Wait

ODDITIES: Final = ("split", "coarse_only", "newer_segments", "restless_stop")
"""split: notifications of at most 20 bytes. coarse_only: no segment 04, only the mV / mA one.
newer_segments: a segment of an unknown type in every cycle. restless_stop: goes on for 200 ms after
the stop command."""

_MS: Final = 1_000_000
_CYCLE_NS: Final = 100 * _MS


def segment(kind: int, payload: bytes) -> bytes:
    """AA, kind, length, payload, low byte of CRC-16/XMODEM."""
    head = bytes([0xAA, kind, len(payload)]) + payload
    return head + bytes([binascii.crc_hqx(head, 0) % 256])


class FnirsiBleEmulator:
    """The transparent UART of a meter: whole commands in, notifications out."""

    ODDITIES = ODDITIES

    def __init__(
        self,
        source: SceneSource,
        *,
        now_ns: int = 0,
        oddity: str = "",
        seed: int = 0,
        model: int = 58,
    ) -> None:
        if oddity and oddity not in ODDITIES:
            raise ValueError(f"no oddity {oddity!r}; known: {', '.join(ODDITIES)}")
        self._source, self._oddity, self._model = source, oddity, model
        self._out: deque[bytes] = deque()
        self._due: int | None = None
        self._ends: int | None = None
        self._began = 0
        self._cycles = 0

    def receive(self, data: bytes, now_ns: int) -> None:
        """Take one write: a command without payload."""
        if len(data) != 4 or segment(data[1], b"") != data:
            return
        if data[1] == 0x81:
            self._notify(segment(0x03, struct.pack("<HHIIBB", self._model, 110, 999_999, 1, 10, 0)))
        elif data[1] == 0x82:
            if self._due is None:
                self._due, self._began = now_ns + _CYCLE_NS, now_ns
            self._ends = None
        elif data[1] == 0x84:
            self._ends = now_ns + (200 * _MS if self._oddity == "restless_stop" else 0)

    def next(self, now_ns: int) -> Action:
        """The next notification, or when there may be one."""
        while self._due is not None and self._due <= now_ns:
            if self._ends is not None and self._due >= self._ends:
                self._due = None
                break
            self._cycle(self._due)
            self._due += _CYCLE_NS
        if self._out:
            return Send(self._out.popleft())
        return Wait(self._due if self._due is not None else now_ns + 1000 * _MS)

    def _cycle(self, t_ns: int) -> None:
        scene = self._source.at(t_ns)
        v, a = max(0.0, scene.vbus_v or 0.0), abs(scene.ibus_a or 0.0)
        lines = round((scene.dp_v or 0.0) * 1000), round((scene.dm_v or 0.0) * 1000)
        out = segment(0x06, struct.pack("<HHH", *lines, 0x0B01))
        out += segment(0x07, struct.pack("<HH", int(v * 1000), int(a * 1000)))
        if self._oddity != "coarse_only":
            power = struct.pack("<III", round(v * 1e4), round(a * 1e4), round(v * a * 1e4))
            out += segment(0x04, power)
        if self._oddity == "newer_segments":
            out += segment(0x0C, bytes(5))
        out += segment(0x05, self._heat(scene, v, a))
        self._notify(out)
        self._cycles += 1
        if self._cycles % 10 == 0:
            self._notify(segment(0x08, self._counters(scene, t_ns)))

    @staticmethod
    def _heat(scene: Scene, v: float, a: float) -> bytes:
        temp_c = 25.0 if scene.meter_temp_c is None else scene.meter_temp_c
        load = min(v / a, 99_999.0) if a > 1e-4 else 0.0
        return struct.pack("<IBH", round(load * 1e4), int(temp_c >= 0), round(abs(temp_c) * 10))

    def _counters(self, scene: Scene, t_ns: int) -> bytes:
        seconds = (t_ns - self._began) // (1000 * _MS)
        energy, charge = scene.energy_wh or 0.0, scene.capacity_ah or 0.0
        return struct.pack("<BIIII", 0, round(energy * 1e5), round(charge * 1e5), seconds, seconds)

    def _notify(self, data: bytes) -> None:
        size = 20 if self._oddity == "split" else 180
        self._out.extend(data[at : at + size] for at in range(0, len(data), size))
