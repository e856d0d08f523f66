"""An emulated serial meter as a process of its own, plugged and unplugged on command.

``pty_device.py KEY LINK``; lines on stdin: ``plug`` ``unplug`` ``quit``; each is answered by ``ok``.
Plugged: LINK points to a fresh PTY. Unplugged: the PTY is closed under whoever holds it.
"""

from __future__ import annotations

import os
import select
import sys
import time
import tty
from contextlib import suppress
from pathlib import Path

from denchi.drivers.emulation import Pump, make

START_NS = 1_750_000_000_000_000_000


class Plug:
    """One life of the device, from plugging in to pulling out."""

    def __init__(self, key: str, link: Path) -> None:
        self.link = link
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.pump = Pump(make(key, {}, START_NS), START_NS)
        link.symlink_to(os.ttyname(self.slave))

    def turn(self) -> float:
        """Say what is due; seconds until the next turn."""
        packets, wait = self.pump.due()
        for packet in packets:
            with suppress(BlockingIOError):  # nobody reads: a device does not wait
                os.write(self.master, packet)
        return wait

    def heard(self) -> None:
        """The host wrote something."""
        with suppress(BlockingIOError):
            self.pump.emulator.receive(os.read(self.master, 4096), self.pump.now_ns())

    def pull(self) -> None:
        """Unplug."""
        self.link.unlink()
        os.close(self.master)
        os.close(self.slave)


def main(key: str, link: Path) -> None:
    plug: Plug | None = None
    while True:
        wait = plug.turn() if plug else 1.0
        watched = [0, plug.master] if plug else [0]
        ready, _, _ = select.select(watched, [], [], wait)
        if plug and plug.master in ready:
            plug.heard()
        if 0 not in ready:
            continue
        for word in os.read(0, 4096).decode().split() or ["quit"]:
            if word == "plug":
                plug = Plug(key, link)
            elif plug is not None:
                plug.pull()
                plug = None
            if word == "quit":
                return
            # CLOCK_MONOTONIC is one for the machine: the test's clock and ours are the same.
            print("ok", time.monotonic_ns(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
