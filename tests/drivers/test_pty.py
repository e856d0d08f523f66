"""Every serial family over a real pseudo-terminal: `denchi emulate --pty`, pyserial, our transport."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from denchi.clock import AnchoredClock
from denchi.drivers import registry
from denchi.drivers.link import MeterLink
from denchi.errors import UsageError
from denchi.locator import Locator
from denchi_protocol.codec import Rejected
from denchi_protocol.samples import SampleBlock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals on Windows")


def families():
    """One key a family and codec: the others differ in names only."""
    found = {}
    for spec in registry.specs().values():
        if spec.transport.kind == "serial":
            codec = spec.codec()
            asks = getattr(codec, "_poller", None) is not None
            found.setdefault((spec.family, type(codec).__name__, asks), spec.key)
    return sorted(found.values())


@contextmanager
def emulated(key, path, *options):
    child = subprocess.Popen(
        [sys.executable, "-m", "denchi.cli.main", "emulate", key, "--pty", str(path), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout.readline().strip() == str(path), child.communicate(timeout=10)[1]
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=30)
    assert child.returncode == 0
    assert not os.path.lexists(path), "the link is taken away"


class Listener:
    def __init__(self):
        self.events, self.states = [], []

    def on_events(self, link, events, t_ns):
        self.events += events

    def on_state(self, link, state):
        self.states.append(state)

    def samples(self):
        return [e for e in self.events if isinstance(e, SampleBlock)]


@pytest.mark.parametrize("key", families())
def test_samples_come_through_pyserial(key, tmp_path):
    path = tmp_path / "port"
    spec = registry.get(key)
    with emulated(key, path):
        listener = Listener()
        link = MeterLink(spec, Locator("serial", key, path=str(path)), AnchoredClock(), listener)
        link.start()
        deadline = time.monotonic() + 60
        while len(listener.samples()) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert link.stop(5.0)
    assert len(listener.samples()) >= 3, listener.states
    block = SampleBlock.concat(listener.samples())
    name, true = ("pack_uv", 15.2) if spec.kind == "battery" else ("vbus_uv", 5.1)
    measured = block.si(name)[block.measured(name)]
    assert measured == pytest.approx(true, abs=0.06)
    # The first bytes after opening may be the end of a frame; after them nothing is lost.
    assert sum(isinstance(e, Rejected) for e in listener.events) <= 2


def test_another_program_reads_it_and_nothing_old_waits_for_it(tmp_path):
    """A stream that nobody has listened to for seconds begins with what is said now."""
    import serial

    path = tmp_path / "port"
    with emulated("yzx", path):
        time.sleep(3)
        with serial.Serial(str(path), 115200, timeout=5) as port:
            waiting = port.in_waiting
            data = port.read(28 * 2)
        assert waiting <= 28
        assert data[0] == data[28] == 0xAB
        with serial.Serial(str(path), 115200, timeout=5) as port:
            assert port.read(28)[0] == 0xAB, "it can be opened again"


def test_an_old_link_is_replaced_and_a_file_is_not(tmp_path):
    from denchi.drivers.pty_line import PtyLine

    path = tmp_path / "port"
    path.symlink_to("/dev/pts/nothing")
    line = PtyLine(path)
    assert str(path.readlink()) == line.name
    line.close()
    assert not os.path.lexists(path)
    path.write_text("mine")
    with pytest.raises(UsageError, match="no link"):
        PtyLine(path)
    assert path.read_text() == "mine"
