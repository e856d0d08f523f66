"""Heat that load and surroundings do not explain: the main signal.

Two copies of the thermal filter run on measured power: a slow one for leaks of a fraction of a watt, a fast
one beside the slope of the residual for hard shorts. What one thermometer cannot tell apart (sun, cover, a hand, a warm
laptop below, charging through) is asked as ``info`` with the figure, and the answer is used.

Starting limits of science.md §2 rows 1, 2 and 4; chosen on denchi's own evaluation, docs/health.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Final

from denchi.health.base import OWN, Context, Detector, Episode, Hold, Second, measured, text
from denchi.health.detectors.over_temperature import ADVICE_CAUTION, ADVICE_DANGER
from denchi.health.probe_seat import Pair, Seat
from denchi.health.thermal_model import AIR, M0, STEP_S, TS, Body
from denchi.model import Finding, Severity

CASE_SIGMA_K: Final = 0.4
AIR_SIGMA_K: Final = 0.5
METER_SIGMA_K: Final = 5.0
METER_SELF_K_A2: Final = 0.8
NOISE_FACTOR: Final = 1.5
STEADY_FRAC: Final = 0.85
"""A hard short heats on and on; a probe that takes on the case's temperature slows down (lag 90 s: to 0.72 in 30 s)."""
SLOWING_FRAC: Final = 0.75
WARM_UP_S: Final = 120.0
SIGMAS: Final = 2.5
KNOWN_S: Final = 30.0
"""Without power for longer than this (a gap, or a meter that went dark with the output) the load is not known."""
IDLE_S: Final = 1500.0
LASTING_S: Final = 1500.0
"""Sun, a hand, something warm below mostly show an excess that falls again within this; a leak heats on."""
IDLE_HOLD_S: Final = 600.0
JOINED: Final = ("charge_no_taper", "early_cutoff")
"""Signs that make the same heat more serious; a question (info) does not."""
QUESTIONS: Final = ("in_sun", "covered", "warm_below", "charging_through")


