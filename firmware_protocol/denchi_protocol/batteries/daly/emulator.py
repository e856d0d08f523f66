"""Daly A5 device side, from the protocol page (README.md)."""

from __future__ import annotations

import struct
from collections import deque
from typing import Final

from denchi_protocol.codec import Action, Scene, SceneSource, Send, Wait

ODDITIES: Final = (
    "sixteen_frames",
    "lost_frame",
    "echo",
    "hot",
    "inverted",
    "slow",
    "junk",
    "asleep",
)
"""sixteen_frames: 95 is always answered with 16 frames. lost_frame: the second frame of every third
95 is lost. echo: a two-wire bus, the host hears itself. hot: raises the discharge over-temperature
bit. inverted: firmware with the other sign. slow: answers after 300 ms. junk: bytes between
frames. asleep: the first three requests are not heard."""

_NS_A_MS: Final = 1_000_000
_BYTE_NS: Final = 1_041_667
"""A byte at 9600 8N1."""
_FULL_AH: Final = 10.0


class DalyEmulator:
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
        self._deaf = 3 if oddity == "asleep" else 0
        self._rounds = 0

    def receive(self, data: bytes, now_ns: int) -> None:
        """Take request bytes; whole read requests are answered, anything else is left alone."""
        self._got = (self._got + data)[-256:]
        while (start := self._got.find(0xA5)) >= 0:
            self._got = self._got[start:]
            if len(self._got) < 13:
                return
            request, self._got = self._got[:13], self._got[13:]
            if sum(request[:12]) % 256 == request[12] and request[1] == 0x40:
                if self._deaf:
                    self._deaf -= 1
                else:
                    self._answer(request, now_ns)
        self._got = b""

    def next(self, now_ns: int) -> Action:
        """Put the next frame on the wire when its time has come."""
        if not self._out:
            return Wait(now_ns + 1000 * _NS_A_MS)
        if self._out[0][0] > now_ns:
            return Wait(self._out[0][0])
        return Send(self._out.popleft()[1])

    def _answer(self, request: bytes, now_ns: int) -> None:
        if self._oddity == "echo":
            self._out.append((now_ns, request))
        scene, command = self._source.at(now_ns), request[2]
        makers = {
            0x90: self._pack,
            0x93: self._state,
            0x94: self._counts,
            0x95: self._cells,
            0x96: self._temperatures,
            0x98: self._failures,
        }
        if command not in makers:
            return
        due = now_ns + (300 if self._oddity == "slow" else 20) * _NS_A_MS
        for at, data in enumerate(makers[command](scene)):
            if command == 0x95 and at == 1 and self._oddity == "lost_frame":
                self._rounds += 1
                if self._rounds % 3 == 0:
                    continue
            head = bytes((0xA5, 0x01, command, 8)) + data
            frame = head + bytes((sum(head) % 256,))
            due += 13 * _BYTE_NS
            if self._oddity == "junk":
                self._out.append((due, b"\xa5\x01\xff"))
            self._out.append((due, frame))

    def _amps(self, scene: Scene) -> float:
        """Positive = discharging."""
        amps = scene.pack_a or 0.0
        return -amps if self._oddity == "inverted" else amps

    def _pack(self, scene: Scene) -> list[bytes]:
        volts = scene.pack_v if scene.pack_v is not None else sum(scene.cells_v)
        soc = round(1000 * self._left_ah(scene) / _FULL_AH)
        current = 30_000 + round(self._amps(scene) * 10)
        return [struct.pack(">HHHH", round(volts * 10), 0, current, soc)]

    def _state(self, scene: Scene) -> list[bytes]:
        amps = scene.pack_a or 0.0
        state = 0 if abs(amps) < 0.05 else 2 if amps > 0 else 1
        return [struct.pack(">BBBBI", state, 1, 1, 16, round(self._left_ah(scene) * 1000))]

    @staticmethod
    def _counts(scene: Scene) -> list[bytes]:
        return [bytes((len(scene.cells_v), len(scene.cell_temps_c), 0, 0, 2, 0, 42, 0x20))]

    def _cells(self, scene: Scene) -> list[bytes]:
        values = [round(v * 1000) for v in scene.cells_v]
        frames = 16 if self._oddity == "sixteen_frames" else -(-len(values) // 3)
        # What fills the last frame is left over from before.
        values += [values[0]] * (3 * frames - len(values))
        return [
            struct.pack(">BHHHB", n + 1, *values[3 * n : 3 * n + 3], 0x20) for n in range(frames)
        ]

    @staticmethod
    def _temperatures(scene: Scene) -> list[bytes]:
        values = [round(t) + 40 for t in scene.cell_temps_c]
        frames = max(2, -(-len(values) // 7))
        values += [0] * (7 * frames - len(values))
        return [bytes((n + 1, *values[7 * n : 7 * n + 7])) for n in range(frames)]

    def _failures(self, scene: Scene) -> list[bytes]:
        return [bytes((0, 0x20 if self._oddity == "hot" else 0, 0, 0, 0, 0, 0, 0))]

    @staticmethod
    def _left_ah(scene: Scene) -> float:
        return max(0.0, _FULL_AH - (scene.capacity_ah or 0.0))
