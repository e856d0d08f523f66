"""JBD device side, from the protocol page (README.md): registers 03, 04 and 05."""

from __future__ import annotations

import struct
from collections import deque
from typing import Final

from denchi_protocol.codec import Action, Scene, SceneSource, Send, Wait

ODDITIES: Final = ("asleep", "slow", "new_board", "error", "hot", "lost_bytes")
"""asleep: the first request only wakes it. slow: answers after 250 ms. new_board: extra bytes after
the temperatures. error: register 05 is answered with status 80. hot: raises the discharge
over-temperature bit. lost_bytes: every seventh reply loses its last five bytes."""

_NS_A_MS: Final = 1_000_000
_FULL_AH: Final = 10.0


class JbdEmulator:
    """A four-cell board (or as many cells as the scene shows) behind a UART."""

    ODDITIES = ODDITIES

    def __init__(
        self, source: SceneSource, *, now_ns: int = 0, oddity: str = "", seed: int = 0
    ) -> None:
        if oddity and oddity not in ODDITIES:
            raise ValueError(f"no oddity {oddity!r}; known: {', '.join(ODDITIES)}")
        self._source, self._oddity = source, oddity
        self._got = b""
        self._out: deque[tuple[int, bytes]] = deque()
        self._woken = oddity != "asleep"
        self._replies = 0

    def receive(self, data: bytes, now_ns: int) -> None:
        """Take request bytes; whole requests are answered, writes are refused with status 80."""
        self._got = (self._got + data)[-256:]
        while (start := self._got.find(0xDD)) >= 0:
            request = self._got[start:]
            if len(request) < 4 or len(request) < 7 + request[3]:
                self._got = request
                return
            length = 7 + request[3]
            self._request(request[:length], now_ns)
            self._got = request[length:]
        self._got = b""

    def next(self, now_ns: int) -> Action:
        """Put the next reply on the wire when its time has come."""
        if not self._out:
            return Wait(now_ns + 1000 * _NS_A_MS)
        if self._out[0][0] > now_ns:
            return Wait(self._out[0][0])
        return Send(self._out.popleft()[1])

    def _request(self, request: bytes, now_ns: int) -> None:
        if not self._woken:
            self._woken = True
            return
        covered = request[2:-3]  # register, length, data
        if request[-1] != 0x77 or int.from_bytes(request[-3:-1], "big") != 0x10000 - sum(covered):
            return
        if request[1] != 0xA5:
            self._reply(request[2], b"", 0x80, now_ns)
            return
        scene = self._source.at(now_ns)
        if request[2] == 0x03:
            self._reply(0x03, self._basic(scene), 0, now_ns)
        elif request[2] == 0x04:
            cells = b"".join(struct.pack(">H", round(v * 1000)) for v in self._cells(scene))
            self._reply(0x04, cells, 0, now_ns)
        elif request[2] == 0x05 and self._oddity != "error":
            self._reply(0x05, b"JBD-EMULATED", 0, now_ns)
        else:
            self._reply(request[2], b"", 0x80, now_ns)

    @staticmethod
    def _cells(scene: Scene) -> tuple[float, ...]:
        return scene.cells_v

    def _basic(self, scene: Scene) -> bytes:
        pack_v = scene.pack_v if scene.pack_v is not None else sum(scene.cells_v)
        drawn_ah = scene.capacity_ah or 0.0
        left_ah = max(0.0, _FULL_AH - drawn_ah)
        out = struct.pack(
            ">HhHHHH",
            round(pack_v * 100),
            -round((scene.pack_a or 0.0) * 100),  # the board counts charging as positive
            round(left_ah * 100),
            round(_FULL_AH * 100),
            42,
            22 << 9 | 3 << 5 | 28,
        )
        protection = 1 << 6 if self._oddity == "hot" else 0
        out += struct.pack(">IH", 0, protection)
        out += bytes([0x80, round(100 * left_ah / _FULL_AH), 0x03, len(scene.cells_v)])
        out += bytes([len(scene.cell_temps_c)])
        for temp_c in scene.cell_temps_c:
            out += struct.pack(">H", round(temp_c * 10) + 2731)
        if self._oddity == "new_board":
            out += bytes.fromhex("0000004e204adf0000")
        return out

    def _reply(self, register: int, payload: bytes, status: int, now_ns: int) -> None:
        body = bytes([status, len(payload)]) + payload
        check = (0x10000 - sum(body)) % 0x10000
        frame = bytes([0xDD, register]) + body + struct.pack(">HB", check, 0x77)
        self._replies += 1
        if self._oddity == "lost_bytes" and self._replies % 7 == 0:
            frame = frame[:-5]
        delay_ms = 250 if self._oddity == "slow" else 30
        self._out.append((now_ns + delay_ms * _NS_A_MS, frame))
