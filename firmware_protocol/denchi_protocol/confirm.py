"""Confirm: for families whose frames carry no checksum, a jump counts when the next report agrees.

A report far from the one before it is held; the next report either stands beside it (both are told,
each with its own time) or does not (the held one is rejected). Nothing is averaged or delayed
otherwise. The first report passes: the ingest gate lets nothing count before three agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from denchi_protocol.codec import Event, Rejected
from denchi_protocol.samples import MISSING, Quality, SampleBlock, channel

STEP: Final[Mapping[str, int]] = {"uV": 3_000_000, "uA": 2_000_000, "mdegC": 15_000}
"""How far two reports may lie apart without a third: the steps of the ingest gate."""


class Confirm:
    """Passes blocks of one sample on, jumps only when confirmed; marks all as unchecked."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._held: SampleBlock | None = None

    def pass_on(self, block: SampleBlock, t_ns: int) -> list[Event]:
        """Events that ``block`` (one sample) leads to."""
        unchecked = block.replace(quality=block.quality | np.uint16(Quality.UNCHECKED))
        agrees = self._agrees(block)
        self._last.update(
            {name: int(c[0]) for name, c in block.columns.items() if int(c[0]) != MISSING}
        )
        held, self._held = self._held, None
        if agrees:
            return [held, unchecked] if held is not None else [unchecked]
        self._held = unchecked
        if held is not None:
            return [Rejected(t_ns, "a jump that the next report did not confirm")]
        return []

    def _agrees(self, block: SampleBlock) -> bool:
        for name, column in block.columns.items():
            value, before = int(column[0]), self._last.get(name)
            if value == MISSING or before is None:
                continue
            if abs(value - before) > STEP[channel(name).unit]:
                return False
        return True
