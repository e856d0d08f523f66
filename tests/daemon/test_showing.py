"""What is shown is told before it is judged, and cannot end the measuring."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

from denchi.config import BenchConfig
from denchi.daemon.bench import Bench, Services
from denchi.daemon.hub import Hub
from denchi.daemon.links import LinkView
from denchi.drivers import registry
from denchi.health import profiles
from denchi.store.journal import Journal
from denchi_protocol.samples import SampleBlock

MS = 1_000_000


@pytest.fixture
def bench(tmp_path):
    """A bench whose own thread never runs: what reaches the hub has not waited for it."""
    with Journal.open(tmp_path, reserve_mb=0) as journal:
        services = Services(
            journal,
            Hub(),
            profiles.load,
            lambda unit: None,
            lambda answer, t: None,
            lambda *a: None,
        )
        made = Bench("b", BenchConfig(), services, origin="simulated")
        made.links["meter"] = LinkView(registry.get("avhzy"), "p")
        yield made
        made.end_session()


def take(bench, k, n=25):
    """The k-th block of 1,000 samples a second, behind the anchor of the session's clock."""
    now_ns = bench.clock.now_ns()
    t_ns = now_ns + (k * n + np.arange(n)) * MS
    values = {"vbus_uv": np.full(n, 5.0), "ibus_ua": np.full(n, 1.0)}
    bench.take("meter", [SampleBlock.from_si(t_ns, values)])


async def test_samples_reach_a_listener_while_no_detector_looks(bench):
    hub = bench._services.hub
    hub.attach(asyncio.get_running_loop())
    listener = hub.listen(20)
    for k in range(8):
        take(bench, k)
    lines = [json.loads(line) for line in (await listener.get()).splitlines()]
    blocks = [line for line in lines if line["type"] == "block"]
    assert blocks
    assert blocks[0]["columns"]["vbus_uv"][0] == 5.0
    assert blocks[0]["told_ns"] >= bench.session.started_ns
    assert not bench._thread.is_alive()
    live = bench.state()["live"]["channels"]
    assert live["vbus_uv"]["value"] == 5.0
    assert live["power_w"]["value"] == pytest.approx(5.0)


@pytest.mark.parametrize("max_hz", [0.0, float("nan")])
def test_a_listener_that_leaves_or_a_fault_in_showing_costs_no_sample(bench, monkeypatch, max_hz):
    monkeypatch.setattr(Hub, "max_hz", property(lambda self: max_hz))
    for k in range(8):
        take(bench, k)
    before = bench._pipe.samples
    assert before > 0
    monkeypatch.setattr(bench._live, "feed", lambda *a: 1 / 0)
    take(bench, 9)
    assert bench._pipe.samples == before + 25
    assert bench._queue.qsize() >= 2
