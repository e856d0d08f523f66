"""A silent meter: reset once where the family survives it, never where it does not."""

from __future__ import annotations

import threading
import time

import pytest

from denchi.clock import AnchoredClock
from denchi.drivers import link as links
from denchi.drivers import registry
from denchi.locator import Locator


class Silent:
    """A transport on which nothing ever comes."""

    def __init__(self):
        self.resets = 0
        self.reads = 0

    def read(self, seconds):
        self.reads += 1
        time.sleep(min(seconds, 0.005))
        return b""

    def write(self, data):
        pass

    def reset(self):
        self.resets += 1

    def close(self):
        pass


class Ears:
    def on_events(self, *args):
        pass

    def on_state(self, *args):
        pass


@pytest.mark.parametrize(("key", "expected"), [("fnb58", 1), ("witrn", 0)])
def test_a_silent_meter_is_reset_only_where_it_may_be(key, expected, monkeypatch):
    monkeypatch.setattr(links, "RESET_S", 0.05)
    monkeypatch.setattr(links, "stale_after_s", lambda rate: 0.01)
    silent = Silent()
    link = links.MeterLink(
        registry.get(key), Locator("emulated", key), AnchoredClock(), Ears(),
        opener=lambda *a, **k: silent,
    )  # fmt: skip
    link.start()
    deadline = threading.Event()
    deadline.wait(0.6)
    link.stop()
    assert silent.reads > 5
    assert silent.resets == expected
