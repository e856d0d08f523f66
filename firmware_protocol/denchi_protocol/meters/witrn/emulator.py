"""WITRN device side, from the protocol page (README.md)."""

from __future__ import annotations

import random
import struct
from collections import deque
from typing import Final

from denchi_protocol.codec import Action, PdMessage, Scene, SceneSource, Send, Wait

ODDITIES: Final = (
    "no_probe",
    "board_sensor",
    "older_model",
    "wrong_time",
    "bad_sum",
    "other_report",
)
"""no_probe: the probe input is open and reads about -73 degC with noise. board_sensor: the board has a
temperature of its own instead of 25.0. older_model: the CC bytes are reserved. wrong_time: the bytes of the time
hold something else. bad_sum: every tenth report is damaged. other_report: every tenth is another command's."""

_MS: Final = 1_000_000
_EVERY_NS: Final = 10 * _MS
_SOP: Final = {"SOP": 0xE0, "SOP'": 0xC0, "SOP''": 0xA0, "SOP'_Debug": 0x80, "SOP''_Debug": 0x60}


def _f(value: float | None) -> bytes:
    return struct.pack("<f", value or 0.0)


class WitrnEmulator:
    """One meter behind its HID interface; reports as long as it is read."""

    ODDITIES = ODDITIES

    def __init__(
        self, source: SceneSource, *, now_ns: int = 0, oddity: str = "", seed: int = 0
    ) -> None:
        if oddity and oddity not in ODDITIES:
            raise ValueError(f"no oddity {oddity!r}; known: {', '.join(ODDITIES)}")
        self._source, self._oddity = source, oddity
        self._random = random.Random(seed)  # noqa: S311  noise of an open input
        self._zero_ns = self._due_ns = now_ns
        self._pd: deque[bytes] = deque()
        self._count = 0

    def receive(self, data: bytes, now_ns: int) -> None:
        """Nothing is asked of this meter."""

    def next(self, now_ns: int) -> Action:
        """A PD report, or the measurement that is due."""
        if self._pd:
            return Send(self._pd.popleft())
        if now_ns < self._due_ns:
            return Wait(self._due_ns)
        due, self._due_ns = self._due_ns, self._due_ns + _EVERY_NS
        for message in self._source.pd_between(due - _EVERY_NS, due):
            if (report := self._pd_report(message)) is not None:
                self._pd.append(report)
        return Send(self._report(due))

    @staticmethod
    def _pd_report(message: PdMessage) -> bytes | None:
        kind = _SOP.get(message.sop)
        if kind is None or not 2 <= len(message.wire) <= 61:
            return None
        head = bytes((0xFE, len(message.wire) + 1, kind))
        return (head + message.wire).ljust(64, b"\0")

    def _report(self, t_ns: int) -> bytes:
        scene = self._source.at(t_ns)
        self._count += 1
        t = (t_ns - self._zero_ns) // _MS + 123_456
        head = bytes((0xFF, 0x55)) + self._time(t)
        command = 0x1B if self._oddity == "other_report" and self._count % 10 == 0 else 0x1A
        body = bytes((command, 52, 0, 0)) + struct.pack("<H", 10)
        body += _f(scene.capacity_ah) + _f(scene.energy_wh)
        body += struct.pack("<II", (t - 123_456) // 1000, t // 1000)
        body += _f(scene.dp_v) + _f(scene.dm_v) + self._temperatures(scene)
        body += _f(scene.vbus_v) + _f(scene.ibus_a) + b"\0" + self._cc(scene) + bytes(5)
        sum62 = sum(body) & 0xFF
        report = bytearray(head + body + bytes((sum62, (sum(head) + sum62) & 0xFF)))
        if self._oddity == "bad_sum" and self._count % 10 == 0:
            report[46 + self._count % 4] ^= 0x20
        return bytes(report)

    def _time(self, t: int) -> bytes:
        if self._oddity == "wrong_time":
            return bytes(self._random.randrange(256) for _ in range(6))
        in_second = t % 1000
        return bytes(
            (t // 1000 & 0xFF, in_second & 0xFF, t // 30 & 0x7F, t // 100 & 0xFF, t % 100, t // 80 & 0xFF)
        )  # fmt: skip

    def _temperatures(self, scene: Scene) -> bytes:
        board = 25.0
        if self._oddity == "board_sensor" and scene.meter_temp_c is not None:
            board = scene.meter_temp_c
        probe = scene.case_temp_c
        if self._oddity == "no_probe" or probe is None:
            probe = -73.0 + self._random.uniform(-5.0, 5.0)
        return _f(board) + _f(probe)

    def _cc(self, scene: Scene) -> bytes:
        if self._oddity == "older_model":
            return bytes(2)
        return bytes(min(255, round((v or 0.0) * 10)) for v in (scene.cc1_v, scene.cc2_v))
