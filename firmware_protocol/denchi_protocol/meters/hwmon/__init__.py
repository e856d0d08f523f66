"""Linux kernel folders: the driver ``powerz`` as a meter; hwmon, iio and w1 thermometers as probes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from denchi_protocol.codec import Codec, MeterSpec, SysfsMatch, SysfsSettings
from denchi_protocol.meters.hwmon.codec import (
    IIO,
    PLACE,
    POWERZ_LIVE,
    POWERZ_PERIOD_MS,
    POWERZ_SLOW,
    PROBE_PERIOD_MS,
    IioCodec,
    PowerzHwmonCodec,
    ProbeCodec,
)
from denchi_protocol.meters.hwmon.emulator import HwmonEmulator


def _request(*names: str) -> bytes:
    return "\n".join([*names, ""]).encode("ascii")


def _probe(
    key: str, model: str, subsystem: str, codec: Callable[[], Codec], names: tuple[str, ...]
) -> MeterSpec:
    return MeterSpec(
        key=key,
        family="hwmon",
        maker="Linux",
        models=(model,),
        kind="sensor",
        # A computer has many thermometers; which one is on the unit only its user knows.
        matches=(SysfsMatch(subsystem),),
        transport=SysfsSettings(period_ms=PROBE_PERIOD_MS),
        codec=codec,
        emulator=partial(HwmonEmulator, kind=key),
        channels=(PLACE,),
        temperature_place="ambient",
        rate_hz=1000.0 / PROBE_PERIOD_MS,
        limits={"temp_mc": (-55.0, 150.0)},
        current="signed",
        checksum=True,  # no wire of ours: the kernel gives a whole value or an error
        maturity="synthetic only",
        allowed_sends=(_request(*names),),
        notes=("The bench says where this thermometer is: name it as its case or ambient probe.",),
    )


SPECS: Final = (
    MeterSpec(
        key="powerz-hwmon",
        family="hwmon",
        maker="ChargerLAB",
        models=("POWER-Z KM002C/KM003C (Linux driver)",),
        kind="meter",
        matches=(SysfsMatch("hwmon", "powerz"),),
        transport=SysfsSettings(period_ms=POWERZ_PERIOD_MS),
        codec=PowerzHwmonCodec,
        emulator=HwmonEmulator,
        channels=("vbus_uv", "ibus_ua", "dp_uv", "dm_uv", "cc1_uv", "cc2_uv", "temp_mc.meter"),
        temperature_place="meter",
        rate_hz=1000.0 / POWERZ_PERIOD_MS,
        limits={
            "vbus_uv": (-1.0, 60.0),
            "ibus_ua": (-8.0, 8.0),
            "dp_uv": (0.0, 6.6),
            "dm_uv": (0.0, 6.6),
            "cc1_uv": (0.0, 6.6),
            "cc2_uv": (0.0, 6.6),
            "temp_mc.meter": (-40.0, 125.0),
        },
        current="signed",
        checksum=True,  # no wire of ours: the kernel gives a whole value or an error
        maturity="synthetic only",
        allowed_sends=(_request(*POWERZ_LIVE), _request(*POWERZ_SLOW, *POWERZ_LIVE)),
        notes=(
            "Through the kernel's driver: no permission needed, but ten samples a second, whole millivolts and no PD messages; the meter's own protocol gives more (denchi install udev).",
            "The temperature is that of the meter's own board; it says nothing of the power bank.",
        ),
    ),
    _probe(
        "hwmon",
        "Linux hwmon thermometer",
        "hwmon",
        partial(ProbeCodec, "temp1_input"),
        ("temp1_input",),
    ),
    _probe("iio", "Linux iio thermometer", "iio", IioCodec, IIO),
    _probe(
        "w1",
        "1-wire thermometer (DS18B20)",
        "w1",
        partial(ProbeCodec, "temperature"),
        ("temperature",),
    ),
)
