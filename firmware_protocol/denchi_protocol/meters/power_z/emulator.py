"""POWER-Z KM002C / KM003C device side, from the protocol page (README.md)."""

from __future__ import annotations

import struct
from collections import deque
from typing import Final

from denchi_protocol.codec import Action, PdMessage, Scene, SceneSource, Send, Wait

ODDITIES: Final = (
    "old_firmware",
    "no_temperature",
    "deaf",
    "split",
    "joined",
    "stale_reply",
    "short_reports",
    "hid",
    "pd_apart",
)
"""old_firmware: 40-byte ADC payload, connection codes 11 / 12. no_temperature: raw 8000, as while the
1000/s graph runs. deaf: every seventh request gets no answer. split: a reply comes in pieces of 20 bytes.
joined: every second reply waits for the next one. stale_reply: the answer to another program's last
request comes first. short_reports: one report of 64 bytes a reply, what is longer is lost. hid: reports of
64 bytes, filled up with zeros. pd_apart: a reply holds one packet only, PD where both are asked for."""

_MS: Final = 1_000_000
_START_MS: Final = 95_000
"""The meter has run for this long when the emulation begins."""
_ALLOWED: Final = 0x19
"""Without authentication other packets are masked out of a request."""
_SOP: Final = {"SOP": 0, "SOP'": 1, "SOP''": 2, "SOP'_Debug": 3, "SOP''_Debug": 4}
_ACCEPTED: Final = (0x02, 0x03, 0x0E, 0x0F, 0x10, 0x11)
_NOT_READABLE: Final = 0x27
_MOST_EVENTS: Final = 24


def _clip(value: float, low: int, high: int) -> int:
    return max(low, min(high, round(value)))


