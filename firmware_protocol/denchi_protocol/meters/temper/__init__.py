"""TEMPer USB thermometers: a probe on the case, or a stick that is one."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from denchi_protocol.codec import (
    EndpointDescriptor,
    HidSettings,
    InterfaceDescriptor,
    MeterSpec,
    UsbDescriptors,
    UsbMatch,
)
from denchi_protocol.meters.temper.codec import ASK_NAME, ASK_TEMPERATURE, TemperCodec
from denchi_protocol.meters.temper.emulator import TemperEmulator

_NAMED: Final = r"^TEMPer"
_COMMON: Final[dict[str, Any]] = {
    "family": "temper",
    "maker": "PCsensor",
    "kind": "sensor",
    "transport": HidSettings(report_bytes=8),
    "emulator": TemperEmulator,
    "rate_hz": 1.0,
    "limits": {"temp_mc": (-40.0, 125.0)},
    "current": "signed",
    "checksum": False,
    "maturity": "captures",
    "allowed_sends": (ASK_NAME, ASK_TEMPERATURE),
    "descriptors": UsbDescriptors(
        vid=0x1A86,
        pid=0xE025,
        manufacturer="denchi",
        product="TEMPer2 emulated",
        serial="",
        interfaces=(
            InterfaceDescriptor(
                0, 0x03, 0x01, 0x01, (EndpointDescriptor(0x81, "interrupt", 8, 10),)
            ),
            InterfaceDescriptor(
                1,
                0x03,
                0x00,
                0x00,
                (
                    EndpointDescriptor(0x82, "interrupt", 8, 10),
                    EndpointDescriptor(0x02, "interrupt", 8, 10),
                ),
                speaks=True,
            ),
        ),
    ),
}

SPECS: Final = (
    MeterSpec(
        key="temper",
        models=("TEMPer2", "TEMPer1F", "TEMPerGold", "TEMPerHUM"),
        matches=(
            UsbMatch(0x1A86, 0xE025, product=_NAMED),
            UsbMatch(0x3553, 0xA001, product=_NAMED),
            UsbMatch(0x0C45, 0x7401, product=_NAMED),
            # No product string, or ids that PCsensor's foot switches use too: never probed.
            UsbMatch(0x1A86, 0xE025, ambiguous=True),
            UsbMatch(0x3553, 0xA001, ambiguous=True),
            UsbMatch(0x413D, 0x2107, ambiguous=True),
        ),
        codec=TemperCodec,
        channels=("temp_mc.case", "temp_mc.meter"),
        temperature_place="case",
        notes=(
            "The probe on the cable counts as the case's; the sensor in the stick speaks of the stick.",
        ),
        **_COMMON,
    ),
    # The same sticks put elsewhere: only their owner knows, so only by configuration.
    MeterSpec(
        key="temper-case",
        models=("TEMPer fixed to the case",),
        matches=(),
        codec=partial(TemperCodec, "case"),
        channels=("temp_mc.case", "temp_mc.ambient"),
        temperature_place="case",
        notes=("For a stick that is fixed to the unit itself, on an extension cable.",),
        **_COMMON,
    ),
    MeterSpec(
        key="temper-ambient",
        models=("TEMPer in the air",),
        matches=(),
        codec=partial(TemperCodec, "ambient"),
        channels=("temp_mc.case", "temp_mc.ambient"),
        temperature_place="ambient",
        notes=("For a stick that hangs in the air, on an extension cable.",),
        **_COMMON,
    ),
)
