"""AVHzY / Shizuku device side, from the protocol page (README.md): the stream, and the CT-2's text."""

from __future__ import annotations

import random
import struct
from collections import deque
from typing import Final

from denchi_protocol.codec import Action, Scene, SceneSource, Send, Wait

ODDITIES: Final = ("still_streaming", "mute", "lost", "bad_xor", "bursts", "stall", "longer")
"""still_streaming: a former program's stream runs already. mute: requests are obeyed but not answered.
lost: 60 samples are left out after every 500. bad_xor: every 50th sample has a wrong XOR. bursts:
samples leave every 80 ms. stall: the stream ends by itself after 2 s. longer: samples are 44 bytes."""

_NS_A_MS: Final = 1_000_000


class AvhzyEmulator:
    """A CT-3 generation meter on its CDC port."""

    ODDITIES = ODDITIES

    def __init__(
        self, source: SceneSource, *, now_ns: int = 0, oddity: str = "", seed: int = 0
    ) -> None:
        if oddity and oddity not in ODDITIES:
            raise ValueError(f"no oddity {oddity!r}; known: {', '.join(ODDITIES)}")
        self._source, self._oddity = source, oddity
        self._random = random.Random(seed)  # noqa: S311 - stands for bytes nobody knows
        self._got = b""
        self._out: deque[bytes] = deque()
        self._interval_ns = 0
        self._stream_id = 0
        self._next_ns = self._begun_ns = now_ns
        self._power_on_ns = now_ns - 5_000_000_000
        self._count = 0
        if oddity == "still_streaming":
            self._stream_id, self._interval_ns = 77, _NS_A_MS

    def receive(self, data: bytes, now_ns: int) -> None:
        """Take request bytes; 07 stops, 09 starts with an interval in ms."""
        self._got = (self._got + data)[-1024:]
        while (at := self._got.find(0xA5)) >= 0:
            self._got = self._got[at:]
            if len(self._got) < 5:
                return
            size = struct.unpack_from("<I", self._got, 1)[0]
            if size > 64:
                self._got = self._got[1:]
                continue
            if len(self._got) < 7 + size:
                return
            payload = self._got[5 : 5 + size]
            check = 0
            for byte in payload:
                check ^= byte
            if self._got[5 + size] == check and self._got[6 + size] == 0x5A:
                self._obey(payload, now_ns)
            self._got = self._got[7 + size :]

    def next(self, now_ns: int) -> Action:
        """Put the next packet on the wire when its time has come."""
        if self._out:
            return Send(self._out.popleft())
        if not self._interval_ns:
            return Wait(now_ns + 1000 * _NS_A_MS)
        if self._oddity == "stall" and now_ns - self._begun_ns > 2_000 * _NS_A_MS:
            self._interval_ns = 0
            return Wait(now_ns + 1000 * _NS_A_MS)
        hold = 80 * _NS_A_MS if self._oddity == "bursts" else 0
        if self._next_ns + hold > now_ns:
            return Wait(self._next_ns + hold)
        packet = b""
        while self._next_ns <= now_ns and len(packet) < 450:
            packet += self._sample(self._next_ns)
            self._next_ns += self._interval_ns
        return Send(packet)

    def _obey(self, payload: bytes, now_ns: int) -> None:
        if payload[0] != 0x01:
            return
        if payload[1] == 0x07:
            self._interval_ns = 0
        elif payload[1] == 0x09 and len(payload) == 8:
            self._interval_ns = max(1, struct.unpack_from("<i", payload, 4)[0]) * _NS_A_MS
            self._stream_id, self._next_ns, self._begun_ns = payload[2], now_ns, now_ns
        else:
            return
        if self._oddity != "mute":
            self._out.append(_framed(bytes([payload[0], payload[1], payload[2], 0x80])))

    def _sample(self, at_ns: int) -> bytes:
        self._count += 1
        if self._oddity == "lost" and self._count % 560 >= 500:
            return b""
        scene: Scene = self._source.at(at_ns)
        unknown = self._random.randbytes(24 if self._oddity == "longer" else 8)
        payload = (
            bytes([0x04, 0x00, self._stream_id, 0x00])
            + struct.pack("<ff", scene.vbus_v or 0.0, scene.ibus_a or 0.0)
            + unknown
            + struct.pack("<Q", (at_ns - self._power_on_ns) // 1000)
        )
        frame = bytearray(_framed(payload))
        if self._oddity == "bad_xor" and self._count % 50 == 0:
            frame[-2] ^= 0x10
        return bytes(frame)


class TextEmulator:
    """A CT-2 with the older firmware: a text request, five floats."""

    ODDITIES = ("junk", "pieces")

    def __init__(
        self, source: SceneSource, *, now_ns: int = 0, oddity: str = "", seed: int = 0
    ) -> None:
        if oddity and oddity not in self.ODDITIES:
            raise ValueError(f"no oddity {oddity!r}; known: {', '.join(self.ODDITIES)}")
        self._source, self._oddity = source, oddity
        self._got = b""
        self._out: deque[tuple[int, bytes]] = deque()

    def receive(self, data: bytes, now_ns: int) -> None:
        """The words ``Get Meter Data`` are answered after 20 ms."""
        self._got = (self._got + data)[-64:]
        if b"Get Meter Data" not in self._got:
            return
        self._got = b""
        scene = self._source.at(now_ns)
        volts, amps = scene.vbus_v or 0.0, scene.ibus_a or 0.0
        reply = struct.pack("<5f", volts, amps, volts * amps, scene.dp_v or 0, scene.dm_v or 0)
        due = now_ns + 20 * _NS_A_MS
        if self._oddity == "junk":
            self._out.append((due, b"\x7f\xff\xff"))
        if self._oddity == "pieces":
            self._out.append((due, reply[:7]))
            reply = reply[7:]
        self._out.append((due + 5 * _NS_A_MS, reply))

    def next(self, now_ns: int) -> Action:
        """Put the next bytes on the wire when their time has come."""
        if not self._out:
            return Wait(now_ns + 1000 * _NS_A_MS)
        if self._out[0][0] > now_ns:
            return Wait(self._out[0][0])
        return Send(self._out.popleft()[1])


def _framed(payload: bytes) -> bytes:
    check = 0
    for byte in payload:
        check ^= byte
    return b"\xa5" + struct.pack("<I", len(payload)) + payload + bytes([check, 0x5A])
