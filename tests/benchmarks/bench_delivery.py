"""Delivery to a real VictoriaMetrics: drained from the journal, against `influxdb-client`'s own batching write.

Both send the same points (one a sample, six fields) to the same kind of server on loopback.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.table import Row
from denchi.store.journal import Journal
from denchi_protocol.samples import SampleBlock
from outputs.helpers import Running, influx
from outputs.servers import victoria
from store.helpers import NS, begin, fnirsi_like

BATCH = 10_000


def _block(n: int) -> SampleBlock:
    return fnirsi_like(n, time.time_ns() // NS * NS - n * 1_000_000, rate_hz=1000.0)


def ours(folder: Path, n: int) -> tuple[float, float]:
    """Wall and CPU seconds from a full journal to the last sample delivered."""
    with victoria(folder) as url, Journal.open(folder / "d", reserve_mb=0) as journal:
        instrument = begin(journal, "s1")
        for piece in _block(n).split(1000):
            journal.append(instrument, piece, wait=True)
        assert journal.flush(60)
        output = influx(journal, folder / "d", url=url, bucket="denchi", org="x", batch=BATCH)
        began, cpu = time.perf_counter(), time.process_time()
        with Running(output) as run:
            run.until(lambda s: s.delivered == n, 240)
            return time.perf_counter() - began, time.process_time() - cpu


def client(folder: Path, n: int) -> tuple[float, float]:
    """The same points as `Point` objects through the client's batching write, as its examples do."""
    from influxdb_client.client.influxdb_client import InfluxDBClient
    from influxdb_client.client.write.point import Point
    from influxdb_client.client.write_api import WriteOptions

    block = _block(n)
    with victoria(folder) as url:
        began, cpu = time.perf_counter(), time.process_time()
        with InfluxDBClient(url, token="", org="x", timeout=60_000) as api:
            write = api.write_api(write_options=WriteOptions(batch_size=BATCH))
            for row in block.rows():
                point: Any = Point("denchi_sample").tag("station", "st1").tag("meter", "m")
                for name, value in row.items():
                    if name != "t_ns" and value is not None:
                        point = point.field(name, value)
                write.write("denchi", "x", point.time(row["t_ns"]))
            write.close()
        return time.perf_counter() - began, time.process_time() - cpu


def run(*, quick: bool) -> list[Row]:
    """Two sizes of ours, one of the client's."""
    what = "delivery from the journal to VictoriaMetrics"
    sizes = (20_000,) if quick else (100_000, 400_000)
    rates, cpus = {}, {}
    try:
        for n in sizes:
            with tempfile.TemporaryDirectory() as name:
                wall_s, cpu_s = ours(Path(name), n)
            rates[n], cpus[n] = n / wall_s, n / cpu_s
        points = 5_000 if quick else 40_000
        with tempfile.TemporaryDirectory() as name:
            wall_s, cpu_s = client(Path(name), points)
    except pytest.skip.Exception as reason:
        return [Row(what, "skipped", "≥ 50,000 samples/s", None, str(reason))]
    best = rates[sizes[-1]]
    grown = ", ".join(f"{rate:,.0f}/s at {n:,}" for n, rate in rates.items())
    return [
        Row(
            what,
            f"{best:,.0f} samples/s",
            "≥ 50,000 samples/s",
            best >= 50_000,
            f"{grown}; {cpus[sizes[-1]]:,.0f} a second of our CPU; influxdb-client's batching write"
            f" {points / wall_s:,.0f}/s ({points / cpu_s:,.0f} a second of CPU),"
            f" {best * wall_s / points:.1f} × that",
        )
    ]
