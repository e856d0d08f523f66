"""The 1 s grid of session time: samples of one instrument in, one row of figures a second out.

Sums are exact integers (``SampleBlock.reduce``), so a second is the same whether its samples came in
one block or in a hundred; that is why block edges cannot move a finding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from denchi_protocol.samples import POWER, Quality, SampleBlock

NS: Final = 1_000_000_000
NAN: Final = math.nan
DARK_V: Final = 2.5
DOUBT: Final = np.uint16(Quality.UNCHECKED)
_PAIRS: Final = (("vbus_uv", "ibus_ua"), ("pack_uv", "pack_ua"))
_ZERO: Final = np.zeros(1, np.int64)
UNUSED: Final = ("dp_uv", "dm_uv", "cc1_uv", "cc2_uv")
"""Channels that no detector looks at."""


class Row:
    """What one instrument said in one second ``k`` of the session.

    ``cells``: name -> (n, sum, least, greatest, counts per SI unit) of what was measured. ``dark``: samples
    whose VBUS was under ``DARK_V``; ``unchecked``: samples marked as doubtful; ``last_ns``: newest stamp.
    """

    __slots__ = ("cells", "dark", "k", "last_ns", "rows", "unchecked")

    def __init__(
        self, k: int, cells: dict[str, tuple[int, int, int, int, int]], rows: int, last_ns: int
    ) -> None:
        self.k, self.cells, self.rows, self.last_ns = k, cells, rows, last_ns
        self.dark = self.unchecked = 0

    def mean(self, name: str) -> float:
        """Mean of a quantity in SI units, NaN when it was not measured."""
        cell = self.cells.get(name)
        return cell[1] / (cell[0] * cell[4]) if cell is not None else NAN

    def low(self, name: str) -> float:
        """Least value of a quantity, NaN when it was not measured."""
        cell = self.cells.get(name)
        return cell[2] / cell[4] if cell is not None else NAN

    def high(self, name: str) -> float:
        """Greatest value of a quantity, NaN when it was not measured."""
        cell = self.cells.get(name)
        return cell[3] / cell[4] if cell is not None else NAN


def rows_of(block: SampleBlock, start_ns: int) -> Iterator[Row]:
    """Cut a block of whole seconds at the seconds of the session."""
    if not len(block):
        return
    first_k, last_k = (int(block.t_ns[0]) - start_ns) // NS, (int(block.t_ns[-1]) - start_ns) // NS
    if first_k == last_k:
        # A live second, as most are.
        ks, starts, ends = [first_k], _ZERO, np.array([len(block)])
    else:
        seconds = (block.t_ns - start_ns) // NS
        cuts = np.flatnonzero(np.diff(seconds)) + 1
        starts = np.concatenate([_ZERO, cuts])
        ends = np.append(cuts, len(block))
        ks = seconds[starts].tolist()
    names = [name for name in block.columns if name not in UNUSED]
    power = next((p for p in _PAIRS if p[0] in block.columns and p[1] in block.columns), None)
    if names:
        found = block.reduce(names, starts, power)
        table = [
            (name, n, total, low, high, per_si)
            for name, n, total, low, high, per_si in zip(
                found.names, found.n.tolist(), found.total.tolist(), found.low.tolist(),
                found.high.tolist(), found.per_si, strict=True,
            )
        ]  # fmt: skip
    else:
        table = []
    dark = None
    # Most seconds know it by their least value.
    if any(min(row[3]) < DARK_V * 1e6 for row in table if row[0] == "vbus_uv"):
        dark = _counts(block.vbus_v() < DARK_V, starts)
    doubtful = None
    if block.quality.any():  # most samples are plainly measured
        doubtful = _counts((block.quality & DOUBT) != 0, starts)
    lasts, lengths = block.t_ns[ends - 1].tolist(), (ends - starts).tolist()
    for j, k in enumerate(ks):
        cells = {
            name: (n[j], total[j], low[j], high[j], per_si)
            for name, n, total, low, high, per_si in table
            if n[j]
        }
        row = Row(k, cells, lengths[j], lasts[j])
        if dark is not None:
            row.dark = dark[j]
        if doubtful is not None:
            row.unchecked = doubtful[j]
        yield row


def _counts(
    where: np.ndarray[tuple[int], np.dtype[np.bool_]],
    starts: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> list[int] | None:
    if not where.any():
        return None
    return [int(x) for x in np.add.reduceat(where.astype(np.int64), starts)]


__all__ = ["DARK_V", "NAN", "NS", "POWER", "UNUSED", "Row", "rows_of"]
