"""TEMPer device side, from the protocol page (README.md): a TEMPer2, or what the oddity says."""

from __future__ import annotations

from collections import deque
from typing import Final

from denchi_protocol.codec import Action, Scene, SceneSource, Send, Wait

ODDITIES: Final = (
    "gold",
    "no_probe",
    "ds75",
    "unknown",
    "half_name",
    "slow",
    "stale_report",
    "cable_only",
)
"""gold: one sensor. no_probe: the cable is not plugged in. ds75: the older layout. unknown: a firmware with
a name nobody described. half_name: the first answer to the name is one report only. slow: 300 ms.
stale_report: a temperature asked by another program lies in the pipe. cable_only: a TEMPer1F."""

_NS_A_MS: Final = 1_000_000
_NAMES: Final = {
    "gold": b"TEMPerGold_V3.4 ",
    "ds75": b"TEMPer2_M12_V1.3",
    "unknown": b"TEMPer1F_H1V1.5F",
    "cable_only": b"TEMPer1F_V4.1\0\0\0",
}


HELD_REPORTS = 2


class TemperEmulator:
    """The stick's second HID interface."""

    ODDITIES = ODDITIES

    def __init__(
        self, source: SceneSource, *, now_ns: int = 0, oddity: str = "", seed: int = 0
    ) -> None:
        if oddity and oddity not in ODDITIES:
            raise ValueError(f"no oddity {oddity!r}; known: {', '.join(ODDITIES)}")
        self._source, self._oddity = source, oddity
        self._out: deque[tuple[int, bytes]] = deque()
        self._asked_name = 0
        if oddity == "stale_report":
            self._out.append((now_ns, bytes.fromhex("80800bb84e200000")))

    def receive(self, data: bytes, now_ns: int) -> None:
        """One output report."""
        # A stick holds no more than the answers to two questions; what nobody fetched is gone.
        while len(self._out) > HELD_REPORTS:
            self._out.popleft()
        due = now_ns + (300 if self._oddity == "slow" else 15) * _NS_A_MS
        if data[:3] == b"\x01\x86\xff":
            self._asked_name += 1
            name = _NAMES.get(self._oddity, b"TEMPer2_V3.7    ")
            self._out.append((due, name[:8]))
            if self._oddity != "half_name" or self._asked_name > 1:
                self._out.append((due + 8 * _NS_A_MS, name[8:]))
        elif data[:3] == b"\x01\x80\x33":
            for at, report in enumerate(self._reports(self._source.at(now_ns))):
                self._out.append((due + 8 * at * _NS_A_MS, report))

    def next(self, now_ns: int) -> Action:
        """Put the next report on the wire when its time has come."""
        if not self._out:
            return Wait(now_ns + 1000 * _NS_A_MS)
        if self._out[0][0] > now_ns:
            return Wait(self._out[0][0])
        return Send(self._out.popleft()[1])

    def _reports(self, scene: Scene) -> list[bytes]:
        inner = scene.meter_temp_c
        cable = None if self._oddity == "no_probe" else scene.case_temp_c
        if self._oddity == "ds75":
            return [b"\x80\x04" + _twelve_bits(inner) + _twelve_bits(cable) + b"\xbf\x6b"]
        inner_report = b"\x80\x80" + _hundredths(inner) + b"\x4e\x20\x00\x00"
        cable_report = b"\x80\x01" + _hundredths(cable) + b"\x4e\x20\x00\x00"
        if self._oddity == "gold":
            return [inner_report]
        if self._oddity == "cable_only":
            return [cable_report]
        return [inner_report, cable_report]


def _hundredths(temp_c: float | None) -> bytes:
    value = 20_000 if temp_c is None else round(temp_c * 100)
    return value.to_bytes(2, "big", signed=True)


def _twelve_bits(temp_c: float | None) -> bytes:
    if temp_c is None:
        return b"\xff\xff"
    return (round(temp_c * 16) * 16).to_bytes(2, "big", signed=True)
