"""The ingest gate: what may not count does not, and what counts is stamped once and for all."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denchi.ingest import ANY_LIMITS, Gate, stale_after_s
from denchi_protocol.samples import MISSING, TIME_STEP_NS, Quality, SampleBlock, same

T0 = 1_750_000_000_000_000_000
MS = 1_000_000


def block(t_ns, **columns):
    names = {"v": "vbus_uv", "a": "ibus_ua", "case": "temp_mc.case", "meter": "temp_mc.meter"}
    return SampleBlock.from_si(np.asarray(t_ns), {names[k]: x for k, x in columns.items()})


def open_gate(**options):
    return Gate(settle=False, **options)


def test_first_block_is_dropped_and_three_consistent_ones_must_follow():
    gate = Gate(rate_hz=25)
    seen = []
    for k in range(6):
        volts = 188.74 if k == 0 else 5.1
        gated = gate.feed(block([T0 + k * 40 * MS], v=[volts]))
        seen.append(0 if gated.block is None else len(gated.block))
    assert seen == [0, 0, 0, 3, 1, 1]


def test_inconsistent_blocks_start_the_count_again():
    gate = Gate(rate_hz=25)
    seen = []
    for k, volts in enumerate([5.0, 5.0, 5.0, 20.0, 20.0, 20.0]):
        gated = gate.feed(block([T0 + k * 40 * MS], v=[volts]))
        seen.append(0 if gated.block is None else len(gated.block))
    assert seen == [0, 0, 0, 0, 0, 3]


def test_values_outside_limits_become_missing_and_are_flagged():
    gated = open_gate(limits=ANY_LIMITS).feed(block([T0, T0 + MS], v=[5.0, 188.0], a=[1.0, 170.0]))
    assert gated.block.columns["vbus_uv"].tolist() == [5_000_000, MISSING]
    assert gated.block.columns["ibus_ua"].tolist() == [1_000_000, MISSING]
    assert gated.block.quality[1] & Quality.OUT_OF_RANGE
    assert not gated.block.quality[0] & Quality.OUT_OF_RANGE


@pytest.mark.parametrize("code", [85.0, -127.0, -256.0])
def test_sensor_fault_codes_become_missing(code):
    gated = open_gate().feed(block([T0, T0 + MS, T0 + 2 * MS], case=[30.0, code, 30.1]))
    assert np.isnan(gated.block.temp_c("case")).tolist() == [False, True, False]
    # -127 and -256 are outside what can be measured at all; either flag says why it is missing.
    assert gated.block.quality[1] & (Quality.FAULT_CODE | Quality.OUT_OF_RANGE)


def test_85_degrees_is_believed_when_the_sensor_was_already_there():
    gated = open_gate().feed(block([T0, T0 + MS], case=[84.5, 85.0]))
    assert gated.block.temp_c("case").tolist() == [84.5, 85.0]


def test_an_unchecked_jump_needs_a_second_sample():
    gate = open_gate(checked=False)
    gated = gate.feed(block(T0 + np.arange(5) * MS, v=[5.0, 20.0, 20.0, 5.0, 5.0]))
    assert np.isnan(gated.block.vbus_v()).tolist() == [False, True, False, True, False]


def test_a_gap_is_found_inside_and_between_blocks():
    gate = open_gate(rate_hz=10)
    first = gate.feed(block([T0, T0 + 10_000 * MS], v=[5.0, 5.0]))
    assert [(g.start_ns, g.end_ns) for g in first.gaps] == [(T0, T0 + 10_000 * MS)]
    second = gate.feed(block([T0 + 14_000 * MS], v=[5.0]))
    assert len(second.gaps) == 1
    assert second.block.quality[0] & Quality.AFTER_GAP
    assert gate.feed(block([T0 + 16_000 * MS], v=[5.0])).gaps == ()


def test_a_reconnect_is_a_gap_however_short():
    gate = Gate(rate_hz=1000)
    for k in range(5):
        gate.feed(block([T0 + k * MS], v=[5.0]))
    gate.connected("unplugged")
    gaps = [g for k in range(5) for g in gate.feed(block([T0 + (100 + k) * MS], v=[5.0])).gaps]
    assert [g.cause for g in gaps] == ["unplugged"]


def test_input_side_turns_the_current():
    gated = open_gate(sign=-1).feed(block([T0, T0 + MS], a=[1.5, float("nan")]))
    assert gated.block.columns["ibus_ua"].tolist() == [-1_500_000, MISSING]


def test_slow_instruments_are_stale_later():
    assert stale_after_s(100) == 3.0
    assert stale_after_s(0.2) == pytest.approx(15.0)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.integers(-5 * MS, 50 * MS), min_size=1, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=6),
)
def test_stamps_are_strictly_increasing_and_on_the_grid_however_cut(steps, cuts):
    t_ns = T0 + np.cumsum(steps)
    whole = block(t_ns, v=np.full(len(t_ns), 5.0))
    gate = open_gate(rate_hz=100)
    edges = sorted({0, len(t_ns), *(c for c in cuts if c < len(t_ns))})
    parts = [gate.feed(whole[a:b]).block for a, b in itertools.pairwise(edges)]
    stamps = np.concatenate([p.t_ns for p in parts if p is not None])
    assert len(stamps) == len(t_ns)
    assert (np.diff(stamps) > 0).all()
    assert (stamps % TIME_STEP_NS == 0).all()
    once = open_gate(rate_hz=100).feed(whole).block
    assert np.array_equal(stamps, once.t_ns)


class SlowGate(Gate):
    """A gate that looks at every value of every column."""

    def _usual(self, name: str, column: object) -> bool:
        return False


_KINDS = {
    "vbus_uv": (5_000_000, 5_000_001, 9_000_000, 60_000_000, 60_000_001, -1_000_000, -1_000_001, MISSING),
    "ibus_ua": (0, 1_900_000, 2_000_000, 4_000_001, 12_000_000, -12_000_001, MISSING),
    "temp_mc.meter": (30_000, 44_999, 45_001, 84_000, 85_000, -60_000, -127_000, -256_000, 200_001, MISSING),
    "temp_mc.case": (31_000, 85_000, MISSING),
}  # fmt: skip


@st.composite
def streams(draw: st.DrawFn) -> list[SampleBlock]:
    """Blocks of one instrument: usual values, and every kind that the gate removes, at their very limits."""
    names = draw(st.lists(st.sampled_from(sorted(_KINDS)), min_size=1, unique=True))
    t_ns, blocks = T0, []
    for _ in range(draw(st.integers(1, 8))):
        n = draw(st.integers(1, 4))
        gaps = draw(st.lists(st.sampled_from((1, 10**6, 10**7, 2_999_999_999, 3_000_100_000, 10**10)), min_size=n, max_size=n))  # fmt: skip
        stamps = []
        for gap in gaps:
            t_ns += gap
            stamps.append(t_ns)
        usual = draw(st.booleans())
        columns = {
            name: np.array([kinds[0]] * n if usual else draw(st.lists(st.sampled_from(kinds), min_size=n, max_size=n)), np.int32)
            for name, kinds in ((name, _KINDS[name]) for name in names)
        }  # fmt: skip
        blocks.append(SampleBlock(np.array(stamps, np.int64), columns))
    return blocks


@given(streams(), st.booleans(), st.booleans(), st.sampled_from((1, -1)))
@settings(max_examples=300, deadline=None)
def test_a_column_told_by_its_extremes_is_told_as_value_by_value(blocks, checked, settle, sign):
    gates = [make(checked=checked, settle=settle, sign=sign) for make in (Gate, SlowGate)]
    for block in blocks:
        one, other = (gate.feed(block) for gate in gates)
        assert (one.gaps, one.dropped) == (other.gaps, other.dropped)
        assert (one.block is None) == (other.block is None)
        if one.block is not None and other.block is not None:
            assert same(one.block, other.block)
    assert gates[0]._good_temp == gates[1]._good_temp
    assert gates[0]._raw == gates[1]._raw
