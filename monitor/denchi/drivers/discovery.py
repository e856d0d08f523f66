"""Discovery: which instruments are present, and which known ones cannot be opened. Sends no byte.

Ambiguous ids (shared by devices that are no meters) are reported and never probed.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from denchi.drivers import registry
from denchi.locator import Locator
from denchi_protocol.codec import MeterSpec, SerialMatch, SysfsMatch, UsbMatch

log = logging.getLogger(__name__)
SYSFS: Final = Path("/sys")


@dataclass(frozen=True, slots=True)
class Found:
    """An instrument that could be opened; ``ambiguous``: only when the user says so."""

    spec_key: str
    locator: Locator
    model: str = ""
    serial: str = ""
    port: str = ""
    ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class Unopenable:
    """A known instrument that is present and cannot be opened, with reason and cure."""

    what: str
    spec_key: str
    reason: str
    cure: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """What is present now."""

    found: tuple[Found, ...] = ()
    unopenable: tuple[Unopenable, ...] = ()


def discover(*, sysfs: Path = SYSFS) -> Discovery:
    """Look at USB, serial ports and kernel class devices. Never raises for a device's sake."""
    found: list[Found] = []
    unopenable: list[Unopenable] = []
    for part in (_usb, _serial):
        try:
            more, cannot = part()
            found += more
            unopenable += cannot
        except Exception:
            log.exception("%s discovery failed", part.__name__)
    found += _kernel(sysfs, {one.port for one in found if one.locator.kind == "usb"})
    return Discovery(tuple(found), tuple(unopenable))


def matches_usb(match: UsbMatch, vid: int, pid: int, manufacturer: str, product: str) -> bool:
    """Whether a USB device is the one a match means; strings decide where ids are shared."""
    if match.vid != vid or (match.pid is not None and match.pid != pid):
        return False
    if match.product is not None and not re.search(match.product, product):
        return False
    return match.manufacturer is None or bool(re.search(match.manufacturer, manufacturer))


def _usb() -> tuple[list[Found], list[Unopenable]]:
    import usb.core

    from denchi.transports.usb_common import CURE_UDEV, backend, no_permission, place_of, string_of

    wanted = {
        m.vid for s in registry.specs().values() for m in s.matches if isinstance(m, UsbMatch)
    }
    found, unopenable = [], []
    for device in usb.core.find(find_all=True, backend=backend()) or ():
        vid, pid = device.idVendor, device.idProduct
        if vid not in wanted:
            continue
        reason = no_permission(device)
        manufacturer = "" if reason else string_of(device, device.iManufacturer)
        product = "" if reason else string_of(device, device.iProduct)
        serial = "" if reason else string_of(device, device.iSerialNumber)
        place = place_of(device)
        for spec, match in _specs_for(vid, pid, manufacturer, product, known=not reason):
            locator = Locator("usb", spec.key, vid, pid, serial, "" if serial else place)
            if reason:
                what = f"{spec.title} ({vid:04x}:{pid:04x} at {place})"
                unopenable.append(Unopenable(what, spec.key, reason, CURE_UDEV))
            else:
                found.append(
                    Found(
                        spec.key, locator, product or spec.models[0], serial, place, match.ambiguous
                    )
                )
            break
    return found, unopenable


def _specs_for(
    vid: int, pid: int, manufacturer: str, product: str, *, known: bool
) -> list[tuple[MeterSpec, UsbMatch]]:
    hits = [
        (spec, match)
        for spec in registry.specs().values()
        for match in spec.matches
        if isinstance(match, UsbMatch)
        and (
            matches_usb(match, vid, pid, manufacturer, product)
            if known
            else match.vid == vid and match.pid in (None, pid)
        )
    ]
    # An exact product id is more than a vendor's whole range.
    return sorted(hits, key=lambda hit: hit[1].pid is None)


def _serial() -> tuple[list[Found], list[Unopenable]]:
    from serial.tools import list_ports

    found, unopenable = [], []
    for port in list_ports.comports():
        if port.vid is None:
            continue
        for spec, match in _serial_specs(port):
            locator = Locator("serial", spec.key, path=port.device)
            if sys.platform.startswith("linux") and not os.access(port.device, os.R_OK | os.W_OK):
                what = f"{spec.title} at {port.device}"
                cure = "run `sudo denchi install udev`, or join the group dialout"
                unopenable.append(
                    Unopenable(what, spec.key, f"no permission to open {port.device}", cure)
                )
            else:
                found.append(
                    Found(
                        spec.key,
                        locator,
                        port.product or spec.models[0],
                        port.serial_number or "",
                        port.device,
                        match.ambiguous,
                    )
                )
            break
    return found, unopenable


def _serial_specs(port: Any) -> list[tuple[MeterSpec, SerialMatch]]:
    hits = []
    for spec in registry.specs().values():
        for match in spec.matches:
            if not isinstance(match, SerialMatch) or match.vid is None or match.vid != port.vid:
                continue
            if match.pid is not None and match.pid != port.pid:
                continue
            if match.manufacturer and not re.search(match.manufacturer, port.manufacturer or ""):
                continue
            if match.product and not re.search(match.product, port.product or ""):
                continue
            hits.append((spec, match))
    return sorted(hits, key=lambda hit: hit[1].ambiguous)


def _kernel(sysfs: Path, by_usb: set[str]) -> list[Found]:
    """Kernel class devices; one that is already found by its USB place is there for who asks for it."""
    found = []
    for spec in registry.specs().values():
        for match in spec.matches:
            if not isinstance(match, SysfsMatch) or match.name is None:
                continue
            folder = sysfs / "class" / match.subsystem
            if not folder.is_dir():
                continue
            for one in sorted(folder.iterdir()):
                try:
                    name = (one / "name").read_text(encoding="utf-8").strip()
                except (OSError, UnicodeDecodeError):
                    continue
                if name == match.name:
                    path, place = _stable(one)
                    locator = Locator("sysfs", spec.key, path=path)
                    found.append(
                        Found(spec.key, locator, spec.models[0], "", path, place in by_usb)
                    )
    return found


_USB_INTERFACE: Final = re.compile(r"(?P<place>\d+-[\d.]+):\d+\.\d+\Z")


def _stable(one: Path) -> tuple[str, str]:
    """A folder's path without the number that changes at each plug-in, and its USB place (may be empty)."""
    real = one.resolve()
    for parent in real.parents:
        if usb := _USB_INTERFACE.match(parent.name):
            pattern = re.sub(r"\d+\Z", "*", real.name)
            return str(real.parent / pattern), usb["place"]
    return str(one), ""
