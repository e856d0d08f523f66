"""FNIRSI FNB48, FNB48S/P, FNB58, C1, FNAC-28: USB HID and Bluetooth LE."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from denchi_protocol.codec import (
    BleMatch,
    BleSettings,
    EndpointDescriptor,
    HidSettings,
    InterfaceDescriptor,
    Maturity,
    MeterSpec,
    UsbDescriptors,
    UsbMatch,
)
from denchi_protocol.meters.fnirsi.ble import IDENTIFY, START, STOP, FnirsiBleCodec
from denchi_protocol.meters.fnirsi.codec import (
    IBUS_A,
    START_NEW,
    START_OLD,
    VBUS_V,
    FnirsiCodec,
    command,
)
from denchi_protocol.meters.fnirsi.emulator import FnirsiEmulator
from denchi_protocol.meters.fnirsi.emulator_ble import FnirsiBleEmulator

CHANNELS: Final = ("vbus_uv", "ibus_ua", "dp_uv", "dm_uv", "temp_mc.meter")
LIMITS: Final = {
    "vbus_uv": VBUS_V,
    "ibus_ua": IBUS_A,
    "dp_uv": (0.0, 30.0),
    "dm_uv": (0.0, 30.0),
    "temp_mc.meter": (-20.0, 150.0),
}
NOTES: Final = (
    "Feed the meter from its own PC port, so that it stays alive while VBUS changes; the Type-C input carries no data.",
    "The temperature is that of the meter's own board; it says nothing of the power bank.",
    "The meter does not tell the direction of the current.",
    "After a program that ended uncleanly the screen may be frozen: unplug the meter and plug it in again.",
)

_BULK = (EndpointDescriptor(0x84, "bulk"), EndpointDescriptor(0x04, "bulk"))
_CDC = (EndpointDescriptor(0x82, "bulk"), EndpointDescriptor(0x02, "bulk"))
_HID = (EndpointDescriptor(0x83, "interrupt"), EndpointDescriptor(0x03, "interrupt"))
# Descriptor dump of an FNB58 (README.md); the endpoints of the CDC interfaces are not in it.
_COMPOSITE: Final = (
    InterfaceDescriptor(0, 0x08, 0x06, 0x50, _BULK),
    InterfaceDescriptor(1, 0x02, 0x02, 0x01, (EndpointDescriptor(0x81, "interrupt", 8, 16),)),
    InterfaceDescriptor(2, 0x0A, 0x00, 0x00, _CDC),
    InterfaceDescriptor(3, 0x03, 0x00, 0x00, _HID, speaks=True),
)
# The interface number of the older ones is not recorded: the class decides.
_PLAIN: Final = (
    InterfaceDescriptor(
        0,
        0x03,
        endpoints=(EndpointDescriptor(0x81, "interrupt"), EndpointDescriptor(0x01, "interrupt")),
        speaks=True,
    ),
)


def _spec(
    key: str,
    models: tuple[str, ...],
    match: UsbMatch,
    product: str,
    start: tuple[int, ...],
    *,
    composite: bool,
) -> MeterSpec:
    codec: Callable[[], FnirsiCodec] = partial(FnirsiCodec, start)
    return MeterSpec(
        key=key,
        family="fnirsi",
        maker="FNIRSI",
        models=models,
        kind="meter",
        matches=(match,),
        transport=HidSettings(),
        codec=codec,
        emulator=FnirsiEmulator,
        channels=CHANNELS,
        temperature_place="meter",
        rate_hz=100.0,
        limits=LIMITS,
        current="unsigned",
        checksum=True,
        # No whole measurement frame of a real device is public: only the commands are real.
        maturity="synthetic only",
        descriptors=UsbDescriptors(
            match.vid,
            match.pid or 0,
            "FNIRSI (emulated)",
            f"{product} (emulated)",
            "EMULATED0001",
            _COMPOSITE if composite else _PLAIN,
        ),
        allowed_sends=tuple(command(number) for number in sorted(set(start) | {0x82, 0x83})),
        notes=NOTES,
    )


def _ble(key: str, models: tuple[str, ...], name: str, model: int, maturity: Maturity) -> MeterSpec:
    return MeterSpec(
        key=key,
        family="fnirsi",
        maker="FNIRSI",
        models=models,
        kind="meter",
        matches=(BleMatch(name),),
        transport=BleSettings(notify="ffe4", write="ffe9"),
        codec=FnirsiBleCodec,
        emulator=partial(FnirsiBleEmulator, model=model),
        channels=CHANNELS,
        temperature_place="meter",
        rate_hz=10.0,
        limits=LIMITS,
        current="unsigned",
        checksum=True,
        maturity=maturity,
        allowed_sends=(IDENTIFY, START, STOP),
        notes=(*NOTES[1:3], "Bluetooth carries about ten samples a second; USB carries a hundred."),
    )


SPECS: Final = (
    _spec("fnb48", ("FNB48",), UsbMatch(0x0483, 0x003A), "FNB-48", START_OLD, composite=False),
    _spec(
        "fnb48s",
        ("FNB48S", "FNB48P"),
        UsbMatch(0x2E3C, 0x0049),
        "USB Tester",
        START_NEW,
        composite=True,
    ),
    _spec("fnb58", ("FNB58",), UsbMatch(0x2E3C, 0x5558), "FNB58", START_NEW, composite=True),
    # C1 and FNAC-28 share their ids; a C1 has been seen to call itself only "USB Tester".
    _spec(
        "c1",
        ("C1",),
        UsbMatch(0x0483, 0x003B, product=r"(?i)\A(?!.*FNAC).*"),
        "USB Tester",
        START_OLD,
        composite=False,
    ),
    _spec(
        "fnac-28",
        ("FNAC-28",),
        UsbMatch(0x0483, 0x003B, product=r"(?i)\A.*FNAC.*"),
        "FNAC-28",
        START_NEW,
        composite=False,
    ),
    _ble("fnb48-ble", ("FNB48",), r"(?i)\AFNB-?48-\d+", 48, "synthetic only"),
    _ble("fnb48s-ble", ("FNB48S", "FNB48P"), r"(?i)\AFNB-?48[SP]-\d+", 48, "captures"),
    _ble("fnb58-ble", ("FNB58",), r"(?i)\AFNB-?58-\d+", 58, "captures"),
    # Names not published: by analogy with the others.
    _ble("c1-ble", ("C1",), r"(?i)\A(FNIRSI-)?C1-\d+", 1, "synthetic only"),
    _ble("fnac-28-ble", ("FNAC-28",), r"(?i)\AFNAC-?28-\d+", 28, "synthetic only"),
)
