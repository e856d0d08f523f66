"""Vendor-defined messages: Discover Identity and the headers of the others (usb_pd.md §4).

A VID names the maker of the firmware, often the chip's; it never identifies a model.
Source: Linux include/linux/usb/pd_vdo.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from denchi_protocol.usb_pd.bits import Bits, Word

PD_SID: Final = 0xFF00
COMMANDS: Final = {
    1: "Discover_Identity",
    2: "Discover_SVIDs",
    3: "Discover_Modes",
    4: "Enter_Mode",
    5: "Exit_Mode",
    6: "Attention",
}
COMMAND_TYPES: Final = ("request", "ack", "nak", "busy")
UFP_PRODUCTS: Final = {0: "none", 1: "hub", 2: "peripheral", 3: "psd"}
"""Product types of a port partner; ``psd``: power source device, a power bank or a charger."""
CABLE_PRODUCTS: Final = {0: "none", 3: "passive_cable", 4: "active_cable", 6: "vpd"}
"""Product types on SOP' and SOP''."""


@dataclass(frozen=True, slots=True)
class VdmHeader(Word):
    """Header of a structured vendor-defined message."""

    svid: int
    structured: bool = True
    version: int = 1
    minor: int = 0
    object_position: int = 0
    command_type: int = 0
    command: int = 1
    reserved: int = 0

    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("command", 0, 5),
        Bits("command_type", 6, 2),
        Bits("object_position", 8, 3),
        Bits("minor", 11, 2),
        Bits("version", 13, 2),
        Bits("structured", 15, 1),
        Bits("svid", 16, 16),
    )


@dataclass(frozen=True, slots=True)
class IdHeader(Word):
    """ID header VDO of a Discover Identity ACK."""

    vid: int
    modal: bool = False
    product_type: int = 0
    dfp_type: int = 0
    usb_device: bool = False
    usb_host: bool = False
    reserved: int = 0

    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("vid", 0, 16),
        Bits("dfp_type", 23, 3),
        Bits("modal", 26, 1),
        Bits("product_type", 27, 3),
        Bits("usb_device", 30, 1),
        Bits("usb_host", 31, 1),
    )


@dataclass(frozen=True, slots=True)
class Identity:
    """What a Discover Identity ACK tells: ids, product type and the raw product type VDOs."""

    header: IdHeader
    xid: int
    pid: int
    bcd_device: int
    product_type: str
    more: tuple[int, ...] = ()

    def objects(self, *, version: int = 1) -> tuple[int, ...]:
        """The message's data objects, VDM header included."""
        head = VdmHeader(PD_SID, version=version, command_type=1).word()
        product = self.pid << 16 | self.bcd_device
        return (head, self.header.word(), self.xid, product, *self.more)


def identity(objects: Sequence[int], sop: str) -> Identity | None:
    """Read a Discover Identity ACK; None when these objects are something else."""
    if len(objects) < 4:
        return None
    head = VdmHeader.from_word(objects[0])
    if not (
        head.structured and head.svid == PD_SID and head.command == 1 and head.command_type == 1
    ):
        return None
    ids = IdHeader.from_word(objects[1])
    names = UFP_PRODUCTS if sop == "SOP" else CABLE_PRODUCTS
    return Identity(
        ids,
        objects[2],
        objects[3] >> 16,
        objects[3] & 0xFFFF,
        names.get(ids.product_type, f"reserved {ids.product_type}"),
        tuple(objects[4:]),
    )


def vdm_fields(objects: Sequence[int], sop: str) -> dict[str, Any]:
    """A vendor-defined message for a decode line."""
    head = VdmHeader.from_word(objects[0])
    out: dict[str, Any] = {"svid": f"0x{head.svid:04x}", "structured": head.structured}
    if not head.structured:
        return out
    out |= {
        "command": COMMANDS.get(head.command, str(head.command)),
        "command_type": COMMAND_TYPES[head.command_type],
        "version": f"{head.version + 1}.{head.minor}",
    }
    if (told := identity(objects, sop)) is not None:
        out |= {
            "vid": f"0x{told.header.vid:04x}",
            "pid": f"0x{told.pid:04x}",
            "xid": f"0x{told.xid:08x}",
            "bcd_device": f"0x{told.bcd_device:04x}",
            "product_type": told.product_type,
        }
    elif head.command == 2 and head.command_type == 1:
        svids = [half for word in objects[1:] for half in (word >> 16, word & 0xFFFF)]
        out["svids"] = [f"0x{s:04x}" for s in svids if s]
    return out
