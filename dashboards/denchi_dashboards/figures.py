"""What a measured figure of a finding is called; the TUI and the report say the same words."""

from __future__ import annotations

from typing import Final

FIGURES: Final = {
    "temperature": "temperature",
    "temperature_c": "temperature",
    "rise": "rise",
    "rate": "rate",
    "voltage": "voltage",
    "voltage_v": "voltage",
    "vbus_v": "VBUS",
    "current": "current",
    "current_a": "current",
    "power": "power",
    "drop": "drop",
    "duration": "duration",
    "resistance": "resistance",
    "energy": "energy",
    "count": "count",
    "voltage_before": "voltage before",
    "peak": "peak",
    "excess": "excess heat",
    "case": "unit's case",
    "age": "age of the value",
    "full": "full charge",
    "design": "as designed",
    "rated": "rated",
    "spread": "spread",
    "low": "lowest",
    "high": "highest",
}
"""Key of ``measured`` -> msgid of the ``tui`` catalogue."""
