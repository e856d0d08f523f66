"""Data objects that are no power data objects: battery status, alerts, EPR mode, source info, revision.

Layouts: usb_pd.md §2 and §3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from denchi_protocol.usb_pd.bits import ONE, V100, Bits, Word

CHARGING: Final = ("charging", "discharging", "idle", "reserved")
UNKNOWN_16: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class BatteryStatus(Word):
    """Battery_Status (BSDO): energy in the battery; None = unknown."""

    present_wh: float | None
    invalid_reference: bool = False
    present: bool = True
    state: int = 0
    reserved: int = 0

    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("invalid_reference", 8, 1),
        Bits("present", 9, 1),
        Bits("state", 10, 2),
        Bits("present_wh", 16, 16, V100, UNKNOWN_16),
    )

    def fields(self) -> dict[str, Any]:
        """Values for a decode line; the state of an absent battery says nothing."""
        state = CHARGING[self.state] if self.present and not self.invalid_reference else None
        return self.values() | {"state": state}


@dataclass(frozen=True, slots=True)
class Alert(Word):
    """Alert (ADO): what happened, and to which batteries."""

    battery_change: bool = False
    ocp: bool = False
    otp: bool = False
    operating_condition: bool = False
    source_input: bool = False
    ovp: bool = False
    extended: bool = False
    fixed_batteries: int = 0
    hot_swap_batteries: int = 0
    extended_type: int = 0
    reserved: int = 0

    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("extended_type", 0, 4),
        Bits("hot_swap_batteries", 16, 4),
        Bits("fixed_batteries", 20, 4),
        Bits("battery_change", 25, 1),
        Bits("ocp", 26, 1),
        Bits("otp", 27, 1),
        Bits("operating_condition", 28, 1),
        Bits("source_input", 29, 1),
        Bits("ovp", 30, 1),
        Bits("extended", 31, 1),
    )

    KINDS: ClassVar[tuple[str, ...]] = (
        "battery_change",
        "ocp",
        "otp",
        "operating_condition",
        "source_input",
        "ovp",
        "extended",
    )

    def fields(self) -> dict[str, Any]:
        """Values for a decode line."""
        raised = [name for name in self.KINDS if getattr(self, name)]
        rest = {k: v for k, v in self.values().items() if k not in self.KINDS}
        return {"alerts": raised} | rest


EPR_ACTIONS: Final = {
    1: "enter",
    2: "enter_acknowledged",
    3: "enter_succeeded",
    4: "enter_failed",
    5: "exit",
}


@dataclass(frozen=True, slots=True)
class EprMode(Word):
    """EPR_Mode: ``data`` is the sink's power in W with ``enter``, a reason with ``enter_failed``."""

    action: int
    data: int = 0
    reserved: int = 0

    LAYOUT: ClassVar[tuple[Bits, ...]] = (Bits("data", 16, 8), Bits("action", 24, 8))

    def fields(self) -> dict[str, Any]:
        """Values for a decode line."""
        return {
            "action": EPR_ACTIONS.get(self.action, f"reserved {self.action}"),
            "data": self.data,
        }


@dataclass(frozen=True, slots=True)
class SourceInfo(Word):
    """Source_Info: power that a port has now, and at most."""

    reported_pdp_w: float
    present_pdp_w: float
    maximum_pdp_w: float
    guaranteed: bool = False
    reserved: int = 0

    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("reported_pdp_w", 0, 8, ONE),
        Bits("present_pdp_w", 8, 8, ONE),
        Bits("maximum_pdp_w", 16, 8, ONE),
        Bits("guaranteed", 31, 1),
    )

    def fields(self) -> dict[str, Any]:
        """Values for a decode line."""
        return self.values()


@dataclass(frozen=True, slots=True)
class Revision(Word):
    """Revision: the specification that the port was built to."""

    revision_major: int
    revision_minor: int
    version_major: int
    version_minor: int
    reserved: int = 0

    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("version_minor", 16, 4),
        Bits("version_major", 20, 4),
        Bits("revision_minor", 24, 4),
        Bits("revision_major", 28, 4),
    )

    def fields(self) -> dict[str, Any]:
        """Values for a decode line."""
        return {
            "revision": f"{self.revision_major}.{self.revision_minor}",
            "version": f"{self.version_major}.{self.version_minor}",
        }


SINGLE_OBJECTS: Final[dict[str, Any]] = {
    "Battery_Status": BatteryStatus,
    "Alert": Alert,
    "EPR_Mode": EprMode,
    "Source_Info": SourceInfo,
    "Revision": Revision,
}
