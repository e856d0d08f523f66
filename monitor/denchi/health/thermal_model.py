"""A lumped thermal model of a power bank, run as a Kalman filter on measured power and temperatures.

States: case Ts, core Tc, surroundings A, loss scale alpha, unexplained heat q in W, offset m0 of the meter's
own thermometer. Per step::

    Cc dTc = (alpha H(P) - Gcs (Tc - Ts) + q) dt;   Cs dTs = (Gcs (Tc - Ts) - hA (Ts - A)) dt

the others are random walks. H(P): converter loss plus I2R. Priors come from the printed capacity only
(science.md §3). Everything is linear in the state, so it is a plain Kalman filter; 5 s steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

STEP_S: Final = 5.0
TS, TC, AIR, ALPHA, Q, M0 = range(6)
DEFAULT_AH: Final = 10.0
REFERENCE_W_K: Final = 0.174
"""Loss of a 10 Ah bank's case, for which the noises are meant."""

SINK_K: Final = -2.0
MOST_LOSS: Final = 1.6
UNKNOWN_CORR_S: Final = 300.0
"""Heat that is not known is wrong in the same direction for about this long."""


@dataclass(frozen=True, slots=True)
class Body:
    """Heat capacity J/K, conductances W/K and resistance Ohm of a unit, guessed from its capacity."""

    ah: float
    core_j_k: float
    case_j_k: float
    core_case_w_k: float
    case_air_w_k: float
    ohm: float
    cell_only: bool

    @classmethod
    def of(cls, rated_ah: float | None, cell_only: bool) -> Body:
        """A body of ``rated_ah`` (None: 10 Ah, or 3 Ah for a bare cell)."""
        ah = rated_ah or (3.0 if cell_only else DEFAULT_AH)
        heat = 18.5 * 0.95 * ah + (2.0 if cell_only else 30.0)
        # A bare 18650 shows 42 cm2 and 10 W/m2K: 21 K at 2C, as measured on a Samsung 30Q.
        air = 0.014 * ah if cell_only else (0.010 + 0.0002 * ah * 3.7) * 10.0
        case = 0.35 * heat
        return cls(
            ah=ah,
            core_j_k=heat - case,
            case_j_k=case,
            core_case_w_k=max((heat - case) / 110.0, 3.0 * air),
            case_air_w_k=air,
            ohm=0.1 / ah if cell_only else 0.5 / ah + 0.02,
            cell_only=cell_only,
        )

    def heat_w(self, power_w: float, amps: float) -> float:
        """Heat that a load or charge of ``power_w`` (positive out) makes inside, in W."""
        if self.cell_only:
            return amps * amps * self.ohm if abs(amps) > 0.01 else 0.0
        if abs(power_w) < 0.15:
            return 0.0
        if power_w > 0:
            return 0.08 + 0.11 * power_w + (power_w / 0.88 / 3.65) ** 2 * self.ohm
        return -0.11 * power_w + (0.88 * power_w / 4.0) ** 2 * self.ohm


@dataclass(frozen=True, slots=True)
class Noise:
    """Random walks per square root of a second."""

    q_w: float
    air_k: float = 0.010
    alpha: float = 0.0006
    case_k: float = 0.008
    offset_k: float = 0.002


