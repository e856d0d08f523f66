"""ZKETech EBD-USB device side, from the protocol page (README.md)."""

from __future__ import annotations

from typing import Final

from denchi_protocol.codec import Action, SceneSource, Send, Wait

ODDITIES: Final = ("bad_xor", "cut_short", "deaf_once", "load_off")
"""bad_xor: every fifth frame's check is wrong. cut_short: every fifth frame breaks off and the next
follows at once. deaf_once: the first connect is lost. load_off: the load is off."""

_NS_A_MS: Final = 1_000_000
_PERIOD_MS: Final = 2000


class EbdEmulator:
    """An EBD-USB+ whose load was switched on by hand.

    Its period is not in the sources; 2 s is what sigrok's other ZKE notes suggest and nothing rests
    on it.
    """

    ODDITIES = ODDITIES

    def __init__(
        self, source: SceneSource, *, now_ns: int = 0, oddity: str = "", seed: int = 0
    ) -> None:
        if oddity and oddity not in ODDITIES:
            raise ValueError(f"no oddity {oddity!r}; known: {', '.join(ODDITIES)}")
        self._source, self._oddity = source, oddity
        self._got = b""
        self._due_ns: int | None = None
        self._connects = self._frames = 0
        self.load_commands = 0
        """Requests that would have changed the load; a monitor must leave this at 0."""

    def receive(self, data: bytes, now_ns: int) -> None:
        """05 connects, 06 disconnects; load commands are counted and not obeyed."""
        self._got = (self._got + data)[-64:]
        while (at := self._got.find(0xFA)) >= 0 and len(self._got) >= at + 10:
            frame = self._got[at : at + 10]
            self._got = self._got[at + 10 :]
            check = 0
            for byte in frame[1:9]:
                check ^= byte
            if check or frame[9] != 0xF8:
                continue
            if frame[1] == 0x05:
                self._connects += 1
                if not (self._oddity == "deaf_once" and self._connects == 1):
                    self._due_ns = now_ns + 50 * _NS_A_MS
            elif frame[1] == 0x06:
                self._due_ns = None
            else:
                self.load_commands += 1

    def next(self, now_ns: int) -> Action:
        """While connected, a frame every period."""
        if self._due_ns is None or now_ns < self._due_ns:
            return Wait(self._due_ns or now_ns + 1000 * _NS_A_MS)
        self._due_ns = max(self._due_ns + _PERIOD_MS * _NS_A_MS, now_ns)
        return Send(self._frame(now_ns))

    def _frame(self, now_ns: int) -> bytes:
        scene = self._source.at(now_ns)
        on = self._oddity != "load_off"
        amps = abs(scene.ibus_a or 0.0) if on else 0.0
        body = bytes([0x0A if on else 0x00])
        for value in (
            round(amps * 10_000),
            round((scene.vbus_v or 0.0) * 1000),
            round((scene.dp_v or 0.0) * 1000),
            round((scene.dm_v or 0.0) * 1000),
            2000,
            450,
        ):
            body += bytes(divmod(min(value, 57_599), 240))
        body += bytes([0x05, 0x32, 0x01])
        check = 0
        for byte in body:
            check ^= byte
        frame = b"\xfa" + body + bytes([check, 0xF8])
        self._frames += 1
        if self._oddity == "bad_xor" and self._frames % 5 == 0:
            return frame[:4] + bytes([frame[4] ^ 0x04]) + frame[5:]
        if self._oddity == "cut_short" and self._frames % 5 == 0:
            return frame[:9] + frame
        return frame
