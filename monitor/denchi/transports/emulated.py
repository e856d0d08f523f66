"""The emulated transport: the device is a child process, as a real one is another machine."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Mapping

from denchi.clock import AnchoredClock
from denchi.errors import DeviceGone
from denchi.transports.packets import Packets


def start_child(
    key: str, options: Mapping[str, str], start_ns: int, *, family: str = ""
) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start a device in a child process; returns our end of its socket and the process."""
    ours, theirs = socket.socketpair()
    with theirs:
        child = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "denchi.drivers.emulation",
                str(theirs.fileno()),
                family,
                key,
                str(start_ns),
            ]
            + [f"{k}={v}" for k, v in options.items()],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
        )
    return ours, child


class EmulatedTransport:
    """Packets to and from an emulator's process."""

    def __init__(
        self, key: str, options: Mapping[str, str], clock: AnchoredClock, *, family: str = ""
    ) -> None:
        channel, self._child = start_child(key, options, clock.now_ns(), family=family)
        self._packets = Packets(channel)

    @property
    def pid(self) -> int:
        """The emulator's process (tests kill it)."""
        return self._child.pid

    def read(self, timeout_s: float) -> bytes:
        """One packet, or nothing."""
        try:
            return self._packets.receive(timeout_s) or b""
        except EOFError:
            raise DeviceGone("the emulated device has ended", cure="see its error above") from None

    def write(self, data: bytes) -> None:
        """One packet."""
        try:
            self._packets.send(data)
        except EOFError:
            raise DeviceGone("the emulated device has ended", cure="see its error above") from None

    def reset(self) -> None:
        """Nothing to reset: a re-open starts a new device."""

    def close(self) -> None:
        """End the device at once: it keeps nothing, and an interpreter that ends by itself takes its time."""
        self._packets.close()
        self._child.kill()
        self._child.wait()
