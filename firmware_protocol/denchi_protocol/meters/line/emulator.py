"""A board that prints its readings every 100 ms, from the description in README.md."""

from __future__ import annotations

import json
import random
from collections import deque
from typing import Final

from denchi_protocol.codec import Action, Scene, SceneSource, Send, Wait

ODDITIES: Final = (
    "json",
    "labels",
    "semicolons",
    "milli",
    "boot_noise",
    "half_line",
    "sensor_fails",
    "lost_bytes",
    "bunches",
    "header_once",
)
"""json: an object a line. labels: name:value pairs. semicolons: instead of commas, with a space. milli: mV, mA and
a column denchi does not know. boot_noise: messages and binary rubbish before the header. half_line: the
connection begins within a line, without a header. sensor_fails: every fifth reading has no
temperature. lost_bytes: every tenth line lacks its middle. bunches: five lines arrive at once. header_once: the header
does not come again every 2 s."""

_EVERY_NS: Final = 100_000_000


def _cell(value: float | None, digits: int) -> str:
    return "nan" if value is None else f"{value:.{digits}f}"


class LineEmulator:
    """One board behind a serial port."""

    ODDITIES = ODDITIES

    def __init__(
        self, source: SceneSource, *, now_ns: int = 0, oddity: str = "", seed: int = 0
    ) -> None:
        if oddity and oddity not in ODDITIES:
            raise ValueError(f"no oddity {oddity!r}; known: {', '.join(ODDITIES)}")
        self._source, self._oddity = source, oddity
        self._random = random.Random(seed)  # noqa: S311  rubbish
        self._zero_ns = self._due_ns = now_ns
        self._ready: deque[bytes] = deque()
        self._count = 0
        if oddity == "boot_noise":
            noise = bytes(self._random.randrange(128, 256) for _ in range(40))
            self._ready.append(noise + b"\r\nbooting, firmware 1.2\r\nINA226 found\r\n")
        if oddity == "half_line":
            self._ready.append(b"2,0.9000,31.50,28.00\r\n")
        elif oddity not in ("json", "labels"):
            self._ready.append(self._header())

    def receive(self, data: bytes, now_ns: int) -> None:
        """The board does not listen."""

    def next(self, now_ns: int) -> Action:
        """What has been printed by now."""
        if self._ready:
            return Send(self._ready.popleft())
        bunch = 5 if self._oddity == "bunches" else 1
        until = self._due_ns + (bunch - 1) * _EVERY_NS
        if now_ns < until:
            return Wait(until)
        for _ in range(bunch):
            self._ready.append(self._line(self._source.at(self._due_ns), self._due_ns))
            self._due_ns += _EVERY_NS
        return Send(self._ready.popleft())

    def _names(self) -> list[str]:
        if self._oddity == "milli":
            return [
                "millis",
                "bus_voltage_mV",
                "current_mA",
                "temperature_C",
                "meter_temperature_c",
                "rssi",
            ]
        return ["t_s", "voltage_v", "current_a", "temperature_c", "meter_temperature_c"]

    def _header(self) -> bytes:
        mark = "; " if self._oddity == "semicolons" else ","
        return (mark.join(self._names()) + "\r\n").encode()

    def _line(self, scene: Scene, t_ns: int) -> bytes:
        self._count += 1
        seconds = (t_ns - self._zero_ns) / 1e9
        fails = self._oddity == "sensor_fails" and self._count % 5 == 0
        case = None if fails else scene.case_temp_c
        k, digits = (1e3, 3) if self._oddity == "milli" else (1.0, 6)
        cells = [
            f"{seconds * k:.0f}" if self._oddity == "milli" else f"{seconds:.3f}",
            _cell(None if scene.vbus_v is None else scene.vbus_v * k, digits),
            _cell(None if scene.ibus_a is None else scene.ibus_a * k, digits),
            _cell(case, 2),
            _cell(scene.meter_temp_c, 2),
        ]
        if self._oddity == "milli":
            cells.append("-61")
        line = self._dress(cells)
        if self._oddity == "lost_bytes" and self._count % 10 == 0:
            line = line[: len(line) // 3] + line[2 * len(line) // 3 :]
        if self._count % 20 == 0 and self._oddity not in ("json", "labels", "header_once"):
            return self._header() + line
        return line

    def _dress(self, cells: list[str]) -> bytes:
        if self._oddity == "json":
            values = {
                n: None if c == "nan" else float(c)
                for n, c in zip(self._names(), cells, strict=True)
            }
            return (json.dumps(values) + "\n").encode()
        if self._oddity == "labels":
            pairs = [f"{n}:{c}" for n, c in zip(self._names(), cells, strict=True)]
            return (",".join(pairs) + "\r\n").encode()
        mark = "; " if self._oddity == "semicolons" else ","
        return (mark.join(cells) + "\r\n").encode()
