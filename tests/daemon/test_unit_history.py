"""A unit met again is compared with its own past; simulations and units without a serial leave nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from denchi.daemon.unit_history import remember
from denchi.model import Session, Unit
from denchi.store.journal import Journal
from health.helpers import block, run

DAY_NS = 86_400 * 10**9
UNIT = Unit(brand="Maker", model="M1", serial="S1")


def session(n: float, **changes) -> Session:
    made = Session(f"s{n}", "meter", int(n * DAY_NS), bench="left", meter="fnb58", unit=UNIT)
    return replace(made, **changes)


EMPTY = run(block([0.0], v=5.0, i=0.0)).summary


def lived(journal, n: float, figures, *, rows=10, **changes):
    """A session on day ``n`` that measured ``figures``."""
    one = session(n, **changes)
    journal.begin_session(one)
    summary = replace(EMPTY, rows=rows, figures=figures)
    found = remember(journal, one, summary, one.started_ns + 1)
    journal.flush(10)
    return found


def test_energy_that_falls_away_is_told_at_the_next_session(tmp_path):
    with Journal.open(tmp_path, reserve_mb=0) as journal:
        for n, wh in enumerate((31.0, 31.4, 30.8, 31.2, 31.1), 1):
            assert lived(journal, n, {"energy_wh": wh, "ohm": 0.06}) == []
        found = lived(journal, 6, {"energy_wh": 24.0, "ohm": 0.06})
        assert [(f.code, f.severity.word) for f in found] == [("energy_drift", "caution")]
        with journal.reader() as reader:
            assert len(reader.unit_history("maker|m1|s1")) == 6


def test_simulations_and_unknown_units_enter_no_history(tmp_path):
    with Journal.open(tmp_path, reserve_mb=0) as journal:
        lived(journal, 1, {"ohm": 0.1}, origin="simulated")
        lived(journal, 2, {"ohm": 0.1}, unit=replace(UNIT, serial=""))
        lived(journal, 3, {"ohm": 0.1}, rows=0)
        with journal.reader() as reader:
            assert reader.unit_history("maker|m1|s1") == []
            assert reader.unit_history("") == []


def test_a_session_measures_what_its_history_needs():
    # 10 W for 40 min with 5 K over the air is 0.5 K/W; steps of 1 A across 0.09 ohm.
    t = np.arange(0, 3600, 1.0)
    amps = np.where(t < 1200, np.where((t // 60) % 2 == 0, 1.0, 2.0), 2.0)
    result = run(block(t, v=5.3 - 0.09 * amps, i=amps, case=30.12, ambient=25.0), started_full=True)
    figures = result.summary.figures
    assert abs(figures["ohm"] - 0.09) < 0.005
    assert abs(figures["rise_k_w"] - 5.12 / (5.12 * 2.0)) < 0.01
    assert "energy_wh" not in figures


def test_a_rest_after_a_full_charge_tells_what_was_lost(tmp_path):
    with Journal.open(tmp_path, reserve_mb=0) as journal:
        # Charged and used on the same day: 30 Wh. Charged, three days on the shelf: 21 Wh, 10 % a day.
        lived(journal, 1.0, {"full": 1.0})
        assert lived(journal, 1.2, {"energy_wh": 30.0}) == []
        lived(journal, 2.0, {"full": 1.0})
        found = lived(journal, 5.0, {"energy_wh": 20.9})
        assert [(f.code, f.severity.word) for f in found] == [("self_discharge", "caution")]
        assert found[0].measured["loss"].value == pytest.approx(100 * (1 - 20.9 / 30) / 3, abs=0.01)
        with journal.reader() as reader:
            rests = [r.data.get("rest_s") for r in reader.unit_history("maker|m1|s1")]
        assert rests == [None, pytest.approx(0.2 * 86_400), None, pytest.approx(3 * 86_400)]


def test_a_use_in_between_ends_the_rest(tmp_path):
    with Journal.open(tmp_path, reserve_mb=0) as journal:
        lived(journal, 1.0, {"full": 1.0})
        assert lived(journal, 1.2, {"energy_wh": 30.0}) == []
        lived(journal, 2.0, {"full": 1.0})
        lived(
            journal, 3.0, {}
        )  # a phone for ten minutes: no figure, but the unit is not full any more
        assert lived(journal, 5.0, {"energy_wh": 20.9}) == []


@pytest.mark.parametrize(
    ("watts", "full"),
    [
        (lambda t: 10.0 * np.exp(-np.maximum(t - 3600, 0) / 1200), True),
        (lambda t: np.where(t < 3600, 10.0, 0.1), False),  # a pause, or the plug was pulled
        (lambda t: 10.0 * np.exp(-np.maximum(t - 3600, 0) / 1200) + np.where(t > 12_000, 8, 0), False),
        (lambda t: 2.0 + 8.0 * np.exp(-np.maximum(t - 3600, 0) / 1200), False),  # it never ends
    ],
)  # fmt: skip
def test_a_charge_is_full_after_its_taper(watts, full):
    t = np.arange(0, 4 * 3600, 1.0)
    result = run(block(t, v=5.0, i=-watts(t) / 5.0), meter_position="input", rated_mah=10_000)
    assert ("full" in result.summary.figures) is full
