"""AVHzY CT-3 / C3, Shizuku YK001 / YK003C, POWER-Z KT002, and the older CT-2."""

from __future__ import annotations

from typing import Any, Final

from denchi_protocol.codec import (
    EndpointDescriptor,
    InterfaceDescriptor,
    MeterSpec,
    SerialMatch,
    SerialSettings,
    UsbDescriptors,
)
from denchi_protocol.meters.avhzy.codec import (
    ASK_TEXT,
    START_PREFIX,
    STOP_PREFIX,
    AvhzyCodec,
    TextCodec,
)
from denchi_protocol.meters.avhzy.emulator import AvhzyEmulator, TextEmulator

_MODE: Final = r".* in Application Mode"
_LIMITS: Final = {
    "vbus_uv": (-1.0, 30.0),
    "ibus_ua": (-7.0, 7.0),
    "dp_uv": (-1.0, 30.0),
    "dm_uv": (-1.0, 30.0),
}
_COMMON: Final[dict[str, Any]] = {
    "family": "avhzy",
    "kind": "meter",
    "transport": SerialSettings(baud=115200),
    "temperature_place": None,
    "limits": _LIMITS,
    "current": "signed",
    "maturity": "synthetic only",
}
_STREAM: Final[dict[str, Any]] = {
    **_COMMON,
    "codec": AvhzyCodec,
    "emulator": AvhzyEmulator,
    "channels": ("vbus_uv", "ibus_ua"),
    "rate_hz": 1000.0,
    "checksum": True,
    "allowed_sends": (STOP_PREFIX, START_PREFIX),
    "notes": (
        "No temperature, D+/D− or CC: nobody has published where they stand in its samples.",
        "Only one program at a time can hold its port.",
    ),
    "descriptors": UsbDescriptors(
        vid=0x0483,
        pid=0xFFFF,
        manufacturer="denchi",
        product="CT-3 emulated in Application Mode",
        serial="EMULATED0001",
        device_class=0x02,
        interfaces=(
            InterfaceDescriptor(
                0, 0x02, 0x02, 0x01, (EndpointDescriptor(0x82, "interrupt", 8, 10),)
            ),
            InterfaceDescriptor(
                1,
                0x0A,
                endpoints=(EndpointDescriptor(0x01, "bulk"), EndpointDescriptor(0x81, "bulk")),
                speaks=True,
            ),
        ),
    ),
}

SPECS: Final = (
    MeterSpec(
        key="avhzy",
        maker="AVHzY",
        models=("CT-3", "C3"),
        matches=(
            SerialMatch(0x0483, 0xFFFF, product=_MODE, ambiguous=False),
            SerialMatch(0x0483, 0xFFFE, product=_MODE, ambiguous=False),
            # Also the id of a real ST-Link/V2-1: asked about, never probed.
            SerialMatch(0x0483, 0x374B, product=_MODE, ambiguous=True),
        ),
        **_STREAM,
    ),
    # The same ids as above, and no published string tells them apart: for a port named by hand.
    MeterSpec(
        key="shizuku",
        maker="Shizuku",
        models=("YK001", "YK003C"),
        matches=(SerialMatch(),),
        **_STREAM,
    ),
    MeterSpec(
        key="kt002", maker="ChargerLAB", models=("KT002",), matches=(SerialMatch(),), **_STREAM
    ),
    MeterSpec(
        key="avhzy-ct2",
        maker="AVHzY",
        models=("CT-2",),
        matches=(SerialMatch(),),
        codec=TextCodec,
        emulator=TextEmulator,
        channels=("vbus_uv", "ibus_ua", "dp_uv", "dm_uv"),
        rate_hz=5.0,
        checksum=False,
        allowed_sends=(ASK_TEXT,),
        notes=("Older firmware with a text request; no checksum.",),
        **_COMMON,
    ),
)
