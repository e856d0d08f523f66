"""One lithium cell: open-circuit voltage, resistance, and the heat of its decomposition.

Shapes: the OCV curve is a typical NMC/graphite one in 5 % steps; the decomposition reactions are
Arrhenius terms with the order of magnitude of the usual lumped abuse models (Hatchard, Kim), merged
to two. Neither was fitted to a cell here.
"""

from __future__ import annotations

import math
from typing import Final

OCV_V: Final = (
    3.00, 3.35, 3.46, 3.52, 3.56, 3.59, 3.61, 3.63, 3.65, 3.67, 3.70,
    3.73, 3.77, 3.82, 3.87, 3.92, 3.97, 4.02, 4.07, 4.12, 4.19,
)  # fmt: skip
"""Open-circuit voltage at 0, 5 ... 100 % of charge."""
_STEPS: Final = len(OCV_V) - 1
_SLOPE_OVER: Final = 1.2
"""Above 100 % the voltage goes on rising at this slope (V per unit of charge): overcharge."""

GAS_J_MOL_K: Final = 8.314
SEI: Final = (1.667e15, 1.3508e5, 70.0)
"""Rate 1/s, activation energy J/mol, heat J per gram of cell: begins to matter near 100 degC."""
RUNAWAY: Final = (6.667e13, 1.396e5, 500.0)
RUNAWAY_C: Final = 150.0
"""Cell temperature from which a session counts as run away."""


def ocv_v(soc: float) -> float:
    """Open-circuit voltage at ``soc`` (0..1, linear between 5 % steps; continued above and below)."""
    if soc >= 1.0:
        return OCV_V[-1] + _SLOPE_OVER * (soc - 1.0)
    if soc <= 0.0:
        return max(0.0, OCV_V[0] + 20.0 * soc)
    x = soc * _STEPS
    i = int(x)
    return OCV_V[i] + (OCV_V[i + 1] - OCV_V[i]) * (x - i)


def resistance_factor(soc: float, temp_c: float) -> float:
    """Factor on the resistance at 25 degC and half charge: cold and nearly empty cells are worse."""
    cold = math.exp(0.02 * (25.0 - min(max(temp_c, -20.0), 80.0)))
    return cold * (1.0 + 1.5 * math.exp(-max(soc, 0.0) / 0.06))


def reaction_rate(reaction: tuple[float, float, float], temp_c: float) -> float:
    """Fraction of what is left that reacts in a second."""
    rate, energy, _ = reaction
    return rate * math.exp(-energy / (GAS_J_MOL_K * (temp_c + 273.15)))
