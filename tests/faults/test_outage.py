"""The destination is away for a day at 100 samples a second: nothing lost, nothing twice, memory flat.

The day is written as fast as the journal takes it (its stamps are those of a day), with an output that
tries all the while; then the server comes back and the backlog drains while live samples go on.
`make outage` runs the long form: 24 h of 8 meters, and 15 min for real.
"""

from __future__ import annotations

import gc
import hashlib
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from denchi.store.journal import Journal
from faults.figures import record
from outputs.fault_server import fault_server
from outputs.helpers import Pauses, Running, influx
from store.helpers import NS, begin, fnirsi_like

HOURS = float(os.environ.get("DENCHI_OUTAGE_H", "1"))
METERS = int(os.environ.get("DENCHI_OUTAGE_METERS", "1"))
REAL_S = float(os.environ.get("DENCHI_OUTAGE_REAL_S", "12"))
pytestmark = pytest.mark.faults


class Sink:
    """Stands for the server where a day of points does not fit into a dictionary: it counts and hashes.

    Each line goes into an order-independent sum for its stamp's meter; a line seen twice is caught by
    the strictly increasing stamps of each stretch. The far end of the wire is the fault server's business.
    """

    def __init__(self) -> None:
        self.away = True
        self.lines = 0
        self.total = 0
        self.tries = 0
        self.seen: set[bytes] = set()
        self.twice = 0

    def send(self, lines: Any) -> None:
        from denchi.outputs.delivery import Away

        self.tries += 1
        if self.away:
            raise Away("injected: the server is away")
        digest = hashlib.blake2b(b"\n".join(lines), digest_size=16).digest()
        self.twice += digest in self.seen
        self.seen.add(digest)
        for line in lines:
            if line.startswith(b"denchi_sample"):
                self.lines += 1
                self.total = (self.total + int(line.rsplit(b" ", 1)[1])) % 2**64


def _rss() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss) / 1e6


def test_a_day_away(tmp_path: Path) -> None:
    per_meter = int(HOURS * 3600 * 100)
    sink = Sink()
    with Journal.open(tmp_path / "d", reserve_mb=0) as journal:
        meters = [begin(journal, f"s{i}", serial=f"X{i}") for i in range(METERS)]
        output = influx(
            journal, tmp_path / "d", url="http://127.0.0.1:9", bucket="b", wait=Pauses()
        )
        output._sender.send = sink.send  # type: ignore[method-assign]
        start = time.time_ns() - int(HOURS * 3600 * NS)
        expected = 0
        with Running(output) as run:
            # Half an hour first: what the code itself needs is then in memory.
            first_rss, peak, step = 0.0, 0.0, 60_000
            for at in range(0, per_meter, step):
                n = min(step, per_meter - at)
                for k, instrument in enumerate(meters):
                    block = fnirsi_like(n, start + at * 10_000_000, seed=k)
                    block = block.replace(t_ns=np.maximum.accumulate(block.t_ns))
                    expected = (expected + int(block.t_ns.astype(np.uint64).sum())) % 2**64
                    journal.append(instrument, block, wait=True)
                if at >= step * 2 and not first_rss:
                    assert journal.flush(120)
                    first_rss = _rss()
                if first_rss:
                    peak = max(peak, _rss())
            assert journal.flush(120)
            assert sink.lines == 0
            assert sink.tries > 5, "it tried all the while"
            growth = peak - first_rss
            size = sum(f.stat().st_size for f in (tmp_path / "d").iterdir())
            sink.away = False
            begun = time.monotonic()
            total = per_meter * METERS
            live = 0
            end = start + per_meter * 10_000_000 + NS
            while output.state().delivered < total + live or not live:
                block = fnirsi_like(100, end + live * 10_000_000, seed=9)
                expected = (expected + int(block.t_ns.astype(np.uint64).sum())) % 2**64
                journal.append(meters[0], block)
                live += 100
                time.sleep(0.25)
                assert time.monotonic() - begun < 1800
                if output.state().backlog_samples == 0 and live > 400:
                    break
            for k in range(METERS):
                journal.end_session(f"s{k}", end + live * 10_000_000, None)
            journal.flush(60)
            run.until(lambda s: s.delivered == total + live, 600)
            seconds = time.monotonic() - begun
    rate = (total + live) / seconds
    ok = sink.lines == total + live and sink.total == expected and sink.twice == 0
    record(
        f"InfluxDB away for {HOURS:g} h of {METERS} meter(s) at 100/s",
        "0 lost, 0 duplicated, RAM growth < 20 MB, drained at ≥ 5,000 samples/s while sampling goes on",
        f"{total + live:,} of {total + live:,} delivered once, RAM +{growth:.1f} MB, {size / total:.2f} bytes"
        f" a sample on disk, drained at {rate:,.0f} samples/s (scaled clock)",
        ok and growth < 20 and rate >= 5000,
    )
    assert sink.twice == 0
    assert sink.lines == total + live
    assert sink.total == expected
    assert growth < 20
    assert rate >= 5000


def test_away_for_real(tmp_path: Path) -> None:
    """The real clock, a real socket: sampled at 100/s and 8 meters while the server drops connections."""
    with fault_server() as server, Journal.open(tmp_path / "d", reserve_mb=0) as journal:
        meters = [begin(journal, f"s{i}", serial=f"X{i}") for i in range(8)]
        output = influx(journal, tmp_path / "d", url=server.url, bucket="b", timeout_s=2)
        server.down = True
        stop = threading.Event()
        emitted: list[set[int]] = [set() for _ in meters]

        def sample() -> None:
            last = time.time_ns()
            while not stop.wait(0.1):
                now = time.time_ns()
                n = int((now - last) // 10_000_000)
                if not n:
                    continue
                for k, instrument in enumerate(meters):
                    block = fnirsi_like(n, last + 1_000_000, seed=k)
                    block = block.replace(t_ns=last + 1 + np.arange(n, dtype=np.int64) * 10_000_000)
                    emitted[k].update(block.t_ns.tolist())
                    journal.append(instrument, block)
                last += n * 10_000_000

        sampler = threading.Thread(target=sample, daemon=True)
        with Running(output) as run:
            sampler.start()
            time.sleep(REAL_S)
            assert not server.points
            backlog = run.until(lambda s: s.backlog_samples > 8 * 100).backlog_samples
            server.down = False
            run.until(lambda s: s.delivered > 0 and s.backlog_samples < 2000, 300)
            stop.set()
            sampler.join(30)
            for k in range(8):
                journal.end_session(f"s{k}", time.time_ns() + NS, None)
            journal.flush(60)
            total = sum(map(len, emitted))
            run.until(lambda s: s.delivered == total, 300)
    wanted = sorted(t for stamps in emitted for t in stamps)
    got = sorted(t for (head, t) in server.points if head.startswith("denchi_sample"))
    record(
        f"server away for {REAL_S:.0f} s for real, 8 meters at 100/s",
        "0 lost, 0 altered",
        f"{total:,} emitted, {len(got):,} stored, {server.changed} altered; backlog {backlog:,} when it came back",
        got == wanted and server.changed == 0,
    )
    assert got == wanted
    assert server.changed == 0
