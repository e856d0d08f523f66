"""A unit met again is compared with its own past; simulations and units without a serial leave nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from denchi.daemon.unit_history import remember
from denchi.model import Session, Unit
from denchi.store.journal import Journal
from health.helpers import block, run

DAY_NS = 86_400 * 10**9
UNIT = Unit(brand="Maker", model="M1", serial="S1")


def session(n: int, **changes) -> Session:
    made = Session(f"s{n}", "meter", n * DAY_NS, bench="left", meter="fnb58", unit=UNIT)
    return replace(made, **changes)


def lived(journal, n: int, figures, **changes):
    one = session(n, **changes)
    journal.begin_session(one)
    found = remember(journal, one, figures, n * DAY_NS + 1)
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
        lived(journal, 3, {})
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
