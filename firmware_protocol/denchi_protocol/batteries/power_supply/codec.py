"""Linux power supplies: a battery's own figures; of a USB supply the contract, never a measurement.

Attributes, signs and sources: README.md beside this file. Attributes are read, never written.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from denchi_protocol.batteries.power_supply.attributes import Answer, Attributes, parse, whole
from denchi_protocol.codec import (
    Action,
    Closing,
    DeviceInfo,
    Done,
    Event,
    Frames,
    Rejected,
    Telemetry,
)
from denchi_protocol.fields import as_frames, check_run, counts
from denchi_protocol.samples import Int64s, SampleBlock

BATTERIES: Final = ("Battery", "UPS")
KIND: Final = ("type", "manufacturer", "model_name", "serial_number", "technology")
LIVE: Final = (
    "type",
    "present",
    "status",
    "health",
    "voltage_now",
    "current_now",
    "temp",
    "capacity",
    "cycle_count",
    "charge_now",
    "charge_full",
    "charge_full_design",
    "energy_now",
    "energy_full",
    "energy_full_design",
    "online",
    "usb_type",
)
CHARGING, DISCHARGING = "Charging", "Discharging"
STATES: Final = {CHARGING: 1.0, DISCHARGING: 2.0}
FINE: Final = ("", "Good", "Unknown")
_TOLD: Final = {
    "capacity": ("soc_pct", 1.0),
    "cycle_count": ("cycles", 1.0),
    "charge_now": ("remaining_ah", 1e6),
    "charge_full": ("full_ah", 1e6),
    "charge_full_design": ("design_ah", 1e6),
    "energy_now": ("remaining_wh", 1e6),
    "energy_full": ("full_wh", 1e6),
    "energy_full_design": ("design_wh", 1e6),
}
_CONTRACT: Final = {"voltage_now": "contract_v", "current_now": "contract_a"}


class PowerSupplyCodec:
    """One folder of /sys/class/power_supply."""

    def __init__(self) -> None:
        self._attributes = Attributes(self._plan, last=LIVE[-1], period_ms=1000)
        self._known: DeviceInfo | None = None
        self._signed = False
        """A negative current has been seen: this driver's sign means something."""

    def _plan(self) -> tuple[str, ...]:
        # KIND again every round would cost five reads a second of what never changes.
        return LIVE if self._known is not None else (*KIND[1:], *LIVE)

    def next(self, now_ns: int) -> Action:
        """Ask once a second."""
        return self._attributes.next(now_ns)

    def close(self, now_ns: int) -> Closing:
        """Nothing to stop."""
        return Done()

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; every whole answer becomes its events."""
        events: list[Event] = []
        for raw in self._attributes.feed(data, t_ns):
            if isinstance(raw, Rejected):
                events.append(raw)
                continue
            answer = parse(raw)
            if self._known is None:
                self._known = _info(answer, t_ns)
                events.append(self._known)
            if answer.get("type") in BATTERIES:
                block = self.decode_run(as_frames(raw), np.array([t_ns], np.int64))
                if block.columns:
                    events.append(block)
                events.append(_battery(answer, t_ns))
            elif "type" in answer:
                events.append(_supply(answer, t_ns))
        return events

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode answers (n, length), each padded with zero bytes to one length.

        ``pack_ua``: positive = charging. Supplies that are no battery give no column.
        """
        check_run(frames, t_ns)
        answers = [parse(row.tobytes().rstrip(b"\0")) for row in frames]
        there = [a.get("type") in BATTERIES and a.get("present", "1") != "0" for a in answers]
        columns = {
            "pack_uv": [whole(a, "voltage_now") for a in answers],
            "pack_ua": [self._amps_ua(a) for a in answers],
            "temp_mc.cell.1": [_scaled(whole(a, "temp"), 100) for a in answers],
        }
        out = {}
        for name, values in columns.items():
            measured = np.array([v is not None for v in values]) & there
            if measured.any():
                raw = np.array([v or 0 for v in values], np.int64)
                out[name] = counts(raw, measured)
        return SampleBlock(t_ns, out)

    def _amps_ua(self, answer: Answer) -> int | None:
        """Current with a sign that means charging, or None when nobody can say."""
        value = whole(answer, "current_now")
        if value is None:
            return None
        if value < 0:
            self._signed = True
        status = answer.get("status")
        if self._signed or value == 0 or status == CHARGING:
            return value
        # Many drivers never show a sign: then only the status tells the direction.
        return -value if status == DISCHARGING else None


def _scaled(value: int | None, by: int) -> int | None:
    return None if value is None else value * by


def _info(answer: Answer, t_ns: int) -> DeviceInfo:
    fields: dict[str, str | int | float] = {
        name: answer[name] for name in ("type", "technology") if name in answer
    }
    return DeviceInfo(
        t_ns,
        maker=answer.get("manufacturer"),
        model=answer.get("model_name"),
        serial=answer.get("serial_number"),
        fields=fields,
    )


def _battery(answer: Answer, t_ns: int) -> Telemetry:
    values = {}
    for name, (told, scale) in _TOLD.items():
        value = whole(answer, name)
        if value is not None:
            values[told] = value / scale
    if "status" in answer:
        values["charging_state"] = STATES.get(answer["status"], 0.0)
    health = answer.get("health")
    flags = None if health is None else _flags(health)
    return Telemetry(t_ns, values, flags)


def _flags(health: str) -> tuple[str, ...]:
    if health in FINE:
        return ()
    return ("health_" + "".join(c if c.isalnum() else "_" for c in health.lower())[:40],)


def _supply(answer: Answer, t_ns: int) -> Telemetry:
    values = {}
    for name, told in _CONTRACT.items():
        value = whole(answer, name)
        if value is not None:
            values[told] = value / 1e6
    online = whole(answer, "online")
    if online is not None:
        values["online"] = float(online)
    return Telemetry(t_ns, values)
