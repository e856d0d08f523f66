"""`make bench`: every benchmark in one run, a table of ratios at the end.

`python tests/benchmarks/run.py decode journal` runs some; `--quick` runs small sizes.
"""

from __future__ import annotations

import importlib
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.table import Row, show

GROUPS = (
    "decode",
    "live_frame",
    "csv_reading",
    "journal",
    "plots",
    "health",
    "startup",
    "load",
    "tui",
    "delivery",
)


def main(arguments: list[str]) -> int:
    quick = "--quick" in arguments
    chosen = [a for a in arguments if not a.startswith("-")] or list(GROUPS)
    print(f"{datetime.now(UTC):%Y-%m-%d}  Python {platform.python_version()}  {platform.machine()}")
    rows: list[Row] = []
    for name in chosen:
        if name not in GROUPS:
            print(f"no benchmark {name!r}; there are: {', '.join(GROUPS)}")
            return 2
        module = importlib.import_module(f"benchmarks.bench_{name}")
        began = time.perf_counter()
        made = module.run(quick=quick)
        rows += made
        print(f"{name}: {time.perf_counter() - began:.1f} s")
        for row in made:
            print(f"  {row.what}: {row.figure} (target {row.target}) {row.note}")
    show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
