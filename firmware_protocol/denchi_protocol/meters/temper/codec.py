"""TEMPer host side: asks the firmware's name, then the temperatures once a second.

The name decides how the bytes are read; a name that is not known is not read. Layouts and sources:
README.md beside this file. Two read requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from denchi_protocol.codec import Action, Closing, DeviceInfo, Done, Event, Frames, Rejected
from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.fields import as_frames, check_run, counts, signed
from denchi_protocol.polling import Poller
from denchi_protocol.samples import Int64s, Quality, SampleBlock

ASK_NAME: Final = bytes.fromhex("0186ff0100000000")
ASK_TEMPERATURE: Final = bytes.fromhex("0180330100000000")
REPORT: Final = 8
DATA: Final = 0x80
INNER_IDS: Final = (0x04, 0x20, 0x40, 0x80)
OUTER_ID: Final = 0x01
NO_PROBE: Final = 20_000
"""200.00 degC: the probe is missing or not plugged in."""

PLACE: Final = "temp_mc.ambient"
"""A thermometer cannot know where it was put: the bench gives it its place by its role."""

Sensor = Literal["cable", "inner"]
Layout = Literal["hundredths", "ds75"]


@dataclass(frozen=True, slots=True)
class Kind:
    """How the firmware with this name speaks."""

    prefix: str
    layout: Layout
    only: Sensor | None = None
    """The one sensor that this stick has; None: both."""


KINDS: Final = (
    Kind("TEMPerGold_V3.1", "hundredths", "inner"),
    Kind("TEMPerGold_V3.3", "hundredths", "inner"),
    Kind("TEMPerGold_V3.4", "hundredths", "inner"),
    Kind("TEMPerGold_V3.5", "hundredths", "inner"),
    Kind("TEMPerX_V3.1", "hundredths"),
    Kind("TEMPerX_V3.2", "hundredths"),
    Kind("TEMPerX_V3.3", "hundredths"),
    Kind("TEMPerHUM_V3.8", "hundredths", "inner"),
    Kind("TEMPerHUM_V3.9", "hundredths", "inner"),
    Kind("TEMPerHUM_V4.0", "hundredths", "inner"),
    Kind("TEMPerHUM_V4.1", "hundredths", "inner"),
    Kind("TEMPer2_V3.7", "hundredths"),
    Kind("TEMPer2_V3.9", "hundredths"),
    Kind("TEMPer2_V4.1", "hundredths"),
    Kind("TEMPer1F_V4.1", "hundredths", "cable"),
    Kind("TEMPer1F1.4", "ds75", "cable"),
    Kind("TEMPerF1.2", "ds75", "inner"),
    Kind("TEMPerF1.4", "ds75", "inner"),
    Kind("TEMPer2_M12_V1.3", "ds75"),
)
"""Names that somebody has read with success; others are refused, as some share a beginning and not a scale."""


def kind_of(name: str) -> Kind | None:
    """The kind whose name this is; what follows a known name is left over from other reports."""
    return next((kind for kind in KINDS if name.startswith(kind.prefix)), None)


class TemperCodec:
    """One stick, one of its sensors: the probe on the cable, or the one inside (or the only one it has)."""

    def __init__(self, sensor: Sensor = "cable") -> None:
        self._wanted: Sensor = sensor
        self._poller = Poller(self._requests, period_ms=1000, resend_ms=500, pause_ms=20, tries=2)
        self._kind: Kind | None = None
        self._refused = False
        self._unknown = b""
        self._name = b""
        self._held = b""
        self._expired = 0

    def _requests(self) -> list[bytes]:
        self._name = b""
        if self._kind is None:
            return [] if self._refused else [ASK_NAME]
        return [ASK_TEMPERATURE]

    def next(self, now_ns: int) -> Action:
        """Ask the name until it is known, then the temperatures."""
        return self._poller.next(now_ns)

    def close(self, now_ns: int) -> Closing:
        """Nothing to stop."""
        return Done()

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take report bytes; reports have 8 and no mark to find them again, so a silence begins anew."""
        if self._poller.expired != self._expired:
            self._expired = self._poller.expired
            self._held, self._name = b"", b""
        events: list[Event] = []
        self._held += data
        while len(self._held) >= REPORT:
            report, self._held = self._held[:REPORT], self._held[REPORT:]
            events += self._report(report, t_ns)
        return events

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode temperature reports (n, 8) of the sensor that is read, all with one number.

        Raises ``LocalProtocolError`` before the name is known or for other reports.
        """
        check_run(frames, t_ns)
        kind = self._kind
        if kind is None or frames.shape[1] != REPORT or (frames[:, 0] != DATA).any():
            raise LocalProtocolError(
                "a run holds temperature reports of a stick whose name is known"
            )
        number = int(frames[0, 1])
        if (frames[:, 1] != number).any() or (at := self._place_in(kind, number)) is None:
            raise LocalProtocolError("a run holds reports of one sensor, the one that is read")
        raw = signed(frames, at, 2)
        if kind.layout == "ds75":
            # 1/256 degC, of which the upper twelve bits count; all bits set: no sensor.
            column = counts((raw >> 4) * 625 // 10, raw != -1)
        else:
            column = counts(raw * 10, raw != NO_PROBE)
        return SampleBlock(t_ns, {PLACE: column}, np.full(len(t_ns), Quality.UNCHECKED, np.uint16))

    def _place_in(self, kind: Kind, number: int) -> int | None:
        """Where the wanted sensor stands in a report with this number; None = it is not in it."""
        wanted = kind.only or self._wanted
        if kind.layout == "ds75":
            if kind.only or wanted == "inner":
                return 2
            return 4 if number == 4 else None
        if kind.only == "cable":
            return 2
        return 2 if (number == OUTER_ID) == (wanted == "cable") else None

    def _report(self, report: bytes, t_ns: int) -> list[Event]:
        asked = self._poller.in_flight
        if self._kind is None:
            # A temperature left over from another program's question is not part of a name.
            if max(report) >= DATA or not (self._name or report.startswith(b"TEMPer")):
                return [Rejected(t_ns, "a report before the name", report)]
            # A second beginning of a name is where the name begins.
            self._name = report if report.startswith(b"TEMPer") else self._name + report
            return self._named(t_ns) if len(self._name) == 2 * REPORT else []
        if report[0] != DATA or not self._known_sensor(report[1]):
            return [Rejected(t_ns, "no temperature report", report)]
        if asked == ASK_TEMPERATURE:
            self._poller.answered(t_ns)
        if self._place_in(self._kind, report[1]) is None:
            return []  # the other sensor of this stick
        return [self.decode_run(as_frames(report), np.array([t_ns], np.int64))]

    def _known_sensor(self, number: int) -> bool:
        assert self._kind is not None
        if self._kind.layout == "ds75":
            return number in (2, 4)
        return number in INNER_IDS or number == OUTER_ID

    def _named(self, t_ns: int) -> list[Event]:
        raw, self._name = self._name, b""
        name = raw.decode("ascii", "replace").rstrip("\0 ")
        self._poller.answered(t_ns)
        self._kind = kind_of(name)
        info = DeviceInfo(t_ns, maker="PCsensor", model=name, firmware=name)
        if self._kind is None:
            # A name spoiled on its way differs from the next one; the same one twice is what it says.
            self._refused, self._unknown = raw == self._unknown, raw
            return [info, Rejected(t_ns, "a firmware nobody has described: not read", raw)]
        return [info]
