"""Boards people build: INA226 or INA228 and two probes, speaking our own open protocol."""

from __future__ import annotations

from typing import Final

from denchi_protocol.codec import MeterSpec, SerialMatch, SerialSettings
from denchi_protocol.meters.denchi_board.codec import ASK_HEADER, BoardCodec
from denchi_protocol.meters.denchi_board.emulator import BoardEmulator

SPECS: Final = (
    MeterSpec(
        key="denchi-board",
        family="denchi_board",
        maker="open design",
        models=("denchi board",),
        kind="meter",
        # The USB ids belong to the microcontroller, not to the board: the port is named in the configuration.
        matches=(SerialMatch(),),
        transport=SerialSettings(baud=115200),
        codec=BoardCodec,
        emulator=BoardEmulator,
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
            "temp_mc.cell.N",
            "temp_mc.meter",
        ),
        temperature_place="case",
        rate_hz=50.0,
        limits={
            "vbus_uv": (-1.0, 90.0),
            "ibus_ua": (-50.0, 50.0),
            "dp_uv": (-1.0, 30.0),
            "dm_uv": (-1.0, 30.0),
            "cc1_uv": (-1.0, 30.0),
            "cc2_uv": (-1.0, 30.0),
            "pack_uv": (0.0, 150.0),
            "pack_ua": (-300.0, 300.0),
            "cell_uv": (0.0, 5.0),
            "temp_mc": (-55.0, 150.0),
        },
        current="signed",
        checksum=True,
        maturity="synthetic only",
        allowed_sends=(ASK_HEADER,),
        notes=(
            "Glue one probe to the case and keep the other in the air beside it.",
            "The board's serial port is named in the configuration.",
        ),
    ),
)
