"""Daly D2 device side, from the protocol page (README.md)."""

from __future__ import annotations

import struct
from collections import deque
from typing import Final

from denchi_protocol.codec import Action, Scene, SceneSource, Send, Wait

ODDITIES: Final = ("nameless", "slow", "hot", "half", "wrong_crc", "pieces")
"""nameless: the request for the names is not answered. slow: answers after 300 ms. hot: raises the
discharge over-temperature bit. half: every fourth reply stops half-way. wrong_crc: every fifth reply is
damaged. pieces: notifications of 20 bytes, as over BLE."""

_NS_A_MS: Final = 1_000_000
_FULL_AH: Final = 10.0


def _crc(data: bytes) -> bytes:
    """CRC-16/MODBUS, low byte first."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return struct.pack("<H", value)


class DalyD2Emulator:
    """A board with the cells and probes that the scene shows."""

    ODDITIES = ODDITIES

    def __init__(
        self, source: SceneSource, *, now_ns: int = 0, oddity: str = "", seed: int = 0
    ) -> None:
        if oddity and oddity not in ODDITIES:
            raise ValueError(f"no oddity {oddity!r}; known: {', '.join(ODDITIES)}")
        self._source, self._oddity = source, oddity
        self._got = b""
        self._out: deque[tuple[int, bytes]] = deque()
        self._replies = 0

    def receive(self, data: bytes, now_ns: int) -> None:
        """Take request bytes; reads of registers are answered."""
        self._got = (self._got + data)[-256:]
        while (start := self._got.find(b"\xd2\x03")) >= 0:
            self._got = self._got[start:]
            if len(self._got) < 8:
                return
            request, self._got = self._got[:8], self._got[8:]
            if _crc(request[:6]) == request[6:]:
                address, count = struct.unpack(">HH", request[2:6])
                self._answer(address, count, now_ns)

    def next(self, now_ns: int) -> Action:
        """Put the next bytes on the wire when their time has come."""
        if not self._out:
            return Wait(now_ns + 1000 * _NS_A_MS)
        if self._out[0][0] > now_ns:
            return Wait(self._out[0][0])
        return Send(self._out.popleft()[1])

    def _answer(self, address: int, count: int, now_ns: int) -> None:
        registers = self._registers(self._source.at(now_ns))
        if address == 0xA9 and self._oddity == "nameless":
            return
        data = registers[2 * address : 2 * (address + count)]
        head = bytes((0xD2, 0x03, len(data))) + data
        reply = head + _crc(head)
        self._replies += 1
        if self._oddity == "half" and self._replies % 4 == 0:
            reply = reply[: len(reply) // 2]
        if self._oddity == "wrong_crc" and self._replies % 5 == 0:
            reply = reply[:30] + bytes((reply[30] ^ 4,)) + reply[31:]
        due = now_ns + (300 if self._oddity == "slow" else 40) * _NS_A_MS
        step = 20 if self._oddity == "pieces" else len(reply)
        for at in range(0, len(reply), step):
            self._out.append((due, reply[at : at + step]))
            due += 5 * _NS_A_MS

    def _registers(self, scene: Scene) -> bytes:
        cells = [round(v * 1000) for v in scene.cells_v[:32]]
        temps = [round(t) + 40 for t in scene.cell_temps_c[:8]]
        left_ah = max(0.0, _FULL_AH - (scene.capacity_ah or 0.0))
        volts = scene.pack_v if scene.pack_v is not None else sum(scene.cells_v)
        registers = cells + [0] * (32 - len(cells)) + temps + [255] * (8 - len(temps))
        registers += [
            round(volts * 10),
            30_000 - round((scene.pack_a or 0.0) * 10),  # charging is positive here
            round(1000 * left_ah / _FULL_AH),
            max(cells, default=0),
            min(cells, default=0),
            max(temps, default=0),
            min(temps, default=0),
            0,
            round(left_ah * 10),
            len(cells),
            len(temps),
            42,
            0,
            1,
            1,
            round(sum(cells) / len(cells)) if cells else 0,
            max(cells, default=0) - min(cells, default=0),
            0,
            0x2000 if self._oddity == "hot" else 0,
            0,
            0,
            0,
        ]
        block = struct.pack(f">{len(registers)}H", *registers)
        names = b"EMULATED-1".ljust(16, b"\0") + b"EMULATED-HW".ljust(16, b"\0") + bytes(32)
        return block.ljust(2 * 0xA9, b"\0") + names
