"""Data blocks of extended messages: what a source says of its state, its battery and its maker.

Layouts: usb_pd.md §3. Where that page saw its sources differ:

**Temperature status (Status, byte 4; PPS_Status, byte 3)** is the two-bit value in **bits 1-2**, bit 0
and 3-7 reserved. usbpdparser compares the whole byte with 0..3 and is wrong. The others agree on bits
1-2: Richtek's TCPM in the vendor kernels (``PD_STATUS_TEMP_PTF(raw) = (raw & 0x06) >> 1``,
drivers/misc/mediatek/typec/tcpc/inc/tcpm.h, for one in MiCode/H1S_kernel, used by the chargers' code
as ``temp_level``); and a sink in Rust written against USB-IF PD R3.2 V1.2, table 6.51, whose
over-temperature byte is 6. A byte with a reserved bit set (0x01, 0x03) is told as doubtful, with its raw value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from denchi_protocol.errors import RemoteProtocolError
from denchi_protocol.usb_pd.bits import ONE, V20, V50, V100, Bits, Block

TEMPERATURE_STATUS: Final = ("not_supported", "normal", "warning", "over_temperature")
UNKNOWN_16: Final = 0xFFFF
"""Also the VID of a maker without one."""


@dataclass(frozen=True, slots=True)
class StatusBlock(Block):
    """Status (SDB). ``internal_temp`` is the raw byte; ``temperature_c`` reads it."""

    internal_temp: int = 0
    external_power: bool = False
    external_ac: bool = False
    internal_battery: bool = False
    internal_other: bool = False
    battery_inputs: int = 0
    ocp: bool = False
    otp: bool = False
    ovp: bool = False
    current_limit: bool = False
    temperature_status: int = 0
    limited_by_cable: bool = False
    limited_by_other_ports: bool = False
    limited_by_input: bool = False
    limited_by_event: bool = False
    limited_by_temperature: bool = False
    power_state: int = 0
    power_indicator: int = 0
    reserved: int = 0

    SIZE: ClassVar[int] = 7
    SHORTEST: ClassVar[int] = 5
    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("internal_temp", 0, 8),
        Bits("external_power", 9, 1),
        Bits("external_ac", 10, 1),
        Bits("internal_battery", 11, 1),
        Bits("internal_other", 12, 1),
        Bits("battery_inputs", 16, 8),
        Bits("ocp", 25, 1),
        Bits("otp", 26, 1),
        Bits("ovp", 27, 1),
        Bits("current_limit", 28, 1),
        Bits("temperature_status", 33, 2),
        Bits("limited_by_cable", 41, 1),
        Bits("limited_by_other_ports", 42, 1),
        Bits("limited_by_input", 43, 1),
        Bits("limited_by_event", 44, 1),
        Bits("limited_by_temperature", 45, 1),
        Bits("power_state", 48, 3),
        Bits("power_indicator", 51, 3),
    )

    @property
    def temperature_c(self) -> float | None:
        """Internal temperature; None when not supported (0) or only "below 2 degC" (1) is told."""
        return float(self.internal_temp) if self.internal_temp >= 2 else None

    def fields(self) -> dict[str, Any]:
        """Values for a decode line."""
        byte = (self.word() >> 32) & 0xFF
        out: dict[str, Any] = {
            "temperature_c": self.temperature_c,
            "temperature_below_2": self.internal_temp == 1,
            "temperature_status": TEMPERATURE_STATUS[self.temperature_status],
            "temperature_status_raw": f"0x{byte:02x}",
        }
        if byte & ~0x06:
            out["temperature_status_doubtful"] = True
        skipped = ("internal_temp", "temperature_status")
        return out | {k: v for k, v in self.values().items() if k not in skipped}


@dataclass(frozen=True, slots=True)
class PpsStatusBlock(Block):
    """PPS_Status (PPSSDB): what a programmable supply gives now; None = not supported."""

    output_v: float | None
    output_a: float | None
    temperature_status: int = 0
    current_limit: bool = False
    reserved: int = 0

    SIZE: ClassVar[int] = 4
    SHORTEST: ClassVar[int] = 4
    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("output_v", 0, 16, V20, UNKNOWN_16),
        Bits("output_a", 16, 8, V50, 0xFF),
        Bits("temperature_status", 25, 2),
        Bits("current_limit", 27, 1),
    )

    def fields(self) -> dict[str, Any]:
        """Values for a decode line."""
        return self.values() | {"temperature_status": TEMPERATURE_STATUS[self.temperature_status]}


@dataclass(frozen=True, slots=True)
class BatteryCapabilitiesBlock(Block):
    """Battery_Capabilities (BCDB). Capacities: None = unknown (FFFF), 0 = no battery there."""

    vid: int
    pid: int
    design_wh: float | None
    last_full_wh: float | None
    invalid_reference: bool = False
    reserved: int = 0

    SIZE: ClassVar[int] = 9
    SHORTEST: ClassVar[int] = 9
    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("vid", 0, 16),
        Bits("pid", 16, 16),
        Bits("design_wh", 32, 16, V100, UNKNOWN_16),
        Bits("last_full_wh", 48, 16, V100, UNKNOWN_16),
        Bits("invalid_reference", 64, 1),
    )

    @property
    def health(self) -> float | None:
        """State of health, last full / design (may exceed 1); None where one is unknown or absent."""
        if self.invalid_reference or not self.design_wh or not self.last_full_wh:
            return None
        return self.last_full_wh / self.design_wh

    def fields(self) -> dict[str, Any]:
        """Values for a decode line."""
        told = None if self.health is None else round(self.health, 4)
        return self.values() | {
            "vid": f"0x{self.vid:04x}",
            "pid": f"0x{self.pid:04x}",
            "state_of_health": told,
        }


@dataclass(frozen=True, slots=True)
class SourceExtendedBlock(Block):
    """Source_Capabilities_Extended (SCEDB), 24 bytes in PD 3.0 and 25 in PD 3.1."""

    vid: int
    pid: int
    xid: int
    firmware: int = 0
    hardware: int = 0
    load_slew: int = 0
    load_step_90: bool = False
    holdup_ms: int = 0
    compliance: int = 0
    touch_current: int = 0
    peak_current_1: int = 0
    peak_current_2: int = 0
    peak_current_3: int = 0
    touch_temperature: int = 0
    external_supply: bool = False
    unconstrained: bool = False
    internal_battery: bool = False
    fixed_batteries: int = 0
    hot_swap_slots: int = 0
    spr_pdp_w: float = 0
    epr_pdp_w: float = 0
    reserved: int = 0

    SIZE: ClassVar[int] = 25
    SHORTEST: ClassVar[int] = 24
    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("vid", 0, 16),
        Bits("pid", 16, 16),
        Bits("xid", 32, 32),
        Bits("firmware", 64, 8),
        Bits("hardware", 72, 8),
        Bits("load_slew", 80, 2),
        Bits("load_step_90", 82, 1),
        Bits("holdup_ms", 88, 8),
        Bits("compliance", 96, 8),
        Bits("touch_current", 104, 8),
        Bits("peak_current_1", 112, 16),
        Bits("peak_current_2", 128, 16),
        Bits("peak_current_3", 144, 16),
        Bits("touch_temperature", 160, 8),
        Bits("external_supply", 168, 1),
        Bits("unconstrained", 169, 1),
        Bits("internal_battery", 170, 1),
        Bits("fixed_batteries", 176, 4),
        Bits("hot_swap_slots", 180, 4),
        Bits("spr_pdp_w", 184, 8, ONE),
        Bits("epr_pdp_w", 192, 8, ONE),
    )

    def fields(self) -> dict[str, Any]:
        """Values for a decode line."""
        return self.values() | {
            "vid": f"0x{self.vid:04x}",
            "pid": f"0x{self.pid:04x}",
            "xid": f"0x{self.xid:08x}",
        }


@dataclass(frozen=True, slots=True)
class ManufacturerBlock:
    """Manufacturer_Info. ``text`` is untrusted: printable ASCII only, anything else shown as ``?``."""

    vid: int
    pid: int
    text: str

    @classmethod
    def from_bytes(cls, data: bytes) -> ManufacturerBlock:
        """Read a block. Raises ``RemoteProtocolError`` when it is too short."""
        if len(data) < 4:
            raise RemoteProtocolError(f"{len(data)} bytes of data, expected 4 or more")
        shown = data[4:26].split(b"\0")[0]
        text = "".join(chr(b) if 0x20 <= b < 0x7F else "?" for b in shown).strip()
        return cls(int.from_bytes(data[:2], "little"), int.from_bytes(data[2:4], "little"), text)

    def to_bytes(self) -> bytes:
        """Write the block (the string is cut to 21 characters and its end mark)."""
        head = self.vid.to_bytes(2, "little") + self.pid.to_bytes(2, "little")
        return head + self.text.encode("ascii", "replace")[:21] + b"\0"

    def fields(self) -> dict[str, Any]:
        """Values for a decode line."""
        return {"vid": f"0x{self.vid:04x}", "pid": f"0x{self.pid:04x}", "manufacturer": self.text}


BLOCKS: Final[dict[str, Any]] = {
    "Source_Capabilities_Extended": SourceExtendedBlock,
    "Status": StatusBlock,
    "Battery_Capabilities": BatteryCapabilitiesBlock,
    "Manufacturer_Info": ManufacturerBlock,
    "PPS_Status": PpsStatusBlock,
}
EXTENDED_CONTROL: Final = {
    1: "EPR_Get_Source_Cap",
    2: "EPR_Get_Sink_Cap",
    3: "EPR_KeepAlive",
    4: "EPR_KeepAlive_Ack",
}
