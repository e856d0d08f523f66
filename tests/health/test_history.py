"""A unit's sessions against its own past, with sums done by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from denchi.health.history import SessionFigures, compare, drift, self_discharge_per_day

DAY_S = 86_400.0
FIVE = [30.0, 30.3, 29.7, 30.1, 29.9]
"""Mean 30.0 Wh, standard deviation 0.224; so sigma is the quantity's own 2 %, 0.6 Wh."""


def sessions(values, **more):
    return [SessionFigures(ended_ns=n, energy_wh=v, **more) for n, v in enumerate(values)]


def codes(found):
    return [f"{f.code}:{f.severity.word}" for f in found]


@pytest.mark.parametrize(
    ("later", "alarms"),
    [
        ([30.0], False),
        ([28.2], False),  # -3 sigma once: 2.5
        ([26.4], True),  # -6 sigma at once: 5.5
        ([29.1] * 5, False),  # -1.5 sigma a session adds 1 each time: exactly 5
        ([29.1] * 6, True),
        ([31.8] * 9, False),  # more energy is no fault
        ([28.2, 30.6, 28.2, 30.6], False),  # 2.5, 1.0, 3.5, 2.0
    ],
)
def test_energy_drifts_when_the_sum_passes_five_sigma(later, alarms):
    *earlier, newest = sessions([*FIVE, *later])
    assert ("energy_drift:caution" in codes(compare(newest, earlier))) is alarms


def test_fewer_than_five_earlier_sessions_say_nothing():
    *earlier, newest = sessions([30.0, 30.0, 30.0, 30.0, 12.0])
    assert compare(newest, earlier) == []


def test_the_evidence_is_the_sum_itself():
    told = drift("energy_wh", [*FIVE, 26.4])
    assert told is not None
    assert (told.usual, told.sigma) == (pytest.approx(30.0), pytest.approx(0.6))
    # (30 - 26.4) / 0.6 - 0.5
    assert told.cusum_sigma == pytest.approx(5.5)


def test_resistance_and_warmth_worsen_upwards():
    past = [SessionFigures(n, ohm=0.10, rise_k_w=1.0) for n in range(5)]
    # 0.1 ohm more is 6.7 sigma of 0.015; 0.5 K/W more is 6.25 sigma of 0.08.
    found = compare(SessionFigures(9, ohm=0.20, rise_k_w=1.5), past)
    assert codes(found) == ["resistance_drift:caution", "warmth_drift:caution"]
    assert compare(SessionFigures(9, ohm=0.02, rise_k_w=0.5), past) == []


@pytest.mark.parametrize(
    ("wh", "days", "word"), [(29.0, 10.0, None), (24.0, 3.0, "info"), (21.0, 2.0, "caution")]
)
def test_energy_lost_at_rest_is_self_discharge_and_no_worn_cell(wh, days, word):
    past = sessions(FIVE, rest_s=3600.0)
    newest = SessionFigures(99, energy_wh=wh, rest_s=days * DAY_S)
    # 24 of 30 Wh after 3 days: 6.7 % a day; 21 of 30 after 2: 15 % a day.
    expected = [] if word is None else [f"self_discharge:{word}"]
    assert codes(compare(newest, past)) == expected


def test_a_rest_that_is_not_known_or_nothing_to_compare_with_tells_nothing():
    newest = SessionFigures(99, energy_wh=10.0, rest_s=5 * DAY_S)
    assert self_discharge_per_day(newest, []) is None
    assert self_discharge_per_day(newest, sessions(FIVE)) is None
    assert self_discharge_per_day(SessionFigures(99, energy_wh=10.0), sessions(FIVE)) is None


@given(st.permutations(range(8)), st.floats(0.01, 100))
def test_order_and_unit_do_not_matter(order, scale):
    values = [*FIVE, 29.0, 28.6, 28.0]
    past = sessions([v * scale for v in values])
    newest = SessionFigures(99, energy_wh=26.0 * scale)
    assert codes(compare(newest, [past[i] for i in order])) == codes(
        compare(SessionFigures(99, energy_wh=26.0), sessions(values))
    )


def test_missing_figures_neither_raise_nor_clear():
    past = sessions([*FIVE[:3], None, *FIVE[3:], None])
    assert codes(compare(SessionFigures(99, energy_wh=26.0), past)) == ["energy_drift:caution"]
    assert compare(SessionFigures(99), past) == []
