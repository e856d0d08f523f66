"""Scoring, with outcomes made by hand."""

import pytest

from denchi.model import FAMILIES, Severity
from denchi.simulation import evaluation
from denchi.simulation.evaluation import Found, Outcome
from denchi.simulation.params import FAULT_KINDS
from denchi.simulation.recording import Truth


def outcome(kind="none", found=(), *, seed=1, onset=600.0, trace=900.0, blind=None, hours=2.0,
            size=5.0, awkward=(), hot=False, at_60=None, away=None, probe=True):  # fmt: skip
    truth = Truth(kind, onset, trace, blind, (), at_60, away, hot)
    if kind == "none":
        truth = Truth(kind, None, None, None, (), at_60, away, hot)
    return Outcome(seed, hours, truth, size, awkward, "output", probe, tuple(found))


HEAT = Found(1200.0, 2, "thermal", "heat_unexplained")


def test_words_agree_with_the_model():
    assert (evaluation.CAUTION, evaluation.DANGER) == (Severity.CAUTION, Severity.DANGER)
    assert set(evaluation.FITTING) == set(FAULT_KINDS)
    assert set().union(*evaluation.FITTING.values()) <= set(FAMILIES)


@pytest.mark.parametrize(
    ("finding", "counts"),
    [
        (HEAT, True),
        (Found(1200.0, 1, "thermal", "asks"), False),  # info is no detection
        (Found(1200.0, 3, "data", "stale"), False),  # speaks of something else
        (Found(599.0, 2, "thermal", "too early"), False),
    ],
)
def test_what_counts_as_a_detection(finding, counts):
    assert (outcome("soft_short", [finding]).detected_s is not None) == counts


def test_detection_latency_and_missed_seeds():
    row = evaluation.score_kind(
        "soft_short",
        [
            outcome("soft_short", [HEAT], seed=1),
            outcome("soft_short", [], seed=2),
            outcome("soft_short", [], seed=3, trace=None),
            outcome("soft_short", [Found(1800.0, 3, "thermal", "x"), HEAT], seed=4),
        ],
    )
    assert (row.sessions, row.with_trace, row.detected_with_trace, row.detected) == (4, 3, 2, 2)
    assert row.latency_min == 10.0  # 1200 s - 600 s, twice
    assert row.after_trace_min == 5.0
    assert row.missed == (2,)


def test_without_a_probe_the_other_trace_counts():
    assert outcome("soft_short", trace=900.0, blind=None, probe=False).trace_s is None
    assert outcome("soft_short", trace=900.0, blind=950.0, probe=False).trace_s == 950.0


def test_lead_before_a_moment():
    rows = [
        outcome("hard_short", [Found(1000.0, 3, "thermal", "x")], away=1600.0, seed=1),
        outcome("hard_short", [Found(1000.0, 2, "thermal", "x")], away=1600.0, seed=2),
        outcome("hard_short", [Found(1700.0, 3, "thermal", "x")], away=1600.0, seed=3),
        outcome("hard_short", [Found(1000.0, 3, "thermal", "x")], away=None, seed=4),
    ]
    score = evaluation.score_lead("", rows, lambda o: o.truth.run_away_s, evaluation.DANGER)
    assert (score.sessions, score.before, score.median_min, score.late) == (3, 1, 10.0, (2, 3))


def test_false_alarms_by_group_and_per_1000_h():
    rows = [
        outcome(hours=4.0, seed=1),
        outcome(found=[HEAT, HEAT], hours=4.0, awkward=("sun",), seed=2),
        outcome(found=[Found(9.0, 3, "thermal", "hot")], hours=2.0, hot=True, seed=3),
        outcome(found=[Found(9.0, 1, "thermal", "asks")], hours=2.0, seed=4),
        outcome("soft_short", [Found(5.0, 2, "voltage", "sag")], hours=5.0, seed=5),
    ]
    by_group = {r.group.strip(): r for r in evaluation.score_falses(rows)}
    assert (by_group["plain"].cautions, by_group["plain"].hours) == (0, 6.0)
    assert (by_group["awkward"].cautions, by_group["sun"].cautions) == (2, 2)
    assert by_group["awkward"].per_1000_h(2) == 500.0
    assert (by_group["all, truly hot apart"].cautions, by_group["all"].cautions) == (2, 3)
    assert by_group["all"].dangers == 1
    assert by_group["all"].seeds == (2, 3)
    assert evaluation.early_alarms(rows) == (1, pytest.approx(600 / 3600), (5,))


def test_nothing_gives_no_rate():
    row = evaluation.score_false("", [])
    assert row.per_1000_h(0) == 0.0
    assert evaluation.score_kind("x", []).latency_min is None


def test_goals_beside_what_came_out():
    probe = [
        outcome(hours=10.0, found=[HEAT], seed=1),
        outcome("soft_short", [HEAT], seed=2),
        outcome("hard_short", [Found(900.0, 3, "thermal", "x")], seed=3, away=1500.0),
        outcome("resets", [], seed=4, blind=700.0),
    ]
    blind = [outcome("resets", [], seed=4, blind=700.0, probe=False)]
    here = {name: value for name, _, value in evaluation.goals(probe, blind)}
    assert here["caution or worse /1000 h"] == "100.0"
    assert here["danger /1000 h"] == "0.0"
    assert here["faults with a trace"] == "67 % of 3"
    assert here["the same without a probe"] == "0 % of 1"
    assert here["short <= 10 ohm"] == "100 % of 2, median 7.5 min"
    assert here["resets"] == "0 % of 1, median -"
    assert here["sag_static"] == "none drawn"
    assert here["danger before runaway"] == "100 % of 1, median 10.0 min"
