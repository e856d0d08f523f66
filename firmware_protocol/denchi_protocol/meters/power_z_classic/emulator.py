"""POWER-Z KM001 and FL001 device sides, from the protocol page (README.md)."""

from __future__ import annotations

import struct
from collections import deque
from typing import Final

from denchi_protocol.codec import Action, Scene, SceneSource, Send, Wait

KM_ODDITIES: Final = ("slow_rate", "other_reports", "hasty")
"""slow_rate: the meter is set to a sample every 100 ms. other_reports: between the samples come reports of
another kind. hasty: it sends its 200 samples as fast as they are read."""
FL_ODDITIES: Final = ("bad_crc", "late")
"""bad_crc: every tenth report is damaged. late: reports come in bunches of four."""

_MS: Final = 1_000_000


def crc16(data: bytes) -> int:
    """CRC-16/MODBUS bit by bit."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value


class Km001Emulator:
    """Sends up to 200 samples for a request."""

    ODDITIES = KM_ODDITIES

    def __init__(
        self, source: SceneSource, *, now_ns: int = 0, oddity: str = "", seed: int = 0
    ) -> None:
        if oddity and oddity not in KM_ODDITIES:
            raise ValueError(f"no oddity {oddity!r}; known: {', '.join(KM_ODDITIES)}")
        self._source, self._oddity = source, oddity
        self._every_ns = {"slow_rate": 100, "hasty": 1}.get(oddity, 10) * _MS
        self._left = 0
        self._due_ns = now_ns
        self._count = 0

    def receive(self, data: bytes, now_ns: int) -> None:
        """Take one report from the host."""
        if len(data) != 64 or data[0] != 0x55 or not 2 <= data[1] <= 58:
            return
        end = data[1] + 1
        head = data[:end]
        if data[end] != sum(head) & 0xFF or data[end + 1 : end + 3] != struct.pack(
            "<H", crc16(head)
        ):
            return
        if head[2:] == bytes.fromhex("22050b00"):
            if not self._left:
                self._due_ns = max(self._due_ns, now_ns)
            self._left = 200

    def next(self, now_ns: int) -> Action:
        """The sample that is due."""
        if not self._left:
            return Wait(now_ns + 1000 * _MS)
        if now_ns < self._due_ns:
            return Wait(self._due_ns)
        self._count += 1
        if self._oddity == "other_reports" and self._count % 5 == 0:
            unknown = bytes(range(1, 32))
            return Send(bytes.fromhex("aa4062050b") + bytes(25) + unknown + bytes(3))
        self._left -= 1
        due, self._due_ns = self._due_ns, self._due_ns + self._every_ns
        return Send(self._sample(self._source.at(due)))

    @staticmethod
    def _sample(scene: Scene) -> bytes:
        v, a = scene.vbus_v or 0.0, scene.ibus_a or 0.0
        temp_c = 25.0 if scene.meter_temp_c is None else scene.meter_temp_c
        fields = struct.pack(
            "<7ihB",
            round(v * 1e6),
            round(a * 1e6),
            round(v * a * 1e6),
            round((scene.dp_v or 0.0) * 1e3),
            round((scene.dm_v or 0.0) * 1e3),
            round(v * 1e6) - 75,
            round(a * 1e6) + 900,
            round(temp_c * 10),
            1,
        )
        return (bytes.fromhex("aa2562050b01") + fields).ljust(63, b"\0") + b"\x20"


class Fl001Emulator:
    """Sends a report every 32 ms, unasked."""

    ODDITIES = FL_ODDITIES

    def __init__(
        self, source: SceneSource, *, now_ns: int = 0, oddity: str = "", seed: int = 0
    ) -> None:
        if oddity and oddity not in FL_ODDITIES:
            raise ValueError(f"no oddity {oddity!r}; known: {', '.join(FL_ODDITIES)}")
        self._source, self._oddity = source, oddity
        self._due_ns = now_ns
        self._ready: deque[bytes] = deque()
        self._count = 0

    def receive(self, data: bytes, now_ns: int) -> None:
        """Nothing is asked of this meter."""

    def next(self, now_ns: int) -> Action:
        """The report that is due."""
        bunch = 4 if self._oddity == "late" else 1
        while self._due_ns + (bunch - 1 - self._count % bunch) * 32 * _MS <= now_ns:
            self._ready.append(self._report(self._source.at(self._due_ns)))
            self._due_ns += 32 * _MS
        if self._ready:
            return Send(self._ready.popleft())
        return Wait(self._due_ns + (bunch - 1 - self._count % bunch) * 32 * _MS)

    def _report(self, scene: Scene) -> bytes:
        self._count += 1
        v, a = scene.vbus_v or 0.0, scene.ibus_a or 0.0
        temp_c = 25.0 if scene.meter_temp_c is None else scene.meter_temp_c
        floats = struct.pack(
            ">7f", v, a, v * a, scene.dp_v or 0.0, scene.dm_v or 0.0, temp_c, temp_c
        )
        rest = bytes.fromhex("01000300000000000000000000000000000000000006010000000000002808")
        body = bytes((0, 3, 0x3B)) + floats + rest
        report = bytearray(body + struct.pack("<H", crc16(body)))
        if self._oddity == "bad_crc" and self._count % 10 == 0:
            report[5] ^= 0x10
        return bytes(report)
