"""ChargerLAB POWER-Z KM002C and KM003C: USB bulk, or HID as the second way."""

from __future__ import annotations

from typing import Final

from denchi_protocol.codec import (
    BulkSettings,
    EndpointDescriptor,
    HidSettings,
    InterfaceDescriptor,
    MeterSpec,
    UsbDescriptors,
    UsbMatch,
)
from denchi_protocol.meters.power_z.codec import BOTH, PowerZCodec, request
from denchi_protocol.meters.power_z.emulator import PowerZEmulator
from denchi_protocol.meters.power_z.packets import ADC, PD

VENDOR: Final = 0x5FC9
NOTES: Final = (
    "The temperature is that of the meter's own board; it says nothing of the power bank.",
    "Positive current flows from the female to the male connector.",
    "Linux 6.7 and newer bind the driver powerz to this meter; denchi detaches it while it measures.",
    "Only one program at a time can hold its interface.",
)

_INTERFACES: Final = (
    InterfaceDescriptor(
        0,
        0xFF,
        endpoints=(EndpointDescriptor(0x01, "bulk"), EndpointDescriptor(0x81, "bulk")),
        speaks=True,
    ),
    InterfaceDescriptor(1, 0x02, 0x02, 0x01, (EndpointDescriptor(0x83, "interrupt", 8, 10),)),
    InterfaceDescriptor(
        2,
        0x0A,
        endpoints=(EndpointDescriptor(0x02, "bulk"), EndpointDescriptor(0x82, "bulk")),
    ),
    InterfaceDescriptor(
        3,
        0x03,
        endpoints=(EndpointDescriptor(0x05, "interrupt"), EndpointDescriptor(0x85, "interrupt")),
    ),
)


def _spec(key: str, model: str, product: int) -> MeterSpec:
    return MeterSpec(
        key=key,
        family="power_z",
        maker="ChargerLAB",
        models=(f"POWER-Z {model}",),
        kind="meter",
        matches=(UsbMatch(VENDOR, product),),
        transport=BulkSettings(interface=0, ep_out=0x01, ep_in=0x81, read_bytes=4096),
        also=(HidSettings(),),
        codec=PowerZCodec,
        emulator=PowerZEmulator,
        channels=("vbus_uv", "ibus_ua", "dp_uv", "dm_uv", "cc1_uv", "cc2_uv", "temp_mc.meter"),
        temperature_place="meter",
        rate_hz=100.0,
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
        checksum=False,
        # The captures are a KM003C's; both models speak alike by the vendor's description.
        maturity="captures" if key == "km003c" else "peer reader",
        descriptors=UsbDescriptors(
            VENDOR,
            product,
            "ChargerLAB (emulated)",
            f"POWER-Z {model} (emulated)",
            "EMULATED0001",
            _INTERFACES,
            device_class=0xEF,
        ),
        allowed_sends=tuple(
            request(number, mask) for number in range(256) for mask in (ADC, PD, BOTH)
        ),
        notes=NOTES,
    )


SPECS: Final = (_spec("km002c", "KM002C", 0x0061), _spec("km003c", "KM003C", 0x0063))
