"""ZKETech EBD-USB / EBD-USB+ electronic load: its measurements, never its commands."""

from __future__ import annotations

from typing import Final

from denchi_protocol.codec import MeterSpec, SerialMatch, SerialSettings
from denchi_protocol.meters.ebd.codec import CONNECT, DISCONNECT, EbdCodec
from denchi_protocol.meters.ebd.emulator import EbdEmulator

SPECS: Final = (
    MeterSpec(
        key="ebd-usb",
        family="ebd",
        maker="ZKETech",
        models=("EBD-USB", "EBD-USB+"),
        kind="meter",
        matches=(SerialMatch(),),  # behind a CH340, whose ids say nothing
        transport=SerialSettings(baud=9600, parity="E", byte_gap_ms=10.0),
        also=(SerialSettings(baud=9600, parity="O", byte_gap_ms=10.0),),
        codec=EbdCodec,
        emulator=EbdEmulator,
        channels=("vbus_uv", "ibus_ua", "dp_uv", "dm_uv"),
        temperature_place=None,
        rate_hz=0.5,
        limits={
            "vbus_uv": (0.0, 30.0),
            "ibus_ua": (0.0, 5.76),
            "dp_uv": (0.0, 30.0),
            "dm_uv": (0.0, 30.0),
        },
        current="unsigned",
        checksum=True,
        maturity="peer reader",
        allowed_sends=(CONNECT, DISCONNECT),
        notes=(
            "denchi only reads: the load is switched and set by hand.",
            "If nothing comes with even parity, try odd.",
            "It has no thermometer.",
        ),
    ),
)
