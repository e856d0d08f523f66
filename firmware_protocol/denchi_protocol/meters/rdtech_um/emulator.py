"""UM24C / UM25C / UM34C device side, from the protocol page (README.md)."""

from __future__ import annotations

import struct
from collections import deque
from functools import partial
from typing import Final

from denchi_protocol.codec import Action, EmulatorFactory, SceneSource, Send, Wait

ODDITIES: Final = ("slow", "pieces", "odd_tail", "lost_bytes")
"""slow: answers after 450 ms. pieces: replies of 20 bytes a packet, as the radio does. odd_tail: the
last byte is not what the model's rule says. lost_bytes: every fifth reply lacks its last 30 bytes."""

_NS_A_MS: Final = 1_000_000
_CHECKED_34: Final = [
    *(1, 3, 7, 9, 15, 17, 19, 23, 31, 39, 41, 45, 49, 53, 55, 57, 59, 63, 67, 69, 73, 79, 83, 89),
    *(97, 99, 109, 111, 113, 119, 121, 127),
]


class UmEmulator:
    """One of the three models, behind a serial radio of 9600 baud."""

    ODDITIES = ODDITIES

    def __init__(
        self,
        source: SceneSource,
        *,
        now_ns: int = 0,
        oddity: str = "",
        seed: int = 0,
        model: str = "UM25C",
    ) -> None:
        if oddity and oddity not in ODDITIES:
            raise ValueError(f"no oddity {oddity!r}; known: {', '.join(ODDITIES)}")
        self._source, self._oddity, self._model = source, oddity, model
        self._out: deque[tuple[int, bytes]] = deque()
        self._replies = 0

    def receive(self, data: bytes, now_ns: int) -> None:
        """Every byte F0 is a request; other bytes are commands that this emulator ignores."""
        for _ in range(data.count(0xF0)):
            self._answer(now_ns)

    def next(self, now_ns: int) -> Action:
        """Put the next bytes on the wire when their time has come."""
        if not self._out:
            return Wait(now_ns + 1000 * _NS_A_MS)
        if self._out[0][0] > now_ns:
            return Wait(self._out[0][0])
        return Send(self._out.popleft()[1])

    def _answer(self, now_ns: int) -> None:
        self._replies += 1
        frame = self._frame(now_ns)
        if self._oddity == "lost_bytes" and self._replies % 5 == 0:
            frame = frame[:-30]
        due = now_ns + (450 if self._oddity == "slow" else 140) * _NS_A_MS
        if self._oddity == "pieces":
            for at in range(0, len(frame), 20):
                self._out.append((due + at * _NS_A_MS, frame[at : at + 20]))
        else:
            self._out.append((due, frame))

    def _frame(self, now_ns: int) -> bytes:
        scene = self._source.at(now_ns)
        volts, amps = scene.vbus_v or 0.0, abs(scene.ibus_a or 0.0)
        fine = self._model == "UM25C"
        celsius = max(0, round(scene.meter_temp_c or 0.0))
        ident = {"UM24C": 0x0963, "UM25C": 0x09C9, "UM34C": 0x0D4C}[self._model]
        out = bytearray(130)
        struct.pack_into(
            ">HHHIHHH",
            out,
            0,
            ident,
            round(volts * (1000 if fine else 100)),
            round(amps * (10000 if fine else 1000)),
            round(volts * amps * 1000),
            celsius,
            round(celsius * 1.8 + 32),
            0,
        )
        struct.pack_into(
            ">II",
            out,
            16,
            round((scene.capacity_ah or 0) * 1e3),
            round((scene.energy_wh or 0) * 1e3),
        )
        struct.pack_into(
            ">HHH", out, 96, round((scene.dp_v or 0) * 100), round((scene.dm_v or 0) * 100), 0
        )
        ohm = 99_999 if amps == 0 else min(99_999, round(volts / amps * 10))
        struct.pack_into(">HHIH", out, 118, 1, 4, ohm, 0)
        if self._model == "UM34C":
            for at in _CHECKED_34:
                out[129] ^= out[at]
        else:
            out[128:130] = b"\xff\xf1"
        if self._oddity == "odd_tail":
            out[129] ^= 0x80
        return bytes(out)


def of_model(model: str) -> EmulatorFactory:
    """The factory of one model."""
    return partial(UmEmulator, model=model)
