"""A meter's view of a session, and the truth beside it."""

from dataclasses import replace

import numpy as np
import pytest

from denchi import simulation
from denchi.simulation.named import parameters
from denchi.simulation.params import BankParams, Fault, Segment, SessionParams
from denchi.simulation.recording import MeterParams, record, run, traces
from denchi_protocol.samples import MISSING

NS = 1_000_000_000
QUIET = MeterParams(
    rate_hz=2.0, jitter_s=0.0, volt_noise_v=0.0, amp_noise_a=0.0, probe_noise_c=0.0,
    volt_step_v=1e-6, amp_step_a=1e-6, probe_step_c=0.001,
)  # fmt: skip
LOAD = SessionParams(segments=(Segment(0.0, "cc", 2.0),))


def test_a_perfect_meter_reads_the_track():
    made = record(LOAD, 0, 0.1, QUIET, start_ns=5 * NS)
    assert made.position == "output"
    assert made.seconds == 360.0
    assert len(made.block) == 720
    assert made.block.t_ns[0] == 5 * NS + NS // 2
    assert np.allclose(made.block.si("vbus_uv"), made.track["vbus_v"], atol=1e-6)
    assert np.allclose(made.block.si("ibus_ua"), 2.0)
    assert np.allclose(made.block.si("temp_mc.case"), made.track["probe_c"], atol=1e-3)


def test_gain_offset_noise_and_steps():
    meter = replace(
        QUIET, volt_gain=1.01, amp_offset_a=0.05, amp_noise_a=0.02, volt_step_v=0.01,
        probe_step_c=0.5,
    )  # fmt: skip
    block = record(LOAD, 0, 1.0, meter).block
    volts, amps, case = (block.si(n) for n in ("vbus_uv", "ibus_ua", "temp_mc.case"))
    assert np.allclose(volts * 100, np.rint(volts * 100))
    assert np.median(volts) == pytest.approx(4.93 * 1.01, abs=0.01)
    assert amps.mean() == pytest.approx(2.05, abs=0.002)
    assert amps.std() == pytest.approx(0.02, rel=0.1)
    assert np.allclose(case * 2, np.rint(case * 2))


def test_gaps_glitches_and_fault_codes():
    meter = replace(QUIET, gaps=((100.0, 160.0),), glitches_h=40.0, fault_codes_h=40.0)
    block = record(LOAD, 0, 1.0, meter).block
    t_s = block.t_ns / NS
    assert not ((t_s >= 100) & (t_s < 160)).any()
    assert np.diff(t_s).max() == pytest.approx(60.5, abs=0.6)
    case = block.si("temp_mc.case")
    codes = (case == 85.0) | (case == -127.0)
    assert 20 < codes.sum() < 160
    wild = (np.abs(block.si("vbus_uv") - 4.93) > 1) | (np.abs(block.si("ibus_ua") - 2) > 1)
    assert 15 < wild.sum() < 70
    assert not (block.columns["vbus_uv"] == MISSING).any()


def test_charging_stands_at_the_input_with_the_meters_own_sign():
    made = record(parameters("healthy-charge", 0), 0, 0.5, QUIET)
    assert made.position == "input"
    assert made.block.si("ibus_ua").max() > 1.0
    assert made.track["ibus_a"].min() < -1.0
    assert made.truth.kind == "none" and made.truth.trace_s is None


def test_one_seed_one_recording():
    a, b, c = (record(parameters("resets", 1), s, 0.5).block for s in (1, 1, 2))
    assert np.array_equal(a.t_ns, b.t_ns)
    assert all(np.array_equal(a.columns[n], b.columns[n]) for n in a.columns)
    assert not np.array_equal(a.columns["ibus_ua"], c.columns["ibus_ua"])


@pytest.mark.parametrize(
    ("fault", "kinds"),
    [
        (Fault("soft_short", 600.0, 4.0), {"heat"}),
        (Fault("sag_static", 600.0, 0.1, ramp_s=10.0), {"voltage"}),
        (Fault("resets", 600.0, 120.0), {"dropout"}),
        (Fault("self_discharge", 0.0, 0.02), set()),
        (Fault("soft_short", 600.0, 200.0), set()),
    ],
)
def test_trace_is_the_difference_to_the_same_session_without_the_fault(fault, kinds):
    made = record(replace(LOAD, fault=fault), 3, 2.0, QUIET)
    assert set(made.truth.traces) == kinds
    assert (made.truth.trace_s is None) == (not kinds)
    if kinds:
        assert made.truth.trace_s > 600.0
    assert (made.truth.trace_blind_s is None) == (not kinds - {"heat"})


def test_a_dead_cell_of_two_ends_the_session_early():
    bank = BankParams(cells=2, capacity_ah=5.0, start_soc=1.0, uvlo_v=2.9, recover_v=9.9)
    params = replace(LOAD, bank=bank, fault=Fault("dead_cell", 60.0))
    made = record(params, 0, 3.0, QUIET)
    assert made.truth.traces == ("early_cut",)
    last_on = made.track["t_s"][np.flatnonzero(made.track["vbus_v"] > 2.5)[-1]]
    assert made.truth.trace_s == pytest.approx(last_on, abs=2.0)


def test_a_session_ends_soon_after_runaway_and_tells_its_moments():
    made = record(parameters("hard-short", 1), 1, 2.0, QUIET)
    truth = made.truth
    assert truth.run_away_s is not None and truth.case_60_s is not None
    assert truth.onset_s < truth.case_60_s
    assert made.seconds == pytest.approx(truth.run_away_s + 30.0, abs=1.0)
    assert truth.really_hot


def test_a_session_without_a_fault_does_not_differ_from_itself():
    params = replace(LOAD, fault=Fault("soft_short", 1e9, 1.0))
    track = run(params, 0, 3600.0)
    assert not any(traces(track, run(LOAD, 0, 3600.0), params).values())


def test_record_by_name_and_by_parameters():
    by_name = simulation.record("sag", 2, 0.05, hz=4.0, start_ns=NS)
    by_params = simulation.record(parameters("sag", 2), 2, 0.05, hz=4.0, start_ns=NS)
    assert len(by_name.block) == 720
    assert by_name.truth == by_params.truth
    assert np.array_equal(by_name.block.columns["vbus_uv"], by_params.block.columns["vbus_uv"])
