"""Sag that grows: voltage against current within one contract.

Baseline V0 - R*I from the first minutes of a contract, by recursive least squares with a prior of R = 0.06
ohm (negative R is legal: cable compensation raises the voltage with the load, seen in a real recording
as +0.11 V from 0.3 to 1.5 A). Afterwards the mean residual of half a minute is compared with it. At a current
that the baseline does not reach (its own uncertainty there is too large) it is learned first: a long cable at the first
heavy load is no sag. What a step of the load tells apart as resistance (contact, cable, cell) is reported as such; what
cannot be told apart from one end of the cable is said so. The intercept is what no cable lowers: ``vbus_low`` uses it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from denchi.health.base import (
    OWN,
    Context,
    Detector,
    Episode,
    Hold,
    Second,
    measured,
    over,
    text,
    under,
)
from denchi.model import Finding, Severity

LEARN_S: Final = 600.0
LEARN_LEAST_S: Final = 30.0
PRIOR_OHM: Final = 0.06
PRIOR_OHM_SIGMA: Final = 0.08
EWMA_S: Final = 30.0
HOLD_S: Final = 40.0
KNOWN_FRAC: Final = 0.35
"""The baseline may judge where it is surer than this share of the limit."""
LOAD_A: Final = 0.1
OPEN_SIGMA_V: Final = 0.003
"""How well half a minute without load shows the source's own voltage."""


class Sag(Detector):
    """``sag_growing``: the output falls below what it showed at the same current before."""

    code = "sag_growing"
    family = "voltage"

    def __init__(self) -> None:
        self._hold = Hold(HOLD_S)
        self._episode = Episode(120.0)
        self._contract_ns = -1
        self._reset(None)

    def _reset(self, nominal: float | None) -> None:
        self._nominal = nominal
        self._seconds = 0.0
        # Recursive least squares of V = a - r * I; p is the 2x2 covariance.
        self._a, self._r = nominal or 0.0, PRIOR_OHM
        self._paa, self._par, self._prr = 0.3**2, 0.0, PRIOR_OHM_SIGMA**2
        self._mean = 0.0
        self._open_v = self._open_n = 0.0

    def second(self, s: Second, ctx: Context) -> Iterable[Finding]:
        """Learn, then compare."""
        contract = ctx.contract
        if s.pack or ctx.input_side or contract is None:
            return ()
        if contract.limited and not s.i < 0.9 * (contract.current_a or 0.0):
            return ()
        if contract.since_ns != self._contract_ns:
            self._contract_ns = contract.since_ns
            self._reset(contract.voltage_v)
            self._hold.held_s = 0.0
            ctx.source_v = ctx.source_sigma_v = math.nan
        nominal = self._nominal
        if nominal is None or not s.fresh or s.v != s.v or s.i != s.i or s.i < -0.02:
            return ()
        if (
            s.v_low < 2.5
            or s.i_high - s.i_low > 0.3
            or s.t_ns < contract.settled_ns + 3_000_000_000
        ):
            return ()
        residual = s.v - (self._a - self._r * s.i)
        self._seconds += 1.0
        limit = ctx.limits.sag_growth_frac * nominal
        if s.i >= LOAD_A and self._sigma_v(s.i) > KNOWN_FRAC * limit:
            self._learn(s.v, s.i)
            self._show(ctx)
            return ()
        if s.i < LOAD_A:
            self._idle(s, ctx)
            return ()
        self._mean += (residual - self._mean) / EWMA_S
        if self._seconds <= LEARN_S and abs(self._mean) < 0.5 * limit:
            self._learn(s.v, s.i)
            self._show(ctx)
        if self._seconds < LEARN_LEAST_S + EWMA_S:
            return ()
        low = self._hold.step(under(self._mean, -limit), s.t_ns)
        found: list[Finding] = []
        if low and self._episode.raises(Severity.CAUTION):
            found.append(self._finding(s, limit))
        self._episode.ends(over(self._mean, -0.5 * limit), s.t_ns)
        return found

    def _sigma_v(self, amps: float) -> float:
        """How sure the baseline is of the voltage at a current."""
        return math.sqrt(max(self._paa - 2 * amps * self._par + amps * amps * self._prr, 0.0))

    def _idle(self, s: Second, ctx: Context) -> None:
        """Without load the voltage is the intercept itself, and tells nothing of a sag."""
        self._open_v += (s.v - self._open_v) / max(min(self._open_n, EWMA_S), 1.0)
        self._open_n += 1.0
        if self._open_n >= EWMA_S:
            ctx.source_v, ctx.source_sigma_v = self._open_v, OPEN_SIGMA_V

    def _show(self, ctx: Context) -> None:
        ctx.source_v, ctx.source_sigma_v = self._a, math.sqrt(self._paa)

    def _learn(self, volts: float, amps: float) -> None:
        noise = 0.03**2
        ha, hr = 1.0, -amps
        pa, pr = self._paa * ha + self._par * hr, self._par * ha + self._prr * hr
        total = ha * pa + hr * pr + noise
        ka, kr = pa / total, pr / total
        error = volts - (self._a - self._r * amps)
        self._a += ka * error
        self._r += kr * error
        self._paa -= ka * pa
        self._par -= ka * pr
        self._prr -= kr * pr
        # A random walk keeps the gain from dying within the learning time.
        self._paa += 1e-7
        self._prr += 1e-8

    def _finding(self, s: Second, limit: float) -> Finding:
        expected = self._a - self._r * s.i
        return Finding(
            code=self.code,
            family="voltage",
            severity=Severity.CAUTION,
            onset_ns=self._hold.since_ns,
            t_ns=s.t_ns,
            message=text(
                "VBUS at {amps:.2f} A is {volts:.2f} V; earlier in this session it was {expected:.2f} V at this current.",
                amps=s.i,
                volts=s.v,
                expected=expected,
            ),
            advice=text(
                "Look whether a plug is loose or warm. If not, the unit's converter or cell gives way: end this use and compare with a full charge."
            ),
            measured=measured(
                voltage=(s.v, "V"),
                expected=(expected, "V"),
                current=(s.i, "A"),
                resistance_learned=(self._r, "Ohm"),
            ),
            limit=f"{limit:.2f} V below the unit's own earlier voltage",
            source=OWN,
            place="vbus",
        )

    def open_codes(self) -> Iterable[tuple[str, Severity]]:
        """Open episodes."""
        return [(self.code, self._episode.severity)] if self._episode.severity else []
