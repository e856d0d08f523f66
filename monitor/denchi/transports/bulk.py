"""USB bulk endpoints of one interface, through pyusb and libusb."""

from __future__ import annotations

from contextlib import suppress

import usb.core

from denchi.errors import DeviceGone
from denchi.locator import Locator
from denchi.transports.usb_common import Claimed, find, read_endpoint, write_endpoint
from denchi_protocol.codec import BulkSettings


class BulkTransport:
    """One interface's bulk pair."""

    def __init__(self, locator: Locator, settings: BulkSettings) -> None:
        self._settings = settings
        self._claimed = Claimed(find(locator), settings.interface)
        self._device = self._claimed.device

    def read(self, timeout_s: float) -> bytes:
        """One transfer."""
        return read_endpoint(
            self._device, self._settings.ep_in, self._settings.read_bytes, timeout_s
        )

    def write(self, data: bytes) -> None:
        """One transfer."""
        write_endpoint(self._device, self._settings.ep_out, data)

    def reset(self) -> None:
        """Reset the device's port."""
        try:
            self._device.reset()
        except usb.core.USBError as error:
            raise DeviceGone(
                f"the meter did not survive a reset ({error})", cure="plug it in again"
            ) from None

    def close(self) -> None:
        """Release the interface and give back the kernel's driver."""
        with suppress(usb.core.USBError):
            self._claimed.release()
