"""Warmth at a steady load: a figure for the unit's own history, never a finding of its own session.

Kelvin of the case over the air for each watt of load, at the end of a load that stood within 10 % for
twenty minutes (a bank's case follows its load with 15-20 min, science.md §1). Only with a probe in the air:
without one the surroundings are a guess.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from denchi.health.base import Context, Detector, Second
from denchi.model import Finding

STEADY_S: Final = 1200.0
SAME_FRAC: Final = 0.10
LEAST_W: Final = 2.0


class Warmth(Detector):
    """Writes ``rise_k_w`` among the session's figures."""

    code = "warmth"
    family = "thermal"

    def __init__(self) -> None:
        self._power = 0.0
        self._held_s = 0.0

    def second(self, s: Second, ctx: Context) -> Iterable[Finding]:
        """Follow the load; what is not known breaks nothing and counts nothing."""
        if s.p != s.p or s.pack:
            return ()
        if s.p < LEAST_W or abs(s.p - self._power) > SAME_FRAC * self._power:
            self._power, self._held_s = s.p, 0.0
            return ()
        self._held_s += 1.0
        if self._held_s >= STEADY_S and s.case == s.case and s.ambient == s.ambient:
            ctx.figures["rise_k_w"] = (s.case - s.ambient) / s.p
        return ()
