"""Scores what was found against what was true. Pure; the runner stands in tests/evaluation.

A **detection** is a finding of ``caution`` or worse, of a family that fits the fault, after its
onset. ``info`` is neither a detection nor a false alarm. A finding of ``caution`` or worse in a
session without a fault is a false alarm, also where the surroundings were awkward; sessions whose
case truly passed a limit of temperature are listed apart, because there the alarm is right.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from denchi.simulation.params import FAULT_KINDS
from denchi.simulation.recording import Truth

CAUTION: Final = 2
DANGER: Final = 3

FITTING: Final[dict[str, frozenset[str]]] = {
    "soft_short": frozenset({"thermal", "leak", "energy", "charge", "cell"}),
    "hard_short": frozenset({"thermal", "leak", "energy", "charge", "cell", "dropout"}),
    "high_resistance_cell": frozenset({"thermal", "energy", "dropout", "voltage", "resistance"}),
    "dead_cell": frozenset({"thermal", "energy", "dropout", "voltage", "resistance"}),
    "hot_converter": frozenset({"thermal"}),
    "sag_static": frozenset({"voltage", "resistance", "dropout"}),
    "sag_growing": frozenset({"voltage", "resistance", "dropout"}),
    "resets": frozenset({"dropout", "voltage"}),
    "self_discharge": frozenset({"thermal", "leak", "energy"}),
    "charge_no_taper": frozenset({"charge", "thermal", "energy"}),
}
"""Families of findings that speak of a fault."""


@dataclass(frozen=True, slots=True)
class Found:
    """A finding, reduced to what is scored. ``severity``: 1 info, 2 caution, 3 danger."""

    t_s: float
    severity: int
    family: str
    code: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """One session as it was judged."""

    seed: int
    hours: float
    truth: Truth
    size: float
    awkward: tuple[str, ...]
    position: str
    probe: bool
    found: tuple[Found, ...]

    @property
    def trace_s(self) -> float | None:
        """Since when the fault shows in the sensors fitted."""
        return self.truth.trace_s if self.probe else self.truth.trace_blind_s

    @property
    def detected_s(self) -> float | None:
        """The first fitting caution or danger after the onset."""
        fits, onset_s = FITTING.get(self.truth.kind, frozenset()), self.truth.onset_s or 0.0
        return min(
            (f.t_s for f in self.found
             if f.severity >= CAUTION and f.family in fits and f.t_s >= onset_s),
            default=None,
        )  # fmt: skip

    def first_s(self, severity: int) -> float | None:
        """The first finding of a severity or worse after the onset."""
        onset_s = self.truth.onset_s or 0.0
        times = [f.t_s for f in self.found if f.severity >= severity and f.t_s >= onset_s]
        return min(times, default=None)


@dataclass(frozen=True, slots=True)
class KindScore:
    """Detection of one kind of fault."""

    kind: str
    sessions: int
    with_trace: int
    detected_with_trace: int
    detected: int
    latency_min: float | None
    """Median from onset to detection, minutes."""
    after_trace_min: float | None
    """Median from the moment at which the trace stands to detection; negative = before."""
    missed: tuple[int, ...]
    """Seeds of sessions with a trace that were not detected."""


@dataclass(frozen=True, slots=True)
class LeadScore:
    """How early a danger came before something. Minutes."""

    what: str
    sessions: int
    before: int
    median_min: float | None
    p10_min: float | None
    late: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FalseScore:
    """False alarms of one group of sessions without a fault."""

    group: str
    sessions: int
    hours: float
    cautions: int
    """Findings of caution or worse."""
    dangers: int
    seeds: tuple[int, ...]
    codes: tuple[str, ...]

    def per_1000_h(self, count: int) -> float:
        """A count as a rate."""
        return 1000.0 * count / self.hours if self.hours else 0.0


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def score_kind(kind: str, outcomes: Iterable[Outcome]) -> KindScore:
    """Score the sessions that are given (all of one kind, or of one part of it)."""
    mine = list(outcomes)
    traced = [o for o in mine if o.trace_s is not None]
    hit = [o for o in mine if o.detected_s is not None]
    delays = [(o.detected_s or 0.0) - (o.truth.onset_s or 0.0) for o in hit]
    after = [(o.detected_s or 0.0) - o.trace_s for o in hit if o.trace_s is not None]
    return KindScore(
        kind,
        len(mine),
        len(traced),
        sum(o.detected_s is not None for o in traced),
        len(hit),
        _median([d / 60.0 for d in delays]),
        _median([d / 60.0 for d in after]),
        tuple(o.seed for o in traced if o.detected_s is None),
    )


def score_kinds(outcomes: Sequence[Outcome]) -> list[KindScore]:
    """One row a kind, then shorts up to 10 ohm, then all."""
    rows = [
        score_kind(kind, mine)
        for kind in FAULT_KINDS
        if (mine := [o for o in outcomes if o.truth.kind == kind])
    ]
    faulty = [o for o in outcomes if o.truth.kind != "none"]
    shorts = [o for o in faulty if o.truth.kind in ("soft_short", "hard_short") and o.size <= 10.0]
    rows.append(score_kind("short <= 10 ohm", shorts))
    rows.append(score_kind("all", faulty))
    return rows


def score_lead(
    what: str, outcomes: Iterable[Outcome], moment: Callable[[Outcome], float | None], severity: int
) -> LeadScore:
    """How long before ``moment`` (of faulty sessions that reach it) a finding stood."""
    reached = [o for o in outcomes if o.truth.kind != "none" and moment(o) is not None]
    leads, late = [], []
    for outcome in reached:
        at, first = moment(outcome) or 0.0, outcome.first_s(severity)
        if first is not None and first < at:
            leads.append((at - first) / 60.0)
        else:
            late.append(outcome.seed)
    ordered = sorted(leads)
    p10 = ordered[len(ordered) // 10] if ordered else None
    return LeadScore(what, len(reached), len(leads), _median(leads), p10, tuple(late))


def score_false(group: str, outcomes: Iterable[Outcome]) -> FalseScore:
    """Alarms of sessions without a fault."""
    mine = [o for o in outcomes if o.truth.kind == "none"]
    bad = [(o, f) for o in mine for f in o.found if f.severity >= CAUTION]
    return FalseScore(
        group,
        len(mine),
        sum(o.hours for o in mine),
        len(bad),
        sum(f.severity >= DANGER for _, f in bad),
        tuple(dict.fromkeys(o.seed for o, _ in bad)),
        tuple(sorted({f.code for _, f in bad})),
    )


def score_falses(outcomes: Sequence[Outcome]) -> list[FalseScore]:
    """Plain, awkward, each awkwardness; truly hot ones apart; before the onset of faults; all."""
    sound = [o for o in outcomes if o.truth.kind == "none"]
    cool = [o for o in sound if not o.truth.really_hot]
    rows = [
        score_false("plain", [o for o in cool if not o.awkward]),
        score_false("awkward", [o for o in cool if o.awkward]),
    ]
    for name in sorted({a for o in cool for a in o.awkward}):
        rows.append(score_false(f"  {name}", [o for o in cool if name in o.awkward]))
    rows.append(score_false("all, truly hot apart", cool))
    rows.append(score_false("truly hot (alarm is right)", [o for o in sound if o.truth.really_hot]))
    rows.append(score_false("all", sound))
    return rows


def goals(probe: Sequence[Outcome], blind: Sequence[Outcome]) -> list[tuple[str, str, str]]:
    """The project's goals beside what came out: (quantity, goal, here). All sessions count."""
    false = score_falses(probe)[-1]
    rows = {row.kind: row for row in score_kinds(probe)}
    without = score_kinds(blind)[-1] if blind else None
    lead = score_lead("", probe, lambda o: o.truth.run_away_s, DANGER)

    def share(part: int, whole: int) -> str:
        return f"{100.0 * part / whole:.0f} % of {whole}" if whole else "none drawn"

    def found(kind: str) -> str:
        row = rows.get(kind)
        if row is None:
            return "none drawn"
        median = "-" if row.latency_min is None else f"{row.latency_min:.1f} min"
        return f"{share(row.detected_with_trace, row.with_trace)}, median {median}"

    every = rows["all"]
    ahead = "-" if lead.median_min is None else f"{lead.median_min:.1f} min"
    out = [
        ("caution or worse /1000 h", "<= 20", f"{false.per_1000_h(false.cautions):.1f}"),
        ("danger /1000 h", "<= 1", f"{false.per_1000_h(false.dangers):.1f}"),
        ("faults with a trace", ">= 92 %", share(every.detected_with_trace, every.with_trace)),
        ("short <= 10 ohm", ">= 99 %, 8 min", found("short <= 10 ohm")),
        ("resets", ">= 98 %, 3 min", found("resets")),
        ("sag_static", ">= 98 %, 6 min", found("sag_static")),
        ("sag_growing", ">= 98 %, 6 min", found("sag_growing")),
        (
            "danger before runaway",
            ">= 95 %, 4 min",
            f"{share(lead.before, lead.sessions)}, median {ahead}",
        ),
    ]
    if without is not None:
        seen = share(without.detected_with_trace, without.with_trace)
        out.insert(3, ("the same without a probe", ">= 75 %", seen))
    return out


def early_alarms(outcomes: Iterable[Outcome]) -> tuple[int, float, tuple[int, ...]]:
    """Cautions or worse before the onset of a fault, the hours before it, and the seeds."""
    count, hours, seeds = 0, 0.0, []
    for outcome in outcomes:
        if outcome.truth.kind == "none" or outcome.truth.onset_s is None:
            continue
        hours += outcome.truth.onset_s / 3600.0
        early = sum(f.severity >= CAUTION and f.t_s < outcome.truth.onset_s for f in outcome.found)
        if early:
            count += early
            seeds.append(outcome.seed)
    return count, hours, tuple(seeds)
