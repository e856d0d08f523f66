"""Stamps of a meter that gives no time: samples spread back from their frame's arrival."""

from __future__ import annotations

import numpy as np

from denchi_protocol.samples import TIME_STEP_NS, Int64s


def spread(arrival_ns: Int64s, count: int, step_ns: int, previous_ns: int | None = None) -> Int64s:
    """Stamps (n * count,) of ``count`` samples a frame, ``step_ns`` apart, the last at arrival.

    Frames that came late arrive in a bunch; their samples then share the time since the frame
    before, so that stamps never run backwards. ``previous_ns``: arrival of the frame before the run.
    """
    n = len(arrival_ns)
    if n == 1:  # one live frame: the same without arrays
        last = int(arrival_ns[0])
        if previous_ns is not None:
            last = max(last, previous_ns + count * TIME_STEP_NS)
            step_ns = min((last - previous_ns) // count, step_ns)
        return np.array([last - k * step_ns for k in range(count - 1, -1, -1)], np.int64)
    ramp = np.arange(n, dtype=np.int64) * (count * TIME_STEP_NS)
    floor = arrival_ns[0]
    if previous_ns is not None:
        floor = max(floor, previous_ns + count * TIME_STEP_NS)
    arrival = arrival_ns - ramp
    arrival[0] = floor
    arrival = np.maximum.accumulate(arrival) + ramp
    before = np.empty_like(arrival)
    before[0] = arrival[0] - count * step_ns if previous_ns is None else previous_ns
    before[1:] = arrival[:-1]
    step = np.minimum((arrival - before) // count, step_ns)
    back = np.arange(count - 1, -1, -1, dtype=np.int64)
    stamps: Int64s = (arrival[:, None] - step[:, None] * back).ravel()
    return stamps
