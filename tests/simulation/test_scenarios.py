"""Named scenarios: what each promises is what a meter would see."""

import numpy as np
import pytest

from denchi import simulation
from denchi_protocol.codec import Scene, SceneSource

START = 1_750_000_000_000_000_000
NS = 1_000_000_000


def watch(name: str, seconds: float, every_s: float, seed: int = 0) -> list[Scene]:
    source = simulation.scenario(name, seed, START)
    return [
        source.at(START + round(i * every_s * NS)) for i in range(1, int(seconds / every_s) + 1)
    ]


def column(scenes: list[Scene], name: str) -> np.ndarray:
    return np.array([getattr(s, name) for s in scenes], np.float64)


@pytest.mark.parametrize("name", simulation.scenarios())
def test_every_scenario_is_described_and_runs(name):
    text = simulation.scenarios()[name]
    assert text.endswith(".") and len(text) > 20
    scenes = watch(name, 20, 0.1)
    for channel in ("vbus_v", "ibus_a", "case_temp_c", "meter_temp_c", "ambient_temp_c"):
        assert np.isfinite(column(scenes, channel)).all()
    assert max(column(scenes, "vbus_v")) > 3.5


@pytest.mark.parametrize("seed", range(8))
def test_demo_collapses_twice_under_load_within_18_s_and_comes_back(seed):
    scenes = watch("demo", 18, 0.05, seed)
    low = column(scenes, "vbus_v") < 2.5
    starts = np.flatnonzero(low[1:] & ~low[:-1]) + 1
    assert len(starts) == 2
    before = [scenes[i - 1].ibus_a for i in starts]
    assert min(before) > 1.0
    for start in starts:
        away_s = np.argmin(low[start:]) * 0.05
        assert 1.2 <= away_s <= 2.5
    assert scenes[-1].vbus_v > 4.5


def test_demo_case_warms_slowly():
    case = column(watch("demo", 1800, 1.0), "case_temp_c")
    assert 1.0 < case[1199] - case[0] < 15.0
    assert np.diff(case[::60]).max() < 1.0


@pytest.mark.parametrize("seed", range(4))
def test_hot_passes_60_degc_in_one_to_two_minutes(seed):
    case = column(watch("hot", 180, 0.5, seed), "case_temp_c")
    assert case[0] < 50
    assert 50 <= np.argmax(case > 60.0) * 0.5 <= 130


def test_sag_is_below_the_contract_and_healthy_is_not():
    assert np.median(column(watch("sag", 120, 1.0), "vbus_v")) < 0.86 * 5.0
    assert np.median(column(watch("healthy", 100, 1.0), "vbus_v")) > 4.75


def test_charging_tapers_and_the_faulty_one_does_not():
    good = -column(watch("healthy-charge", 9000, 20.0), "ibus_a")
    bad = -column(watch("charge-no-taper", 9000, 20.0), "ibus_a")
    assert good[0] > 1.0
    assert good[-1] < 0.1 * good.max()
    ended = int(np.argmax(good < 0.1 * good.max()))
    assert bad[ended : ended + 30].min() > 0.3 * bad.max()


@pytest.mark.parametrize("name", ["demo", "short", "charge-no-taper"])
def test_seed_and_time_decide_the_reading_and_not_how_often_it_is_asked(name):
    often = simulation.scenario(name, 3, START)
    seldom = simulation.scenario(name, 3, START)
    other = simulation.scenario(name, 4, START)
    for i in range(1, 4000):
        often.at(START + i * 10_000_000)
    at = START + 4000 * 10_000_000
    assert often.at(at) == seldom.at(at)
    assert often.at(at) != other.at(at)


def test_an_unknown_scenario_is_an_error():
    with pytest.raises(KeyError):
        simulation.scenario("nothing", 0, START)


def test_a_source_is_a_scene_source_and_steps_back_by_a_frame():
    source: SceneSource = simulation.scenario("demo", 0, START)
    later = source.at(START + 10 * NS)
    again = source.at(START + 10 * NS - 10_000_000)
    assert abs(again.case_temp_c - later.case_temp_c) < 0.5
