"""The 1 s grid of session time: samples of one instrument in, one row of figures a second out.

Sums are exact integers (``SampleBlock.reduce``), so a second is the same whether its samples came in
one block or in a hundred; that is why block edges cannot move a finding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from denchi_protocol.samples import Quality, SampleBlock

NS: Final = 1_000_000_000
NAN: Final = math.nan
POWER: Final = "power"
"""Name of the product of voltage and current among the cells of a row."""


class Cell:
    """One quantity in one second: count, exact sum and extremes, in counts of its unit."""

    __slots__ = ("high", "low", "n", "per_si", "total")

    def __init__(self, n: int, total: int, low: int, high: int, per_si: int) -> None:
        self.n, self.total, self.low, self.high, self.per_si = n, total, low, high, per_si

    def add(self, other: Cell) -> None:
        """Join the rest of the same second."""
        if not other.n:
            return
        if not self.n:
            self.low, self.high = other.low, other.high
        else:
            self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.n += other.n
        self.total += other.total

    @property
    def mean(self) -> float:
        """Mean in SI units; NaN when nothing was measured."""
        return self.total / (self.n * self.per_si) if self.n else NAN


@dataclass(slots=True)
class Row:
    """What one instrument said in one second ``k`` of the session."""

    k: int
    cells: dict[str, Cell] = field(default_factory=dict)
    rows: int = 0
    dark: int = 0
    """Samples whose VBUS was under ``DARK_V`` (a drop-out is told from a slow meter by their number)."""
    unchecked: int = 0
    """Samples of a family without a checksum, or otherwise marked as doubtful."""
    last_ns: int = 0
    """Stamp of the newest sample in it."""

    def mean(self, name: str) -> float:
        """Mean of a quantity in SI units, NaN when it was not measured."""
        cell = self.cells.get(name)
        return cell.mean if cell is not None else NAN

    def low(self, name: str) -> float:
        """Least value of a quantity, NaN when it was not measured."""
        cell = self.cells.get(name)
        return cell.low / cell.per_si if cell is not None and cell.n else NAN

    def high(self, name: str) -> float:
        """Greatest value of a quantity, NaN when it was not measured."""
        cell = self.cells.get(name)
        return cell.high / cell.per_si if cell is not None and cell.n else NAN

    def join(self, other: Row) -> None:
        """Take the rest of the same second."""
        for name, cell in other.cells.items():
            if name in self.cells:
                self.cells[name].add(cell)
            else:
                self.cells[name] = cell
        self.rows += other.rows
        self.dark += other.dark
        self.unchecked += other.unchecked
        self.last_ns = max(self.last_ns, other.last_ns)


DARK_V: Final = 2.5
DOUBT: Final = np.uint16(Quality.UNCHECKED)
_PAIRS: Final = (("vbus_uv", "ibus_ua"), ("pack_uv", "pack_ua"))


def rows_of(block: SampleBlock, start_ns: int) -> Iterator[tuple[Row, int, int]]:
    """Cut a block at the seconds of the session: (row, first sample, end sample) each."""
    if not len(block):
        return
    seconds = (block.t_ns - start_ns) // NS
    cuts = np.flatnonzero(np.diff(seconds)) + 1
    starts = np.concatenate([np.zeros(1, np.int64), cuts])
    ends = [*cuts.tolist(), len(block)]
    table: dict[str, tuple[list[int], list[int], list[int], list[int], int]] = {}
    for name in block.columns:
        found = block.reduce(name, starts)
        if found.n.any():
            table[name] = (
                found.n.tolist(), found.total.tolist(), found.low.tolist(), found.high.tolist(),
                found.per_si,
            )  # fmt: skip
    for volts, amps in _PAIRS:
        if volts in table and amps in table:
            found = block.reduce_power(volts, amps, starts)
            table[POWER] = (
                found.n.tolist(), found.total.tolist(), found.low.tolist(), found.high.tolist(),
                found.per_si,
            )  # fmt: skip
            break
    dark = _dark(block, starts)
    doubt = block.quality & DOUBT
    unchecked = (
        np.add.reduceat((doubt != 0).astype(np.int64), starts).tolist()
        if doubt.any()
        else [0] * len(starts)
    )
    for j, (k, lo) in enumerate(zip(seconds[starts].tolist(), starts.tolist(), strict=True)):
        cells = {
            name: Cell(n[j], total[j], low[j], high[j], per_si)
            for name, (n, total, low, high, per_si) in table.items()
            if n[j]
        }
        hi = ends[j]
        yield Row(k, cells, hi - lo, dark[j], unchecked[j], int(block.t_ns[hi - 1])), lo, hi


def _dark(block: SampleBlock, starts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[int]:
    if "vbus_uv" not in block.columns:
        return [0] * len(starts)
    under = np.nan_to_num(block.vbus_v(), nan=math.inf) < DARK_V
    if not under.any():
        return [0] * len(starts)
    return [int(x) for x in np.add.reduceat(under.astype(np.int64), starts)]
