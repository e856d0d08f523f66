"""TC66 device side, from the protocol page (README.md): answers ``getva`` and ``bgetva``."""

from __future__ import annotations

import struct
from collections import deque
from typing import Final

from crccheck.crc import CrcModbus
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from denchi_protocol.codec import Action, SceneSource, Send, Wait

ODDITIES: Final = ("slow", "deaf", "pieces", "bad_crc", "lost_bytes", "first_frame")
"""slow: answers after 180 ms. deaf: misses every fifth request. pieces: replies come in three parts,
30 ms apart. bad_crc: every fifth reply has a wrong CRC in pac2. lost_bytes: every fifth reply lacks
its last 40 bytes. first_frame: the first reply is rubbish of the right length."""

_NS_A_MS: Final = 1_000_000
_KEY: Final = bytes.fromhex("5821fa5601b2f02687ff1204622a4fb086f40260816f9a0ba7f106619ab87288")
_REFRESH_MS: Final = 90
"""Between distinct samples with the main values on the screen."""


class TcEmulator:
    """A TC66C on USB or behind its radio (it answers the wording of either)."""

    ODDITIES = ODDITIES

    def __init__(
        self, source: SceneSource, *, now_ns: int = 0, oddity: str = "", seed: int = 0
    ) -> None:
        if oddity and oddity not in ODDITIES:
            raise ValueError(f"no oddity {oddity!r}; known: {', '.join(ODDITIES)}")
        self._source, self._oddity = source, oddity
        self._serial = 48_000 + seed
        self._got = b""
        self._out: deque[tuple[int, bytes]] = deque()
        self._requests = self._replies = 0
        self._reading: bytes | None = None
        self._read_ns = 0
        self._cipher = Cipher(algorithms.AES(_KEY), modes.ECB()).encryptor()  # noqa: S305

    def receive(self, data: bytes, now_ns: int) -> None:
        """Take request bytes; a whole word is answered, anything else is ignored."""
        self._got = (self._got + data)[-64:]
        while (at := self._got.find(b"getva")) >= 0:
            self._got = self._got[at + 5 :]
            self._requests += 1
            if not (self._oddity == "deaf" and self._requests % 5 == 0):
                self._answer(now_ns)

    def next(self, now_ns: int) -> Action:
        """Put the next bytes on the wire when their time has come."""
        if not self._out:
            return Wait(now_ns + 1000 * _NS_A_MS)
        if self._out[0][0] > now_ns:
            return Wait(self._out[0][0])
        return Send(self._out.popleft()[1])

    def _answer(self, now_ns: int) -> None:
        if self._reading is None or now_ns - self._read_ns >= _REFRESH_MS * _NS_A_MS:
            self._reading, self._read_ns = self._measure(now_ns), now_ns
        self._replies += 1
        plain = bytearray(self._reading)
        if self._oddity == "bad_crc" and self._replies % 5 == 0:
            plain[64 + 60] ^= 0x01
        reply = self._cipher.update(bytes(plain))
        if self._oddity == "lost_bytes" and self._replies % 5 == 0:
            reply = reply[:-40]
        if self._oddity == "first_frame" and self._replies == 1:
            reply = bytes((i * 37) & 0xFF for i in range(192))
        due = now_ns + (180 if self._oddity == "slow" else 15) * _NS_A_MS
        if self._oddity == "pieces":
            for part in (reply[:20], reply[20:100], reply[100:]):
                self._out.append((due, part))
                due += 30 * _NS_A_MS
        else:
            self._out.append((due, reply))

    def _measure(self, now_ns: int) -> bytes:
        scene = self._source.at(now_ns)
        volts, amps = scene.vbus_v or 0.0, abs(scene.ibus_a or 0.0)
        temp = round(scene.meter_temp_c or 0.0)
        pac1 = bytearray(64)
        pac1[0:12] = b"pac1TC661.18"
        struct.pack_into("<I", pac1, 12, self._serial)
        struct.pack_into("<I", pac1, 44, 40)
        struct.pack_into(
            "<3I", pac1, 48, round(volts * 1e4), round(amps * 1e5), round(volts * amps * 1e4)
        )
        pac2 = bytearray(64)
        pac2[0:4] = b"pac2"
        ohm = 0 if amps == 0 else round(min(volts / amps, 99_999.0) * 10)
        struct.pack_into("<I", pac2, 4, ohm)
        struct.pack_into(
            "<2I",
            pac2,
            8,
            round((scene.capacity_ah or 0) * 1e3),
            round((scene.energy_wh or 0) * 1e3),
        )
        struct.pack_into("<2I", pac2, 24, int(temp < 0), abs(temp))
        struct.pack_into(
            "<2I", pac2, 32, round((scene.dp_v or 0) * 100), round((scene.dm_v or 0) * 100)
        )
        pac3 = bytearray(64)
        pac3[0:4] = b"pac3"
        for pac in (pac1, pac2, pac3):
            struct.pack_into("<I", pac, 60, CrcModbus.calc(bytes(pac[:60])))
        return bytes(pac1 + pac2 + pac3)
