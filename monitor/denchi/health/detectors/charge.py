"""The charge side, with the meter at the unit's input: current that never tapers, energy beyond what fits.

A charger must carry a leak for ever: in the constant-voltage phase the input current of a leaking cell tends to a plateau
instead of zero (science.md §1).

A charge that ended is a figure for the unit's history: the power fell from its plateau through a taper to nearly nothing and stayed there.
A pause for heat or cold falls at once, and is no end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from denchi.health.base import NS, OWN, Context, Detector, Second, measured, text
from denchi.model import Finding, Severity

WINDOW_S: Final = 1500
EXTRA_S: Final = 300
HIGH_FRAC: Final = 0.75
LOW_FRAC: Final = 0.07
FLAT_FRAC: Final = 0.10
EVERY_S: Final = 10
TAPER_HIGH_FRAC: Final = 0.7
TAPER_LOW_FRAC: Final = 0.2
TAPER_LEAST_S: Final = 300.0
"""Time between those two shares of the peak. Constant voltage takes half an hour and more; a pause a second."""
FULL_FRAC: Final = 0.12
"""Chargers stop at 3-10 % of their current; what is left is the charger's own need."""
FULL_HOLD_S: Final = 300.0


class Charge(Detector):
    """``charge_no_taper`` and ``charge_energy``."""

    code = "charge_no_taper"
    family = "charge"

    def __init__(self) -> None:
        self._means: deque[float] = deque(maxlen=WINDOW_S // EVERY_S)
        self._sum, self._n = 0.0, 0
        self._peak_w = 0.0
        self._flat_s = 0.0
        self._taper_s = 0.0
        self._full_s = 0.0
        self._told: set[str] = set()

    def second(self, s: Second, ctx: Context) -> Iterable[Finding]:
        """Power into the unit, in means of ten seconds."""
        if s.pack or not ctx.input_side:
            return ()
        power = -s.p
        if power != power:
            self._means.clear()
            self._flat_s = 0.0
            self._full_s = 0.0
            return ()
        self._sum += power
        self._n += 1
        if self._n < EVERY_S:
            return ()
        mean, self._sum, self._n = self._sum / self._n, 0.0, 0
        self._means.append(mean)
        self._peak_w = max(self._peak_w, mean)
        self._ended(ctx, mean)
        return [*self._taper(s, ctx, mean), *self._energy(s, ctx)]

    def _ended(self, ctx: Context, mean: float) -> None:
        """Keep whether the unit is charged full now; charging on makes it open again."""
        share = mean / self._peak_w if self._peak_w > 1.0 else 1.0
        if share > TAPER_HIGH_FRAC:
            self._taper_s = self._full_s = 0.0
            ctx.figures.pop("full", None)
        elif share > TAPER_LOW_FRAC:
            self._taper_s += EVERY_S
        if share > FULL_FRAC or self._taper_s < TAPER_LEAST_S:
            self._full_s = 0.0
            return
        self._full_s += EVERY_S
        if self._full_s >= FULL_HOLD_S:
            ctx.figures["full"] = 1.0

    def _taper(self, s: Second, ctx: Context, mean: float) -> list[Finding]:
        means = self._means
        inside = LOW_FRAC * self._peak_w < mean < HIGH_FRAC * self._peak_w and self._peak_w > 1.0
        if not inside or len(means) < (means.maxlen or 0):
            self._flat_s = 0.0
            return []
        low, high = min(means), max(means)
        if high > HIGH_FRAC * self._peak_w or high - low > FLAT_FRAC * high:
            self._flat_s = 0.0
            return []
        self._flat_s += EVERY_S
        if self._flat_s < EXTRA_S or self.code in self._told:
            return []
        self._told.add(self.code)
        return [
            Finding(
                code=self.code,
                family="charge",
                severity=Severity.CAUTION,
                onset_ns=s.t_ns - (WINDOW_S + EXTRA_S) * NS,
                t_ns=s.t_ns,
                message=text(
                    "Charging power has stood at {watts:.2f} W for half an hour instead of falling (peak {peak:.1f} W).",
                    watts=mean,
                    peak=self._peak_w,
                ),
                advice=text(
                    "Ask first: is something being charged through the unit, or is it cold? If not, end the charge and do not leave it alone."
                ),
                measured=measured(power=(mean, "W"), peak=(self._peak_w, "W")),
                limit="falls below 7 % of the peak, or keeps falling",
                source=OWN,
                place="vbus",
                question="charging_through",
            )
        ]

    def _energy(self, s: Second, ctx: Context) -> list[Finding]:
        rated = ctx.meta.energy_rated_wh
        if rated is None or "charge_energy" in self._told:
            return []
        limit = ctx.limits.charge_energy_frac * rated
        if ctx.wh_in <= limit:
            return []
        self._told.add("charge_energy")
        return [
            Finding(
                code="charge_energy",
                family="charge",
                severity=Severity.CAUTION,
                onset_ns=s.t_ns,
                t_ns=s.t_ns,
                message=text(
                    "{wh:.1f} Wh went in, more than fits into {rated:.1f} Wh with every loss.",
                    wh=ctx.wh_in,
                    rated=rated,
                ),
                advice=text(
                    "End the charge. Ask whether something was charged through the unit meanwhile."
                ),
                measured=measured(energy=(ctx.wh_in, "Wh"), rated=(rated, "Wh")),
                limit=f"{limit:.1f} Wh",
                source=OWN,
                place="vbus",
            )
        ]

    def open_codes(self) -> Iterable[tuple[str, Severity]]:
        """For the rest of the session."""
        return [(code, Severity.CAUTION) for code in self._told]
