"""WITRN U3, U3L, A2, A2L, C4, C5, K2: reports over USB HID, nothing sent."""

from __future__ import annotations

from typing import Final

from denchi_protocol.codec import (
    EndpointDescriptor,
    HidSettings,
    InterfaceDescriptor,
    MeterSpec,
    UsbDescriptors,
    UsbMatch,
)
from denchi_protocol.meters.witrn.codec import WitrnCodec
from denchi_protocol.meters.witrn.emulator import WitrnEmulator

SPECS: Final = (
    MeterSpec(
        key="witrn",
        family="witrn",
        maker="WITRN",
        models=("K2", "C5", "C4", "C4L", "A2", "A2L", "U3", "U3L"),
        kind="meter",
        # Product ids change with the firmware: the vendor's range, and the frame decides.
        matches=(UsbMatch(0x0716),),
        transport=HidSettings(),
        codec=WitrnCodec,
        emulator=WitrnEmulator,
        channels=(
            "vbus_uv",
            "ibus_ua",
            "dp_uv",
            "dm_uv",
            "cc1_uv",
            "cc2_uv",
            "temp_mc.meter",
            "temp_mc.case",
        ),
        temperature_place="meter",
        rate_hz=100.0,
        limits={
            "vbus_uv": (-1.0, 60.0),
            "ibus_ua": (-10.0, 10.0),
            "dp_uv": (-1.0, 30.0),
            "dm_uv": (-1.0, 30.0),
            "cc1_uv": (0.0, 25.5),
            "cc2_uv": (0.0, 25.5),
            "temp_mc": (-40.0, 150.0),
        },
        current="signed",
        checksum=True,
        may_reset=False,  # witrn.md: a reset is not survived
        # No raw report of a real meter is public; six programs agree on the layout.
        maturity="synthetic only",
        descriptors=UsbDescriptors(
            0x0716,
            0x5060,
            "WITRN (emulated)",
            "K2 (emulated)",
            "EMULATED0001",
            (
                InterfaceDescriptor(
                    0,
                    0x03,
                    endpoints=(
                        EndpointDescriptor(0x81, "interrupt"),
                        EndpointDescriptor(0x01, "interrupt"),
                    ),
                    speaks=True,
                ),
            ),
        ),
        allowed_sends=(),
        options=("probe",),
        notes=(
            "A probe plugged into the meter counts as the unit's case: fix it there.",
            "Without a probe only the meter's own board is measured, and on K2 and C5 not even that.",
            "The sign of the current depends on the direction and on the model: check it once against a charge.",
        ),
    ),
)
