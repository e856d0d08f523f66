"""Generic serial line meter: CSV with a header, JSON lines or name:value pairs (Arduino, ESP32, INA2xx ...)."""

from __future__ import annotations

from typing import Final

from denchi_protocol.codec import MeterSpec, SerialMatch, SerialSettings
from denchi_protocol.meters.line.codec import LineCodec
from denchi_protocol.meters.line.emulator import LineEmulator

SPECS: Final = (
    MeterSpec(
        key="line",
        family="line",
        maker="generic",
        models=("serial line meter",),
        kind="meter",
        # Any board can be one: the port is named in the configuration.
        matches=(SerialMatch(),),
        transport=SerialSettings(baud=115200),
        codec=LineCodec,
        emulator=LineEmulator,
        channels=(
            "vbus_uv",
            "ibus_ua",
            "dp_uv",
            "dm_uv",
            "cc1_uv",
            "cc2_uv",
            "pack_uv",
            "pack_ua",
            "cell_uv.N",
            "temp_mc.case",
            "temp_mc.ambient",
            "temp_mc.meter",
            "temp_mc.cell.N",
        ),
        temperature_place=None,
        rate_hz=1.0,
        limits={
            "vbus_uv": (-1.0, 60.0),
            "ibus_ua": (-30.0, 30.0),
            "dp_uv": (-1.0, 30.0),
            "dm_uv": (-1.0, 30.0),
            "cc1_uv": (-1.0, 30.0),
            "cc2_uv": (-1.0, 30.0),
            "pack_uv": (0.0, 100.0),
            "pack_ua": (-100.0, 100.0),
            "cell_uv": (-1.0, 5.5),
            "temp_mc": (-55.0, 150.0),
        },
        current="signed",
        checksum=False,
        maturity="synthetic only",
        allowed_sends=(),
        options=("columns", "baud"),
        notes=(
            "temperature_c is the unit's case, meter_temperature_c the board itself: print what it is.",
            "Plain text has no checksum: a damaged digit is only caught by limits and steps (a denchi-board has one).",
        ),
    ),
)
