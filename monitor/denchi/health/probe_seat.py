"""Whether the probe still sits where it sat: the two filters, their recent past, and what a moved probe does.

A probe that falls off shows the air: the filters are taken back to before the fall and go on by the model
alone until it returns. When it stays away long, they begin anew at what it reads, and a *ghost* goes
on from before: warmth up to what the ghost expects is the probe coming back, and no heat. A rise
that no steady heat makes (fast, then standing still within two minutes: a probe that takes on the case's temperature)
is a probe that was moved or touched.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from denchi.health.thermal_model import AIR, STEP_S, TC, TS, Body, Noise, ThermalFilter

SLOW: Final = Noise(q_w=0.006)
FAST: Final = Noise(q_w=0.03)
OFF_K: Final = -2.5
"""An innovation below this: the probe fell off, or something cools the unit; the filters wait."""
OFF_MOST_S: Final = 600.0
"""After this the reading is believed; the ghost remembers."""
GHOST_MOST_S: Final = 5400.0
SETTLE_S: Final = 120.0
"""A probe that came back needs this long to take on the case's temperature (lags up to 90 s)."""
JUMP_K: Final = 2.5
"""100 W of heat move a case by this within 5 s; once alone, it is the probe that was moved or touched."""
CALM_S: Final = 180.0
REWIND: Final = 18
"""Steps the filters are taken back: a fall with a lag of 90 s needs half a minute to be told."""
RISE_K: Final = 3.0
STILL_FRAC: Final = 0.2
TRAIL: Final = 25
NOISE_STEPS: Final = 30

State = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


class Pair:
    """The slow filter for leaks and the fast one for hard shorts, and where they stood before."""

    def __init__(
        self, body: Body, case_c: float, air_c: float, air_sigma: float, alpha_sigma: float
    ) -> None:
        self.slow = ThermalFilter(body, SLOW, case_c, air_c, air_sigma, alpha_sigma)
        self.fast = ThermalFilter(body, FAST, case_c, air_c, air_sigma, alpha_sigma)
        self._past: deque[tuple[State, float, float]] = deque(maxlen=TRAIL + 12)

    def step(self, heat_w: float, unsure_w: float = 0.0) -> None:
        """Let five seconds pass under a heat that is known to ``unsure_w``."""
        self._past.append((self.state(), heat_w, unsure_w))
        for one in (self.slow, self.fast):
            one.step(heat_w, unsure_w=unsure_w)

    def see(self, index: int, value: float, sigma: float, second: int | None = None) -> None:
        """Show both a measurement."""
        for one in (self.slow, self.fast):
            one.see(index, value, sigma, second)

    def state(self) -> State:
        """Where they stand; arrays are never changed in place, but for ``shift``, which copies."""
        return self.slow.x, self.slow.p, self.fast.x, self.fast.p

    def put(self, state: State) -> None:
        """Stand there again."""
        self.slow.x, self.slow.p, self.fast.x, self.fast.p = (one.copy() for one in state)

    def rewind(self, steps: int) -> None:
        """Forget what was measured in the last ``steps`` and go through them by the model alone."""
        past = list(self._past)[-steps:]
        if not past:
            return
        self.put(past[0][0])
        for _, heat_w, unsure_w in past:
            for one in (self.slow, self.fast):
                one.step(heat_w, unsure_w=unsure_w)

    def keep_possible(self) -> None:
        """Bring both back to what is possible."""
        for one in (self.slow, self.fast):
            one.keep_possible()

    def move_to(self, case: float) -> None:
        """The probe now reads something else of the same body: begin anew there, keep the heat."""
        for one in (self.slow, self.fast):
            one.x, one.p = one.x.copy(), one.p.copy()
            shift = case - float(one.x[TS])
            one.x[TS] += shift
            one.x[TC] += shift
            one.loosen(TS, 1.0)
            one.loosen(TC, 2.0)
            one.loosen(AIR, 4.0)


