"""Older ChargerLAB POWER-Z: KM001 (KingMeter) and FL001, by one source each."""

from __future__ import annotations

from typing import Any, Final

from denchi_protocol.codec import (
    EndpointDescriptor,
    HidSettings,
    InterfaceDescriptor,
    MeterSpec,
    UsbDescriptors,
    UsbMatch,
)
from denchi_protocol.meters.power_z_classic.codec import ASK, Fl001Codec, Km001Codec
from denchi_protocol.meters.power_z_classic.emulator import Fl001Emulator, Km001Emulator

_NOT_ATORCH: Final = r"(?i)\A(?!.*(ACD15P|C13P|DL24))"
"""Chargers and loads of Atorch share the ids of the KM001 and speak otherwise."""
_COMMON: Final[dict[str, Any]] = {
    "family": "power_z_classic",
    "maker": "ChargerLAB",
    "kind": "meter",
    "transport": HidSettings(),
    "channels": ("vbus_uv", "ibus_ua", "dp_uv", "dm_uv", "temp_mc.meter"),
    "temperature_place": "meter",
    "limits": {
        "vbus_uv": (-1.0, 50.0),
        "ibus_ua": (-10.0, 10.0),
        "dp_uv": (-1.0, 30.0),
        "dm_uv": (-1.0, 30.0),
        "temp_mc.meter": (-40.0, 125.0),
    },
    # Nobody has written down what the sign means.
    "current": "unsigned",
    "maturity": "peer reader",
}
_NOTES: Final = (
    "The temperature is taken for that of the meter's own board; it says nothing of the power bank.",
    "Known from a single program; compare the first readings with the meter's screen.",
)


def _usb(vid: int, pid: int, product: str) -> UsbDescriptors:
    ends = (EndpointDescriptor(0x81, "interrupt"), EndpointDescriptor(0x01, "interrupt"))
    hid = InterfaceDescriptor(0, 0x03, endpoints=ends, speaks=True)
    return UsbDescriptors(
        vid, pid, "ChargerLAB (emulated)", f"{product} (emulated)", "EMULATED0001", (hid,)
    )


SPECS: Final = (
    MeterSpec(
        key="km001",
        models=("POWER-Z KM001", "POWER-Z KM001Pro"),
        # All four ids belong to makers of chips: other devices have them too.
        matches=tuple(
            UsbMatch(vid, pid, product=_NOT_ATORCH, ambiguous=True)
            for vid in (0x0416, 0x0483)
            for pid in (0x5750, 0x5F50)
        ),
        codec=Km001Codec,
        emulator=Km001Emulator,
        rate_hz=10.0,
        checksum=False,
        allowed_sends=(ASK,),
        notes=(
            *_NOTES,
            "It samples at the rate set on the meter (2 to 100 ms); denchi does not change it.",
        ),
        descriptors=_usb(0x0416, 0x5F50, "KM001"),
        **_COMMON,
    ),
    MeterSpec(
        key="fl001",
        models=("POWER-Z FL001",),
        matches=(UsbMatch(0x0472, 0x0002, ambiguous=True),),
        codec=Fl001Codec,
        emulator=Fl001Emulator,
        rate_hz=31.25,
        checksum=True,
        allowed_sends=(),
        notes=_NOTES,
        descriptors=_usb(0x0472, 0x0002, "FL001"),
        **_COMMON,
    ),
)
