"""A plot from roll-ups, whatever the recorded length; against a scan of the raw samples."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.table import Row
from denchi.model import Session
from denchi.store.journal import Journal
from denchi.store.reader import JournalReader
from denchi_protocol.samples import SampleBlock

DAY_NS = 86_400_000_000_000
PERIOD_NS = 1_000_000_000
T0 = 1_700_000_000_000_000_000
CHANNELS = ["vbus_uv", "ibus_ua", "power_w", "temp_mc.case"]


def _record(where: Path, days: int, period_ns: int) -> int:
    journal = Journal.open(where, reserve_mb=0, commit_ms=1000)
    journal.begin_session(Session("s", "recording", T0))
    number = journal.add_instrument("s", "meter", key="line")
    rng = np.random.default_rng(3)
    per_day = DAY_NS // period_ns
    for day in range(days):
        t = T0 + day * DAY_NS + np.arange(per_day, dtype=np.int64) * period_ns
        columns = {
            "vbus_uv": rng.normal(5.1e6, 300, per_day).astype(np.int32),
            "ibus_ua": rng.normal(1.5e6, 500, per_day).astype(np.int32),
            "temp_mc.case": rng.normal(30_000, 60, per_day).astype(np.int32),
        }
        for block in SampleBlock(t, columns).split(20_000):
            journal.append(number, block, wait=True)
    journal.flush(120)
    journal.close()
    return days * per_day


def _median(work, rounds: int = 7) -> float:
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def run(*, quick: bool) -> list[Row]:
    """The last 30 days (or all there is) as 600 points, at three recorded lengths."""
    rows = []
    lengths = (1, 7, 30) if quick else (1, 30, 365)
    for days in lengths:
        period = PERIOD_NS if days <= 30 and not quick else 10 * PERIOD_NS
        with tempfile.TemporaryDirectory() as folder:
            n = _record(Path(folder), days, period)
            end = T0 + days * DAY_NS
            start = end - min(days, 30) * DAY_NS
            with JournalReader(Path(folder)) as reader:
                took = _median(lambda: reader.series("s", "meter", CHANNELS, start, end, 600))
                (instrument,) = reader.instruments("s")
                raw = _median(
                    lambda: sum(
                        float(np.nanmax(b.power_w()))
                        for b in reader.blocks(instrument.id, start, end)
                    ),
                    1,
                )
            rows.append(
                Row(
                    f"plot of {min(days, 30)} days from roll-ups, {days} days recorded",
                    f"{took * 1000:.0f} ms",
                    "≤ 100 ms, flat",
                    took <= 0.1,
                    f"{raw / took:.0f} × a scan of the raw samples ({n:,} recorded)",
                )
            )
    return rows
