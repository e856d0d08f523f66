"""DeviceClock: arrival stamps made even by the device's own clock.

A device that counts time knows the distance between its samples far better than the bus delivers
them. A sample is never stamped later than it arrived; the offset between both clocks follows slowly,
so that neither a busy bus nor a wrong quartz shows as jitter or drift.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from denchi_protocol.samples import Int64s

DRIFT_PPM: Final = 300
"""How fast the offset may grow: three times a poor quartz."""
JUMP_NS: Final = 2_000_000_000
"""A device clock this far from the arrival clock was set, wrapped or restarted."""


class DeviceClock:
    """Turns device times into stamps of the session's clock."""

    def __init__(self) -> None:
        self._offset_ns: int | None = None
        self._last_device_ns = 0
        self._last_t_ns: int | None = None

    def stamps(self, device_ns: Int64s, arrival_ns: int) -> Int64s:
        """Stamps (n,) for samples of device time ``device_ns`` (n,) that arrived together; strictly increasing."""
        if len(device_ns) == 1:  # one live sample: the same without arrays
            return np.array(self.each(device_ns.tolist(), arrival_ns), np.int64)
        offset = self._follow(int(device_ns[0]), int(device_ns[-1]), arrival_ns)
        t_ns = device_ns + offset
        if self._last_t_ns is not None:
            t_ns[0] = max(int(t_ns[0]), self._last_t_ns + 1)
        if not (t_ns[1:] > t_ns[:-1]).all():
            ramp = np.arange(len(t_ns), dtype=np.int64)
            t_ns = np.maximum.accumulate(t_ns - ramp) + ramp
        self._last_t_ns = int(t_ns[-1])
        return t_ns

    def even(self, first_ns: int, step_ns: int, n: int, arrival_ns: int) -> Int64s:
        """``stamps`` of n device times from ``first_ns`` on, ``step_ns`` apart, which need not be made."""
        if n == 1:
            return self.stamps(np.array([first_ns], np.int64), arrival_ns)
        last_ns = first_ns + (n - 1) * step_ns
        start = first_ns + self._follow(first_ns, last_ns, arrival_ns)
        soonest = start if self._last_t_ns is None else self._last_t_ns + 1
        if last_ns - first_ns + start < soonest + n:
            # All of them are behind what was stamped: as close as can be.
            start, step_ns = soonest, 1
        t_ns = np.arange(start, start + n * step_ns, step_ns, dtype=np.int64)
        if start < soonest:
            t_ns = np.maximum(t_ns, soonest + np.arange(n, dtype=np.int64))
        self._last_t_ns = int(t_ns[-1])
        return t_ns

    def each(self, device_ns: list[int], arrival_ns: int) -> list[int]:
        """Stamps of samples that are handed over one by one at ``arrival_ns``, however they were read."""
        out = []
        for now in device_ns:
            stamp = now + self._follow(now, now, arrival_ns)
            if self._last_t_ns is not None and stamp <= self._last_t_ns:
                stamp = self._last_t_ns + 1
            self._last_t_ns = stamp
            out.append(stamp)
        return out

    def _follow(self, first: int, last: int, arrival_ns: int) -> int:
        """The offset for device times ``first`` to ``last``, which arrived together."""
        seen, offset = arrival_ns - last, self._offset_ns
        if (
            offset is None
            or first <= self._last_device_ns
            or abs(seen - offset) > JUMP_NS
            or seen < offset
        ):
            offset = seen
        else:
            offset += min(seen - offset, (last - self._last_device_ns) * DRIFT_PPM // 1_000_000)
        self._offset_ns, self._last_device_ns = offset, last
        return offset