class PowerZEmulator:
    """One meter behind its vendor interface."""

    ODDITIES = ODDITIES

    def __init__(
        self, source: SceneSource, *, now_ns: int = 0, oddity: str = "", seed: int = 0
    ) -> None:
        if oddity and oddity not in ODDITIES:
            raise ValueError(f"no oddity {oddity!r}; known: {', '.join(ODDITIES)}")
        self._source, self._oddity = source, oddity
        self._zero_ns = now_ns
        self._out: deque[bytes] = deque()
        self._kept = b""
        self._asked = 0
        self._pd_ns = now_ns
        self._events: deque[bytes] = deque()
        self._attached = False
        if oddity == "stale_reply":
            self._out.append(b"\x41\xfe\x00\x00")

    def receive(self, data: bytes, now_ns: int) -> None:
        """Take one command."""
        if len(data) < 4:
            return
        kind, number, mask = data[0] & 0x7F, data[1], int.from_bytes(data[2:4], "little") >> 1
        if kind in _ACCEPTED:
            self._out.append(bytes((0x05, number, 0, 0)))
        elif kind != 0x0C:
            self._out.append(bytes((_NOT_READABLE, number, 0, 0)))
        else:
            self._asked += 1
            if self._oddity != "deaf" or self._asked % 7:
                self._deliver(self._reply(number, mask & _ALLOWED, now_ns))

    def next(self, now_ns: int) -> Action:
        """One transfer."""
        return Send(self._out.popleft()) if self._out else Wait(now_ns + 1000 * _MS)

    # -- on the wire -------------------------------------------------------------------------

    def _deliver(self, reply: bytes) -> None:
        if self._oddity == "joined" and not self._kept and self._asked % 2:
            # Never on its own for ever: the next reply, or a host that asks again, brings it.
            self._kept = reply
            return
        reply, self._kept = self._kept + reply, b""
        if self._oddity == "split":
            self._out.extend(reply[at : at + 20] for at in range(0, len(reply), 20))
        elif self._oddity == "short_reports":
            self._out.append(reply[:64].ljust(64, b"\0"))
        elif self._oddity == "hid":
            parts = (reply[at : at + 64] for at in range(0, len(reply), 64))
            self._out.extend(part.ljust(64, b"\0") for part in parts)
        else:
            self._out.append(reply)

    def _reply(self, number: int, mask: int, now_ns: int) -> bytes:
        scene = self._source.at(now_ns)
        self._collect(scene, now_ns)
        parts: list[tuple[int, bytes]] = []
        if mask & 0x01 and not (self._oddity == "pd_apart" and mask & 0x10):
            parts.append((0x01, self._adc(scene)))
        if mask & 0x08:
            parts.append((0x08, bytes(180)))
        if mask & 0x10:
            parts.append((0x10, self._pd(scene, now_ns)))
        body = b""
        for at, (att, payload) in enumerate(parts):
            follows = 0x8000 if at + 1 < len(parts) else 0
            body += struct.pack("<I", att | follows | len(payload) << 22) + payload
        words = max(0, (4 + len(body)) // 4 - 3)
        return struct.pack("<I", 0x41 | number << 8 | 1 << 17 | words << 22) + body

    # -- packets -----------------------------------------------------------------------------

    def _adc(self, scene: Scene) -> bytes:
        v, a = round((scene.vbus_v or 0.0) * 1e6), round((scene.ibus_a or 0.0) * 1e6)
        temp = -32768 if self._oddity == "no_temperature" else _temperature(scene)
        lines = [
            _clip((volts or 0.0) * 1e4, 0, 65535)
            for volts in (scene.cc1_v, scene.cc2_v, scene.dp_v, scene.dm_v)
        ]
        payload = struct.pack("<6i", v, a, v, a, v + 100, a + 94)
        payload += struct.pack("<h5H", temp, *lines, 32_400) + b"\x00\x80"
        if self._oddity == "old_firmware":
            return payload + bytes(2)
        return payload + struct.pack("<3H", *(line // 10 for line in lines[1:]))

    def _uptime_ms(self, t_ns: int) -> int:
        return (_START_MS + (t_ns - self._zero_ns) // _MS) & 0xFFFFFFFF

    def _collect(self, scene: Scene, now_ns: int) -> None:
        attached = max(scene.cc1_v or 0.0, scene.cc2_v or 0.0) > 0.8
        if attached != self._attached:
            self._attached = attached
            line = 1 if self._oddity == "old_firmware" else 2
            code = line << 4 | (1 if attached else 2)
            ms = self._uptime_ms(now_ns).to_bytes(4, "little")[:3]
            self._events.append(b"\x45" + ms + bytes((0, code)))
        for message in self._source.pd_between(self._pd_ns, now_ns):
            if (event := self._message(message)) is not None:
                self._events.append(event)
        self._pd_ns = now_ns

    def _message(self, message: PdMessage) -> bytes | None:
        sop = _SOP.get(message.sop)
        if sop is None or not 2 <= len(message.wire) <= 58:
            return None  # resets have no bytes; nobody has published how they are shown
        flag = 0x80 | len(message.wire) + 5
        return struct.pack("<BIB", flag, self._uptime_ms(message.t_ns), sop) + message.wire

    def _pd(self, scene: Scene, now_ns: int) -> bytes:
        payload = struct.pack(
            "<IHhHH",
            self._uptime_ms(now_ns),
            _clip((scene.vbus_v or 0.0) * 1e3, 0, 65535),
            _clip((scene.ibus_a or 0.0) * 1e3, -32768, 32767),
            _clip((scene.cc1_v or 0.0) * 1e3, 0, 65535),
            _clip((scene.cc2_v or 0.0) * 1e3, 0, 65535),
        )
        for _ in range(_MOST_EVENTS):
            if not self._events or len(payload) + len(self._events[0]) > 1023:
                break
            payload += self._events.popleft()
        return payload


def _temperature(scene: Scene) -> int:
    celsius = 25.0 if scene.meter_temp_c is None else scene.meter_temp_c
    return _clip(celsius * 128, -32767, 32767)
