"""The destination is away for a day at 100 samples a second: nothing lost, nothing twice, memory flat.

The day is handed over a minute at a time (its stamps are those of a day) and goes the daemon's way: through
the open tail, sealed each minute, with an output that tries all the while; then the server comes back and
the backlog drains while live samples go on. A minute waits until the one before is sealed, as it is in a
daemon: handed over as fast as may be, what waits for the disk would be measured and grow with its load.
`make outage` runs the long form: 24 h, and 15 min of 8 meters for real.
"""

from __future__ import annotations

import gc
import hashlib
import os
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from denchi.store.journal import Journal
from denchi_protocol.samples import SampleBlock
from faults.figures import record
from outputs.fault_server import fault_server
from outputs.helpers import Running, influx
from store.helpers import NS, T0, begin, fnirsi_like

HOURS = float(os.environ.get("DENCHI_OUTAGE_H", "1"))
METERS = int(os.environ.get("DENCHI_OUTAGE_METERS", "1"))
REAL_S = float(os.environ.get("DENCHI_OUTAGE_REAL_S", "12"))
MINUTE = 6_000
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


class Memory:
    """This process's resident memory, from when what the code itself needs is in it."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        gc.collect()
        self._first = self._now()
        self.growth_mb = 0.0

    def _now(self) -> float:
        return float(self._process.memory_info().rss) / 1e6

    def look(self) -> None:
        """Take the peak, garbage and all."""
        self.growth_mb = max(self.growth_mb, self._now() - self._first)


def _sum(block: SampleBlock) -> int:
    return int(block.t_ns.astype(np.uint64).sum())


def _settle(journal: Journal, most: int) -> None:
    """Until all is on disk and no more than ``most`` samples are in the open tail."""
    end = time.monotonic() + 120
    assert journal.flush(120)
    while journal.state().tail_samples > most:
        assert journal.flush(120)
        assert time.monotonic() < end, "it does not seal"


def _record(journal: Journal, meters: list[int], start_ns: int, minutes: int) -> tuple[int, Memory]:
    """Hand over minutes of all meters as the daemon does; the sum of the stamps, and the memory."""
    expected, memory = 0, None
    for minute in range(minutes):
        for k, instrument in enumerate(meters):
            block = fnirsi_like(MINUTE, start_ns + minute * MINUTE * 10_000_000, seed=k)
            block = block.replace(t_ns=np.maximum.accumulate(block.t_ns))
            expected = (expected + _sum(block)) % 2**64
            journal.append(instrument, block)
        _settle(journal, MINUTE * len(meters))
        if memory is not None:
            memory.look()
        elif minute >= min(20, minutes // 2):
            memory = Memory()
    assert memory is not None
    return expected, memory


def test_a_day_away(tmp_path: Path) -> None:
    minutes = round(HOURS * 60)
    per_meter = minutes * MINUTE
    sink = Sink()
    # A minute of samples is handed over in some milliseconds: sealed at once is sealed each minute.
    with Journal.open(tmp_path / "d", reserve_mb=0, seal_s=0.01) as journal:
        meters = [begin(journal, f"s{i}", serial=f"X{i}") for i in range(METERS)]
        output = influx(
            journal,
            tmp_path / "d",
            url="http://127.0.0.1:9",
            bucket="b",
            wait=lambda stop, seconds: stop.wait(0.002),
        )
        output._sender.send = sink.send  # type: ignore[method-assign]
        start = time.time_ns() - int(HOURS * 3600 * NS)
        with Running(output) as run:
            expected, memory = _record(journal, meters, start, minutes)
            assert sink.lines == 0
            assert sink.tries > 5, "it tried all the while"
            away_mb = memory.growth_mb
            size = sum(f.stat().st_size for f in (tmp_path / "d").iterdir())
            sink.away = False
            begun = time.monotonic()
            total = per_meter * METERS
            live = 0
            end = start + per_meter * 10_000_000 + NS
            while output.state().delivered < total + live or not live:
                block = fnirsi_like(100, end + live * 10_000_000, seed=9)
                expected = (expected + _sum(block)) % 2**64
                journal.append(meters[0], block)
                live += 100
                time.sleep(0.25)
                memory.look()
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
        f"{sink.lines:,} of {total + live:,} delivered once, RAM +{away_mb:.1f} MB while away"
        f" (+{memory.growth_mb:.1f} MB until drained), {size / total:.2f} bytes a sample on disk,"
        f" drained at {rate:,.0f} samples/s (scaled clock)",
        ok and memory.growth_mb < 20 and rate >= 5000,
    )
    assert sink.twice == 0
    assert sink.lines == total + live
    assert sink.total == expected
    assert memory.growth_mb < 20
    assert rate >= 5000


def test_memory_is_flat_in_recorded_length(tmp_path: Path) -> None:
    """What Python holds after 4 h and after 16 h of recording with the output away is the same.

    At 1 sample/s a second's bucket is as large as at 100/s, so whatever is kept by time recorded shows.
    """
    sink = Sink()
    held: dict[int, int] = {}
    with Journal.open(tmp_path / "d", reserve_mb=0, seal_s=0.01) as journal:
        instrument = begin(journal, "s0")
        output = influx(journal, tmp_path / "d", url="http://127.0.0.1:9", bucket="b")
        output._sender.send = sink.send  # type: ignore[method-assign]
        with Running(output) as run:
            tracemalloc.start()
            try:
                for hour in range(16):
                    block = fnirsi_like(3600, T0 + hour * 3600 * NS, rate_hz=1)
                    journal.append(instrument, block)
                    _settle(journal, 0)
                    # The batch that is tried again and again is held from here on, once.
                    run.until(lambda s: sink.tries > 0)
                    held[hour + 1] = tracemalloc.get_traced_memory()[0]
            finally:
                tracemalloc.stop()
        assert sink.tries and not sink.lines
    assert held[16] - held[4] < 1_000_000, held


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
