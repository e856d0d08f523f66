"""Hot-plug: an event ends the wait early, its absence costs a poll; without pyudev the clock counts."""

from __future__ import annotations

import sys
import threading
import time
import types

from denchi.drivers.hotplug import SUBSYSTEMS, Hotplug


class Fake:
    """A pyudev whose observer calls back when told to."""

    def __init__(self):
        self.filters, self.stopped, self.callback = [], False, None
        fake = self

        class Monitor:
            @staticmethod
            def from_netlink(context, source):
                assert source == "udev"
                return Monitor()

            def filter_by(self, subsystem):
                fake.filters.append(subsystem)

        class MonitorObserver:
            def __init__(self, monitor, callback, name):
                fake.callback = callback

            def start(self):
                pass

            def send_stop(self):
                fake.stopped = True

        self.module = types.SimpleNamespace(
            Monitor=Monitor, MonitorObserver=MonitorObserver, Context=object
        )


def test_an_event_ends_the_wait(monkeypatch):
    fake = Fake()
    monkeypatch.setitem(sys.modules, "pyudev", fake.module)
    hotplug, stop = Hotplug(), threading.Event()
    assert hotplug.start()
    assert fake.filters == list(SUBSYSTEMS)
    threading.Timer(0.1, fake.callback, ["device"]).start()
    began = time.monotonic()
    hotplug.wait(60, stop)
    assert time.monotonic() - began < 30
    hotplug.stop()
    assert fake.stopped


def test_stop_ends_the_wait_with_and_without_pyudev(monkeypatch):
    for module in (Fake().module, None):
        monkeypatch.setitem(sys.modules, "pyudev", module)
        hotplug, stop = Hotplug(), threading.Event()
        assert hotplug.start() is (module is not None)
        threading.Timer(0.1, stop.set).start()
        began = time.monotonic()
        hotplug.wait(60, stop)
        assert time.monotonic() - began < 30
        hotplug.stop()


def test_the_real_library_listens_or_says_why_not():
    hotplug = Hotplug()
    listening = hotplug.start()
    print("pyudev listens" if listening else "no pyudev or no netlink here: by the clock")
    before = time.monotonic()
    hotplug.wait(0.2, threading.Event())
    assert time.monotonic() - before >= 0.1
    hotplug.stop()
