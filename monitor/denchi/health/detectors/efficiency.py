"""Efficiency over a cycle: energy that came out against energy that went in, between two states that are the same.

The states are "empty" (switched itself off under load) on both ends: what went in after the first and came out before the second.
Only a meter that sees both directions can tell (a pass-through bench, or a battery that talks). Healthy
round trips are 0.72-0.85 (from memory); under 0.65 is told, under 0.5 is a caution (science.md §2 row 10).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from denchi.health.base import OWN, Context, Detector, Second, measured, text
from denchi.model import Finding, Severity

INFO_FRAC: Final = 0.65
CAUTION_FRAC: Final = 0.5
LEAST_WH: Final = 2.0
"""A charge smaller than this says nothing about a cycle."""


class Efficiency(Detector):
    """``low_efficiency``: once for each full cycle that a session holds."""

    code = "low_efficiency"
    family = "energy"

    def __init__(self) -> None:
        self._emptied = False
        self._mark: tuple[float, float] | None = None
        """(Wh out, Wh in) when the unit was empty last."""

    def second(self, s: Second, ctx: Context) -> Iterable[Finding]:
        """Look at the counters whenever the unit has just run empty."""
        if ctx.charging:
            # It may run empty again from here on.
            self._emptied, ctx.emptied_now = False, False
        if not ctx.emptied_now or self._emptied:
            return ()
        self._emptied = True
        before, self._mark = self._mark, (ctx.wh_out, ctx.wh_in)
        if before is None:
            return ()
        out, into = ctx.wh_out - before[0], ctx.wh_in - before[1]
        if into < LEAST_WH:
            return ()
        share = out / into
        if share >= INFO_FRAC:
            return ()
        severity = Severity.CAUTION if share < CAUTION_FRAC else Severity.INFO
        return [
            Finding(
                code=self.code,
                family="energy",
                severity=severity,
                onset_ns=s.t_ns,
                t_ns=s.t_ns,
                message=text(
                    "From empty to empty {out:.1f} Wh came out of {into:.1f} Wh that went in ({share:.0f} %).",
                    out=out, into=into, share=share * 100,
                ),
                advice=text(
                    "Measure one more cycle without charging anything through. If it is the same, energy is lost inside as heat or leak."
                ),
                measured=measured(out=(out, "Wh"), into=(into, "Wh"), share=(share * 100, "%")),
                limit=f"{INFO_FRAC * 100:.0f} % info, {CAUTION_FRAC * 100:.0f} % caution",
                source=OWN,
                place="vbus",
            )
        ]  # fmt: skip