class Seat:
    """Says of each reading whether it is to be believed; keeps ``calm_s``, ``noise_k`` and the residual's course."""

    def __init__(self) -> None:
        self.calm_s = 0.0
        self.noise_k = 0.1
        self._before: tuple[float, float] | None = None
        self._jumped = False
        self._off_s = 0.0
        self._settle_s = 0.0
        self._ghost: Pair | None = None
        self._ghost_s = 0.0
        self._trail: deque[float] = deque(maxlen=TRAIL)
        self._sum_k = 0.0

    def ghost_c(self) -> float:
        """Below this (°C) a rise is the probe coming back; NaN when it never fell off."""
        return float(self._ghost.slow.x[TS]) - OFF_K if self._ghost is not None else float("nan")

    def lost(self) -> None:
        """Nothing was read."""
        self._before = None
        self._trail.clear()

    def rises(self) -> tuple[float, float, float, float] | None:
        """Unexplained rise in K over the last 30 s, the 30 s before, the last minute, the one before; None: too short."""
        t = self._trail
        if len(t) < TRAIL:
            return None
        return t[-1] - t[-7], t[-7] - t[-13], t[-1] - t[-13], t[-13] - t[0]

    def step(self, heat_w: float, unsure_w: float = 0.0) -> None:
        """Five seconds pass; the ghost goes on by the model alone."""
        self.calm_s = max(0.0, self.calm_s - STEP_S)
        if self._ghost is not None:
            self._ghost.step(heat_w, unsure_w)
            self._ghost_s += STEP_S
            if self._ghost_s > GHOST_MOST_S:
                self._ghost = None

    def believes(self, case: float, expected_rise: float, pair: Pair) -> bool:
        """Whether the filters may take this reading; moves them where the probe was moved."""
        step = self._follow(case, expected_rise)
        jumped, self._jumped = self._jumped, abs(step) > JUMP_K
        ghost = self._ghost
        if (
            ghost is not None
            and case > float(ghost.slow.x[TS]) + OFF_K
            and case > float(pair.slow.x[TS]) - 1.0
        ):
            pair.put(ghost.state())
            self._ghost, self._settle_s, self.calm_s = None, SETTLE_S, CALM_S
        innovation = case - float(pair.slow.x[TS])
        if self._off_s:
            return self._away(case, innovation, pair)
        if self._settle_s:
            self._settle_s -= STEP_S
            self.calm_s = CALM_S
            return innovation > -OFF_K
        if innovation < OFF_K:
            pair.rewind(REWIND)
            self._off_s, self.calm_s = STEP_S, CALM_S
            self._trail.clear()
            return False
        if self._jumped and not (jumped and step > 0):
            self.calm_s = CALM_S
            if step > 0:
                pair.move_to(case)
        elif self._was_touched():
            self.calm_s = CALM_S
            pair.rewind(TRAIL)
            pair.move_to(case)
            self._trail.clear()
        return True

    def _follow(self, case: float, expected_rise: float) -> float:
        """Keep noise and residual; returns the step from the reading before."""
        before, self._before = self._before, (case, self._before[0] if self._before else case)
        if before is None:
            return 0.0
        # The second difference of a smooth course is nothing but noise.
        bend = min(abs(case - 2 * before[0] + before[1]), 3.0) / 1.95
        self.noise_k += (bend - self.noise_k) / NOISE_STEPS
        step = case - before[0]
        self._sum_k += step - expected_rise
        self._trail.append(self._sum_k)
        return step

    def _away(self, case: float, innovation: float, pair: Pair) -> bool:
        self._off_s += STEP_S
        self.calm_s = CALM_S
        self._trail.clear()
        if innovation > OFF_K:
            self._off_s, self._settle_s = 0.0, SETTLE_S
            return False
        if self._off_s < OFF_MOST_S:
            return False
        self._off_s = 0.0
        body = pair.slow.body
        self._ghost, self._ghost_s = Pair(body, case, case, 1.0, 0.5), 0.0
        self._ghost.put(pair.state())
        pair.move_to(case)
        return True

    def _was_touched(self) -> bool:
        """A fast unexplained rise that stands still again within two minutes."""
        t = self._trail
        if len(t) < TRAIL or t[-1] - t[0] < RISE_K + 2.0 * self.noise_k:
            return False
        parts = [t[j + 6] - t[j] for j in range(0, TRAIL - 6, 3)]
        return max(parts) > 2.0 and parts[-1] < STILL_FRAC * max(parts)


__all__ = ["FAST", "SLOW", "Pair", "Seat"]
