"""Atorch and its relatives: FF 55 reports once a second, PX100 requests on the loads."""

from __future__ import annotations

from typing import Any, Final

from denchi_protocol.codec import (
    BleMatch,
    BleSettings,
    Match,
    MeterSpec,
    SerialMatch,
    SerialSettings,
)
from denchi_protocol.meters.atorch.codec import PX_REQUESTS, AtorchCodec, polling_codec
from denchi_protocol.meters.atorch.emulator import of_kind

_USB_CHANNELS: Final = ("vbus_uv", "ibus_ua", "dp_uv", "dm_uv", "temp_mc.meter")
_DC_CHANNELS: Final = ("vbus_uv", "ibus_ua", "temp_mc.meter")
_NOTES: Final = (
    "The current has no sign: which way the meter is plugged in cannot be seen.",
    "Whether its reports carry a checksum depends on model and firmware; it is learned.",
)
_LOAD_NOTES: Final = (
    "denchi only reads: the load is switched and set by hand.",
    "The temperature is that of the load's heat sink.",
)


def _spec(key: str, *models: str, name: str = "", **more: Any) -> MeterSpec:
    matches: tuple[Match, ...] = (SerialMatch(),)
    if name:
        matches = (*matches, BleMatch(name))
    return MeterSpec(
        key=key,
        family="atorch",
        maker="Atorch",
        models=models,
        kind="meter",
        matches=matches,
        transport=SerialSettings(baud=9600),
        also=(BleSettings(notify="ffe1", write="ffe2"),),
        temperature_place="meter",
        current="unsigned",
        checksum=False,
        **{"maturity": "captures", **more},
    )


def _usb(
    key: str, *models: str, name: str = "", oddity: str = "", notes: tuple[str, ...] = ()
) -> MeterSpec:
    return _spec(
        key,
        *models,
        name=name,
        codec=AtorchCodec,
        emulator=of_kind("usb", oddity),
        channels=_USB_CHANNELS,
        rate_hz=1.0,
        limits={
            "vbus_uv": (0.0, 60.0),
            "ibus_ua": (0.0, 12.0),
            "dp_uv": (0.0, 30.0),
            "dm_uv": (0.0, 30.0),
            "temp_mc": (-40.0, 125.0),
        },
        notes=(*_NOTES, *notes),
    )


def _load(key: str, *models: str, kind: Any, name: str = "") -> MeterSpec:
    return _spec(
        key,
        *models,
        name=name,
        codec=polling_codec,
        emulator=of_kind(kind),
        channels=_DC_CHANNELS,
        rate_hz=2.0,
        limits={"vbus_uv": (0.0, 210.0), "ibus_ua": (0.0, 30.0), "temp_mc": (-40.0, 150.0)},
        allowed_sends=PX_REQUESTS,
        notes=(*_NOTES, *_LOAD_NOTES),
    )


SPECS: Final = (
    _usb("atorch", "Atorch USB or DC meter"),
    _usb(
        "ud18",
        "UD18",
        name=r"UD18[-_ ]?BLE",
        oddity="no_sensor",
        notes=("It has no thermometer: it always says 0 °C, which is shown as not measured.",),
    ),
    _usb("ud24", "UD24", name=r"UD24[-_ ]?BLE"),
    _usb("j7-c", "J7-C", "UC96", name=r"(J7-C|UC96).*", oddity="no_checksum"),
    _load("dl24", "DL24", "DL24P", "DL24M", kind="dc", name=r"DL24\w*[-_ ]?BLE"),
    _load("px100", "PX-100", kind="px"),
)
