"""YZXStudio ZY12xx: unasked 28-byte frames behind a CH340."""

from __future__ import annotations

from typing import Final

from denchi_protocol.codec import MeterSpec, SerialMatch, SerialSettings
from denchi_protocol.meters.yzx.codec import YzxCodec
from denchi_protocol.meters.yzx.emulator import YzxEmulator

SPECS: Final = (
    MeterSpec(
        key="yzx",
        family="yzx",
        maker="YZXStudio",
        models=("ZY1280E", "ZY12xx"),
        kind="meter",
        # The CH340's ids are shared by thousands of boards: the port is named in the configuration.
        matches=(SerialMatch(),),
        transport=SerialSettings(baud=115200),
        codec=YzxCodec,
        emulator=YzxEmulator,
        channels=("vbus_uv", "ibus_ua", "dp_uv", "dm_uv"),
        temperature_place=None,
        rate_hz=4.0,
        limits={
            "vbus_uv": (-1.0, 32.0),
            "ibus_ua": (0.0, 7.0),
            "dp_uv": (0.0, 32.0),
            "dm_uv": (0.0, 32.0),
        },
        current="unsigned",
        checksum=True,
        maturity="synthetic only",
        notes=(
            "It has no thermometer.",
            "The current has no sign: which way the meter is plugged in cannot be seen.",
        ),
    ),
)
