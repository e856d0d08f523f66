"""A serial line through pyserial: USB serial, Bluetooth serial ttys, PTYs."""

from __future__ import annotations

import errno
import os
import select
import time
from contextlib import suppress
from pathlib import Path

import serial

from denchi.errors import DeviceGone, DeviceRefused
from denchi.locator import Locator
from denchi_protocol.codec import SerialSettings

try:
    import termios

    _OPENING: tuple[type[Exception], ...] = (OSError, ValueError, termios.error)
except ImportError:  # Windows
    _OPENING = (OSError, ValueError)
# serial.SerialException is an OSError; termios.error is not.
_WAITS_BY_SELECT = os.name == "posix"
_AT_ONCE = 4096
"""What the kernel keeps of a line at most."""


def _is_pty(path: str) -> bool:
    return Path(path).resolve().is_relative_to("/dev/pts")


class SerialTransport:
    """One serial port. Modem lines are left alone where they are not there (PTYs answer ENOTTY)."""

    keeps = True
    """The kernel keeps what arrives between two reads (4 KiB), so a reader may come late."""

    def __init__(self, locator: Locator, settings: SerialSettings) -> None:
        self._settings = settings
        # A pseudo-terminal has no bits on a line and refuses a parity (EINVAL); without one it carries
        # the same bytes.
        parity = "N" if _is_pty(locator.path) else settings.parity
        try:
            self._port = serial.Serial(
                locator.path,
                baudrate=settings.baud,
                parity=parity,
                stopbits=settings.stop_bits,
                timeout=0,
                write_timeout=1.0,
                exclusive=True,
            )
        except _OPENING as error:
            raise _opening(error, locator) from None

    def read(self, timeout_s: float) -> bytes:
        """Everything that has arrived; waits up to ``timeout_s`` for the first byte."""
        try:
            if _WAITS_BY_SELECT:
                # The port's own timeout stays 0: setting it sets the whole line up anew, each time.
                select.select((self._port,), (), (), max(0.0, timeout_s))
                data: bytes = self._port.read(_AT_ONCE)
            else:
                self._port.timeout = max(0.0, timeout_s)
                data = self._port.read(1)
                if data:
                    data += self._port.read(self._port.in_waiting)
        except (serial.SerialException, OSError, TypeError, ValueError) as error:
            raise DeviceGone(f"the serial port has gone ({error})", cure="plug it in") from None
        return data

    def write(self, data: bytes) -> None:
        """Write all, with the pause between bytes that some devices need."""
        try:
            if not self._settings.byte_gap_ms:
                self._port.write(data)
                return
            for byte in data:
                self._port.write(bytes([byte]))
                time.sleep(self._settings.byte_gap_ms / 1000)
        except (serial.SerialException, OSError) as error:
            raise DeviceGone(f"the serial port has gone ({error})", cure="plug it in") from None

    def reset(self) -> None:
        """Throw away what is half in."""
        with suppress(serial.SerialException, OSError):
            self._port.reset_input_buffer()

    def close(self) -> None:
        """Close the port."""
        with suppress(serial.SerialException, OSError):
            self._port.close()


def _opening(error: Exception, locator: Locator) -> DeviceGone | DeviceRefused:
    number = getattr(error, "errno", None)
    if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EIO):
        return DeviceGone(f"{locator.path} is not there", cure="plug it in")
    if number in (errno.EACCES, errno.EPERM):
        return DeviceRefused(
            f"no permission to open {locator.path}",
            cure="run `sudo denchi install udev`, or join the group dialout",
        )
    if number in (errno.EBUSY, errno.EAGAIN):
        return DeviceRefused(f"another program holds {locator.path}", cure="close it")
    return DeviceRefused(
        f"{locator.path} cannot be opened ({error})", cure="check the port and its settings"
    )
