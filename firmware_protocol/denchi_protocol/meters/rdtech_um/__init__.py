"""RDTech UM24C / UM25C / UM34C: 130 bytes on request over a Bluetooth serial port."""

from __future__ import annotations

from typing import Final

from denchi_protocol.codec import BleSettings, MeterSpec, SerialMatch, SerialSettings
from denchi_protocol.meters.rdtech_um.codec import ASK, UmCodec
from denchi_protocol.meters.rdtech_um.emulator import of_model


def _spec(model: str, max_v: float, max_a: float) -> MeterSpec:
    return MeterSpec(
        key=model.lower(),
        family="rdtech_um",
        maker="RuiDeng",
        models=(model,),
        kind="meter",
        matches=(SerialMatch(),),  # a Bluetooth serial tty has no USB ids: named by hand
        transport=SerialSettings(baud=9600),
        also=(BleSettings(notify="ffe1", write="ffe1"),),
        codec=UmCodec,
        emulator=of_model(model),
        channels=("vbus_uv", "ibus_ua", "dp_uv", "dm_uv", "temp_mc.meter"),
        temperature_place="meter",
        rate_hz=2.0,
        limits={
            "vbus_uv": (0.0, max_v),
            "ibus_ua": (0.0, max_a),
            "dp_uv": (0.0, 30.0),
            "dm_uv": (0.0, 30.0),
            "temp_mc": (-20.0, 125.0),
        },
        current="unsigned",
        checksum=False,
        maturity="peer reader",
        allowed_sends=(ASK,),
        notes=(
            "Pair it first (PIN 1234) and bind it to an rfcomm port.",
            "The current has no sign, and no checksum covers the whole frame.",
            "The temperature is the meter's own.",
        ),
    )


# What the maker prints is 24 V / 3 A, 24 V / 5 A and 30 V / 4 A; a little above, so that no true
# reading is cut.
SPECS: Final = (_spec("UM24C", 26.0, 4.0), _spec("UM25C", 26.0, 5.5), _spec("UM34C", 32.0, 4.5))
