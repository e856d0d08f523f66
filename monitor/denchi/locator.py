"""Locator: where an instrument is, as one word for configuration and command line.

``usb:2e3c:5558/SERIAL`` · ``serial:/dev/ttyUSB0`` · ``ble:NAME`` · ``sysfs:/sys/class/hwmon/hwmon3`` ·
``emulated:fnb58?scenario=demo``. A key may stand before: ``fnb58@usb:2e3c:5558/SERIAL``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlencode

from denchi.errors import UsageError

Kind: TypeAlias = Literal["usb", "serial", "ble", "sysfs", "emulated"]
KINDS: tuple[Kind, ...] = ("usb", "serial", "ble", "sysfs", "emulated")
EXAMPLES = "usb:2e3c:5558/SERIAL, tc66c@serial:/dev/ttyACM0, emulated:fnb58?scenario=demo"
_USB = re.compile(r"(?P<vid>[0-9a-fA-F]{4}):(?P<pid>[0-9a-fA-F]{4})(?:/(?P<serial>.*))?\Z")


@dataclass(frozen=True, slots=True)
class Locator:
    """Where an instrument is. ``serial`` empty: any device of these ids."""

    kind: Kind
    spec_key: str = ""
    vid: int = 0
    pid: int = 0
    serial: str = ""
    path: str = ""
    """Port, Bluetooth name, folder, or the USB place (``bus-port.port``) of a device without serial."""
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        head = f"{self.spec_key}@" if self.spec_key and self.kind != "emulated" else ""
        if self.kind == "usb":
            place = quote(self.serial, safe="") or (f"@{self.path}" if self.path else "")
            return f"{head}usb:{self.vid:04x}:{self.pid:04x}" + (f"/{place}" if place else "")
        if self.kind == "emulated":
            query = f"?{urlencode(self.options)}" if self.options else ""
            return f"emulated:{self.spec_key}{query}"
        return f"{head}{self.kind}:{self.path}"

    @classmethod
    def parse(cls, text: str) -> Locator:
        """Read a locator. Raises ``UsageError`` with examples."""
        key, at, rest = text.partition("@")
        if not at or ":" in key:
            key, rest = "", text
        kind, colon, place = rest.partition(":")
        if not colon or kind not in KINDS:
            raise UsageError(f"{text!r} is no place of an instrument", cure=f"such as {EXAMPLES}")
        if kind == "usb":
            match = _USB.match(place)
            if match is None:
                raise UsageError(f"{text!r}: USB ids are four hex digits each", cure=EXAMPLES)
            serial = match["serial"] or ""
            path = serial[1:] if serial.startswith("@") else ""
            return cls(
                "usb",
                key,
                int(match["vid"], 16),
                int(match["pid"], 16),
                "" if path else unquote(serial),
                path,
            )
        if kind == "emulated":
            name, _, query = place.partition("?")
            return cls("emulated", name, options=dict(parse_qsl(query)))
        return cls(kind, key, path=place)  # type: ignore[arg-type]
