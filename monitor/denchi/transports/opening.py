"""Open the way to a device: by the spec's transport settings and the locator's kind."""

from __future__ import annotations

from dataclasses import replace

from denchi.clock import AnchoredClock
from denchi.errors import DeviceRefused
from denchi.locator import Locator
from denchi.transports.base import Transport
from denchi_protocol.codec import (
    BleSettings,
    BulkSettings,
    HidSettings,
    MeterSpec,
    SerialSettings,
    SysfsSettings,
)


def open_transport(
    spec: MeterSpec, locator: Locator, clock: AnchoredClock, *, usb_backend: str = "auto"
) -> Transport:
    """Open a device. Raises ``DeviceGone`` when it is not there, ``DeviceRefused`` with the cure.

    A device with two ways (``spec.also``) is tried by its first way, then by the others.
    """
    if locator.kind == "emulated":
        from denchi.transports.emulated import EmulatedTransport

        return EmulatedTransport(spec.key, locator.options, clock, family=spec.family)
    refused: DeviceRefused | None = None
    for settings in (spec.transport, *spec.also):
        try:
            return _open(settings, locator, usb_backend)
        except DeviceRefused as error:
            refused = refused or error
    assert refused is not None
    raise refused


def _open(settings: object, locator: Locator, usb_backend: str) -> Transport:
    if isinstance(settings, HidSettings):
        from denchi.transports import hid

        return hid.open_hid(locator, settings, backend=usb_backend)
    if isinstance(settings, BulkSettings):
        from denchi.transports.bulk import BulkTransport

        return BulkTransport(locator, settings)
    if isinstance(settings, SerialSettings):
        from denchi.transports.serial_line import SerialTransport

        return SerialTransport(locator, _with_baud(settings, locator))
    if isinstance(settings, SysfsSettings):
        from denchi.transports.sysfs import SysfsTransport

        return SysfsTransport(locator)
    assert isinstance(settings, BleSettings)
    from denchi.transports.ble import BleTransport

    return BleTransport(locator, settings)


def _with_baud(settings: SerialSettings, locator: Locator) -> SerialSettings:
    """The family's line settings, at the speed the locator says (``?baud=9600``)."""
    text = locator.options.get("baud")
    if text is None:
        return settings
    if not (text.isascii() and text.isdigit() and 50 <= int(text) <= 12_000_000):
        raise DeviceRefused(f"baud={text!r} is no speed of a serial line", cure="such as baud=9600")
    return replace(settings, baud=int(text))
