"""What the sessions of one unit say together: drift of energy, resistance and warmth, and self-discharge.

Pure: figures of earlier sessions and of the newest one in, findings out. Each quantity is compared with the unit's own
first five sessions by a one-sided CUSUM (k = 0.5 sigma, h = 5 sigma): a single odd session does not
reach it, one that is six sigma worse does at once, and a slow drift adds up. Fewer than five earlier
figures say nothing. Starting limits are denchi's own (docs/health.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Final

from denchi.health.base import NS, OWN, measured, text
from denchi.model import Family, Finding, Severity

BASELINE: Final = 5
SLACK_SIGMA: Final = 0.5
ALARM_SIGMA: Final = 5.0
DAY_S: Final = 86_400.0
REST_LEAST_S: Final = DAY_S
SELF_DISCHARGE_INFO: Final = 0.05
SELF_DISCHARGE_CAUTION: Final = 0.10
"""Share of the energy lost per day of rest; healthy units lose 2-5 % in a month (from memory, not measured)."""


@dataclass(frozen=True, slots=True)
class SessionFigures:
    """What one ended session of a unit measured; None: not measured.

    ``energy_wh``: from a full start until it switched itself off. ``ohm``: median of its load steps. ``rise_k_w``: warmth of
    the case over the air per watt of load at the end of a steady load. ``rest_s``: time between the end of the unit's
    last full charge and this discharge, without a session between them. ``full``: 1 when the session ended with
    the unit charged full. ``out_wh``: what it gave, whatever it began and ended with.
    """

    ended_ns: int
    energy_wh: float | None = None
    ohm: float | None = None
    rise_k_w: float | None = None
    rest_s: float | None = None
    full: float | None = None
    out_wh: float | None = None


def rest_before(started_ns: int, earlier: Sequence[SessionFigures]) -> float | None:
    """Seconds the unit rested charged full before ``started_ns``; None: not known.

    Only the session right before may be the charge: one in between used the unit. What happened to it away
    from a meter nobody saw; the finding says so.
    """
    before = [one for one in earlier if one.ended_ns <= started_ns]
    last = max(before, key=lambda one: one.ended_ns, default=None)
    if last is None or not last.full:
        return None
    return (started_ns - last.ended_ns) / NS


@dataclass(frozen=True, slots=True)
class Drift:
    """A quantity that left the unit's own past. ``now`` and ``usual`` in the quantity's unit."""

    name: str
    usual: float
    sigma: float
    now: float
    cusum_sigma: float
    sessions: int


@dataclass(frozen=True, slots=True)
class _Quantity:
    code: str
    family: Family
    unit: str
    worse: float
    """+1: more is worse; -1: less is."""
    least_sigma: Callable[[float], float]
    """Sessions differ by this much without any fault (temperature, load, cable)."""
    sentence: str


QUANTITIES: Final[dict[str, _Quantity]] = {
    "energy_wh": _Quantity(
        "energy_drift", "energy", "Wh", -1.0, lambda usual: 0.02 * usual,
        "From a full charge came {now:.1f} Wh; this unit's first sessions gave {usual:.1f} Wh.",
    ),
    "ohm": _Quantity(
        "resistance_drift", "resistance", "Ohm", 1.0, lambda usual: 0.015,
        "Load steps show {now:.2f} Ω; this unit's first sessions showed {usual:.2f} Ω. A different cable does the same.",
    ),
    "rise_k_w": _Quantity(
        "warmth_drift", "thermal", "K/W", 1.0, lambda usual: 0.08 * usual,
        "The case warms by {now:.2f} K per watt of load; in this unit's first sessions it was {usual:.2f} K.",
    ),
}  # fmt: skip


def drift(name: str, values: Sequence[float]) -> Drift | None:
    """One-sided CUSUM over ``values`` (oldest first, the newest last); None: no alarm at the newest.

    Sigma is that of the first five, but at least the quantity's own spread.
    """
    quantity = QUANTITIES[name]
    if len(values) <= BASELINE or not all(map(math.isfinite, values)):
        return None
    usual = fmean(values[:BASELINE])
    sigma = max(stdev(values[:BASELINE]), quantity.least_sigma(abs(usual)))
    if sigma <= 0.0:
        return None
    total = 0.0
    for value in values[BASELINE:]:
        total = max(0.0, total + quantity.worse * (value - usual) / sigma - SLACK_SIGMA)
    if total <= ALARM_SIGMA:
        return None
    return Drift(name, usual, sigma, values[-1], total, len(values))


def self_discharge_per_day(
    newest: SessionFigures, earlier: Sequence[SessionFigures]
) -> float | None:
    """Share of the usual energy lost per day of the rest before ``newest``; None: cannot be told.

    Compared with earlier full discharges after less than a day of rest (rest not known: not used).
    """
    if newest.energy_wh is None or newest.rest_s is None or newest.rest_s < REST_LEAST_S:
        return None
    usual = [
        one.energy_wh
        for one in earlier
        if one.energy_wh is not None and one.rest_s is not None and one.rest_s < REST_LEAST_S
    ]
    if not usual:
        return None
    lost = 1.0 - newest.energy_wh / fmean(usual)
    return max(lost, 0.0) / (newest.rest_s / DAY_S)


def compare(newest: SessionFigures, earlier: Sequence[SessionFigures]) -> list[Finding]:
    """Findings about ``newest`` against the unit's earlier sessions (any order)."""
    past = sorted(earlier, key=lambda one: one.ended_ns)
    lost = self_discharge_per_day(newest, past)
    found: list[Finding] = []
    for name, quantity in QUANTITIES.items():
        now = getattr(newest, name)
        rested = name == "energy_wh" and (newest.rest_s or 0.0) >= REST_LEAST_S
        if now is None or rested:
            # Energy after a long rest speaks of self-discharge, not of the cells' capacity.
            continue
        values = [
            value
            for one in past
            if (value := getattr(one, name)) is not None
            and not (name == "energy_wh" and (one.rest_s or 0.0) >= REST_LEAST_S)
        ]
        if (told := drift(name, [*values, now])) is not None:
            found.append(_drifted(told, quantity, newest.ended_ns))
    if lost is not None and lost > SELF_DISCHARGE_INFO:
        found.append(_lost(lost, newest))
    return found


