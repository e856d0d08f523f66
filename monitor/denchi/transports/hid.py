"""USB HID: through libusb (pyusb) or through hidapi, picked by platform.

Linux: libusb, which shares one permission rule with bulk meters; hidapi over the kernel's hidraw as
second. macOS and Windows: hidapi, as the system never lets libusb claim a HID interface.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

from denchi.errors import DeviceGone, DeviceRefused
from denchi.locator import Locator
from denchi.transports.base import Transport
from denchi_protocol.codec import HidSettings

HID_CLASS = 0x03
KEYBOARD_PROTOCOL = 0x01
"""Boot keyboards: a thermometer that types shows one beside the interface it is read by."""
KEYBOARD_USAGE = (0x01, 0x06)
SET_REPORT = (0x21, 0x09, 0x0200)
"""Request type (class, to an interface), request, and output report number 0 (HID 1.11, 7.2)."""
CONTROL_MS = 1000


def open_hid(locator: Locator, settings: HidSettings, *, backend: str = "auto") -> Transport:
    """Open a HID device by the backend asked for, or by the platform's order."""
    order = {"libusb": ["libusb"], "hidapi": ["hidapi"]}.get(backend)
    if order is None:
        order = ["libusb", "hidapi"] if sys.platform.startswith("linux") else ["hidapi", "libusb"]
    refused: DeviceRefused | None = None
    for name in order:
        try:
            return (
                LibusbHid(locator, settings) if name == "libusb" else HidapiHid(locator, settings)
            )
        except DeviceRefused as error:
            refused = refused or error
    assert refused is not None
    raise refused


class LibusbHid:
    """HID reports over the interrupt endpoints of the interface of class 03."""

    def __init__(self, locator: Locator, settings: HidSettings) -> None:
        import usb.util

        from denchi.transports.usb_common import Claimed, find

        self._settings = settings
        device = find(locator)
        interface = _hid_interface(device)
        self._interface = int(interface.bInterfaceNumber)
        self._claimed = Claimed(device, self._interface)
        self._device = device
        ends = {
            usb.util.endpoint_direction(e.bEndpointAddress): e.bEndpointAddress for e in interface
        }
        self._in = ends.get(usb.util.ENDPOINT_IN)
        self._out = ends.get(usb.util.ENDPOINT_OUT)
        if self._in is None:
            self._claimed.release()
            raise DeviceRefused("the meter's HID interface has no input", cure="report its model")

    def read(self, timeout_s: float) -> bytes:
        """One report; a zero-length packet is no report."""
        from denchi.transports.usb_common import read_endpoint

        assert self._in is not None
        return read_endpoint(self._device, self._in, self._settings.report_bytes, timeout_s)

    def write(self, data: bytes) -> None:
        """One report."""
        from denchi.transports.usb_common import write_endpoint

        if self._out is None:
            # HID 1.11, 4.4: without an OUT endpoint, output reports go over the control pipe.
            self._set_report(data)
            return
        write_endpoint(self._device, self._out, data)

    def _set_report(self, data: bytes) -> None:
        import usb.core

        try:
            self._device.ctrl_transfer(*SET_REPORT, self._interface, data, CONTROL_MS)
        except usb.core.USBError as error:
            raise DeviceGone(f"the meter has left ({error})", cure="plug it in") from None

    def reset(self) -> None:
        """Reset the device's port."""
        import usb.core

        try:
            self._device.reset()
        except usb.core.USBError as error:
            raise DeviceGone(
                f"the meter did not survive a reset ({error})", cure="plug it in again"
            ) from None

    def close(self) -> None:
        """Release the interface; the kernel's HID driver gets it back."""
        with suppress(Exception):
            self._claimed.release()


def _hid_interface(device: Any) -> Any:
    import usb.core

    from denchi.transports.usb_common import refused

    try:
        configuration = device.get_active_configuration()
    except (usb.core.USBError, NotImplementedError) as error:
        raise refused(error) from None
    for interface in configuration:
        if (
            interface.bInterfaceClass == HID_CLASS
            and interface.bInterfaceProtocol != KEYBOARD_PROTOCOL
        ):
            return interface
    raise DeviceRefused(
        "the device has no HID interface", cure="is it in its boot loader? plug it in again"
    )


def _hidapi() -> Any:
    """hidapi's module. On Linux the one over hidraw: the kernel clears a stall there by itself, the one
    over libusb asks a stalled endpoint for ever (seen in the USB lab) and is no second way anyway.
    """
    if sys.platform.startswith("linux"):
        with suppress(ImportError):
            import hidraw

            return hidraw
    import hid

    return hid


class HidapiHid:
    """HID reports through hidapi."""

    def __init__(self, locator: Locator, settings: HidSettings) -> None:
        hidapi = _hidapi()
        self._settings = settings
        path = _hidapi_path(hidapi, locator)
        self._device = hidapi.device()
        try:
            self._device.open_path(path)
        except OSError as error:
            from denchi.transports.usb_common import CURE_UDEV

            cure = (
                CURE_UDEV
                if sys.platform.startswith("linux")
                else "close the other program that holds it"
            )
            raise DeviceRefused(f"the meter cannot be opened ({error})", cure=cure) from None

    def read(self, timeout_s: float) -> bytes:
        """One report."""
        try:
            return bytes(
                self._device.read(self._settings.report_bytes, max(1, int(timeout_s * 1000)))
            )
        except (OSError, ValueError) as error:
            raise DeviceGone(f"the meter has left ({error})", cure="plug it in") from None

    def write(self, data: bytes) -> None:
        """One report; hidapi wants the report number 0 before it."""
        try:
            sent = self._device.write(b"\0" + data)
        except (OSError, ValueError) as error:
            raise DeviceGone(f"the meter has left ({error})", cure="plug it in") from None
        if sent < 0:
            raise DeviceGone("the meter has left", cure="plug it in")

    def reset(self) -> None:
        """hidapi knows no reset: end this connection, a re-open follows."""
        raise DeviceGone("the meter is silent and is opened again", cure="plug it in again")

    def close(self) -> None:
        """Close the device."""
        with suppress(Exception):
            self._device.close()


def _hidapi_path(hidapi: Any, locator: Locator) -> bytes:
    for one in hidapi.enumerate(locator.vid, locator.pid):
        if (one.get("usage_page"), one.get("usage")) == KEYBOARD_USAGE:
            continue
        if not locator.serial or one.get("serial_number") == locator.serial:
            return bytes(one["path"])
    raise DeviceGone(f"{locator} is not plugged in", cure="plug it in")
