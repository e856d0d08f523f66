"""An emulated device in a process of its own, behind a packet-preserving socket or a PTY.

In one process with the code under test the two would share one interpreter lock, and a reader that
waits could starve the device it waits for; so the device is a child, as a real one would be.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from denchi.drivers import registry
from denchi.transports.packets import Packets
from denchi_protocol.codec import Emulator, Scene, SceneSource, Send, StillScene, Wait

NS: Final = 1_000_000_000
STILL: Final = Scene(
    vbus_v=5.1, ibus_a=1.0, dp_v=0.6, dm_v=0.6, cc1_v=1.65, cc2_v=0.0, meter_temp_c=28.0,
    case_temp_c=27.0, ambient_temp_c=24.0, pack_v=15.2, pack_a=-1.0, cells_v=(3.81, 3.80, 3.80, 3.79),
    cell_temps_c=(26.0, 26.5), energy_wh=1.25, capacity_ah=0.25,
)  # fmt: skip
"""What stands behind an emulated meter that was given no scenario."""


def scene_source(options: dict[str, str], start_ns: int) -> SceneSource:
    """The scene behind an emulator: a scenario of ``denchi.simulation``, or a still one."""
    name = options.get("scenario", "")
    if not name:
        return StillScene(STILL)
    from denchi import simulation

    return simulation.scenario(name, int(options.get("seed", "0")), start_ns)


class Dial:
    """The load set by hand: a file that holds amperes (``dial=PATH``), read a few times a second."""

    def __init__(self, path: str, source: SceneSource) -> None:
        self._path = Path(path) if path else None
        self._set = getattr(source, "dial", None)
        self._due = 0.0
        self._text = ""

    def look(self) -> None:
        """Read the file when it is time; what is no number is left alone."""
        now = time.monotonic()
        if self._path is None or self._set is None or now < self._due:
            return
        self._due = now + 0.1
        with suppress(OSError, ValueError):
            text = self._path.read_text().strip()
            if text != self._text:
                self._set(float(text) if text else None)
                self._text = text


def make(
    key: str,
    options: dict[str, str],
    start_ns: int,
    source: SceneSource | None = None,
    *,
    family: str = "",
) -> Emulator:
    """The emulator of a meter by key, with its scene and oddity."""
    spec = registry.get_of(family, key) if family else registry.get(key)
    return spec.emulator(
        source or scene_source(options, start_ns),
        now_ns=start_ns,
        oddity=options.get("oddity", ""),
        seed=int(options.get("seed", "0")),
    )


class Pump:
    """Drives an emulator: its time runs ``speed`` times as fast as the machine's."""

    def __init__(self, emulator: Emulator, start_ns: int, speed: float = 1.0) -> None:
        self.emulator, self._start, self._speed = emulator, start_ns, speed
        self._zero = time.monotonic_ns()

    def now_ns(self) -> int:
        """The device's time."""
        return self._start + int((time.monotonic_ns() - self._zero) * self._speed)

    def seconds_until(self, until_ns: int) -> float:
        """Machine seconds until the device's time ``until_ns``, within what is worth waiting."""
        return min(max((until_ns - self.now_ns()) / NS / self._speed, 0.0005), 0.25)

    def due(self) -> tuple[list[bytes], float]:
        """Packets that are due, and machine seconds until the device wants to be asked again."""
        packets: list[bytes] = []
        while len(packets) < 64:
            now = self.now_ns()
            action = self.emulator.next(now)
            if isinstance(action, Send):
                packets.append(action.data)
                continue
            assert isinstance(action, Wait)
            return packets, self.seconds_until(action.until_ns)
        return packets, 0.0


def serve_packets(
    channel: socket.socket, key: str, options: dict[str, str], start_ns: int, *, family: str = ""
) -> None:
    """Play a device on a socket until the other side closes it."""
    packets = Packets(channel)
    source = scene_source(options, start_ns)
    dial = Dial(options.get("dial", ""), source)
    dial.look()
    emulator = make(key, options, start_ns, source, family=family)
    pump = Pump(emulator, start_ns, float(options.get("speed", "1")))
    wait = 0.0
    with suppress(EOFError):
        while True:
            dial.look()
            command = packets.receive(wait)
            if command is not None:
                pump.emulator.receive(command, pump.now_ns())
            due, wait = pump.due()
            for packet in due:
                packets.send(packet)


def main(arguments: list[str]) -> int:
    """``python -m denchi.drivers.emulation FD FAMILY KEY START_NS [NAME=VALUE...]``; FAMILY may be empty."""
    descriptor, family, key, start_ns, *rest = arguments
    options = dict(pair.split("=", 1) for pair in rest)
    with socket.socket(fileno=int(descriptor)) as channel:
        # The parent's other descriptors are none of the device's business.
        os.set_inheritable(channel.fileno(), False)
        serve_packets(channel, key, options, int(start_ns), family=family)
    return 0


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main(sys.argv[1:]))
