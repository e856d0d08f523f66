"""The bank against physics computed by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from denchi.simulation import cell
from denchi.simulation.bank import STEP_S, Bank
from denchi.simulation.params import (
    BankParams,
    Fault,
    Influence,
    Probe,
    Segment,
    SessionParams,
    Surroundings,
)

PLAIN = BankParams(
    converter_fixed_w=0.0, converter_frac=0.0, converter_ohm=0.0, regulation_ohm=0.0,
    set_error=0.0, entropic_v=0.0, standby_a=0.0, auto_off_s=math.inf,
)  # fmt: skip
OFF = (Segment(0.0, "off"),)


def load(amps, volts=5.0):
    return (Segment(0.0, "cc", amps, volts),)


def steps(params, seconds, step_s=STEP_S, seed=0):
    bank = Bank(params, seed, step_s)
    return bank, [bank.advance() for _ in range(round(seconds / step_s))]


# -- cell --------------------------------------------------------------------------------------


def test_open_circuit_voltage_between_two_points_of_the_table():
    assert cell.ocv_v(0.5) == 3.70
    assert cell.ocv_v(0.525) == pytest.approx(3.715)  # half way from 3.70 to 3.73
    assert cell.ocv_v(1.1) == pytest.approx(4.19 + 0.12)  # overcharge goes on at 1.2 V per unit
    assert cell.ocv_v(-0.01) == pytest.approx(2.8)
    assert all(a < b for a, b in zip(cell.OCV_V, cell.OCV_V[1:], strict=False))


def test_resistance_doubles_in_35_degrees_of_cold_and_rises_when_empty():
    assert cell.resistance_factor(0.8, 25.0) == pytest.approx(1.0, abs=1e-5)
    assert cell.resistance_factor(0.8, -10.0) == pytest.approx(math.exp(0.7), rel=1e-5)
    assert cell.resistance_factor(0.0, 25.0) == pytest.approx(2.5)


def test_decomposition_is_nothing_at_room_temperature_and_minutes_at_120_degc():
    # 1.667e15 / s * exp(-135080 / (8.314 * 393.15 K)) = 1.667e15 * exp(-41.326) = 1.88e-3 / s
    assert cell.reaction_rate(cell.SEI, 120.0) == pytest.approx(1.88e-3, rel=0.01)
    assert cell.reaction_rate(cell.SEI, 25.0) * 86400 < 1e-3


# -- electrical --------------------------------------------------------------------------------


def test_cell_voltage_is_emf_minus_current_times_resistance():
    bank = replace(PLAIN, cells=2, cell_ohm=0.1, start_soc=0.5)
    params = SessionParams(bank, surroundings=Surroundings(25.0), segments=load(2.0), cable_ohm=0.0)
    one, found = steps(params, STEP_S)
    # 10 W from 3.70 V behind 0.1 / 2 ohm: V = (3.70 + sqrt(3.70^2 - 4 * 0.05 * 10)) / 2 = 3.5594 V
    factor = cell.resistance_factor(0.5, 25.0)
    by_hand = (3.70 + math.sqrt(3.70**2 - 4 * 0.05 * factor * 10.0)) / 2
    assert by_hand == pytest.approx(3.5594, abs=2e-4)
    assert found[0].cell_v == pytest.approx(by_hand, abs=1e-9)
    assert one.now.ibus_a * one.now.vbus_v == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("regulation", "amps", "volts"),
    [(0.01, 2.0, 5.05 - 0.06 * 2.0), (-0.05, 2.0, 5.05), (-0.09, 1.0, 5.05 + 0.04)],
)
def test_voltage_at_the_meter_is_set_point_minus_source_and_cable_drop(regulation, amps, volts):
    bank = replace(PLAIN, regulation_ohm=regulation, set_error=0.01)
    _, found = steps(SessionParams(bank, segments=load(amps), cable_ohm=0.05), 2)
    assert found[-1].vbus_v == pytest.approx(volts)
    assert found[-1].ibus_a == amps


def test_constant_power_solves_for_its_current():
    params = SessionParams(PLAIN, segments=(Segment(0.0, "cp", 10.0, 5.0),), cable_ohm=0.1)
    _, found = steps(params, 2)
    # V = 5 - 0.1 * 10 / V: V = (5 + sqrt(25 - 4)) / 2 = 4.7913
    assert found[-1].vbus_v == pytest.approx(4.7913, abs=1e-4)
    assert found[-1].vbus_v * found[-1].ibus_a == pytest.approx(10.0)


def test_a_soft_short_moves_the_cell_by_millivolts_and_the_output_by_nothing():
    params = SessionParams(replace(PLAIN, start_soc=0.5), segments=load(1.0))
    short = replace(params, fault=Fault("soft_short", 0.0, 10.0, ramp_s=0.001))
    _, sound = steps(params, 5)
    _, bad = steps(short, 5)
    moved = sound[-1].cell_v - bad[-1].cell_v
    assert 0.005 < moved < 0.03  # 0.37 A through some 30..50 mohm
    assert bad[-1].vbus_v == sound[-1].vbus_v


def test_auto_off_after_its_time_at_low_load_and_awake_on_plugging_in():
    bank = replace(PLAIN, auto_off_a=0.06, auto_off_s=30.0)
    segments = (
        Segment(0.0, "cc", 0.02), Segment(60.0, "cc", 1.0, plug=False), Segment(90.0, "cc", 1.0),
    )  # fmt: skip
    _, found = steps(SessionParams(bank, segments=segments), 100)
    by_time = {i.t_s: i for i in found}
    assert by_time[29.75].vbus_v > 4.9
    assert by_time[31.0].vbus_v < 0.5 and by_time[31.0].ibus_a == 0.0
    assert by_time[80.0].vbus_v < 0.01  # a load alone does not wake it
    assert by_time[91.0].vbus_v > 4.9
    above = SessionParams(bank, segments=load(0.07))
    assert steps(above, 100)[1][-1].vbus_v > 4.9


def test_under_voltage_ends_the_session_and_a_bank_that_tries_again_hiccups():
    bank = replace(PLAIN, start_soc=0.12, uvlo_v=3.1, recover_v=9.9)
    _, found = steps(SessionParams(bank, segments=load(3.0)), 1800)
    off = next(i for i in found if not i.on)
    assert off.cell_v < 3.1
    assert all(i.cell_v >= 3.1 for i in found if i.t_s < off.t_s)
    assert found[-1].vbus_v == 0.0
    again = replace(bank, recover_v=3.2)
    _, found = steps(SessionParams(again, segments=load(3.0)), 1800)
    on = np.array([i.on for i in found])
    assert np.count_nonzero(on[1:] & ~on[:-1]) >= 2


def test_more_than_the_limit_ends_in_hiccups():
    _, found = steps(SessionParams(replace(PLAIN, limit_a=3.0), segments=load(3.5)), 20)
    dark = np.array([i.vbus_v < 2.5 for i in found])
    assert 0.5 < dark.mean() < 1.0


def test_a_new_contract_is_reached_within_a_step_or_two():
    segments = (Segment(0.0, "cc", 1.0, 5.0), Segment(10.0, "cc", 1.0, 20.0, plug=False))
    _, found = steps(SessionParams(PLAIN, segments=segments, cable_ohm=0.0), 12)
    assert [round(i.vbus_v, 3) for i in found if 9.5 < i.t_s <= 10.5] == [5.0, 5.0, 17.0, 20.0]


def test_self_discharge_takes_its_current():
    params = SessionParams(
        replace(PLAIN, start_soc=0.5), Fault("self_discharge", 0.0, 0.2, ramp_s=0.001), segments=OFF
    )
    bank, found = steps(params, 3600)
    assert found[-1].ibus_a == 0.0
    # 0.2 A at 3.7 V for an hour out of 10 Ah: 2 %
    assert 0.5 - found[-1].soc == pytest.approx(0.02, rel=0.01)
    assert bank.run_away_s is None


def test_charging_takes_its_power_and_tapers_at_the_charging_voltage():
    bank = replace(PLAIN, start_soc=0.5, charge_a=3.0, charge_efficiency=0.9, idle_input_a=0.0)
    params = SessionParams(bank, segments=(Segment(0.0, "charge", 0.0, 9.0),), cable_ohm=0.1)
    _, found = steps(params, 3 * 3600, 1.0)
    first = found[10]
    amps = -first.ibus_a
    assert amps * 9.0 * 0.9 == pytest.approx(3.0 * first.cell_v, rel=1e-4)
    assert first.vbus_v == pytest.approx(9.0 - 0.1 * amps)
    assert max(i.cell_v for i in found) <= bank.charge_v + 0.005
    assert found[-1].ibus_a == 0.0
    assert found[-1].soc > 0.95


# -- heat --------------------------------------------------------------------------------------


def test_steady_rise_is_heat_over_loss():
    """1.7 W on a case that loses 0.17 W/K, 0.6 % more for each K: 0.17 x (1 + 0.006 x) = 1.7."""
    x = (-0.17 + math.sqrt(0.17**2 + 4 * 0.17 * 0.006 * 1.7)) / (2 * 0.17 * 0.006)
    assert x == pytest.approx(9.463, abs=0.001)
    sun = Influence("sun", 0.0, 1e9, 1.7, tau_s=1.0)
    params = SessionParams(PLAIN, surroundings=Surroundings(24.0, influences=(sun,)), segments=OFF)
    _, found = steps(params, 6 * 3600, 1.0)
    assert found[-1].case_c - 24.0 == pytest.approx(x, rel=0.002)
    assert found[-1].core_c == pytest.approx(found[-1].case_c, abs=0.02)


def test_converter_loss_warms_the_case_by_loss_over_loss_to_air():
    bank = replace(PLAIN, converter_fixed_w=0.5, cell_ohm=1e-6, slow_ohm=0.0, capacity_ah=1000.0)
    _, found = steps(SessionParams(bank, segments=load(1.0)), 6 * 3600, 1.0)
    rise = found[-1].case_c - 24.0
    assert rise * 0.17 * (1 + 0.006 * rise) == pytest.approx(0.5, rel=0.01)


def stored_j(bank, first_c, last):
    cells = bank.core_j_k
    return (
        cells / 2 * (last.fault_cell_c - first_c)
        + cells / 2 * (last.core_c - first_c)
        + bank.case_j_k * (last.case_c - first_c)
    )


def chemical_j(bank, soc_from, soc_to):
    """Integral of the OCV table over the charge, by hand with a fine trapezoid."""
    soc = np.linspace(soc_to, soc_from, 4001)
    volts = np.array([cell.ocv_v(s) for s in soc])
    return float(np.trapezoid(volts, soc)) * bank.capacity_ah * 3600.0


@pytest.mark.parametrize("amps", [0.0, 2.0])
@pytest.mark.parametrize("ohm", [10.0, 2.0])
def test_energy_balance_what_the_cells_give_is_load_plus_heat(amps, ohm):
    """Nothing leaves as heat (hA = 0): chemical energy = delivered energy + stored heat."""
    bank = replace(PLAIN, loss_w_k=0.0, converter_frac=0.06, start_soc=0.9)
    # Heavy cells stay below the decomposition, whose heat comes from elsewhere.
    bank = replace(bank, core_j_k=700.0)
    params = SessionParams(
        bank, Fault("soft_short", 0.0, ohm, ramp_s=0.001), cable_ohm=0.0,
        segments=load(amps) if amps else OFF,
    )  # fmt: skip
    one, found = steps(params, 1800)
    released = chemical_j(bank, 0.9, found[-1].soc)
    heat = stored_j(bank, 24.0, found[-1])
    assert one.now.energy_wh * 3600.0 == pytest.approx(amps * 5.0 * 1800.0, rel=1e-3)
    assert released == pytest.approx(heat + one.now.energy_wh * 3600.0, rel=0.004)
    # and the short's part by hand: about V^2 / R
    volts = np.array([i.cell_v for i in found])
    short_j = float((volts**2).sum()) / ohm * STEP_S
    assert heat > short_j
    if not amps:
        assert heat == pytest.approx(short_j, rel=0.06)


def test_overcharge_becomes_heat_once_nothing_more_is_stored():
    bank = replace(PLAIN, start_soc=0.98, charge_a=4.0)
    params = SessionParams(
        bank, Fault("charge_no_taper", 0.0, 0.5), segments=(Segment(0.0, "charge", 0.0, 9.0),)
    )
    _, found = steps(params, 2 * 3600, 1.0)
    assert max(i.soc for i in found) < 1.18
    assert max(i.core_c for i in found) > 35.0


def test_a_hard_short_runs_away_and_a_soft_one_does_not():
    hard = SessionParams(PLAIN, Fault("hard_short", 60.0, 0.3, ramp_s=10.0), segments=OFF)
    bank, found = steps(hard, 3600)
    assert bank.run_away_s is not None and 120 < bank.run_away_s < 2400
    at = next(i for i in found if i.t_s > bank.run_away_s)
    assert at.fault_cell_c >= cell.RUNAWAY_C
    assert at.case_c < at.fault_cell_c - 20  # the surface lags
    bank, found = steps(replace(hard, fault=Fault("soft_short", 60.0, 10.0)), 3600)
    assert bank.run_away_s is None and max(i.fault_cell_c for i in found) < 60


def test_probe_takes_on_its_share_with_its_lag():
    probe = Probe(contact=0.8, lag_s=40.0, fault_cell_share=0.0)
    params = SessionParams(
        replace(PLAIN, case_j_k=1e9), probe=probe, start_case_c=44.0, start_core_c=44.0,
        surroundings=Surroundings(24.0), segments=OFF,
    )  # fmt: skip
    _, found = steps(params, 400)
    by_time = {i.t_s: i.probe_c for i in found}
    # aims at 0.8 * 44 + 0.2 * 24 = 40 from 44: after one lag 1/e of the way is left
    assert by_time[400.0] == pytest.approx(40.0, abs=0.01)
    assert by_time[40.0] - 40.0 == pytest.approx(4.0 / math.e, rel=0.02)


def test_hand_laptop_cover_ambient_and_a_fallen_probe():
    def end(*influences, seconds=4 * 3600):
        room = Surroundings(24.0, influences=influences)
        return steps(SessionParams(PLAIN, surroundings=room, segments=OFF), seconds, 1.0)[1][-1]

    # A body at 34 degC with as much conductance as the air has: half way, 29 degC
    # (0.006 per K of natural convection pulls a little towards the air).
    warm = end(Influence("laptop", 0.0, 1e9, 0.17, body_c=34.0))
    assert warm.case_c == pytest.approx(29.0, abs=0.15)
    shifted = end(Influence("ambient", 0.0, 1e9, 5.0, tau_s=600.0))
    assert shifted.ambient_c == pytest.approx(29.0, abs=0.01)
    assert shifted.case_c == pytest.approx(29.0, abs=0.1)
    inside = end(Influence("pass_through", 0.0, 1e9, 1.7, tau_s=1.0))
    covered = end(
        Influence("pass_through", 0.0, 1e9, 1.7, tau_s=1.0), Influence("cover", 0.0, 1e9, 0.5),
        seconds=8 * 3600,
    )  # fmt: skip
    assert (covered.case_c - 24.0) / (inside.case_c - 24.0) == pytest.approx(2.0, rel=0.08)
    fallen = end(Influence("sun", 0.0, 1e9, 1.7), Influence("probe_off", 3600.0, 1e9, 0.0))
    assert fallen.case_c > 32 and fallen.probe_c == pytest.approx(24.0, abs=0.2)


def test_meters_own_thermometer_shows_the_room_plus_its_own_warmth():
    probe = Probe(meter_offset_k=5.0, meter_k_a2=0.8)
    _, found = steps(SessionParams(PLAIN, probe=probe, segments=load(2.0)), 3600, 1.0)
    assert found[-1].meter_c == pytest.approx(24.0 + 5.0 + 0.8 * 4.0, abs=0.05)


# -- the grid ----------------------------------------------------------------------------------


def test_same_seed_same_session_other_seed_other_resets():
    params = SessionParams(PLAIN, Fault("resets", 10.0, 60.0, off_s=1.0))
    a, b, c = (steps(params, 600, seed=s)[1] for s in (1, 1, 2))
    assert a == b
    assert [i.on for i in a] != [i.on for i in c]


def test_the_step_is_short_enough():
    params = SessionParams(
        BankParams(), Fault("hard_short", 60.0, 1.0, ramp_s=60.0), segments=load(2.0)
    )
    fine, coarse = (steps(params, 1500, s)[1][-1] for s in (0.125, 0.5))
    assert fine.case_c == pytest.approx(coarse.case_c, abs=0.05)
    assert fine.fault_cell_c == pytest.approx(coarse.fault_cell_c, abs=0.1)
    assert fine.soc == pytest.approx(coarse.soc, abs=1e-4)
