"""Confirm: for families whose frames carry no checksum, a jump counts when the next report agrees.

A report far from the one before it is held; the next report either stands beside it (both are told,
each with its own time) or does not (the held one is rejected). Nothing is averaged or delayed
otherwise. The first report passes: the ingest gate lets nothing count before three agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import numpy as np

from denchi_protocol.codec import Event, Rejected
from denchi_protocol.samples import MISSING, Quality, SampleBlock, channel

STEP: Final[Mapping[str, int]] = {"uV": 3_000_000, "uA": 2_000_000, "mdegC": 15_000}
"""How far two reports may lie apart without a third: the steps of the ingest gate."""


class Confirm:
    """Passes blocks on, jumps only when confirmed; marks all as unchecked."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._held: SampleBlock | None = None

    def pass_on(self, block: SampleBlock, t_ns: int) -> list[Event]:
        """Events that ``block`` (n >= 1 samples) leads to."""
        unchecked = SampleBlock.trusted(
            block.t_ns, dict(block.columns), block.quality | np.uint16(Quality.UNCHECKED)
        )
        if len(block) == 1:
            return self._one(unchecked, t_ns)
        if self._even(unchecked):
            for name, column in unchecked.columns.items():
                if (last := int(column[-1])) != MISSING:
                    self._last[name] = last
            held, self._held = self._held, None
            return [unchecked] if held is None else [held, unchecked]
        return [event for one in unchecked.singles() for event in self._one(one, t_ns)]

    def _one(self, unchecked: SampleBlock, t_ns: int) -> list[Event]:
        agrees = True
        for name, column in unchecked.columns.items():
            value = int(column[0])
            if value == MISSING:
                continue
            before = self._last.get(name)
            self._last[name] = value
            if before is not None and abs(value - before) > _step(name):
                agrees = False
        held, self._held = self._held, None
        if agrees:
            return [held, unchecked] if held is not None else [unchecked]
        self._held = unchecked
        if held is not None:
            return [Rejected(t_ns, "a jump that the next report did not confirm")]
        return []

    def _even(self, block: SampleBlock) -> bool:
        """Whether each sample stands beside the one before it, in columns measured always or never."""
        for name, column in block.columns.items():
            low = int(column.min())
            if low == MISSING:
                if int(column.max()) != MISSING:
                    return False
                continue
            limit = _step(name)
            first = int(column[0])
            if abs(first - self._last.get(name, first)) > limit:
                return False
            if int(column.max()) - low <= limit:
                continue  # the usual case
            steps = np.abs(np.diff(column.astype(np.int64)))
            if int(steps.max()) > limit:
                return False
        return True


@lru_cache(maxsize=256)
def _step(name: str) -> int:
    return STEP[channel(name).unit]