class ThermalFilter:
    """One copy of the filter; ``step`` every 5 s."""

    __slots__ = ("_f", "_noise", "body", "p", "x")

    def __init__(
        self,
        body: Body,
        noise: Noise,
        case_c: float,
        air_c: float,
        air_sigma: float,
        alpha_sigma: float,
    ) -> None:
        self.body = body
        self._noise = noise
        self.x: NDArray[np.float64] = np.array([case_c, case_c, air_c, 1.0, 0.0, 5.0])
        # The core may be warmer than the case when the session begins in the middle of a use.
        self.p: NDArray[np.float64] = np.diag(
            [
                0.5**2,
                1.5**2,
                air_sigma**2,
                alpha_sigma**2,
                (0.15 * body.case_air_w_k / REFERENCE_W_K) ** 2,
                3.0**2,
            ]
        )
        self._f = np.eye(6)

    def step(self, heat_w: float, dt_s: float = STEP_S, *, unsure_w: float = 0.0) -> None:
        """Let ``dt_s`` pass under a heat that is known to ``unsure_w``."""
        b, f = self.body, self._f
        gc, gs = b.core_case_w_k * dt_s / b.core_j_k, b.core_case_w_k * dt_s / b.case_j_k
        ga = b.case_air_w_k * dt_s / b.case_j_k
        f[TC, TC], f[TC, TS] = 1 - gc, gc
        f[TC, ALPHA], f[TC, Q] = heat_w * dt_s / b.core_j_k, dt_s / b.core_j_k
        f[TS, TS], f[TS, TC], f[TS, AIR] = 1 - gs - ga, gs, ga
        self.x = f @ self.x
        p = f @ self.p @ f.T
        n = self._noise
        p[TS, TS] += n.case_k**2 * dt_s
        p[TC, TC] += n.case_k**2 * dt_s + (unsure_w / b.core_j_k) ** 2 * dt_s * UNKNOWN_CORR_S
        p[AIR, AIR] += n.air_k**2 * dt_s
        p[ALPHA, ALPHA] += (n.alpha * (4.0 if b.cell_only else 1.0)) ** 2 * dt_s
        # The same kelvin of unexplained warmth an hour, whatever the size of the body.
        p[Q, Q] += (n.q_w * b.case_air_w_k / REFERENCE_W_K) ** 2 * dt_s
        p[M0, M0] += n.offset_k**2 * dt_s
        self.p = p

    def see(self, index: int, value: float, sigma: float, second: int | None = None) -> float:
        """Take a measurement of state ``index`` (plus state ``second``); returns the innovation."""
        p = self.p
        column = p[:, index] if second is None else p[:, index] + p[:, second]
        expected = self.x[index] if second is None else self.x[index] + self.x[second]
        total = (
            column[index] if second is None else column[index] + column[second]
        ) + sigma * sigma
        innovation = float(value - expected)
        gain = column / total
        self.x = self.x + gain * innovation
        self.p = p - np.outer(gain, column)
        return innovation

    def keep_possible(self) -> None:
        """Bring states that no unit has back to the bound, by the most likely change of all states.

        Nothing inside takes heat away (what looks like it is air that became cooler or loss that is smaller), and a
        loss far above what converters have is heat that has another cause. How sure the filter is does not change.
        """
        if self.body.cell_only:
            # The entropy of a bare cell cools it for a part of its charge, and its loss is hardly known.
            return
        least_w = SINK_K * self.body.case_air_w_k
        if self.x[Q] < least_w:
            self._project(Q, least_w)
        if self.x[ALPHA] > MOST_LOSS:
            self._project(ALPHA, MOST_LOSS)

    def _project(self, index: int, bound: float) -> None:
        gain = self.p[:, index] / self.p[index, index]
        self.x = self.x + gain * (bound - self.x[index])

    def loosen(self, index: int, sigma: float) -> None:
        """Forget what was known of a state: add ``sigma`` to its uncertainty."""
        self.p[index, index] += sigma * sigma

    @property
    def excess_k(self) -> float:
        """Unexplained heat as kelvin of the case in the long run."""
        return float(self.x[Q]) / self.body.case_air_w_k

    @property
    def excess_sigma_k(self) -> float:
        """Its standard deviation."""
        return math.sqrt(max(float(self.p[Q, Q]), 0.0)) / self.body.case_air_w_k

    def drift_k_s(self, heat_w: float) -> float:
        """How fast the case should warm now under known heat alone, in K/s."""
        b, x = self.body, self.x
        return float(
            (b.core_case_w_k * (x[TC] - x[TS]) - b.case_air_w_k * (x[TS] - x[AIR])) / b.case_j_k
        )
