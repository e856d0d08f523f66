"""Early cut-off: the unit switches itself off for good under load, long before its rated energy is out.

Wh are compared with Wh: at 5 V a bank gives 80-90 % of its rated energy (science.md §2). Without a known full
start only less than 42 % tells anything. A device that is full, and is pulled out, ends the same way: its current has fallen for minutes before. Then
it is asked (``info``), and an output that comes back and goes on giving was not empty.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from denchi.health.base import NS, OWN, Context, Detector, Second, measured, text
from denchi.model import Finding, Severity

DARK_S: Final = 45.0
LOAD_A: Final = 0.3
LOADED_S: Final = 60.0
MEAN_S: Final = 300.0
"""Time constant of the mean power: a device that is nearly full tapers for longer."""
FADED_FRAC: Final = 0.6
"""Mean power under this share of the session's highest: the load was going away by itself."""
MORE_FRAC: Final = 0.05
"""This share of the rating after the dark shows that the unit was not empty."""
FROM_FULL: Final = "Charged fully, the unit switched off at {amps:.2f} A after {wh:.1f} Wh, {share:.0f} % of its rated {rated:.1f} Wh."
FADED: Final = "The output ended at {amps:.2f} A after {wh:.1f} Wh ({share:.0f} % of the rated {rated:.1f} Wh), after the load had become smaller. Was the device full or unplugged?"
FROM_UNKNOWN: Final = "The unit switched off at {amps:.2f} A after {wh:.1f} Wh, {share:.0f} % of its rated {rated:.1f} Wh; how full it was is not known."


class Cutoff(Detector):
    """``early_cutoff``; also tells the context that the unit was emptied."""

    code = "early_cutoff"
    family = "energy"

    def __init__(self) -> None:
        self._loaded_s = 0.0
        self._load_a = 0.0
        self._dark_s = 0.0
        self._since_ns = 0
        self._wh = 0.0
        self._mean_w = self._most_w = 0.0
        self._done = False
        self._severity: Severity | None = None

    def second(self, s: Second, ctx: Context) -> Iterable[Finding]:
        """Wait for a lasting loss of voltage right after a load."""
        if s.pack or ctx.input_side or not s.fresh:
            return ()
        if s.v_low >= 2.5:
            self._lit(s, ctx)
            return ()
        if self._loaded_s < LOADED_S or self._done or not s.v_high < 2.5:
            return ()
        if not self._dark_s:
            self._since_ns, self._wh = s.t_ns - NS, ctx.wh_out
        self._dark_s += 1.0
        if self._dark_s < DARK_S:
            return ()
        self._done = True
        self._loaded_s = 0.0
        # A load that faded away may have been pulled out: then nobody knows that the unit was empty.
        faded = self._mean_w < FADED_FRAC * self._most_w
        if not faded:
            ctx.emptied = ctx.emptied_now = True
        return self._judge(s, ctx, faded)

    def _lit(self, s: Second, ctx: Context) -> None:
        """The output stands: follow its load, and whether what looked empty goes on giving."""
        self._dark_s, self._done = 0.0, False
        if s.i > LOAD_A:
            self._loaded_s += 1.0
            self._load_a = s.i
        elif s.i == s.i:
            self._loaded_s = 0.0
        if s.p == s.p:
            self._mean_w += (s.p - self._mean_w) / MEAN_S
            self._most_w = max(self._most_w, self._mean_w)
        rated = ctx.meta.energy_rated_wh
        if ctx.emptied and rated and ctx.wh_out - self._wh > MORE_FRAC * rated:
            ctx.emptied = ctx.emptied_now = False
            ctx.figures.pop("energy_wh", None)
            self._severity = None

    def _judge(self, s: Second, ctx: Context, faded: bool) -> list[Finding]:
        rated, full = ctx.meta.energy_rated_wh, ctx.meta.started_full
        if full and not faded:
            ctx.figures["energy_wh"] = self._wh
        if rated is None or full is False:
            return []
        limit = ctx.limits.early_cut_known_frac if full else ctx.limits.early_cut_unknown_frac
        share = self._wh / rated
        if share >= limit:
            return []
        self._severity = Severity.CAUTION if full and not faded else Severity.INFO
        start = "a full start" if full else "an unknown start"
        return [
            Finding(
                code=self.code,
                family="energy",
                severity=self._severity,
                onset_ns=self._since_ns,
                t_ns=s.t_ns,
                message=text(
                    FADED if faded else FROM_FULL if full else FROM_UNKNOWN,
                    amps=self._load_a,
                    wh=self._wh,
                    share=share * 100,
                    rated=rated,
                ),
                advice=text(
                    "Charge it fully and measure once more from there. If it is the same, cells are worn or lost."
                ),
                measured=measured(
                    energy=(self._wh, "Wh"), rated=(rated, "Wh"), share=(share * 100, "%")
                ),
                limit=f"{limit * 100:.0f} % of the rated energy from {start}",
                source=OWN,
                place="vbus",
            )
        ]

    def open_codes(self) -> Iterable[tuple[str, Severity]]:
        """Kept open for the rest of the session: heat together with an early end is worse than either."""
        return [(self.code, self._severity)] if self._severity else []
