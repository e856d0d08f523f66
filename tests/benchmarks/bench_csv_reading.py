"""A recording CSV to samples, against csv.reader and float."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.table import Row, versus
from denchi.export import recording


def _write(path: Path, n: int) -> None:
    rng = np.random.default_rng(2)
    with path.open("w", encoding="utf-8") as stream:
        stream.write("t_s,voltage_v,current_a,temperature_c,meter_temperature_c\n")
        volts, amps = rng.normal(5.1, 0.01, n), rng.normal(1.5, 0.01, n)
        for i in range(n):
            stream.write(f"{i * 0.01:.2f},{volts[i]:.5f},{amps[i]:.5f},,{30 + i / n:.2f}\n")


def _yardstick(path: Path) -> list[list[float]]:
    columns: list[list[float]] = [[], [], [], [], []]
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream)
        next(rows)
        for row in rows:
            for column, cell in zip(columns, row, strict=True):
                column.append(float(cell) if cell else float("nan"))
    return columns


def _ours(path: Path) -> int:
    _, blocks = recording.read(path)
    return sum(len(block) for block in blocks)


def run(*, quick: bool) -> list[Row]:
    """With pyarrow and without."""
    n = 50_000 if quick else 500_000
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording.csv"
        _write(path, n)
        assert _ours(path) == n
        for name, target, hidden in (
            ("with the parquet extra's reader", 5.0, False),
            ("without it", 1.5, True),
        ):
            with _without_pyarrow(hidden):
                ours, _, ratio = versus(lambda: _ours(path), lambda: _yardstick(path), rounds=3)
            rows.append(
                Row(
                    f"CSV recording to samples, {name}",
                    f"{ratio:.1f} ×",
                    f"≥ {target} ×",
                    ratio >= target,
                    f"{n / ours / 1e6:.2f} million rows/s of CPU",
                )
            )
    return rows


class _without_pyarrow:
    """Hide pyarrow from the reader, as on an installation without the extra."""

    def __init__(self, hidden: bool) -> None:
        self.hidden = hidden

    def __enter__(self) -> None:
        import sys

        self.saved = {
            k: v for k, v in sys.modules.items() if k == "pyarrow" or k.startswith("pyarrow.")
        }
        if self.hidden:
            for name in self.saved:
                del sys.modules[name]
            sys.modules["pyarrow"] = None  # type: ignore[assignment]

    def __exit__(self, *_: object) -> None:
        import sys

        if self.hidden:
            del sys.modules["pyarrow"]
            sys.modules.update(self.saved)
