"""AdcQueue samples of a POWER-Z: their sequence clock, what it shows to be lost, stamps.

Sequence numbers count milliseconds in 16 bits, in steps of 500, 100, 20 or 1 by the rate. denchi never
starts a stream (it needs the meter's keys), but reads it where a capture holds one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from denchi_protocol.codec import MeterGap
from denchi_protocol.devclock import DeviceClock
from denchi_protocol.samples import Int64s

MS: Final = 1_000_000
STEPS_MS: Final = (500, 100, 20, 1)
WRAP: Final = 1 << 16
MISSING_NUMBERS: Final = "sequence numbers are missing"
TOLERANCE_MS: Final = 2_000
"""What arrives in one reply can be a second old; past this a sequence has begun anew."""


class SequenceClock:
    """Unwraps sequence numbers into device time, counts what is lost, gives stamps."""

    def __init__(self) -> None:
        self._clock = DeviceClock()
        self._last_seq: int | None = None
        self._last_ms = 0
        self._last_arrival_ns = 0
        self._last_t_ns = 0
        self._step_ms: int | None = None
        self._last_before: int | None = None
        self.step_ms: int | None = None
        """Distance of two samples in the last reply placed, None where it could not be told."""

    def place(self, seq: Int64s, arrival_ns: int) -> tuple[Int64s, list[MeterGap]]:
        """Stamps (n,) of samples ``seq`` (n,) that arrived together, and the gaps among and before them."""
        apart = np.diff(seq) % WRAP
        before = self._since_last(int(seq[0]), arrival_ns)
        self._learn(apart, before)
        first_ms = self._last_ms + WRAP if before is None else self._last_ms + before
        device_ms = first_ms + np.concatenate(([0], np.cumsum(apart)))
        stamps = self._clock.stamps(device_ms * MS, arrival_ns)
        gaps = self._gaps(seq, apart, before, stamps)
        self._last_seq, self._last_ms = int(seq[-1]), int(device_ms[-1])
        self._last_arrival_ns, self._last_t_ns = arrival_ns, int(stamps[-1])
        return stamps, gaps

    def steady(self, seq: NDArray[np.uint16], count: int) -> int:
        """How many of the replies of ``count`` samples each (in ``seq``) go on without a gap or a new rate."""
        if self._last_seq is None or self.step_ms is None or self.step_ms != self._step_ms:
            return 0
        due = np.arange(1, len(seq) + 1, dtype=np.uint16) * np.uint16(self.step_ms)
        wrong = seq - np.uint16(self._last_seq) != due  # modulo 2**16, as the numbers are
        return (int(np.argmax(wrong)) if wrong.any() else len(seq)) // count

    def go_on(self, n: int, arrival_ns: int) -> Int64s:
        """Stamps (n,) of the next n samples, of which ``steady`` has said that they follow evenly."""
        step = self.step_ms
        assert step is not None and self._last_seq is not None
        stamps = self._clock.even((self._last_ms + step) * MS, step * MS, n, arrival_ns)
        self._last_seq = (self._last_seq + n * step) % WRAP
        self._last_ms += n * step
        self._last_arrival_ns, self._last_t_ns = arrival_ns, int(stamps[-1])
        self._last_before = step
        return stamps

    def _since_last(self, seq: int, arrival_ns: int) -> int | None:
        """Milliseconds since the last sample of the reply before; None for a new sequence."""
        if self._last_seq is None:
            return None
        apart = (seq - self._last_seq) % WRAP
        passed = (arrival_ns - self._last_arrival_ns) // MS
        return apart if apart and abs(apart - passed) <= TOLERANCE_MS else None

    def _learn(self, apart: Int64s, before: int | None) -> None:
        """Find the step; None where the reply leaves it open (its lines then have no known scale)."""
        again, self._last_before = before == self._last_before, before
        if len(apart):
            smallest = int(apart.min())
            if smallest in STEPS_MS:
                self._step_ms = smallest
            self.step_ms = self._step_ms if smallest == self._step_ms else None
        elif before == self._step_ms or (
            self._step_ms and before and before not in STEPS_MS and before % self._step_ms == 0
        ):
            self.step_ms = self._step_ms
        elif before in STEPS_MS and (again or self._step_ms is None):
            self._step_ms = self.step_ms = before
        else:
            self.step_ms = None  # a loss or another rate: the next reply tells

    def _gaps(
        self, seq: Int64s, apart: Int64s, before: int | None, stamps: Int64s
    ) -> list[MeterGap]:
        if self.step_ms is None:
            return []
        step = self.step_ms
        gaps = []
        if before is not None and before > step and before % step == 0:
            start, end = self._last_t_ns, int(stamps[0])
            gaps.append(MeterGap(start, end, before // step - 1, MISSING_NUMBERS))
        for i in np.flatnonzero((apart > step) & (apart % step == 0)):
            lost = int(apart[i]) // step - 1
            gaps.append(MeterGap(int(stamps[i]), int(stamps[i + 1]), lost, MISSING_NUMBERS))
        return gaps
