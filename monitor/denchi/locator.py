"""Locator: where an instrument is, as one word for configuration and command line.

``usb:2e3c:5558/SERIAL`` · ``serial:/dev/ttyUSB0`` · ``ble:NAME`` · ``sysfs:/sys/class/hwmon/hwmon3`` ·
``emulated:fnb58?scenario=demo``. A key may stand before: ``fnb58@usb:2e3c:5558/SERIAL``. Behind ``?`` stand
options of the meter: ``line@serial:/dev/ttyUSB0?columns=voltage_v,current_a&baud=9600``.
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
        query = f"?{urlencode(self.options)}" if self.options else ""
        if self.kind == "usb":
            place = quote(self.serial, safe="") or (f"@{self.path}" if self.path else "")
            where = f"{self.vid:04x}:{self.pid:04x}" + (f"/{place}" if place else "")
            return f"{head}usb:{where}{query}"
        if self.kind == "emulated":
            return f"emulated:{self.spec_key}{query}"
        return f"{head}{self.kind}:{self.path}{query}"

    @classmethod
    def parse(cls, text: str) -> Locator:
        """Read a locator. Raises ``UsageError`` with examples."""
        key, at, rest = text.partition("@")
        if not at or ":" in key:
            key, rest = "", text
        kind, colon, place = rest.partition(":")
        if not colon or kind not in KINDS:
            raise UsageError(f"{text!r} is no place of an instrument", cure=f"such as {EXAMPLES}")
        place, options = _options(place)
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
                options,
            )
        if kind == "emulated":
            return cls("emulated", place.rstrip("?"), options=options)
        return cls(kind, key, path=place, options=options)


def _options(place: str) -> tuple[str, dict[str, str]]:
    """A place and what stands behind its ``?`` (only where it is one: a Bluetooth name may end in "?")."""
    head, _, query = place.partition("?")
    options = dict(parse_qsl(query))
    return (head, options) if options else (place, {})
