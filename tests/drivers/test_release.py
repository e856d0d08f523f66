"""How a meter is let go: drained within bounds of time and of quiet, its last samples handed over before."""

from __future__ import annotations

import threading

import pytest

from denchi.clock import NS, AnchoredClock, FakeClock
from denchi.config import BenchConfig
from denchi.daemon.bench import Bench, LinkView, Services
from denchi.daemon.hub import Hub
from denchi.drivers import link as links
from denchi.drivers import registry
from denchi.health import profiles
from denchi.locator import Locator
from denchi.store.journal import Journal
from denchi.store.reader import JournalReader
from denchi_protocol.codec import Done, Send, Wait
from denchi_protocol.meters.fnirsi.codec import FnirsiCodec
from denchi_protocol.samples import SampleBlock


class Ears:
    def on_events(self, *args):
        pass

    def on_state(self, *args):
        pass


class Line:
    """A device's end on a fake clock: says a packet every ``every_s`` until ``until_s``, then nothing."""

    def __init__(self, clock, every_s, until_s):
        self.clock, self.every_s, self.until_s = clock, every_s, until_s
        self.begun_ns = clock.monotonic_ns()
        self.sent = []

    def read(self, seconds):
        passed_s = (self.clock.monotonic_ns() - self.begun_ns) / NS
        if passed_s < self.until_s and self.every_s <= seconds:
            self.clock.advance(self.every_s)
            return b"\xaa" + bytes(63)
        self.clock.advance(seconds)
        return b""

    def write(self, data):
        self.sent.append(data)


def drained_s(codec, every_s, until_s):
    """Seconds of the device's time that letting go took."""
    clock = FakeClock()
    spec = registry.get("fnb58")
    link = links.MeterLink(spec, Locator("emulated", "fnb58"), AnchoredClock(clock), Ears())
    line = Line(clock, every_s, until_s)
    begun_ns = clock.monotonic_ns()
    link._drain(codec, line)
    return (clock.monotonic_ns() - begun_ns) / NS


def streaming_fnirsi():
    codec = FnirsiCodec()
    assert isinstance(codec.next(0), Send)
    return codec


def test_a_meter_that_streams_for_ever_is_left_after_the_bound():
    took = drained_s(streaming_fnirsi(), 0.04, 1e9)
    assert links.CLOSE_MOST_S <= took < links.CLOSE_MOST_S + 0.05


@pytest.mark.parametrize("until_s", [0.0, 0.3, 0.9])
def test_a_meter_that_has_ended_is_not_waited_for(until_s):
    """The family's codec waits for a second of silence; a fifth tells as much, and an FNIRSI's last
    packets (it streams on for up to a second) are all read."""
    took = drained_s(streaming_fnirsi(), 0.04, until_s)
    assert until_s + links.CLOSE_QUIET_S <= took < until_s + links.CLOSE_QUIET_S + 0.05


class Stopping:
    """A codec that sends one stop command and waits for its answer."""

    def __init__(self):
        self.said, self.answered = False, False

    def close(self, now_ns):
        if self.answered:
            return Done()
        if not self.said:
            self.said = True
            return Send(b"stop")
        return Wait(now_ns + 10 * NS)

    def feed(self, data, t_ns):
        self.answered = True
        return []


def test_a_stop_command_is_sent_and_its_answer_ends_the_draining():
    assert drained_s(Stopping(), 0.1, 1.0) == pytest.approx(0.1)
    assert drained_s(Stopping(), 0.1, 0.0) == pytest.approx(links.CLOSE_QUIET_S, abs=0.01)


class Endless:
    """An emulated FNB58's packets, and after the stop packets for ever: draining holds until let go."""

    def __init__(self, device, may_end):
        self.device, self.may_end = device, may_end
        self.draining = threading.Event()
        self.closed = False

    def read(self, seconds):
        if self.draining.is_set():
            self.may_end.wait(seconds)
            return b"\xaa" + bytes(63)
        return self.device.read(seconds)

    def write(self, data):
        self.device.write(data)

    def reset(self):
        pass

    def close(self):
        self.closed = True
        self.device.close()


def test_a_session_is_ended_and_on_disk_while_its_meter_still_drains(tmp_path, monkeypatch):
    from denchi.transports.emulated import EmulatedTransport

    monkeypatch.setattr(links, "CLOSE_MOST_S", 3600.0)
    monkeypatch.setattr("denchi.daemon.bench.HAND_OVER_S", 60.0)
    monkeypatch.setattr("denchi.daemon.bench.JUDGE_S", 60.0)
    may_end = threading.Event()
    # A drain that only we can end: whoever waited for it would wait for ever.
    monkeypatch.setattr(
        FnirsiCodec, "close", lambda s, now: Done() if may_end.is_set() else Wait(now + NS)
    )
    journal = Journal.open(tmp_path, reserve_mb=0)
    services = Services(
        journal, Hub(), profiles.load, lambda unit: None, lambda answer, t_ns: None, lambda *a: None
    )
    bench = Bench("b", BenchConfig(), services, origin="simulated")
    transport = Endless(EmulatedTransport("fnb58", {}, bench.clock), may_end)
    counted = threading.Event()
    take = bench.take

    def counting(role, events):
        take(role, events)
        if bench._pipe is not None and bench._pipe.samples > 20:
            counted.set()

    bench.take = counting
    bench.start()
    spec = registry.get("fnb58")
    make = lambda port: links.MeterLink(
        spec, Locator("emulated", "fnb58"), bench.clock, port, opener=lambda: transport
    )
    bench.attach("meter", LinkView(spec, "emulated:fnb58"), make)
    assert counted.wait(60)
    transport.draining.set()
    bench.stop()
    link = bench.links["meter"].link
    assert not bench.released(0.0), "the meter still drains"
    assert not transport.closed
    # What a meter says after the end begins no session of its own.
    late = [SampleBlock.from_si([bench.clock.now_ns() + k], {"vbus_uv": [5.0]}) for k in range(9)]
    take("meter", late)
    journal.close()
    with JournalReader(tmp_path) as reader:
        stored = reader.sessions(limit=5)
    assert [s.session.ended_ns is not None for s in stored] == [True]
    assert stored[0].samples > 20
    may_end.set()
    assert link.stop(60.0)
    assert transport.closed
