"""Smart Battery (SBS): through the kernel's driver, or as words from the bus."""

from __future__ import annotations

from typing import Final

from denchi_protocol.batteries.power_supply import REQUESTS
from denchi_protocol.batteries.sbs.codec import SbsCodec
from denchi_protocol.batteries.sbs.emulator import SbsEmulator
from denchi_protocol.codec import MeterSpec, SysfsMatch, SysfsSettings

SPECS: Final = (
    MeterSpec(
        key="sbs",
        family="sbs",
        maker="SBS",
        models=("Smart Battery (SBS 1.1)",),
        kind="battery",
        # The computer's own battery may be one: the folder is named in the configuration.
        matches=(SysfsMatch("power_supply"),),
        transport=SysfsSettings(),
        codec=SbsCodec,
        emulator=SbsEmulator,
        channels=("pack_uv", "pack_ua", "cell_uv.N", "temp_mc.cell.N"),
        temperature_place="cell",
        rate_hz=1.0,
        limits={
            "pack_uv": (0.0, 100.0),
            "pack_ua": (-100.0, 100.0),
            "cell_uv": (0.0, 5.0),
            "temp_mc": (-50.0, 120.0),
        },
        current="signed",
        positive="charge",
        checksum=True,
        maturity="synthetic only",
        allowed_sends=REQUESTS,
        notes=(
            "Through the kernel's sbs-battery driver; cell voltages only where words are recorded.",
        ),
    ),
)
