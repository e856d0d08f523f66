"""The engine: the same findings in any cutting, at any time of the world; figures exact; time passes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denchi.health import profiles
from denchi.health.base import Detector
from denchi.health.engine import HealthEngine, load_detectors
from denchi.health.grid import rows_of
from denchi.model import Gap, SessionMeta, Severity
from denchi.simulation import record
from health.helpers import NS, START, block, run


def eventful(hz: float = 10, seed: int = 1, offset_s: float = 0.0):
    """Forty minutes with resets, a sag, a hot spell and a noisy probe."""
    rng = np.random.default_rng(seed)
    t = offset_s + np.arange(int(2400 * hz)) / hz
    s = t - offset_s
    i = np.where((s // 300) % 2 == 0, 1.0, 1.8)
    v = 5.15 - 0.06 * i + rng.normal(0, 0.004, len(t))
    v = np.where((s > 1500) & (s < 1700), v - 0.4, v)
    for reset in (400.3, 700.55, 900.0):
        dark = (s > reset) & (s < reset + 2.7)
        v, i = np.where(dark, 0.02, v), np.where(dark, 0.0, i)
    case = 25 + 6 * (1 - np.exp(-s / 900)) + rng.normal(0, 0.1, len(t))
    case = np.where((s > 1900) & (s < 2000), 61.5, case)
    case[rng.random(len(t)) < 0.01] = np.nan
    return block(t, v=v, i=i, case=case)


def test_the_eventful_session_has_events():
    result = run(eventful())
    print(result.codes)
    assert {"dropout:caution", "over_temperature:danger", "sag_growing:caution"} <= set(
        result.codes
    )


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(1, 24_000), max_size=60))
def test_block_edges_cannot_move_a_finding(cuts):
    whole = eventful()
    expected, got = run(whole), run(whole, cuts=cuts)
    assert got.lines() == expected.lines()
    assert got.summary == expected.summary
    assert got.report == expected.report


def test_single_samples_give_the_same_as_one_block():
    whole = eventful(hz=2)
    expected, got = run(whole), run(whole, cuts=range(len(whole)))
    assert got.lines() == expected.lines()
    assert got.summary == expected.summary


@settings(max_examples=5, deadline=None)
@given(st.integers(-(10**9), 10**9))
def test_a_shift_of_the_whole_session_shifts_its_findings_only(shift_s):
    whole = eventful(hz=2)
    moved = whole.replace(t_ns=whole.t_ns + shift_s * NS)
    expected = run(whole)
    got = run(moved, start_ns=START + shift_s * NS)
    assert got.lines() == expected.lines()


def test_energy_is_power_times_time_to_the_last_digit():
    # 5 V x 2 A for 1800 s = 5 Wh and 1 Ah; then 0.5 A into the unit at 5 V for 720 s = 0.5 Wh.
    out = block(1800, hz=10, v=5.0, i=2.0)
    back = block(720, hz=10, start_ns=START + 1800 * NS, v=5.0, i=-0.5)
    summary = run(type(out).concat([out, back])).summary
    assert summary.wh_out == pytest.approx(5.0, rel=1e-9)
    assert summary.ah_out == pytest.approx(1.0, rel=1e-9)
    assert summary.wh_in == pytest.approx(0.5, rel=1e-9)
    assert summary.rows == 25_200


@given(st.lists(st.floats(0, 60), min_size=1, max_size=40))
def test_a_second_is_the_exact_mean_of_its_samples(volts):
    (row,) = rows_of(block(np.arange(len(volts)) / 50, v=volts, i=1.0), START)
    counts = np.rint(np.array(volts) * 1e6)
    assert row.mean("vbus_uv") == int(counts.sum()) / (len(volts) * 1_000_000)
    assert (row.low("vbus_uv"), row.high("vbus_uv")) == (counts.min() / 1e6, counts.max() / 1e6)
    assert row.mean("power") == pytest.approx(row.mean("vbus_uv"), abs=1e-9)
    assert row.dark == sum(c < 2.5e6 for c in counts)


def test_a_probe_of_its_own_is_joined_by_time_and_goes_stale():
    seen = []

    class Spy(Detector):
        def second(self, s, ctx):
            seen.append((s.k, s.case))
            return ()

    engine = HealthEngine(
        profiles.load("watch"),
        SessionMeta(),
        start_ns=START,
        temperature_places=frozenset({"case"}),
        detectors=[Spy],
    )
    for k in range(20):
        at = START + k * NS
        if k < 8:
            engine.feed("case", block([0.4], start_ns=at, case=30 + k))
        engine.feed("meter", block([0.2, 0.7], start_ns=at, v=5.0, i=1.0))
    engine.finish(START + 20 * NS)
    known = {k: c for k, c in seen if c == c}
    print(known)
    # The newest value holds three seconds, and then it is not known any more.
    assert max(known) == 7 + 3
    assert known[10] == 37
    assert all(c != c for k, c in seen if k > 10)


@pytest.mark.parametrize("role", ["meter", "case"])
def test_a_board_that_measures_case_air_and_itself_keeps_them_apart(role):
    """In the role `case` the board's own 28 degC and the air's 24 must not stand for the case's 62."""
    engine = HealthEngine(profiles.load("watch"), SessionMeta(), start_ns=START)
    found = []
    for k in range(20):
        warm = block([0.4], start_ns=START + k * NS, case=62.0, ambient=24.0, meter=28.0)
        found += engine.feed(role, warm)
        if role != "meter":
            found += engine.feed("meter", block([0.2, 0.7], start_ns=START + k * NS, v=5.0, i=1.0))
    assert [(f.code, f.severity, f.place) for f in found] == [
        ("over_temperature", Severity.DANGER, "case")
    ]
    assert engine.summary().max_temp_c == {"case": 62.0, "ambient": 24.0, "meter": 28.0}


def test_silence_is_told_once_after_ten_seconds_and_data_end_it():
    engine = HealthEngine(profiles.load("watch"), SessionMeta(), start_ns=START, rate_hz=100)
    engine.feed("meter", block(5, hz=100, v=5.0, i=1.0))
    found = []
    for tick in range(6, 40):
        found += [(tick, f) for f in engine.advance(START + tick * NS)]
    told = [(tick, f) for tick, f in found if f.code == "no_data"]
    assert len(told) == 1
    assert told[0][0] == 15
    print(f"silence told {told[0][0] - 5} s after the last sample (promise: 10 s)")
    report = engine.verdict(recall=None, recall_answered=False, symptoms=(), end_ns=START + 40 * NS)
    assert report.verdict.word == "inconclusive"


def test_a_long_gap_costs_nothing_and_is_counted():
    first = block(60, hz=10, v=5.0, i=1.0, case=25.0)
    later = block(60, hz=10, start_ns=START + 30 * 86_400 * NS, v=5.0, i=1.0, case=25.0)
    gap = Gap(START + 60 * NS, START + 30 * 86_400 * NS, "unplugged")
    result = run(type(first).concat([first, later]), cuts=[600], gaps=[gap])
    assert result.summary.gaps == 1
    assert result.report.verdict.word == "inconclusive"


def test_every_detector_comes_by_its_entry_point():
    names = {make().code for make in load_detectors()}
    print(sorted(names))
    assert {
        "over_temperature",
        "heat_unexplained",
        "dropout",
        "sag_growing",
        "early_cutoff",
    } <= names


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_demo_shows_a_caution_within_twenty_seconds(seed):
    made = record("demo", seed, 0.02, start_ns=START)
    assert run(made.block).when("dropout:caution") < 20.0
