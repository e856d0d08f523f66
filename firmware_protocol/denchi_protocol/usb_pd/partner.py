"""What one side of the connection has said about itself: identity, battery, state.

All of it is hearsay: ids are often the chip maker's, texts come from outside. Absence is normal;
a field that was never told is None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from denchi_protocol.usb_pd.blocks import (
    BatteryCapabilitiesBlock,
    ManufacturerBlock,
    PpsStatusBlock,
    SourceExtendedBlock,
    StatusBlock,
)
from denchi_protocol.usb_pd.messages import Message
from denchi_protocol.usb_pd.notices import CHARGING, BatteryStatus
from denchi_protocol.usb_pd.vdm import Identity

NO_VID: Final = (0, 0xFFFF)
"""VIDs that name nobody (FFFF: the maker has none; 0: seen in cheap cables)."""


@dataclass(frozen=True, slots=True)
class Battery:
    """One battery that a port speaks of; energies in Wh, ``health`` = last full / design."""

    reference: int | None = None
    """Number it was asked for by (0-3 fixed, 4-7 hot-swap); None when the question was not seen."""
    design_wh: float | None = None
    last_full_wh: float | None = None
    health: float | None = None
    present_wh: float | None = None
    state: str | None = None
    capabilities_ns: int | None = None
    status_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Partner:
    """One side. ``told_by``: which messages the values come from, newest last."""

    vid: int | None = None
    pid: int | None = None
    xid: int | None = None
    manufacturer: str | None = None
    product_type: str | None = None
    internal_battery: bool | None = None
    firmware: int | None = None
    hardware: int | None = None
    batteries: Mapping[int, Battery] = field(default_factory=dict)
    """By number; -1 where it is not known."""
    status: StatusBlock | None = None
    status_ns: int | None = None
    pps_status: PpsStatusBlock | None = None
    told_by: tuple[str, ...] = ()

    @property
    def temperature_c(self) -> float | None:
        """Temperature of the last Status; None: none was told."""
        return None if self.status is None else self.status.temperature_c

    def identity(self) -> dict[str, Any]:
        """Identity for people and JSON; only what was told."""
        told: dict[str, Any] = {}
        for key, width in (("vid", 4), ("pid", 4), ("xid", 8)):
            if (value := getattr(self, key)) is not None:
                told[key] = f"0x{value:0{width}x}"
        for key in ("manufacturer", "product_type", "internal_battery", "firmware", "hardware"):
            if (value := getattr(self, key)) is not None:
                told[key] = value
        return told


def learn(partner: Partner, message: Message, t_ns: int, asked: int | None) -> Partner:
    """``partner`` with what ``message``, which it sent, says. ``asked``: battery number asked for."""
    payload = message.payload
    changes: dict[str, Any] = {}
    if isinstance(payload, Identity):
        changes = _ids(payload.header.vid, payload.pid, payload.xid)
        changes["product_type"] = payload.product_type
    elif isinstance(payload, SourceExtendedBlock):
        changes = _ids(payload.vid, payload.pid, payload.xid)
        changes |= {
            "internal_battery": payload.internal_battery,
            "firmware": payload.firmware,
            "hardware": payload.hardware,
        }
    elif isinstance(payload, ManufacturerBlock):
        changes = _ids(payload.vid, payload.pid, None)
        if payload.text:
            changes["manufacturer"] = payload.text
    elif isinstance(payload, StatusBlock):
        changes = {"status": payload, "status_ns": t_ns}
    elif isinstance(payload, PpsStatusBlock):
        changes = {"pps_status": payload}
    elif isinstance(payload, (BatteryCapabilitiesBlock, BatteryStatus)):
        changes = {"batteries": _battery(partner, payload, t_ns, asked)}
    if not changes:
        return partner
    told_by = tuple(dict.fromkeys((*partner.told_by, message.type)))
    return replace(partner, **changes, told_by=told_by)


def _ids(vid: int, pid: int, xid: int | None) -> dict[str, Any]:
    if vid in NO_VID:
        return {"xid": xid} if xid else {}
    return {"vid": vid, "pid": pid} | ({"xid": xid} if xid else {})


def _battery(
    partner: Partner,
    told: BatteryCapabilitiesBlock | BatteryStatus,
    t_ns: int,
    asked: int | None,
) -> dict[int, Battery]:
    known = dict(partner.batteries)
    if told.invalid_reference:
        return known
    key = -1 if asked is None else asked
    battery = known.get(key, Battery(asked))
    if isinstance(told, BatteryStatus):
        battery = replace(
            battery,
            present_wh=told.present_wh if told.present else None,
            state=CHARGING[told.state] if told.present else "absent",
            status_ns=t_ns,
        )
    else:
        battery = replace(
            battery,
            design_wh=told.design_wh,
            last_full_wh=told.last_full_wh,
            health=told.health,
            capabilities_ns=t_ns,
        )
    return known | {key: battery}
