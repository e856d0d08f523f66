"""What came within a round is joined for health: nothing lost, nothing past another thing."""

from __future__ import annotations

import numpy as np

from denchi.daemon.pipeline import Taken, joined
from denchi.model import Gap
from denchi_protocol.samples import SampleBlock


def block(first, n):
    return SampleBlock.from_si(
        np.arange(first, first + n) * 1_000_000, {"vbus_uv": np.full(n, 5.0)}
    )


def test_blocks_join_per_instrument_and_never_over_something_else():
    pipe, other, tick = object(), object(), lambda: None
    gap = (pipe, Taken("meter", Gap(1, 2, "stalled")))
    jobs = [
        (pipe, Taken("meter", block(0, 3))),
        (pipe, Taken("case", block(0, 1))),
        (pipe, Taken("meter", block(3, 2))),
        gap,
        (pipe, Taken("meter", block(5, 1))),
        tick,
        (pipe, Taken("meter", block(6, 1))),
        (other, Taken("meter", block(7, 1))),
    ]
    out = joined(jobs)
    assert out[2] is gap
    assert out[4] is tick
    sizes = [
        len(j[1].what) if isinstance(j, tuple) and isinstance(j[1].what, SampleBlock) else 0
        for j in out
    ]
    assert sizes == [5, 1, 0, 1, 0, 1, 1]
    assert [j[1].role for j in out if isinstance(j, tuple)] == [
        "meter",
        "case",
        "meter",
        "meter",
        "meter",
        "meter",
    ]
    assert out[0][1].what.t_ns.tolist() == [k * 1_000_000 for k in range(5)]
    assert out[6][0] is other
