"""The population: apart, wide, and the same for the same seed."""

import pytest

from denchi.simulation import population
from denchi.simulation.params import FAULT_KINDS

MANY = [population.draw(s) for s in population.seeds("tune", 600)]


def test_tuning_and_test_seeds_never_meet():
    tune = set(population.seeds("tune", 1000, 999_000))
    test = set(population.seeds("test", 1000, 0))
    assert not tune & test
    assert max(population.TUNE_BASE, 1) + 1_000_000 <= population.TEST_BASE
    with pytest.raises(ValueError, match="leave their set"):
        population.seeds("tune", 2, 999_999)
    with pytest.raises(KeyError):
        population.seeds("other", 1)


def test_one_seed_one_session():
    assert population.draw(population.TEST_BASE + 5) == population.draw(population.TEST_BASE + 5)
    assert population.draw(population.TEST_BASE + 5) != population.draw(population.TEST_BASE + 6)


def test_every_kind_of_fault_and_of_surroundings_is_drawn():
    assert {d.kind for d in MANY} == {"none", *FAULT_KINDS}
    assert {a for d in MANY for a in d.awkward} == set(population.AWKWARD)
    assert 0.4 < sum(d.kind == "none" for d in MANY) / len(MANY) < 0.6
    assert {d.meter_class for d in MANY} == {"stream", "poll", "slow", "cheap"}
    assert all(1.0 <= d.hours <= 6.0 for d in MANY)
    assert {d.meter.rate_hz for d in MANY} == {1.0, 2.0, 4.0, 5.0, 10.0}


def test_it_is_wider_than_what_a_detector_assumes():
    def heat_loss(d):
        wh = 3.7 * round(d.params.bank.capacity_ah / 0.9)
        return d.params.bank.loss_w_k / ((0.010 + 0.0002 * wh) * 10.0)

    ratios = [heat_loss(d) for d in MANY]
    assert min(ratios) < 0.6 and max(ratios) > 1.4
    told = [d.told.rated_mah for d in MANY]
    assert 0.15 < told.count(None) / len(told) < 0.4
    wrong = [
        d for d in MANY
        if d.told.rated_mah and d.told.rated_mah > 1.25 * 1000 * d.params.bank.capacity_ah
    ]  # fmt: skip
    assert len(wrong) > 30
    assert any(d.told.started_full and d.params.bank.start_soc < 0.9 for d in MANY)
    contacts = [d.params.probe.contact for d in MANY]
    assert min(contacts) < 0.65 and max(contacts) > 0.95
    assert {d.params.bank.regulation_ohm < 0 for d in MANY} == {True, False}


def test_loads_stay_within_what_the_bank_delivers():
    for d in MANY:
        for segment in d.params.segments:
            watts = segment.value * (segment.volts if segment.mode == "cc" else 1.0)
            assert watts <= d.params.bank.limit_w
            amps = segment.value if segment.mode == "cc" else segment.value / segment.volts
            assert amps < d.params.bank.limit_a
        starts = [s.start_s for s in d.params.segments]
        assert starts[0] == 0.0 and starts == sorted(starts)


def test_a_charge_fault_is_drawn_on_the_charge_side():
    for d in MANY:
        charging = d.params.segments[0].mode == "charge"
        if d.kind == "charge_no_taper":
            assert charging
        if charging:
            assert len(d.params.segments) == 1
