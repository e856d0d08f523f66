"""What USB transports share: the libusb backend, finding a device, claiming and giving back."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import usb.core
import usb.util

from denchi.errors import DeviceGone, DeviceRefused
from denchi.locator import Locator

CURE_UDEV = "run `sudo denchi install udev` and plug the meter in again"
GONE = frozenset({errno.ENODEV, errno.ENXIO, errno.ESHUTDOWN, errno.EPROTO, errno.EIO})


@lru_cache(maxsize=1)
def backend() -> Any:
    """libusb as it comes with ``libusb-package``, else the system's.

    The packaged one is not built on libudev: it sees a replug also where no udevd runs (containers).
    """
    with suppress(Exception):
        import libusb_package

        if (found := libusb_package.get_libusb1_backend()) is not None:
            return found
    import usb.backend.libusb1

    return usb.backend.libusb1.get_backend()


def place_of(device: Any) -> str:
    """Bus and ports, which stay the same while a device stays in its socket."""
    ports = ".".join(str(p) for p in (device.port_numbers or ()))
    return f"{device.bus}-{ports}" if ports else f"{device.bus}:{device.address}"


def string_of(device: Any, index: int) -> str:
    """A string descriptor, empty when it cannot be read (permission, broken device)."""
    if not index:
        return ""
    try:
        return str(usb.util.get_string(device, index) or "")
    except (usb.core.USBError, ValueError, NotImplementedError):
        return ""


def no_permission(device: Any) -> str:
    """Why a USB device cannot be opened, empty when it can, as far as its node tells."""
    if not sys.platform.startswith("linux"):
        return ""
    node = Path(f"/dev/bus/usb/{device.bus:03d}/{device.address:03d}")
    if node.exists() and not os.access(node, os.R_OK | os.W_OK):
        return f"no permission to open {node}"
    return ""


def find(locator: Locator) -> Any:
    """The device of a locator.

    Raises ``DeviceGone`` when none is there, ``DeviceRefused`` when one is there that could be it and
    whose serial number may not even be read.
    """
    locked = ""
    for device in usb.core.find(
        find_all=True, idVendor=locator.vid, idProduct=locator.pid, backend=backend()
    ):
        if locator.path and not locator.serial and place_of(device) != locator.path:
            continue
        if locator.serial:
            if reason := no_permission(device):
                locked = reason
                continue
            if string_of(device, device.iSerialNumber) != locator.serial:
                continue
        return device
    if locked:
        raise DeviceRefused(locked, cure=CURE_UDEV)
    raise DeviceGone(f"{locator} is not plugged in", cure="plug it in")


def refused(error: Any) -> DeviceRefused | DeviceGone:
    """Our error for a libusb error on opening."""
    number = getattr(error, "errno", None)
    if number in (errno.EACCES, errno.EPERM):
        cure = (
            CURE_UDEV
            if sys.platform.startswith("linux")
            else "run with the rights to open USB devices"
        )
        return DeviceRefused("no permission to open the meter", cure=cure)
    if number == errno.EBUSY:
        return DeviceRefused(
            "another program or driver holds the meter", cure="close the other program"
        )
    if number in GONE:
        return DeviceGone("the meter has left", cure="plug it in")
    if isinstance(error, NotImplementedError) or sys.platform == "win32":
        return DeviceRefused(
            "Windows has no WinUSB driver for the meter", cure="use the HID way, or assign WinUSB"
        )
    return DeviceRefused(f"the meter cannot be opened ({error})", cure="plug it in again")


class Claimed:
    """A USB interface, claimed; the kernel drivers that were detached for it are given back."""

    def __init__(self, device: Any, interface: int) -> None:
        self.device = device
        self.interface = interface
        self._detached: list[int] = []
        try:
            self._detach(interface)
            with suppress(usb.core.USBError):
                device.get_active_configuration()
            usb.util.claim_interface(device, interface)
        except (usb.core.USBError, NotImplementedError) as error:
            self.release()
            raise refused(error) from None

    def _detach(self, interface: int) -> None:
        try:
            if self.device.is_kernel_driver_active(interface):
                self.device.detach_kernel_driver(interface)
                self._detached.append(interface)
        except NotImplementedError:
            pass  # not Linux: there is nothing to detach

    def release(self) -> None:
        """Release the interface and attach the kernel's driver again."""
        with suppress(usb.core.USBError, NotImplementedError):
            usb.util.release_interface(self.device, self.interface)
        for interface in self._detached:
            with suppress(usb.core.USBError, NotImplementedError):
                self.device.attach_kernel_driver(interface)
        self._detached = []
        with suppress(usb.core.USBError):
            usb.util.dispose_resources(self.device)


def read_endpoint(device: Any, address: int, size: int, timeout_s: float) -> bytes:
    """Read one transfer; ``b""`` on time-out. Raises ``DeviceGone``."""
    try:
        data: bytes = device.read(address, size, max(1, int(timeout_s * 1000))).tobytes()
    except usb.core.USBTimeoutError:
        return b""
    except usb.core.USBError as error:
        if error.errno in (errno.ETIMEDOUT, 10060):
            return b""
        if error.errno == errno.EPIPE:
            with suppress(usb.core.USBError):
                device.clear_halt(address)  # a stall: the next read decides
            return b""
        raise DeviceGone(
            f"the meter has left ({error.strerror or error})", cure="plug it in"
        ) from None
    return data


def write_endpoint(device: Any, address: int, data: bytes) -> None:
    """Write one transfer. Raises ``DeviceGone``."""
    try:
        device.write(address, data, 1000)
    except usb.core.USBTimeoutError:
        raise DeviceGone("the meter takes no requests", cure="plug it in again") from None
    except usb.core.USBError as error:
        raise DeviceGone(
            f"the meter has left ({error.strerror or error})", cure="plug it in"
        ) from None
