"""What D+, D-, CC and VBUS alone show of a contract, where no PD message was seen.

Levels: BC 1.2 (VDP_SRC 0.5-0.7 V), Apple's dividers (2.0 V and 2.7 V), Samsung's 1.2 V, Qualcomm QC
2.0/3.0 (0.6 V and 3.3 V: 9 V = 3.3/0.6, 12 V = 0.6/0.6, 20 V = 3.3/3.3, continuous = 0.6/3.3), USB
Type-C (vRd on CC: 0.25-0.61 default, 0.70-1.16 1.5 A, 1.31-2.04 3 A). General knowledge of those
public tables, confidence medium: good for "what may be promised", never for an alarm by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

LineKind: TypeAlias = Literal["default", "bc1.2", "apple", "samsung", "qc", "qc3"]

LEVEL_V: Final = 0.25
"""A line counts as at a level when it is within this of it."""
NEAR: Final = 0.12
"""VBUS counts as at a nominal when it is within this share of it (a loaded cable sags)."""

_QC: Final[dict[tuple[float, float], float]] = {(3.3, 0.6): 9.0, (0.6, 0.6): 12.0, (3.3, 3.3): 20.0}
_APPLE: Final[dict[tuple[float, float], float]] = {
    (2.0, 2.0): 0.5,
    (2.0, 2.7): 1.0,
    (2.7, 2.0): 2.1,
    (2.7, 2.7): 2.4,
}


@dataclass(frozen=True, slots=True)
class LineContract:
    """What the lines show. ``voltage_v`` None: the sink steps it (QC 3); ``current_a`` None: not said."""

    kind: LineKind
    voltage_v: float | None
    current_a: float | None


def _at(value: float, level: float) -> bool:
    return abs(value - level) <= LEVEL_V


def from_lines(dp_v: float | None, dm_v: float | None, vbus_v: float | None) -> LineContract | None:
    """Name the charging protocol that the lines show; None where it cannot be told.

    Volts; None or NaN = not measured. VBUS and lines must agree: 0.6 V on both lines is a QC request
    for 12 V with 12 V on VBUS, and a dedicated charging port (BC 1.2) with 5 V.
    """
    if vbus_v is None or vbus_v != vbus_v or vbus_v < 2.5:
        return None
    five = abs(vbus_v - 5.0) <= NEAR * 5.0
    if dp_v is None or dm_v is None or dp_v != dp_v or dm_v != dm_v:
        return LineContract("default", 5.0, None) if five else None
    for (dp, dm), volts in _QC.items():
        if _at(dp_v, dp) and _at(dm_v, dm) and abs(vbus_v - volts) <= NEAR * volts:
            return LineContract("qc", volts, None)
    if _at(dp_v, 0.6) and _at(dm_v, 3.3) and 3.3 <= vbus_v <= 20.5:
        return LineContract("qc3", None, None)
    if not five:
        return None
    for (dp, dm), amps in _APPLE.items():
        if _at(dp_v, dp) and _at(dm_v, dm):
            return LineContract("apple", 5.0, amps)
    if _at(dp_v, 1.2) and _at(dm_v, 1.2):
        return LineContract("samsung", 5.0, 2.0)
    if abs(dp_v - dm_v) <= 0.1 and _at(dp_v, 0.6):
        return LineContract("bc1.2", 5.0, 1.5)
    return LineContract("default", 5.0, None)


def type_c_current(cc1_v: float | None, cc2_v: float | None) -> float | None:
    """Current in A that the source offers on CC (the higher line carries Rd); None: not told.

    0.5 stands for "default USB power", which is 0.9 A on a USB 3 port.
    """
    known = [v for v in (cc1_v, cc2_v) if v is not None and v == v]
    if not known:
        return None
    volts = max(known)
    for low, high, amps in ((0.25, 0.61, 0.5), (0.70, 1.16, 1.5), (1.31, 2.04, 3.0)):
        if low <= volts <= high:
            return amps
    return None
