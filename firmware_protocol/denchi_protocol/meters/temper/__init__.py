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
from denchi_protocol.meters.temper.codec import ASK_NAME, ASK_TEMPERATURE, PLACE, TemperCodec
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
    "channels": (PLACE,),
    "temperature_place": "ambient",
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
        notes=(
            "Reads the probe on the cable, or the stick's only sensor.",
            "The bench says where it is: name it as its case or ambient probe.",
        ),
        **_COMMON,
    ),
    # A stick with a cable whose inner sensor is meant: only its owner knows, so only by configuration.
    MeterSpec(
        key="temper-inner",
        models=("TEMPer2 (sensor in the stick)",),
        matches=(),
        codec=partial(TemperCodec, "inner"),
        notes=("The port warms a stick that is plugged in directly: use an extension cable.",),
        **_COMMON,
    ),
)
