"""Absolute heat of the unit: the last line, within a second of the sample that confirms it.

Danger at the second plausible sample in a row (two that agree within 5 K: a single wrong reading is
none). Caution on the median of the last 15 s. While charging the limits are lower, as makers stop or
slow charging there. 60 degC: in a simulation of hard shorts the case at 60 degC left a median of one
minute (science.md §4), so that it is late already; 45/50 degC charging: a maker's own use of the JEITA
ranges, "slowed 45-50, none above 50" (docs.zebra.com, TC53/58 charging temperatures).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Final

from denchi.health.base import NS, Context, Detector, Episode, Hold, Second, measured, text
from denchi.model import Finding, Severity

AGREE_K: Final = 5.0
WINDOW_S: Final = 15
CLEAR_K: Final = 5.0
SOURCES: Final = {
    False: "denchi's own limit: a case at 60 °C left a median of 1 min in simulated hard shorts",
    True: "a maker's charging range after JEITA: slowed above 45 °C, none above 50 °C (docs.zebra.com)",
}
MESSAGES: Final = {
    ("case", False): "The case of the unit is at {temp:.1f} °C (limit {limit:.0f} °C).",
    (
        "case",
        True,
    ): "The case of the unit is at {temp:.1f} °C while charging (limit {limit:.0f} °C).",
    ("cell", False): "A cell of the unit is at {temp:.1f} °C (limit {limit:.0f} °C).",
    ("cell", True): "A cell of the unit is at {temp:.1f} °C while charging (limit {limit:.0f} °C).",
    ("pd", False): "The unit itself reports {temp:.1f} °C inside (limit {limit:.0f} °C).",
}
ADVICE_DANGER: Final = text(
    "Stop: take the load or charger off if you can do so without holding the unit, move people away, put it "
    "outdoors on stone or sand if that is possible without risk. Do not puncture it, do not charge it again. "
    "Smoke or flames: leave, call the fire service."
)
ADVICE_CAUTION: Final = text(
    "Take the load or charger off and let it lie open, away from sun, cover and other heat. Go on only while watching it."
)


class OverTemperature(Detector):
    """``over_temperature`` of case, cell and PD status; ``cooled_down`` ends it."""

    code = "over_temperature"
    family = "thermal"

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, float]] = {}
        self._episodes: dict[str, Episode] = {}
        self._recent: dict[str, deque[float]] = {}
        self._clear: dict[str, Hold] = {}
        self._peak: dict[str, float] = {}

    def _limits(self, place: str, ctx: Context) -> tuple[float, float, bool]:
        limits = ctx.limits
        charging = ctx.charging and not place.startswith("pd")
        if place.startswith("pd"):
            return limits.pd_danger_c - 10.0, limits.pd_danger_c, False
        if place.startswith("cell") and not charging:
            return limits.cell_caution_c, limits.cell_danger_c, False
        if charging:
            return limits.charge_caution_c, limits.charge_danger_c, True
        return limits.case_caution_c, limits.case_danger_c, False

    def temperatures(
        self, place: str, t_ns: Sequence[int], values_c: Sequence[float], ctx: Context
    ) -> Iterable[Finding]:
        """Every sample near the limit."""
        group = place.split(".")[0]
        _, danger_c, charging = self._limits(place, ctx)
        found: list[Finding] = []
        for t, value in zip(t_ns, values_c, strict=True):
            if value != value:
                continue
            before = self._last.get(place)
            self._last[place] = (t, value)
            if value < danger_c or before is None or before[1] < danger_c:
                continue
            # Two in a row beyond the limit that agree; an older first one than 30 s confirms nothing.
            if abs(value - before[1]) > AGREE_K or t - before[0] > 30 * NS:
                continue
            if self._episode(group).raises(Severity.DANGER):
                found.append(
                    self._finding(
                        place, Severity.DANGER, before[0], t, value, danger_c, charging, ctx
                    )
                )
        return found

    def _episode(self, place: str) -> Episode:
        return self._episodes.setdefault(place, Episode(60.0))

    def second(self, s: Second, ctx: Context) -> Iterable[Finding]:
        """Caution on the median; the end of an episode."""
        found: list[Finding] = []
        for place, value in (("case", s.case), ("cell", s.cell_temp), ("pd", s.pd)):
            if value != value:
                continue
            recent = self._recent.setdefault(place, deque(maxlen=WINDOW_S))
            recent.append(value)
            caution_c, _danger_c, charging = self._limits(place, ctx)
            episode = self._episodes.get(place)
            if value < caution_c - CLEAR_K and episode is None:
                continue
            middle = median(recent)
            episode = self._episode(place)
            if len(recent) >= 5 and middle >= caution_c and episode.raises(Severity.CAUTION):
                onset = s.t_ns - len(recent) * NS
                found.append(
                    self._finding(
                        place, Severity.CAUTION, onset, s.t_ns, middle, caution_c, charging, ctx
                    )
                )
            if episode.severity is not None:
                self._peak[place] = max(self._peak.get(place, middle), middle)
            if episode.ends(middle < caution_c - CLEAR_K, s.t_ns):
                found.append(self._cooled(place, s.t_ns, middle, self._peak.pop(place, middle)))
        return found

    def _finding(
        self, place: str, severity: Severity, onset_ns: int, t_ns: int,
        value: float, limit_c: float, charging: bool, ctx: Context,
    ) -> Finding:  # fmt: skip
        state = "while charging" if charging else "discharging or idle"
        msgid = MESSAGES[place.split(".")[0], charging]
        return Finding(
            code=self.code,
            family="thermal",
            severity=severity,
            onset_ns=onset_ns,
            t_ns=t_ns,
            message=text(msgid, temp=value, limit=limit_c),
            advice=ADVICE_DANGER if severity is Severity.DANGER else ADVICE_CAUTION,
            measured=measured(temperature=(value, "degC")),
            limit=f"{limit_c:.0f} °C {state}",
            source=SOURCES[charging],
            place=place,
        )

    def _cooled(self, place: str, t_ns: int, value: float, peak: float) -> Finding:
        return Finding(
            code="cooled_down",
            family="thermal",
            severity=Severity.INFO,
            onset_ns=t_ns,
            t_ns=t_ns,
            message=text(
                "Cooled down: {temp:.1f} °C after a peak of {peak:.1f} °C. The cause is not known by that.",
                temp=value,
                peak=peak,
            ),
            advice=text("Having cooled down clears nothing: find out why it was hot."),
            measured=measured(temperature=(value, "degC"), peak=(peak, "degC")),
            place=place,
            ends=self.code,
        )

    def open_codes(self) -> Iterable[tuple[str, Severity]]:
        """Open episodes."""
        return [(self.code, e.severity) for e in self._episodes.values() if e.severity is not None]