class UnexplainedHeat(Detector):
    """``heat_unexplained`` (info, caution, danger) and ``heating_fast`` (caution, danger)."""

    code = "heat_unexplained"
    family = "thermal"

    def __init__(self) -> None:
        self._pair: Pair | None = None
        self._seat = Seat()
        self._since_s = 0.0
        self._sum_p = self._sum_i = 0.0
        self._n_p = self._seconds = 0
        self._cases: list[float] = []
        self._last_heat = self._unknown_s = self._unsure_w = 0.0
        self._info, self._soon, self._lasting = Hold(120.0), Hold(120.0), Hold(LASTING_S)
        self._fast_excess = Hold(60.0)
        self._idle, self._danger, self._joined = Hold(IDLE_HOLD_S), Hold(120.0), Hold(300.0)
        # With 30 s, a probe taking on a temperature has begun to slow down visibly before the hold is over.
        self._fast_caution, self._fast_danger = Hold(60.0), Hold(30.0)
        self._episode, self._slope_episode = Episode(300.0), Episode(180.0)
        self._asked = False

    def second(self, s: Second, ctx: Context) -> Iterable[Finding]:
        """Gather five seconds, then step the filters."""
        case = s.case if s.case == s.case else s.cell_temp
        self._seconds += 1
        if s.p == s.p:
            self._sum_p += s.p
            self._sum_i += s.i
            self._n_p += 1
        if case == case:
            self._cases.append(case)
        if self._seconds < STEP_S:
            return ()
        found = self._step(s, ctx)
        self._sum_p = self._sum_i = 0.0
        self._n_p = self._seconds = 0
        self._cases.clear()
        return found

    # -- the filter ------------------------------------------------------------------------------

    def _step(self, s: Second, ctx: Context) -> Iterable[Finding]:
        case = median(self._cases) if self._cases else None
        pair, seat = self._pair, self._seat
        if pair is None:
            if case is not None:
                self._begin(case, s, ctx)
            return ()
        heat, unsure = self._heat(pair)
        self._unsure_w = unsure
        expected = pair.slow.drift_k_s(heat) * STEP_S
        pair.step(heat, unsure)
        seat.step(heat, unsure)
        self._since_s += STEP_S
        if case is None:
            ctx.excess_k = float("nan")
            seat.lost()
            return ()
        if not seat.believes(case, expected, pair):
            return ()
        pair.see(TS, case, max(CASE_SIGMA_K, NOISE_FACTOR * seat.noise_k))
        if s.ambient == s.ambient:
            pair.see(AIR, s.ambient, AIR_SIGMA_K)
        elif s.meter == s.meter and s.i == s.i:
            pair.see(AIR, s.meter - METER_SELF_K_A2 * s.i * s.i, METER_SIGMA_K, M0)
        pair.keep_possible()
        ctx.excess_k = pair.slow.excess_k
        if self._since_s < WARM_UP_S or case < seat.ghost_c():
            return ()
        return [*self._excess(case, s, ctx), *self._slope(case, s, ctx)]

    def _heat(self, pair: Pair) -> tuple[float, float]:
        """Heat of the load in W, and how far it is not known: without power it may be anything up to the last."""
        if self._n_p:
            self._unknown_s = 0.0
            power, amps = self._sum_p / self._n_p, self._sum_i / self._n_p
            self._last_heat = pair.slow.body.heat_w(power, amps)
            return self._last_heat, 0.0
        self._unknown_s += STEP_S
        if self._unknown_s <= KNOWN_S:
            return self._last_heat, 0.0
        return self._last_heat / 2.0, self._last_heat / 2.0

    def _begin(self, case: float, s: Second, ctx: Context) -> None:
        contract = ctx.contract
        # 2.5 to 4.35 V that is no promised voltage: the meter sits at a cell, whatever was said.
        bare = contract is not None and contract.kind == "unknown" and 2.5 < s.v < 4.35
        body = Body.of(ctx.rated_ah, ctx.cell_side or s.pack or bare)
        air, sigma = case - 0.5, 3.0
        if s.ambient == s.ambient:
            air, sigma = s.ambient, 0.7
        elif ctx.meta.ambient_c is not None:
            air, sigma = ctx.meta.ambient_c, 1.5
        elif s.p == s.p and abs(s.p) > 0.15:
            # Already working: how warm it has become is not known.
            air, sigma = case - 2.0, 4.0
        # Of a bare cell only I2R is known: its entropy and its resistance near empty are not.
        alpha = 1.0 if body.cell_only else 0.35 if ctx.rated_ah else 0.5
        self._pair = Pair(body, case, air, sigma, alpha)

    # -- decisions -------------------------------------------------------------------------------

    def _excess(self, case: float, s: Second, ctx: Context) -> list[Finding]:
        assert self._pair is not None
        slow, limits = self._pair.slow, ctx.limits
        # Of a load that is not known the most is taken.
        doubt_k = self._unsure_w / slow.body.case_air_w_k
        excess, sigma = slow.excess_k - doubt_k, slow.excess_sigma_k
        sure = excess > SIGMAS * sigma
        idle = ctx.idle_s > IDLE_S
        other = any(ctx.active.get(c, Severity.INFO) > Severity.INFO for c in JOINED)
        t = s.t_ns
        steps = int(STEP_S)
        hot = case > limits.excess_danger_case_c
        much = (hot and excess > limits.excess_danger_k) or excess > limits.excess_cold_danger_k
        fast = self._pair.fast.excess_k - doubt_k
        soon = hot and fast > limits.excess_fast_danger_k and sure
        both = hot and (idle or other) and excess > limits.excess_joined_danger_k
        severity: Severity | None = None
        hold = self._info
        for _ in range(steps):
            for one, on, grade in (
                (self._info, excess > limits.excess_info_k, Severity.INFO),
                (self._idle, idle and excess > limits.idle_excess_caution_k, Severity.CAUTION),
                (self._lasting, excess > limits.excess_caution_k, Severity.CAUTION),
                (self._soon, excess > limits.excess_soon_caution_k, Severity.CAUTION),
                (self._joined, both, Severity.DANGER),
                (self._danger, much, Severity.DANGER),
                (self._fast_excess, soon, Severity.DANGER),
            ):
                if one.step(on and sure, t) and (severity is None or grade >= severity):
                    severity, hold = grade, one
        found: list[Finding] = []
        explained = self._explained(ctx)
        if explained and severity is not None and severity < Severity.DANGER:
            severity = None
        if severity is not None and self._episode.raises(severity):
            found.append(self._finding(severity, case, excess, sigma, hold.since_ns or t, s, ctx))
        for _ in range(steps):
            if self._episode.ends(excess < 0.5 * limits.excess_info_k, t):
                found.append(self._ended(case, excess, s))
        return found

    def _explained(self, ctx: Context) -> bool:
        return any(ctx.ask(key) for key in QUESTIONS)

    def answer(self, question: str, value: bool, t_ns: int, ctx: Context) -> Iterable[Finding]:
        """A yes moves what was unexplained into the surroundings: from here on only more of it counts."""
        if value and question in (*QUESTIONS, "sun_or_cover"):
            ctx.answers["in_sun"] = True
            for one in (self._pair.slow, self._pair.fast) if self._pair else ():
                one.x[AIR] += max(one.excess_k, 0.0)
                one.x[4] = 0.0
                one.loosen(AIR, 2.0)
        return ()

    def _slope(self, case: float, s: Second, ctx: Context) -> list[Finding]:
        limits, rises = ctx.limits, self._seat.rises()
        if rises is None or self._seat.calm_s:
            self._fast_caution.step(False, s.t_ns)
            self._fast_danger.step(False, s.t_ns)
            return []
        half, half_before, minute, minute_before = rises
        margin = 2.0 * self._seat.noise_k
        short, long = 2.0 * (half - margin), (minute + minute_before) / 2.0 - margin
        # Half a minute against the one before: what slows down is a probe taking on a temperature.
        slowing = half < SLOWING_FRAC * half_before - margin
        steady = (
            half > STEADY_FRAC * half_before - margin
            and half_before > 0.35 * limits.rise_danger_k_min
        )
        severity: Severity | None = None
        for _ in range(int(STEP_S)):
            warm = long > limits.rise_caution_k_min and short > 0.5 * limits.rise_caution_k_min
            if self._fast_caution.step(warm and not slowing, s.t_ns):
                severity = Severity.CAUTION
            fast = short > 1.5 * limits.rise_danger_k_min
            if self._fast_danger.step(steady and (fast or long > limits.rise_danger_k_min), s.t_ns):
                severity = Severity.DANGER
        found: list[Finding] = []
        if severity is not None and self._slope_episode.raises(severity):
            hold = self._fast_danger if severity is Severity.DANGER else self._fast_caution
            found.append(self._rising(severity, case, max(long, short), hold.since_ns, s, ctx))
        for _ in range(int(STEP_S)):
            self._slope_episode.ends(long < 0.3 * limits.rise_caution_k_min, s.t_ns)
        return found

    # -- findings --------------------------------------------------------------------------------

    def _place(self, s: Second) -> str:
        return "case" if s.case == s.case else "cell"

    def _finding(
        self,
        severity: Severity,
        case: float,
        excess: float,
        sigma: float,
        onset_ns: int,
        s: Second,
        ctx: Context,
    ) -> Finding:
        assert self._pair is not None
        limit = {
            Severity.INFO: ctx.limits.excess_info_k,
            Severity.CAUTION: ctx.limits.excess_caution_k,
            Severity.DANGER: ctx.limits.excess_danger_k,
        }[severity]
        expected, air = case - excess, float(self._pair.slow.x[AIR])
        power = s.p if s.p == s.p else 0.0
        asks = severity is Severity.INFO
        msgid = (
            "Case {case:.1f} °C, about {excess:.1f} K more than load and surroundings explain "
            "(air about {air:.0f} °C, {power:.1f} W). Is it in the sun, covered, on something warm, or being charged through?"
            if asks
            else "Case {case:.1f} °C: heat that load and surroundings do not explain, about {excess:.1f} K "
            "(expected {expected:.1f} °C, air about {air:.0f} °C, {power:.1f} W, idle for {idle:.0f} min)."
        )
        advice = text(
            "Answer the question; if none of it is so, take the load off and watch whether it cools."
        )
        if not asks:
            advice = ADVICE_DANGER if severity is Severity.DANGER else ADVICE_CAUTION
        return Finding(
            code=self.code,
            family="thermal",
            severity=severity,
            onset_ns=onset_ns,
            t_ns=s.t_ns,
            message=text(
                msgid,
                case=case,
                excess=excess,
                expected=expected,
                air=air,
                power=power,
                idle=ctx.idle_s / 60,
            ),
            advice=advice,
            measured=measured(
                case=(case, "degC"),
                expected=(expected, "degC"),
                excess=(excess, "K"),
                excess_sigma=(sigma, "K"),
                air=(air, "degC"),
                power=(power, "W"),
                idle=(ctx.idle_s / 60, "min"),
            ),
            limit=f"{limit:.1f} K and {SIGMAS} sigma",
            source=OWN,
            place=self._place(s),
            question="sun_or_cover" if asks else "",
        )

    def _rising(
        self, severity: Severity, case: float, rate: float, onset_ns: int, s: Second, ctx: Context
    ) -> Finding:
        limit = (
            ctx.limits.rise_danger_k_min
            if severity is Severity.DANGER
            else ctx.limits.rise_caution_k_min
        )
        return Finding(
            code="heating_fast",
            family="thermal",
            severity=severity,
            onset_ns=onset_ns,
            t_ns=s.t_ns,
            message=text(
                "The case warms by {rate:.1f} K/min more than the load explains (now {case:.1f} °C).",
                rate=rate,
                case=case,
            ),
            advice=ADVICE_DANGER if severity is Severity.DANGER else ADVICE_CAUTION,
            measured=measured(rate=(rate, "K/min"), case=(case, "degC")),
            limit=f"{limit:.1f} K/min",
            source=OWN,
            place=self._place(s),
        )

    def _ended(self, case: float, excess: float, s: Second) -> Finding:
        return Finding(
            code="cooled_down",
            family="thermal",
            severity=Severity.INFO,
            onset_ns=s.t_ns,
            t_ns=s.t_ns,
            message=text(
                "Cooled down: the unexplained heat is gone (case {case:.1f} °C). Its cause is not known by that.",
                case=case,
            ),
            advice=text("Having cooled down clears nothing: find out why it was hot."),
            measured=measured(case=(case, "degC"), excess=(excess, "K")),
            place=self._place(s),
            ends=self.code,
        )

    def open_codes(self) -> Iterable[tuple[str, Severity]]:
        """Open episodes."""
        pairs = ((self.code, self._episode), ("heating_fast", self._slope_episode))
        return [(code, e.severity) for code, e in pairs if e.severity is not None]
