"""The service manager's watchdog: fed only while every single worker makes rounds of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import time

import pytest

from daemon.conftest import DEMO
from denchi.config import Settings
from denchi.daemon import server
from denchi.daemon.supervisor import BenchPlan, Supervisor
from denchi.store.journal import Journal

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="systemd's socket is a Unix one"
)


@pytest.fixture
def manager(tmp_path, monkeypatch):
    """A service manager's end of the notify socket."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(path)
        channel.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield channel


class Workers:
    """Workers of which some stand still."""

    def __init__(self):
        self.n = 0
        self.stuck = set()

    def progress(self):
        self.n += 1
        return {
            name: 0 if name in self.stuck else self.n for name in ("reader", "journal", "bench b")
        }

    async def rounds(self, n):
        """Until they were asked n times more."""
        end = self.n + n
        while self.n < end:  # noqa: ASYNC110  asked from another thread
            await asyncio.sleep(0.01)


def heard(channel):
    """What lies in the socket now."""
    lines = []
    channel.setblocking(False)
    try:
        while True:
            lines.append(channel.recv(4096))
    except BlockingIOError:
        return lines
    finally:
        channel.settimeout(60)


@pytest.mark.parametrize("stuck", ["reader", "journal", "bench b"])
async def test_one_worker_that_stands_still_is_enough(manager, monkeypatch, stuck):
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setattr(server, "WATCH_S", 0.01)
    workers = Workers()
    feeder = asyncio.create_task(server._feed_watchdog(workers))
    await workers.rounds(5)
    assert b"WATCHDOG=1" in heard(manager), "all move: it is fed"
    workers.stuck = {stuck}
    await workers.rounds(2)
    heard(manager)
    await workers.rounds(6)
    assert heard(manager) == [], f"{stuck} stands still"
    workers.stuck = set()
    await workers.rounds(6)
    assert b"WATCHDOG=1" in heard(manager)
    feeder.cancel()


def test_every_worker_counts_and_counts_for_itself(tmp_path):
    journal = Journal.open(tmp_path, reserve_mb=0)
    probes = (("case", "emulated:denchi-board"),)
    plans = [BenchPlan("b", "emulated:fnb58", probes=probes)]
    supervisor = Supervisor(Settings(), tmp_path, journal, plans=plans)
    supervisor.start()
    try:
        first = supervisor.progress()
        assert set(first) == {
            "meters", "upkeep", "journal", "journal's database", "bench b", "meter of b", "case of b",
        }  # fmt: skip
        end = time.monotonic() + 60
        while (now := supervisor.progress()) and any(now[n] == first[n] for n in first):
            assert time.monotonic() < end, (first, now)
            time.sleep(0.05)
        # A meter's thread that is dead is not hidden by its bench, which goes on with its ticks.
        assert supervisor.benches["b"].links["meter"].link.stop(30)
        held = supervisor.progress()
        time.sleep(0.2)
        end = time.monotonic() + 60
        while any(supervisor.progress()[n] == held[n] for n in held if n != "meter of b"):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert supervisor.progress()["meter of b"] == held["meter of b"]
    finally:
        supervisor.stop()
        supervisor.released()


def test_the_daemon_says_ready_alive_and_stopping(daemon, manager):
    env = {"NOTIFY_SOCKET": os.environ["NOTIFY_SOCKET"], "WATCHDOG_USEC": "6000000"}
    one = daemon("--bench", DEMO, env=env)
    one.up()
    assert manager.recv(4096).startswith(b"READY=1")
    assert manager.recv(4096) == b"WATCHDOG=1", "with a meter, within a few rounds"
    assert one.stop() == 0
    rest = heard(manager)
    assert rest[-1] == b"STOPPING=1"
