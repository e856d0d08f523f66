"""Daly battery managers: the older A5 frames and the newer D2 registers."""

from __future__ import annotations

from typing import Any, Final

from denchi_protocol.batteries.daly.codec import REQUESTS, DalyCodec
from denchi_protocol.batteries.daly.codec_d2 import READ_NAMES, READ_STATE, DalyD2Codec
from denchi_protocol.batteries.daly.emulator import DalyEmulator
from denchi_protocol.batteries.daly.emulator_d2 import DalyD2Emulator
from denchi_protocol.codec import BleMatch, BleSettings, MeterSpec, SerialMatch, SerialSettings

_COMMON: Final[dict[str, Any]] = {
    "family": "daly",
    "maker": "Daly",
    "kind": "battery",
    "transport": SerialSettings(baud=9600),
    "channels": ("pack_uv", "pack_ua", "cell_uv.N", "temp_mc.cell.N"),
    "temperature_place": "cell",
    "rate_hz": 1.0,
    "limits": {
        "pack_uv": (0.0, 300.0),
        "pack_ua": (-1000.0, 1000.0),
        "cell_uv": (0.0, 5.0),
        "temp_mc": (-39.0, 150.0),
    },
    "current": "signed",
    "checksum": True,
    "maturity": "captures",
}

SPECS: Final = (
    MeterSpec(
        key="daly",
        models=("Daly Smart BMS (A5, UART / RS485)",),
        # The board sits behind any USB-serial adapter: the port is named in the configuration.
        matches=(SerialMatch(),),
        codec=DalyCodec,
        emulator=DalyEmulator,
        positive="discharge",
        allowed_sends=REQUESTS,
        notes=(
            "Some firmware shows the current with the other sign; the board's own state tells it.",
            "A board that stays silent may speak the newer protocol: daly-d2.",
        ),
        **_COMMON,
    ),
    MeterSpec(
        key="daly-d2",
        models=("Daly Smart BMS (D2, UART / BLE)",),
        matches=(SerialMatch(), BleMatch(r"DL-")),
        also=(BleSettings(notify="fff1", write="fff2"),),
        codec=DalyD2Codec,
        emulator=DalyD2Emulator,
        positive="charge",
        allowed_sends=(READ_STATE, READ_NAMES),
        notes=("A board that stays silent may speak the older protocol: daly.",),
        **_COMMON,
    ),
)
