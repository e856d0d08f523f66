"""Linux power supplies: batteries that the kernel reads, and what a USB supply has agreed on."""

from __future__ import annotations

from typing import Final

from denchi_protocol.batteries.power_supply.codec import KIND, LIVE, PowerSupplyCodec
from denchi_protocol.batteries.power_supply.emulator import PowerSupplyEmulator
from denchi_protocol.codec import MeterSpec, SysfsMatch, SysfsSettings

REQUESTS: Final = tuple(
    "\n".join([*names, ""]).encode("ascii") for names in (LIVE, (*KIND[1:], *LIVE))
)

SPECS: Final = (
    MeterSpec(
        key="power-supply",
        family="power_supply",
        maker="Linux",
        models=("Linux power supply (battery)",),
        kind="battery",
        # The computer's own battery is one too: the folder is named in the configuration.
        matches=(SysfsMatch("power_supply"),),
        transport=SysfsSettings(),
        codec=PowerSupplyCodec,
        emulator=PowerSupplyEmulator,
        channels=("pack_uv", "pack_ua", "temp_mc.cell.1"),
        temperature_place="cell",
        rate_hz=1.0,
        limits={
            "pack_uv": (0.0, 100.0),
            "pack_ua": (-100.0, 100.0),
            "temp_mc": (-50.0, 120.0),
        },
        current="signed",
        positive="charge",
        checksum=True,  # no wire of ours: the kernel gives a whole value or an error
        maturity="synthetic only",
        allowed_sends=REQUESTS,
        notes=(
            "What a USB supply shows here is what was agreed on, not what is there: it never becomes a sample.",
        ),
    ),
)
