"""JBD / Xiaoxiang / Overkill battery managers: UART or BLE, polled registers, 16-bit sum."""

from __future__ import annotations

from typing import Final

from denchi_protocol.batteries.jbd.codec import READ_BASIC, READ_CELLS, READ_NAME, JbdCodec
from denchi_protocol.batteries.jbd.emulator import JbdEmulator
from denchi_protocol.codec import BleMatch, BleSettings, MeterSpec, SerialMatch, SerialSettings

SPECS: Final = (
    MeterSpec(
        key="jbd",
        family="jbd",
        maker="JBD",
        models=("JBD / Xiaoxiang / Overkill BMS",),
        kind="battery",
        # The board sits behind any USB-serial adapter: the port is named in the configuration.
        matches=(SerialMatch(), BleMatch(r"xiaoxiang|JBD-")),
        transport=SerialSettings(baud=9600),
        also=(BleSettings(notify="ff01", write="ff02"),),
        codec=JbdCodec,
        emulator=JbdEmulator,
        channels=("pack_uv", "pack_ua", "cell_uv.N", "temp_mc.cell.N"),
        temperature_place="cell",
        rate_hz=1.0,
        limits={
            "pack_uv": (0.0, 150.0),
            "pack_ua": (-300.0, 300.0),
            "cell_uv": (0.0, 5.0),
            "temp_mc": (-50.0, 150.0),
        },
        current="signed",
        positive="charge",
        checksum=True,
        maturity="captures",
        allowed_sends=(READ_BASIC, READ_CELLS, READ_NAME),
        notes=(
            "Many of these boards sleep: the first request only wakes them.",
            "The temperatures are those of the sensors at the cells.",
        ),
    ),
)
