"""Emulated serial meters in a process of their own: `load_meters.py KEY FOLDER COUNT`, until killed.

FOLDER/0, FOLDER/1 ... are the pseudo-terminals. What is due is written about once a millisecond, as a
USB serial device hands it on.
"""

from __future__ import annotations

import os
import sys
import time
import tty
from contextlib import suppress
from pathlib import Path

from denchi.drivers.emulation import Pump, make

START_NS = 1_750_000_000_000_000_000


def main(key: str, folder: Path, count: int) -> None:
    """Play them."""
    meters = []
    for number in range(count):
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        (folder / str(number)).symlink_to(os.ttyname(slave))
        meters.append((master, Pump(make(key, {}, START_NS), START_NS)))
    print("ready", flush=True)
    while True:
        for master, pump in meters:
            with suppress(BlockingIOError):
                pump.emulator.receive(os.read(master, 4096), pump.now_ns())
            packets, _ = pump.due()
            if packets:
                with suppress(BlockingIOError):  # nobody reads: a device does not wait
                    os.write(master, b"".join(packets))
        time.sleep(0.001)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
