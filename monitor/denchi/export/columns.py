"""The recording's columns (DESIGN.md §6): which of denchi's channels each header name stands for."""

from __future__ import annotations

from typing import Final

HEADER: Final = ("t_s", "voltage_v", "current_a", "temperature_c", "meter_temperature_c")
OPTIONAL: Final = ("ambient_c", "cell_c", "dp_v", "dm_v", "cc1_v", "cc2_v")
ORIGIN: Final = "origin"
"""Last column of an export of simulated data, ``simulated`` in every row; no other file has it."""

_FIXED: Final[dict[str, str]] = {
    "temperature_c": "temp_mc.case",
    "meter_temperature_c": "temp_mc.meter",
    "ambient_c": "temp_mc.ambient",
    "cell_c": "temp_mc.cell.1",
    "dp_v": "dp_uv",
    "dm_v": "dm_uv",
    "cc1_v": "cc1_uv",
    "cc2_v": "cc2_uv",
}


def channels(position: str) -> dict[str, str]:
    """Column name -> channel. At a cell, voltage and current are the pack's and no VBUS rule applies."""
    if position == "cell":
        return {"voltage_v": "pack_uv", "current_a": "pack_ua", **_FIXED}
    return {"voltage_v": "vbus_uv", "current_a": "ibus_ua", **_FIXED}
