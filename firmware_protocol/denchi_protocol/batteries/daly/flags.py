"""Bits of Daly's failure report: seven bytes, the same in both protocols.

Charge too high or low is a figure and no fault (a test empties a battery on purpose): it is told as a
value, ``soc_warning`` (bits as reported), not as a flag.
"""

from __future__ import annotations

from typing import Final

_LEVELS: Final = ("_warning", "")
"""Level 1 warns, level 2 acts."""


def _pairs(*names: str) -> tuple[str, ...]:
    return tuple(name + level for name in names for level in _LEVELS)


BITS: Final[tuple[tuple[str, ...], ...]] = (
    _pairs("cell_over_voltage", "cell_under_voltage", "pack_over_voltage", "pack_under_voltage"),
    _pairs(
        "charge_over_temperature",
        "charge_under_temperature",
        "discharge_over_temperature",
        "discharge_under_temperature",
    ),
    _pairs("charge_over_current", "discharge_over_current"),
    _pairs("cell_voltage_difference", "temperature_difference"),
    (
        "charge_fet_over_temperature",
        "discharge_fet_over_temperature",
        "charge_fet_sensor_failed",
        "discharge_fet_sensor_failed",
        "charge_fet_stuck_closed",
        "discharge_fet_stuck_closed",
        "charge_fet_stuck_open",
        "discharge_fet_stuck_open",
    ),
    (
        "measuring_chip_failed",
        "cell_voltage_measurement_failed",
        "temperature_sensor_failed",
        "memory_failed",
        "clock_failed",
        "precharge_failed",
        "communication_failed",
        "internal_communication_failed",
    ),
    (
        "current_measurement_failed",
        "pack_voltage_measurement_failed",
        "short_circuit",
        "too_low_to_charge",
    ),
)
"""By byte, bit 0 first."""

SOC_BYTE: Final = 2
SOC_SHIFT: Final = 4


def flag_names(report: bytes) -> tuple[str, ...]:
    """Names of the raised bits of seven bytes; a bit without a name is told by its place."""
    raised = []
    for at, byte in enumerate(report[:7]):
        names = BITS[at]
        for bit in range(8):
            if not byte >> bit & 1 or (at == SOC_BYTE and bit >= SOC_SHIFT):
                continue
            raised.append(names[bit] if bit < len(names) else f"unknown_{at}_{bit}")
    return tuple(raised)


def soc_warning(report: bytes) -> int:
    """The four bits about the state of charge: high 1, high 2, low 1, low 2."""
    return report[SOC_BYTE] >> SOC_SHIFT
