"""The wall clock steps, an hour either way, over and over: stamps and energy of the journal do not notice."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from denchi.clock import AnchoredClock, FakeClock
from denchi.store import rollup
from denchi.store.journal import Journal
from denchi_protocol.samples import SampleBlock
from faults.figures import record
from store.helpers import begin, fnirsi_like

pytestmark = pytest.mark.faults
STEPS = (3600.0, -3600.0, 0.4, -0.4, 7200.0, -86_400.0, 1e-3)


def test_clock_steps(tmp_path: Path) -> None:
    """Session time is a wall anchor plus the monotonic clock: a step must change nothing inside a session."""
    rng = random.Random(3)
    clock = FakeClock()
    anchored = AnchoredClock(clock)
    whole = fnirsi_like(60_000)
    stamped: list[SampleBlock] = []
    with Journal.open(tmp_path, commit_ms=10, reserve_mb=0, clock=clock) as journal:
        instrument = begin(journal)
        steps = 0
        for piece in whole.split(500):
            clock.advance(5.0)
            if rng.random() < 0.5:
                clock.step_wall(rng.choice(STEPS))
                steps += 1
            now = anchored.now_ns()
            offsets = piece.t_ns - piece.t_ns[-1]
            block = piece.replace(t_ns=now + offsets)
            stamped.append(block)
            journal.append(instrument, block)
        assert journal.flush(60)
        with journal.reader() as reader:
            found = SampleBlock.concat(list(reader.blocks(instrument)))
        lost = journal.state().lost_samples
    expected = float(rollup.of_block(whole, 3600 * rollup.NS).energy["out_wh"].sum())
    energy = float(rollup.of_block(found, 3600 * rollup.NS).energy["out_wh"].sum())
    error = abs(energy - expected) / expected
    backward = int((np.diff(found.t_ns) <= 0).sum())
    record(
        "clock steps",
        "no duplicate or backward time stamp, energy error < 0.1 %",
        f"{steps} steps of up to a day in 10 min: {backward} backward or double, {lost} lost, energy error"
        f" {error:.5%}",
        backward == 0 and lost == 0 and error < 1e-3,
    )
    assert backward == 0
    assert lost == 0
    assert len(found) == len(whole)
    assert error < 1e-3
