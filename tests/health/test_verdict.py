"""The verdict: precedence, the wording, and that nothing missing or doubtful ever improves it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denchi.health.verdict import WORDS, sentence
from denchi.model import Gap, RecallStatus, Verdict
from denchi_protocol.samples import Quality
from health.helpers import NS, START, block, run


def good(minutes=12, hz=2, **changes):
    t = np.arange(0, minutes * 60, 1 / hz)
    columns = {"v": 5.1, "i": 1.0, "case": 27.0} | changes
    return block(t, **{k: v for k, v in columns.items() if v is not None})


def test_the_best_verdict_is_neutral_and_names_what_was_not_observed():
    report = run(good(), recall=RecallStatus.NOT_LISTED).report
    assert report.verdict is Verdict.NO_ANOMALY_SEEN
    english, japanese = report.sentence.render("en"), report.sentence.render("ja")
    print(english)
    print(japanese)
    assert "No anomaly seen in 12 min of this test" in english
    assert "energy until empty" in english
    assert "安全を保証するものではありません" in japanese
    assert "異常なし" not in japanese


def test_precedence():
    assert run(good(), symptoms=["swollen"]).report.verdict is Verdict.STOP_USING
    assert run(good(), recall=RecallStatus.AFFECTED).report.verdict is Verdict.STOP_USING
    assert run(good(), recall=RecallStatus.CHECK_SERIAL).report.verdict is Verdict.CAUTION
    answered = run(good(), recall=RecallStatus.CHECK_SERIAL, answered=True).report
    assert answered.verdict is Verdict.NO_ANOMALY_SEEN
    assert "serial_answer" in answered.observed
    # More severe wins over incomplete data.
    assert (
        run(good(1), recall=RecallStatus.AFFECTED, profile="quick").report.verdict
        is Verdict.STOP_USING
    )


def test_without_the_units_temperature_only_an_electrical_profile_reaches_the_best():
    whole = good(case=None)
    assert run(whole).report.verdict is Verdict.INCONCLUSIVE
    report = run(whole, profile="electrical-quick").report
    assert report.verdict is Verdict.NO_ANOMALY_SEEN
    assert "Heat was not observed" in report.sentence.render("en")
    assert "発熱" in report.sentence.render("ja")


@pytest.mark.parametrize(
    ("what", "whole"),
    [
        ("too short", good(2)),
        ("no current", good(i=None)),
        ("no voltage", good(v=None)),
        ("never loaded", good(i=0.0)),
    ],
)
def test_incomplete_is_inconclusive(what, whole):
    report = run(whole, profile="quick").report
    assert report.verdict is Verdict.INCONCLUSIVE, what
    assert report.reasons


def test_frames_without_a_checksum_carry_no_good_verdict():
    whole = good()
    doubtful = whole.replace(quality=np.full(len(whole), int(Quality.UNCHECKED), np.uint16))
    assert run(doubtful).report.verdict is Verdict.INCONCLUSIVE


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["v", "i", "case"]),
    st.floats(0.1, 1.0),
    st.floats(0.0, 0.9),
    st.booleans(),
)
def test_no_gap_or_missing_value_makes_a_good_verdict(name, share, begin, anomaly):
    """Whatever is blanked, a verdict is never better for it; blanked for long it is never good."""
    t = np.arange(0, 900, 1.0)
    columns = {"v": np.full(900, 5.1), "i": np.full(900, 1.0), "case": np.full(900, 27.0)}
    if anomaly:
        columns["case"][300:420] = 54.0
    before = run(block(t, **columns)).report.verdict
    columns[name] = columns[name].copy()
    lo = int(begin * 900)
    columns[name][lo : lo + int(share * 900) + 1] = np.nan
    after = run(block(t, **columns)).report.verdict
    blanked = min(900 - lo, int(share * 900) + 1)
    if blanked > 70:
        assert after is not Verdict.NO_ANOMALY_SEEN
    assert after >= min(before, Verdict.INCONCLUSIVE)


@settings(max_examples=25, deadline=None)
@given(st.integers(10, 800), st.integers(6, 200))
def test_a_gap_in_the_data_is_inconclusive(begin, length):
    t = np.arange(0, 900, 1.0)
    keep = (t < begin) | (t >= begin + length)
    gap = Gap(START + begin * NS, START + (begin + length) * NS, "lost")
    whole = block(t[keep], v=5.1, i=1.0, case=27.0)
    report = run(whole, gaps=[gap], cuts=[begin]).report
    if begin + length < 900:
        assert report.verdict is Verdict.INCONCLUSIVE


def test_no_sentence_of_a_verdict_calls_anything_safe():
    for verdict, missing in itertools.product(Verdict, ((), tuple(WORDS))):
        for code in ("en", "ja"):
            said = sentence(verdict, missing, (), minutes=12).render(code)
            cleaned = said.replace("this does not mean that the unit is safe", "").replace(
                "安全を保証するものではありません", ""
            )
            for word in ("safe", "OK", "PASS", "pass", "安全", "合格", "正常", "異常なし"):
                assert word not in cleaned, (word, said)
            for key in missing:
                assert WORDS[key].render(code) in said
