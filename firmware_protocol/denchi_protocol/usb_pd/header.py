"""Message header, extended header, and the names of the message types (usb_pd.md §1).

Sources: Linux include/linux/usb/pd.h (PD_HEADER_*, PD_EXT_HDR_*), read beside real messages of
okhsunrog/km003c-protocol-research.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final, Literal, TypeAlias

from denchi_protocol.usb_pd.bits import Bits, Word

Kind: TypeAlias = Literal["control", "data", "extended"]

SOPS: Final = ("SOP", "SOP'", "SOP''", "SOP'_Debug", "SOP''_Debug")
"""Start of packet: who is addressed (the port partner, the near and the far plug of the cable)."""
RESETS: Final = ("Hard_Reset", "Cable_Reset")
"""Ordered sets that carry no message."""

REVISIONS: Final = ("1.0", "2.0", "3.x", "reserved")

CONTROL: Final = MappingProxyType(
    dict(
        enumerate(
            [
                "GoodCRC",
                "GotoMin",
                "Accept",
                "Reject",
                "Ping",
                "PS_RDY",
                "Get_Source_Cap",
                "Get_Sink_Cap",
                "DR_Swap",
                "PR_Swap",
                "VCONN_Swap",
                "Wait",
                "Soft_Reset",
                "Data_Reset",
                "Data_Reset_Complete",
                "Not_Supported",
                "Get_Source_Cap_Extended",
                "Get_Status",
                "FR_Swap",
                "Get_PPS_Status",
                "Get_Country_Codes",
                "Get_Sink_Cap_Extended",
                "Get_Source_Info",
                "Get_Revision",
            ],
            1,
        )
    )
)
DATA: Final = MappingProxyType(
    dict(
        enumerate(
            [
                "Source_Capabilities",
                "Request",
                "BIST",
                "Sink_Capabilities",
                "Battery_Status",
                "Alert",
                "Get_Country_Info",
                "Enter_USB",
                "EPR_Request",
                "EPR_Mode",
                "Source_Info",
                "Revision",
            ],
            1,
        )
    )
    | {15: "Vendor_Defined"}
)
EXTENDED: Final = MappingProxyType(
    dict(
        enumerate(
            [
                "Source_Capabilities_Extended",
                "Status",
                "Get_Battery_Cap",
                "Get_Battery_Status",
                "Battery_Capabilities",
                "Get_Manufacturer_Info",
                "Manufacturer_Info",
                "Security_Request",
                "Security_Response",
                "Firmware_Update_Request",
                "Firmware_Update_Response",
                "PPS_Status",
                "Country_Info",
                "Country_Codes",
                "Sink_Capabilities_Extended",
                "Extended_Control",
                "EPR_Source_Capabilities",
                "EPR_Sink_Capabilities",
            ],
            1,
        )
    )
    | {30: "Vendor_Defined_Extended"}
)
NAMES: Final = MappingProxyType({"control": CONTROL, "data": DATA, "extended": EXTENDED})


@dataclass(frozen=True, slots=True)
class Header(Word):
    """The 16-bit message header.

    ``data_role`` 1 = DFP and ``power_role`` 1 = source for SOP; on SOP' and SOP'' bit 5 is reserved
    and bit 8 says "sent by the cable plug".
    """

    type: int
    data_role: bool
    revision: int
    power_role: bool
    id: int
    objects: int
    extended: bool
    reserved: int = 0

    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("type", 0, 5),
        Bits("data_role", 5, 1),
        Bits("revision", 6, 2),
        Bits("power_role", 8, 1),
        Bits("id", 9, 3),
        Bits("objects", 12, 3),
        Bits("extended", 15, 1),
    )
    SIZE: ClassVar[int] = 2

    @property
    def kind(self) -> Kind:
        """Control (no objects), data (objects) or extended."""
        if self.extended:
            return "extended"
        return "data" if self.objects else "control"

    @property
    def name(self) -> str | None:
        """Name of the message type; None when it is reserved."""
        return NAMES[self.kind].get(self.type)

    def roles(self, sop: str) -> tuple[str, str | None]:
        """Power role (``source`` ``sink``, or ``cable`` ``port`` on SOP' and SOP'') and data role."""
        if sop == "SOP":
            return ("source" if self.power_role else "sink"), ("DFP" if self.data_role else "UFP")
        return ("cable" if self.power_role else "port"), None


@dataclass(frozen=True, slots=True)
class ExtendedHeader(Word):
    """The 16-bit extended header behind the message header; ``size`` counts all chunks' bytes."""

    size: int
    request: bool
    chunk: int
    chunked: bool
    reserved: int = 0

    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("size", 0, 9),
        Bits("request", 10, 1),
        Bits("chunk", 11, 4),
        Bits("chunked", 15, 1),
    )
    SIZE: ClassVar[int] = 2


def is_extended(wire: bytes) -> bool:
    """Whether a wire message says that it is an extended one (cheap: looked at for each message)."""
    return len(wire) >= 2 and bool(wire[1] & 0x80)


def is_request(wire: bytes) -> bool:
    """Whether a wire message is a data message of type Request or EPR_Request."""
    return len(wire) >= 6 and not wire[1] & 0x80 and wire[0] & 0x1F in (2, 9)


CHUNK_BYTES: Final = 26
"""Data bytes of one chunk at most."""
MAX_EXTENDED_BYTES: Final = 260
"""Data bytes of one extended message at most (ten chunks)."""
