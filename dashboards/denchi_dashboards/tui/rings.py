"""The last minutes of a bench in numpy columns: bounded, contiguous, no object a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

CAPACITY: Final = 12_288
"""Samples kept: ten minutes at the 20 Hz of the stream, at most two cells of a braille column apart."""
MAX_CHANNELS: Final = 64


class Ring:
    """Newest ``capacity`` samples of one instrument: ``t_ns`` and float32 columns, NaN = not measured.

    Buffers are twice the capacity and are moved down when full, so a window is always one contiguous
    view and an append costs O(1) amortised.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self._t: Times = np.zeros(2 * capacity, np.int64)
        self._columns: dict[str, NDArray[np.float32]] = {}
        self._end = 0
        self._start = 0

    def __len__(self) -> int:
        return self._end - self._start

    @property
    def newest_ns(self) -> int | None:
        """Time of the newest sample."""
        return int(self._t[self._end - 1]) if len(self) else None

    @property
    def oldest_ns(self) -> int | None:
        """Time of the oldest sample still held."""
        return int(self._t[self._start]) if len(self) else None

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the columns seen."""
        return tuple(self._columns)

    def clear(self) -> None:
        """Forget everything (a new session)."""
        self._columns.clear()
        self._start = self._end = 0

    def append(self, t_ns: Sequence[int], columns: Mapping[str, Sequence[Any]]) -> None:
        """Take one ``block`` message; samples that do not go forward in time are dropped."""
        if len(t_ns) > self.capacity:
            columns = {name: column[-self.capacity :] for name, column in columns.items()}
            t_ns = t_ns[-self.capacity :]
        times = np.asarray(t_ns, np.int64)
        newest = self.newest_ns
        keep = np.ones(len(times), bool) if newest is None else times > newest
        if not keep.any():
            return
        count = int(keep.sum())
        self._make_room(count)
        span = slice(self._end, self._end + count)
        self._t[span] = times[keep]
        for column in self._columns.values():
            column[span] = np.nan
        for name, values in columns.items():
            target = self._column(name)
            if target is not None and len(values) == len(times):
                target[span] = np.asarray(values, np.float64)[keep]
        self._power(span)
        self._end += count
        self._start = max(self._start, self._end - self.capacity)

    def window(self, name: str, start_ns: int, end_ns: int) -> tuple[Times, Floats]:
        """Times and values of ``name`` within ``[start_ns, end_ns]`` plus one sample on either side."""
        column = self._columns.get(name)
        if column is None:
            return np.zeros(0, np.int64), np.zeros(0)
        t = self._t[self._start : self._end]
        first = max(0, int(np.searchsorted(t, start_ns, "left")) - 1)
        last = min(len(t), int(np.searchsorted(t, end_ns, "right")) + 1)
        values = column[self._start : self._end][first:last]
        return t[first:last], values.astype(np.float64)

    def last(self, name: str) -> tuple[int, float] | None:
        """Time and value of the newest sample of ``name`` if it is a number."""
        column = self._columns.get(name)
        if column is None or not len(self):
            return None
        value = float(column[self._end - 1])
        return None if value != value else (int(self._t[self._end - 1]), value)

    def nbytes(self) -> int:
        """Memory held; does not grow once the channels are known."""
        return int(self._t.nbytes + sum(c.nbytes for c in self._columns.values()))

    def _column(self, name: str) -> NDArray[np.float32] | None:
        if name not in self._columns:
            if len(self._columns) >= MAX_CHANNELS:
                return None
            self._columns[name] = np.full(2 * self.capacity, np.nan, np.float32)
        return self._columns[name]

    def _power(self, span: slice) -> None:
        volts, amps = self._columns.get("vbus_uv"), self._columns.get("ibus_ua")
        if volts is None or amps is None:
            volts, amps = self._columns.get("pack_uv"), self._columns.get("pack_ua")
        power = self._column("power_w") if volts is not None and amps is not None else None
        if volts is not None and amps is not None and power is not None:
            power[span] = volts[span] * amps[span]

    def _make_room(self, count: int) -> None:
        if self._end + count <= 2 * self.capacity:
            return
        keep = max(0, self.capacity - count)
        source = slice(self._end - min(keep, len(self)), self._end)
        held = source.stop - source.start
        self._t[:held] = self._t[source].copy()
        for column in self._columns.values():
            column[:held] = column[source].copy()
        self._start, self._end = 0, held
