"""Folders of the Linux kernel, from the protocol page (README.md): names in, ``name value`` lines out."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Mapping
from typing import Final

from denchi_protocol.codec import Action, Scene, SceneSource, Send, Wait

ODDITIES: Final = ("eio", "no_temperature", "power_on", "unplugged", "raw_only")
"""eio: every third read of an attribute fails. no_temperature: the meter's raw 8000, as the driver shows it.
power_on: a thermometer's first three readings are 85 degC. unplugged: a thermometer reads -127 degC.
raw_only: an iio device has no processed value."""


class HwmonEmulator:
    """One folder: ``kind`` is ``powerz``, ``hwmon``, ``iio`` or ``w1``."""

    ODDITIES = ODDITIES

    def __init__(
        self,
        source: SceneSource,
        *,
        now_ns: int = 0,
        oddity: str = "",
        seed: int = 0,
        kind: str = "powerz",
    ) -> None:
        if oddity and oddity not in ODDITIES:
            raise ValueError(f"no oddity {oddity!r}; known: {', '.join(ODDITIES)}")
        self._source, self._oddity, self._kind = source, oddity, kind
        self._got = b""
        self._out: deque[bytes] = deque()
        self._reads = 0
        self._temperatures = 0

    def receive(self, data: bytes, now_ns: int) -> None:
        """Attribute names, one a line."""
        *names, self._got = (self._got + data).split(b"\n")
        scene = self._source.at(now_ns)
        tree = self._powerz(scene) if self._kind == "powerz" else self._thermometer(scene)
        lines = []
        for name in (n.decode("ascii") for n in names):
            self._reads += 1
            if self._oddity == "eio" and self._reads % 3 == 0:
                value = f"!{errno.errorcode[errno.EIO]}"
            else:
                value = tree.get(name, "!ENOENT")
            lines.append(f"{name} {value}\n")
        self._out.append("".join(lines).encode())

    def next(self, now_ns: int) -> Action:
        """The answer is there at once."""
        return Send(self._out.popleft()) if self._out else Wait(now_ns + 1_000_000_000)

    def _powerz(self, scene: Scene) -> Mapping[str, str]:
        celsius = 25.0 if scene.meter_temp_c is None else scene.meter_temp_c
        raw = 0x8000 if self._oddity == "no_temperature" else round(celsius * 128) & 0xFFFF
        return {
            "name": "powerz",
            "in0_input": str(int((scene.vbus_v or 0.0) * 1000)),
            "in0_average": str(int((scene.vbus_v or 0.0) * 1000)),
            "in1_input": str(int((scene.cc1_v or 0.0) * 1000)),
            "in2_input": str(int((scene.cc2_v or 0.0) * 1000)),
            "in3_input": str(int((scene.dp_v or 0.0) * 1000)),
            "in4_input": str(int((scene.dm_v or 0.0) * 1000)),
            "in5_input": "3240",
            "curr1_input": str(int((scene.ibus_a or 0.0) * 1000)),
            "curr1_average": str(int((scene.ibus_a or 0.0) * 1000)),
            # The driver's own arithmetic on two unsigned bytes.
            "temp1_input": str((raw >> 8) * 2000 + (raw & 0xFF) * 1000 // 128),
        }

    def _thermometer(self, scene: Scene) -> Mapping[str, str]:
        celsius = scene.case_temp_c if scene.case_temp_c is not None else scene.ambient_temp_c
        value = None if celsius is None else round(celsius * 1000)
        self._temperatures += 1
        if self._oddity == "power_on" and self._temperatures <= 3:
            value = 85_000
        elif self._oddity == "unplugged":
            value = -127_000
        if value is None:
            return {}
        if self._kind == "iio":
            # 0.25 degC a count above -50 degC.
            raw = {"in_temp_raw": str(round(value / 250) + 200), "in_temp_offset": "-200"}
            raw["in_temp_scale"] = "250.000000"
            processed = {} if self._oddity == "raw_only" else {"in_temp_input": str(value)}
            return raw | processed
        return {"w1": {"temperature": str(value)}}.get(self._kind, {"temp1_input": str(value)})
