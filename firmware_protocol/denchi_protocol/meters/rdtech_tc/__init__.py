"""RDTech TC66 / TC66C: AES-ECB frames of 192 bytes on request, by USB serial or BLE."""

from __future__ import annotations

from typing import Any, Final

from denchi_protocol.codec import (
    BleMatch,
    BleSettings,
    EndpointDescriptor,
    InterfaceDescriptor,
    MeterSpec,
    SerialMatch,
    SerialSettings,
    UsbDescriptors,
)
from denchi_protocol.meters.rdtech_tc.codec import ASK_BLE, ASK_USB, TcCodec, ble_codec
from denchi_protocol.meters.rdtech_tc.emulator import TcEmulator

_COMMON: Final[dict[str, Any]] = {
    "family": "rdtech_tc",
    "maker": "RuiDeng",
    "kind": "meter",
    "emulator": TcEmulator,
    "channels": ("vbus_uv", "ibus_ua", "dp_uv", "dm_uv", "temp_mc.meter"),
    "temperature_place": "meter",
    # What the makers print: 30 V and 5 A; a little above so that a true reading is never cut.
    "limits": {
        "vbus_uv": (0.0, 32.0),
        "ibus_ua": (0.0, 6.0),
        "dp_uv": (0.0, 30.0),
        "dm_uv": (0.0, 30.0),
        "temp_mc": (-40.0, 125.0),
    },
    "current": "unsigned",
    "checksum": True,
    "maturity": "captures",
}
_NOTES: Final = (
    "The current has no sign: which way the meter is plugged in cannot be seen.",
    "The temperature is the meter's own.",
    "A change takes up to half a second to show.",
)
_DESCRIPTORS: Final = UsbDescriptors(
    vid=0x28E9,
    pid=0x018A,
    manufacturer="RuiDeng",
    product="TC66C emulated",
    serial="EMULATED0001",
    device_class=0x02,
    interfaces=(
        InterfaceDescriptor(0, 0x02, 0x02, 0x01, (EndpointDescriptor(0x82, "interrupt", 8, 10),)),
        InterfaceDescriptor(
            1,
            0x0A,
            endpoints=(EndpointDescriptor(0x01, "bulk"), EndpointDescriptor(0x81, "bulk")),
            speaks=True,
        ),
    ),
)

SPECS: Final = (
    MeterSpec(
        key="tc66c",
        models=("TC66C", "TC66"),
        matches=(SerialMatch(vid=0x28E9, manufacturer="RuiDeng", ambiguous=False),),
        transport=SerialSettings(baud=115200),
        codec=TcCodec,
        rate_hz=10.0,
        descriptors=_DESCRIPTORS,
        allowed_sends=(ASK_USB,),
        notes=_NOTES,
        **_COMMON,
    ),
    MeterSpec(
        key="tc66",
        models=("TC66",),
        # Shows the same ids as the TC66C, which claims them: this key is for a port named by hand.
        matches=(SerialMatch(),),
        transport=SerialSettings(baud=115200),
        codec=TcCodec,
        rate_hz=10.0,
        descriptors=_DESCRIPTORS,
        allowed_sends=(ASK_USB,),
        notes=_NOTES,
        **_COMMON,
    ),
    MeterSpec(
        key="tc66c-ble",
        models=("TC66C (Bluetooth)",),
        matches=(BleMatch(r"TC66C"),),
        transport=BleSettings(notify="ffe4", write="ffe9"),
        also=(BleSettings(notify="ffe1", write="ffe2"),),  # newer radios
        codec=ble_codec,
        rate_hz=2.0,
        allowed_sends=(ASK_BLE,),
        notes=(*_NOTES, "Only one program at a time can hold its radio."),
        **_COMMON,
    ),
)
