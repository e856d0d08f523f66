"""The meter's own board is hot: a hint about the meter, its contacts and its surroundings, never about the unit."""

from __future__ import annotations

from collections.abc import Iterable

from denchi.health.base import Context, Detector, Episode, Hold, Second, measured, over, text, under
from denchi.model import Finding, Severity


class MeterHeat(Detector):
    """``meter_hot``."""

    code = "meter_hot"
    family = "thermal"

    def __init__(self) -> None:
        self._hold = Hold(30.0)
        self._episode = Episode(120.0)

    def second(self, s: Second, ctx: Context) -> Iterable[Finding]:
        """Look at the meter's own thermometer."""
        limit = ctx.limits.meter_caution_c
        found: list[Finding] = []
        if self._hold.step(over(s.meter, limit), s.t_ns) and self._episode.raises(Severity.CAUTION):
            found.append(
                Finding(
                    code=self.code,
                    family="thermal",
                    severity=Severity.CAUTION,
                    onset_ns=self._hold.since_ns,
                    t_ns=s.t_ns,
                    message=text(
                        "The meter's own board is at {temp:.1f} °C. This is not the unit's temperature.",
                        temp=s.meter,
                    ),
                    advice=text(
                        "Lower the current, look at plugs and sockets for heat, let the meter lie open."
                    ),
                    measured=measured(temperature=(s.meter, "degC")),
                    limit=f"{limit:.0f} °C",
                    source="denchi's own limit, docs/health.md",
                    place="meter",
                )
            )
        self._episode.ends(under(s.meter, limit - 5.0), s.t_ns)
        return found
