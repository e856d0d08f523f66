"""Unplug and replug, for ever: every cycle comes back, and nothing is left behind.

The devices are emulators in processes of their own: serial ones on a PTY that is closed under real
pyserial, a USB one whose process is killed. ``DENCHI_REPLUGS=1000`` (``make replug``) is the full run.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from denchi.clock import AnchoredClock
from denchi.drivers import registry
from denchi.drivers.link import LinkState, MeterLink
from denchi.locator import Locator
from denchi.transports.emulated import EmulatedTransport
from denchi_protocol.codec import Event, MeterSpec
from faults.figures import record

CYCLES = int(os.environ.get("DENCHI_REPLUGS", "50"))
PATIENCE_S = 60.0
FULL = CYCLES >= 500
FIRST_CYCLES = 5
"""Cycles before the first count: libraries open what they keep (locale, entropy) on first use."""


class States:
    """A listener that keeps when each state was said."""

    def __init__(self) -> None:
        self.said: queue.Queue[tuple[int, LinkState]] = queue.Queue()
        self.blocks = 0

    def on_events(self, link: MeterLink, events: list[Event], t_ns: int) -> None:
        self.blocks += len(events)

    def on_state(self, link: MeterLink, state: LinkState) -> None:
        self.said.put((time.monotonic_ns(), state))

    def wait(self, *words: str) -> int:
        """Until one of the states is said; when it was."""
        end = time.monotonic() + PATIENCE_S
        seen = []
        while (left := end - time.monotonic()) > 0:
            try:
                t_ns, state = self.said.get(timeout=left)
            except queue.Empty:
                break
            seen.append(state)
            if state.state in words:
                return t_ns
        raise AssertionError(f"never {words} in {PATIENCE_S} s; said: {seen[-6:]}")


class Left:
    """Threads, handles, children and memory of this process."""

    def __init__(self) -> None:
        me = psutil.Process()
        self.threads = threading.active_count()
        self.handles = me.num_fds()
        self.children = len(me.children())
        self.rss = me.memory_info().rss

    def more_than(self, before: Left) -> dict[str, int]:
        """What there is more of."""
        return {
            name: getattr(self, name) - getattr(before, name)
            for name in ("threads", "handles", "children")
        }


@contextmanager
def pty_device(key: str, link: Path) -> Iterator[Callable[[str], int]]:
    """A serial meter; call with "plug" or "unplug", which returns when it was done (monotonic ns)."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("pty_device.py")), key, str(link)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin and process.stdout
    out, back = process.stdin, process.stdout

    def do(word: str) -> int:
        out.write(word + "\n")
        out.flush()
        return int(back.readline().split()[1])

    try:
        yield do
    finally:
        out.close()
        process.wait(10)
        back.close()


def _told(
    name: str, cycles: int, noticed: list[int], back: list[int], left: dict[str, int]
) -> None:
    noticed_s, back_s = max(noticed) / 1e9, max(back) / 1e9
    record(
        f"unplug / replug, {name}",
        "noticed <= 1 s, streaming <= 2 s after the device is back, nothing leaked",
        f"{cycles} cycles: noticed in {noticed_s:.2f} s, streaming in {back_s:.2f} s at worst; "
        + ", ".join(f"{n:+d} {what}" for what, n in left.items()),
        noticed_s <= 1.0 and back_s <= 2.0 and not any(n > 0 for n in left.values()),
    )


def _serial_specs() -> list[str]:
    specs = registry.specs().values()
    families: dict[str, MeterSpec] = {}
    for spec in specs:
        if spec.transport.kind == "serial" and spec.rate_hz >= 1:
            families.setdefault(spec.family, spec)
    keys = sorted(spec.key for spec in families.values())
    # Each is a process that starts Python and all meters: a few will do where nobody waits for long.
    return keys if FULL else keys[:6]


def test_serial_meters_come_back_every_time(tmp_path: Path) -> None:
    keys = _serial_specs()
    rounds = max(3, -(-CYCLES // len(keys)))
    noticed: list[int] = []
    back: list[int] = []
    start = Left()
    all_states = [States() for _ in keys]
    links = [
        MeterLink(registry.get(k), Locator("serial", k, path=str(tmp_path / k)), AnchoredClock(), s)
        for k, s in zip(keys, all_states, strict=True)
    ]
    with ExitStack() as stack:
        devices = [stack.enter_context(pty_device(k, tmp_path / k)) for k in keys]
        for link, states in zip(links, all_states, strict=True):
            link.start()
            states.wait("searching")
        for turn in range(rounds):
            plugged = [device("plug") for device in devices]
            back += [s.wait("streaming") - t for s, t in zip(all_states, plugged, strict=True)]
            pulled = [device("unplug") for device in devices]
            noticed += [s.wait("gone") - t for s, t in zip(all_states, pulled, strict=True)]
            for states in all_states:
                # "gone" is said before the handle is closed: count after the next vain attempt.
                states.wait("opening")
                states.wait("gone")
            if turn == min(FIRST_CYCLES, rounds - 2):
                before = Left()
        leak = Left().more_than(before)
    for link, states in zip(links, all_states, strict=True):
        assert link.counters().reconnects == rounds - 1, link.spec.key
        assert states.blocks >= rounds, link.spec.key
        assert link.stop()
    _told(f"serial, {len(keys)} families at once", len(back), noticed, back, leak)
    assert not any(n > 0 for n in leak.values()), leak
    assert Left().threads == start.threads


@pytest.mark.parametrize("key", ["fnb58"])
def test_a_killed_device_comes_back_every_time(key: str) -> None:
    cycles = CYCLES // 5 if FULL else 5
    spec, clock, states = registry.get(key), AnchoredClock(), States()
    opened: queue.Queue[tuple[int, EmulatedTransport]] = queue.Queue()

    def opener() -> EmulatedTransport:
        transport = EmulatedTransport(key, {}, clock)
        opened.put((time.monotonic_ns(), transport))
        return transport

    start = Left()
    link = MeterLink(spec, Locator("emulated", key), clock, states, opener=opener)
    link.start()
    noticed, back = [], []
    for cycle in range(cycles):
        plugged, transport = opened.get(timeout=PATIENCE_S)
        back.append(states.wait("streaming") - plugged)
        if cycle == min(FIRST_CYCLES, cycles - 3):
            before = Left()
        after = Left()
        pid = transport.pid
        del transport
        pulled = time.monotonic_ns()
        os.kill(pid, signal.SIGKILL)
        noticed.append(states.wait("gone") - pulled)
    leak = after.more_than(before)
    assert link.stop()
    assert link.counters().reconnects >= cycles - 1
    _told(f"USB emulator killed ({key})", cycles, noticed, back, leak)
    assert not any(n > 0 for n in leak.values()), leak
    assert Left().threads == start.threads
    assert Left().children == start.children
