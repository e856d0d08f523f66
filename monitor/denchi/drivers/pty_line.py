"""A pseudo-terminal with an emulated serial meter at its other end; any program can open it."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from denchi.drivers.emulation import Pump
from denchi.errors import InputError, UsageError

_LOOK_S: Final = 0.1


class PtyLine:
    """The device's end of a PTY, and a link with a name of the user's choice to the other end."""

    def __init__(self, path: Path) -> None:
        try:
            import pty
            import tty
        except ImportError:  # Windows
            raise UsageError("this system has no pseudo-terminals", cure="--usbip") from None
        if path.exists() and not path.is_symlink():
            raise UsageError(f"{path} exists and is no link", cure="choose another path")
        self.path = path
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        self.name = os.ttyname(slave)
        # Closed here, so that a hang-up on our end tells when nobody has the port open: what the
        # device says then is lost, as on a real line, and not read as fresh an hour later.
        os.close(slave)
        os.set_blocking(self._master, False)
        try:
            # Under its name at once or not at all, also where an older link is replaced.
            fresh = path.with_name(f".{path.name}.{os.getpid()}")
            fresh.symlink_to(self.name)
            fresh.replace(path)
        except OSError as error:
            os.close(self._master)
            raise InputError(f"{path}: {error.strerror}", cure="choose another path") from None

    def serve(self, pump: Pump, stopped: Callable[[], bool]) -> None:
        """Play the device until ``stopped()``."""
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        wait_s = 0.0
        while not stopped():
            ready = poll.poll(int(min(wait_s, _LOOK_S) * 1000) + 1)
            heard = any(mask & select.POLLIN for _, mask in ready)
            alone = any(mask & select.POLLHUP for _, mask in ready) and not heard
            if heard:
                with suppress(OSError):
                    pump.emulator.receive(os.read(self._master, 4096), pump.now_ns())
            packets, wait_s = pump.due()
            if alone:
                select.select([], [], [], _LOOK_S / 2)  # a hang-up ends every poll at once
                continue
            for packet in packets:
                # A full line loses what does not fit; a device does not wait for its reader.
                with suppress(BlockingIOError):
                    os.write(self._master, packet)

    def close(self) -> None:
        """Take the link away and hang up."""
        with suppress(OSError):
            if self.path.is_symlink() and str(self.path.readlink()) == self.name:
                self.path.unlink()
        with suppress(OSError):
            os.close(self._master)
