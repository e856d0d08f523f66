"""One daemon, many meters at 1,000 samples/s over real pseudo-terminals; journal and health on.

The meters play in processes of their own; their cost is shown apart. Latency is told twice: from the stamp
of a sample until the hub was given it (``told_ns`` of the message, the daemon's own clock), and to its arrival
at a client of ``/v1/stream``, which is a third process that has to be given a core too.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.table import Row
from daemon.conftest import Daemon

KEY, HZ = "avhzy", 1000


@dataclass
class Load:
    """What was measured with ``meters`` meters."""

    meters: int
    daemon: float = 0.0
    """Share of a core."""
    emulators: float = 0.0
    listened: float = 0.0
    """The daemon's share of a core while a client listens to the stream."""
    rate_hz: float = 0.0
    """Samples a second and meter that reached the journal."""
    late_ms: list[float] = field(default_factory=list)
    """From the stamp to the client."""
    hub_ms: list[float] = field(default_factory=list)
    """From the stamp to the hub."""


def _busy(processes: list[psutil.Process]) -> float:
    return sum(sum(p.cpu_times()[:2]) for p in processes)


def _samples(state: dict) -> int:
    return sum(b["session"]["samples"] for b in state["benches"] if b["session"])


def _listen(one: Daemon, seconds: float, load: Load) -> None:
    end = time.monotonic() + seconds
    for message in one.client().lines("/v1/stream"):
        now = time.time_ns()
        if message.get("type") == "block":
            load.late_ms += [(now - t) / 1e6 for t in message["t_ns"]]
            load.hub_ms += [(message["told_ns"] - t) / 1e6 for t in message["t_ns"]]
        if time.monotonic() > end:
            return


def measured(meters: int, seconds: float, listening_s: float) -> Load:
    """Run it: settle, measure without a listener, then with one."""
    load, per = Load(meters), 4
    with tempfile.TemporaryDirectory() as name:
        folder, players = Path(name), []
        bench: list[str] = []
        for first in range(0, meters, per):
            part = folder / f"m{first}"
            part.mkdir()
            count = min(per, meters - first)
            command = [sys.executable, str(Path(__file__).with_name("load_meters.py"))]
            player = subprocess.Popen(
                [*command, KEY, str(part), str(count)], stdout=subprocess.PIPE, text=True
            )
            players.append(player)
            player.stdout.readline()
            for number in range(count):
                bench += ["--bench", f"b{first + number}={KEY}@serial:{part / str(number)}"]
        one = Daemon(folder / "data", *bench)
        try:
            one.wait_for(
                lambda s: (
                    len(s["benches"]) == meters
                    and all(b["session"] and b["session"]["samples"] > HZ for b in s["benches"])
                ),
                120,
            )
            process = [psutil.Process(one.process.pid)]
            played = [psutil.Process(p.pid) for p in players]
            begun, cpu, cpu_played = time.monotonic(), _busy(process), _busy(played)
            samples = _samples(one.client().get("/v1/state"))
            time.sleep(seconds)
            took = time.monotonic() - begun
            load.daemon = (_busy(process) - cpu) / took
            load.emulators = (_busy(played) - cpu_played) / took
            load.rate_hz = (
                (_samples(one.client().get("/v1/state")) - samples)
                / (time.monotonic() - begun)
                / meters
            )
            begun, cpu = time.monotonic(), _busy(process)
            listener = threading.Thread(target=_listen, args=(one, listening_s, load))
            listener.start()
            listener.join(listening_s + 30)
            load.listened = (_busy(process) - cpu) / (time.monotonic() - begun)
        finally:
            one.stop()
            for player in players:
                player.kill()
                player.wait()
                player.stdout.close()
    return load


def run(*, quick: bool) -> list[Row]:
    """4 and 16 meters (1 and 4 when quick)."""
    rows = []
    sizes = (1,) if quick else (4, 16)
    for meters in sizes:
        load = measured(meters, 3.0 if quick else 20.0, 2.0 if quick else 5.0)
        rows.append(
            Row(
                f"{meters} emulated meters at 1,000 samples/s over PTYs, CPU of the daemon",
                f"{load.daemon:.0%} of a core",
                "≤ 50 % at 16",
                load.daemon <= 0.5 if meters == 16 else None,
                f"{load.rate_hz:.0f} samples/s a meter; {load.listened:.0%} with a listener;"
                f" the emulators {load.emulators:.0%} in their own processes",
            )
        )
        rows.append(
            _latency(f"{meters} emulated meters, stamp of a sample to the hub", load.hub_ms)
        )
        rows.append(
            _latency(f"{meters} emulated meters, on to a client", load.late_ms, judged=False)
        )
    return rows


def _latency(what: str, ms: list[float], *, judged: bool = True) -> Row:
    if not ms:
        return Row(what, "none", "≤ 50 ms", False if judged else None, "no sample came")
    late = sorted(ms)
    p99 = late[int(len(late) * 0.99)]
    note = f"median {statistics.median(late):.0f} ms, {len(late):,} samples"
    target = "≤ 50 ms" if judged else ""
    return Row(what, f"p99 {p99:.0f} ms", target, p99 <= 50 if judged else None, note)