def _drifted(told: Drift, quantity: _Quantity, t_ns: int) -> Finding:
    return Finding(
        code=quantity.code,
        family=quantity.family,
        severity=Severity.CAUTION,
        onset_ns=t_ns,
        t_ns=t_ns,
        message=text(quantity.sentence, now=told.now, usual=told.usual),
        advice=text(
            "Repeat the session under the same conditions (cable, load, room). If it stays, the unit is wearing out."
        ),
        measured=measured(
            now=(told.now, quantity.unit),
            usual=(told.usual, quantity.unit),
            sigma=(told.sigma, quantity.unit),
            cusum=(told.cusum_sigma, "sigma"),
            sessions=(float(told.sessions), ""),
        ),
        limit=f"CUSUM {ALARM_SIGMA:.0f} sigma over the unit's first {BASELINE} sessions",
        source=OWN,
        place="history",
    )


def _lost(lost: float, newest: SessionFigures) -> Finding:
    severe = lost > SELF_DISCHARGE_CAUTION
    return Finding(
        code="self_discharge",
        family="leak",
        severity=Severity.CAUTION if severe else Severity.INFO,
        onset_ns=newest.ended_ns,
        t_ns=newest.ended_ns,
        message=text(
            "At rest the unit lost about {lost:.1f} % of its energy per day ({days:.1f} days of rest; use away from the meter would look the same).",
            lost=lost * 100,
            days=(newest.rest_s or 0.0) / DAY_S,
        ),
        advice=text(
            "Charge it fully, let it rest and discharge it once more. If it loses as much again, stop using it."
        ),
        measured=measured(loss=(lost * 100, "%/day"), rest=((newest.rest_s or 0.0) / 3600, "h")),
        limit=f"{(SELF_DISCHARGE_CAUTION if severe else SELF_DISCHARGE_INFO) * 100:.0f} % per day",
        source=OWN,
        place="history",
    )
