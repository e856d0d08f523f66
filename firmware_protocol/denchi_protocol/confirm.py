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
from numpy.typing import NDArray

from denchi_protocol.codec import Event, Rejected
from denchi_protocol.samples import MISSING, Quality, SampleBlock, channel

STEP: Final[Mapping[str, int]] = {"uV": 3_000_000, "uA": 2_000_000, "mdegC": 15_000}
"""How far two reports may lie apart without a third: the steps of the ingest gate."""


_UNCHECKED: Final = np.uint16(Quality.UNCHECKED)


class Confirm:
    """Passes blocks on, jumps only when confirmed; marks all as unchecked."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._held: SampleBlock | None = None

    def pass_on(self, block: SampleBlock, t_ns: int) -> list[Event]:
        """Events that ``block`` (n >= 1 samples) leads to."""
        unchecked = SampleBlock.trusted(block.t_ns, dict(block.columns), block.quality | _UNCHECKED)
        if len(block) == 1:
            return self._one(unchecked, t_ns)
        agrees = self._agreeing(unchecked)
        if agrees is None:
            return [event for one in unchecked.singles() for event in self._one(one, t_ns)]
        events: list[Event] = []
        at, n = 0, len(block)
        jumps = [*np.flatnonzero(~agrees).tolist(), n]
        while at < n:
            if at == 0 or self._held is not None or at == jumps[0]:
                events += self._one(unchecked[at : at + 1], t_ns)
                if at == jumps[0]:
                    jumps.pop(0)
                at += 1
                continue
            events.append(unchecked[at : jumps[0]])
            at = jumps[0]
            self._last.update(
                {name: int(c[at - 1]) for name, c in unchecked.columns.items() if int(c[at - 1]) != MISSING}
            )  # fmt: skip
        return events

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

    @staticmethod
    def _agreeing(block: SampleBlock) -> NDArray[np.bool_] | None:
        """Bool (n,): whether a sample stands beside the one before it (the first one always does).

        None where a column is measured now and then only: then the one before may be further back.
        """
        agrees = np.ones(len(block), np.bool_)
        for name, column in block.columns.items():
            low, high = int(column.min()), int(column.max())
            if low == MISSING:
                if high != MISSING:
                    return None
            elif high - low > _step(name):
                agrees[1:] &= np.abs(np.diff(column.astype(np.int64))) <= _step(name)
        return agrees


@lru_cache(maxsize=256)
def _step(name: str) -> int:
    return STEP[channel(name).unit]
