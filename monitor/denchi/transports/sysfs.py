"""A folder of kernel attribute files as a transport.

A request is attribute names, one a line; the answer is ``name value`` lines. An attribute that cannot be
read now answers ``name !ERRNO`` (the kernel's powerz driver gives EIO now and then: retry).
"""

from __future__ import annotations

import errno
import re
from pathlib import Path

from denchi.errors import DeviceGone
from denchi.locator import Locator

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_:-]*(?:/[A-Za-z0-9_][A-Za-z0-9_:-]*){0,2}\Z")
"""An attribute, up to two folders down (``source-capabilities/1:fixed_supply/voltage``); no dots: never up."""


def folder_of(path: str) -> Path:
    """The folder a locator names; its last part may be a pattern (``.../hwmon/hwmon*``: numbers change)."""
    folder = Path(path)
    if "*" not in folder.name:
        return folder
    found = sorted(folder.parent.glob(folder.name)) if folder.parent.is_dir() else []
    return found[0] if found else folder


class SysfsTransport:
    """Reads attributes on request; never writes one."""

    def __init__(self, locator: Locator) -> None:
        self._folder = folder_of(locator.path)
        if not self._folder.is_dir():
            raise DeviceGone(f"{locator.path} is not there", cure="is the driver loaded?")
        self._answer = b""

    def read(self, timeout_s: float) -> bytes:
        """The answer to the last request."""
        answer, self._answer = self._answer, b""
        if not answer and timeout_s > 0:
            import time

            time.sleep(min(timeout_s, 0.05))
        return answer

    def write(self, data: bytes) -> None:
        """Read the attributes asked for."""
        if not self._folder.is_dir():
            raise DeviceGone(f"{self._folder} has gone", cure="plug it in")
        self._answer = b"".join(self._one(name) for name in data.decode("ascii", "replace").split())

    def _one(self, name: str) -> bytes:
        if not _NAME.match(name):
            return b""
        try:
            value = (self._folder / name).read_text(encoding="utf-8", errors="replace").strip()
        except OSError as error:
            if error.errno in (errno.ENODEV, errno.ENXIO):
                raise DeviceGone(f"{self._folder} has gone", cure="plug it in") from None
            value = f"!{errno.errorcode.get(error.errno or 0, 'EIO')}"
        return f"{name} {value.splitlines()[0] if value else ''}\n".encode()

    def reset(self) -> None:
        """Nothing to reset."""

    def close(self) -> None:
        """Nothing is held open."""
