"""Atorch device side, from the protocol page (README.md): USB meter, DC load, PX100."""

from __future__ import annotations

import random
from collections import deque
from functools import partial
from typing import Final, Literal

from denchi_protocol.codec import Action, EmulatorFactory, Scene, SceneSource, Send, Wait

ODDITIES: Final = (
    "no_checksum", "no_sensor", "split", "bad_sum", "lost_bytes", "silent_px", "late_px", "mid_junk",
)  # fmt: skip
"""no_checksum: the last byte of reports is random (J7-C, DL24M). no_sensor: 0 degC always (UD18).
split: reports arrive as 20 + 16 bytes. bad_sum: every fifth report has a wrong last byte.
lost_bytes: every fifth report lacks nine bytes. silent_px: PX100 is never answered. late_px: every
seventh PX100 answer takes 700 ms. mid_junk: stray bytes between frames."""

_NS_A_MS: Final = 1_000_000


class AtorchEmulator:
    """``kind``: usb (type 3 reports), dc (type 2 reports and PX100), px (PX100 alone)."""

    ODDITIES = ODDITIES

    def __init__(
        self,
        source: SceneSource,
        *,
        now_ns: int = 0,
        oddity: str = "",
        seed: int = 0,
        kind: Literal["usb", "dc", "px"] = "usb",
    ) -> None:
        if oddity and oddity not in ODDITIES:
            raise ValueError(f"no oddity {oddity!r}; known: {', '.join(ODDITIES)}")
        self._source, self._oddity, self._kind = source, oddity, kind
        self._random = random.Random(seed)  # noqa: S311 - a meter's odd byte, no secret
        self._got = b""
        self._out: deque[tuple[int, bytes]] = deque()
        self._start_ns = now_ns
        self._report_ns = now_ns + 40 * _NS_A_MS
        self._reports = self._answers = 0

    def receive(self, data: bytes, now_ns: int) -> None:
        """PX100 requests are answered; commands that would change the load are ignored here."""
        self._got = (self._got + data)[-64:]
        while len(self._got) >= 6:
            if self._got[:2] == b"\xb1\xb2" and self._got[5] == 0xB6:
                if self._kind != "usb" and self._oddity != "silent_px":
                    self._px(self._got[2], now_ns)
                self._got = self._got[6:]
            else:
                self._got = self._got[1:]

    def next(self, now_ns: int) -> Action:
        """Put the next bytes on the wire when their time has come."""
        if self._kind != "px" and now_ns >= self._report_ns:
            self._report_ns = max(self._report_ns + 1000 * _NS_A_MS, now_ns)
            self._send_report(now_ns)
        if self._out and self._out[0][0] <= now_ns:
            return Send(self._out.popleft()[1])
        due = self._out[0][0] if self._out else now_ns + 1000 * _NS_A_MS
        return Wait(due if self._kind == "px" else min(due, self._report_ns))

    def _px(self, command: int, now_ns: int) -> None:
        scene = self._source.at(now_ns)
        seconds = (now_ns - self._start_ns) // 1_000_000_000
        clock = (seconds // 3600 % 256) << 16 | (seconds // 60 % 60) << 8 | seconds % 60
        readings = {
            0x10: 1,
            0x11: round((scene.vbus_v or 0) * 1000),
            0x12: round(abs(scene.ibus_a or 0) * 1000),
            0x13: clock,
            0x14: round((scene.capacity_ah or 0) * 1000),
            0x15: round((scene.energy_wh or 0) * 1000),
            0x16: round(scene.meter_temp_c or 0),
            0x17: 100,
            0x18: 300,
            0x19: 0,
        }
        if command not in readings:
            return
        self._answers += 1
        late = self._oddity == "late_px" and self._answers % 7 == 0
        reply = b"\xca\xcb" + readings[command].to_bytes(3, "big") + b"\xce\xcf"
        self._out.append((now_ns + (700 if late else 60) * _NS_A_MS, reply))

    def _send_report(self, now_ns: int) -> None:
        self._reports += 1
        frame = bytearray(self._report(now_ns))
        frame.append((sum(frame[2:]) % 256) ^ 0x44)
        if self._oddity == "no_checksum":
            frame[-1] = self._random.randrange(256)
        elif self._oddity == "bad_sum" and self._reports % 5 == 0:
            frame[-1] ^= 0x21
            frame[6] ^= 0x08
        elif self._oddity == "lost_bytes" and self._reports % 5 == 0:
            del frame[11:20]
        if self._oddity == "mid_junk":
            frame[0:0] = bytes([0x6F, 0xFF, 0xCA, 0x00])
        if self._oddity == "split":
            self._out.append((now_ns, bytes(frame[:20])))
            self._out.append((now_ns + 15 * _NS_A_MS, bytes(frame[20:])))
        else:
            self._out.append((now_ns, bytes(frame)))

    def _report(self, now_ns: int) -> bytes:
        scene = self._source.at(now_ns)
        seconds = (now_ns - self._start_ns) // 1_000_000_000
        clock = (
            (seconds // 3600 % 65_536).to_bytes(2, "big")
            + bytes([seconds // 60 % 60, seconds % 60])
            + bytes([60])
        )
        no_sensor = self._oddity == "no_sensor" and self._kind == "usb"
        temp = 0 if no_sensor else max(0, round(scene.meter_temp_c or 0))
        return (
            self._usb(scene, temp, clock) if self._kind == "usb" else self._dc(scene, temp, clock)
        )

    @staticmethod
    def _usb(scene: Scene, temp: int, clock: bytes) -> bytes:
        return (
            b"\xff\x55\x01\x03"
            + round((scene.vbus_v or 0) * 100).to_bytes(3, "big")
            + round(abs(scene.ibus_a or 0) * 100).to_bytes(3, "big")
            + round((scene.capacity_ah or 0) * 1000).to_bytes(3, "big")
            + round((scene.energy_wh or 0) * 100).to_bytes(4, "big")
            + round((scene.dm_v or 0) * 100).to_bytes(2, "big")
            + round((scene.dp_v or 0) * 100).to_bytes(2, "big")
            + temp.to_bytes(2, "big")
            + clock
            + bytes(7)
        )

    @staticmethod
    def _dc(scene: Scene, temp: int, clock: bytes) -> bytes:
        return (
            b"\xff\x55\x01\x02"
            + round((scene.vbus_v or 0) * 10).to_bytes(3, "big")
            + round(abs(scene.ibus_a or 0) * 1000).to_bytes(3, "big")
            + round((scene.capacity_ah or 0) * 100).to_bytes(3, "big")
            + round((scene.energy_wh or 0) / 10).to_bytes(4, "big")
            + bytes(7)
            + temp.to_bytes(2, "big")
            + clock
            + bytes(4)
        )


def of_kind(kind: Literal["usb", "dc", "px"], oddity: str = "") -> EmulatorFactory:
    """The factory of one kind; ``oddity`` is what that model always does."""
    if not oddity:
        return partial(AtorchEmulator, kind=kind)

    def make(source: SceneSource, **more: object) -> AtorchEmulator:
        more["oddity"] = more.get("oddity") or oddity
        return AtorchEmulator(source, kind=kind, **more)  # type: ignore[arg-type]

    return make
