"""Linux power supplies: batteries that the kernel reads, and what a Type-C port knows of its partner."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from denchi_protocol.batteries.power_supply.codec import KIND, LIVE, PowerSupplyCodec
from denchi_protocol.batteries.power_supply.emulator import PowerSupplyEmulator
from denchi_protocol.batteries.power_supply.emulator_typec import (
    CapabilitiesEmulator,
    PartnerEmulator,
)
from denchi_protocol.batteries.power_supply.typec import (
    CAPABILITIES,
    PARTNER,
    CapabilitiesCodec,
    PartnerCodec,
)
from denchi_protocol.codec import MeterSpec, SysfsMatch, SysfsSettings


def _asked(names: Iterable[str]) -> bytes:
    return "\n".join([*names, ""]).encode("ascii")


REQUESTS: Final = (_asked(LIVE), _asked((*KIND[1:], *LIVE)))
_FACTS: Final[dict[str, Any]] = {
    "family": "power_supply",
    "maker": "Linux",
    "kind": "sensor",
    "transport": SysfsSettings(period_ms=10_000),
    "channels": (),
    "temperature_place": None,
    "rate_hz": 0.1,
    "limits": {},
    "current": "signed",
    "checksum": True,
    "maturity": "synthetic only",
    "notes": ("Tells what was said and offered; measures nothing.",),
}

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
        channels=("pack_uv", "pack_ua", "temp_mc.cell.N"),
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
    MeterSpec(
        key="typec-partner",
        models=("Linux Type-C partner (portN-partner)",),
        matches=(SysfsMatch("typec"),),
        codec=PartnerCodec,
        emulator=PartnerEmulator,
        allowed_sends=(_asked(PARTNER),),
        **_FACTS,
    ),
    MeterSpec(
        key="usb-pd-offers",
        models=("Linux USB Power Delivery offers (pdN)",),
        matches=(SysfsMatch("usb_power_delivery"),),
        codec=CapabilitiesCodec,
        emulator=CapabilitiesEmulator,
        allowed_sends=(_asked(CAPABILITIES),),
        **_FACTS,
    ),
)
