"""The disk under the journal: free space, and a reserve kept back for the day it is full."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RESERVE: Final = "reserve.bin"
LOW_BYTES: Final = 512 << 20
LOW_SHARE: Final = 0.05
FULL_BYTES: Final = 2 << 20
"""Below this the disk counts as full, although a last write might still fit."""


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes free for us and in all; -1 where the system does not tell."""

    free: int
    total: int

    @property
    def full(self) -> bool:
        """Next to nothing is left."""
        return 0 <= self.free < FULL_BYTES

    @property
    def low(self) -> bool:
        """Raw data that was delivered should go: under 5 %, or under 512 MiB on a disk of 8 GiB and more."""
        if self.free < 0:
            return False
        return self.free < max(LOW_SHARE * self.total, min(LOW_BYTES, self.total / 16))


def space(data_dir: Path) -> Space:
    """Free and total bytes where the journal lies."""
    try:
        usage = shutil.disk_usage(data_dir)
    except OSError:
        return Space(-1, -1)
    return Space(usage.free, usage.total)


def used_bytes(data_dir: Path) -> int:
    """Bytes of denchi's own files in the data directory, the reserve apart."""
    total = 0
    with contextlib.suppress(OSError):
        for entry in os.scandir(data_dir):
            if entry.name.startswith(("denchi", "tail-")) and entry.is_file(follow_symlinks=False):
                total += entry.stat(follow_symlinks=False).st_size
    return total


def take_reserve(data_dir: Path, nbytes: int) -> bool:
    """Have a file of ``nbytes`` that can be given up; False when there is no room for it.

    Never takes more than a tenth of what is free: the reserve must not be what fills the disk.
    """
    path = data_dir / RESERVE
    if nbytes <= 0:
        return True
    try:
        if path.exists() and path.stat().st_size >= nbytes:
            return True
        if 0 <= space(data_dir).free < 10 * nbytes:
            return False
        fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(fd, 0, nbytes)
            else:
                os.truncate(fd, nbytes)
        finally:
            os.close(fd)
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink()
        return False
    return True


def give_reserve(data_dir: Path) -> bool:
    """Give the reserve up; True when there was one."""
    try:
        (data_dir / RESERVE).unlink()
    except OSError:
        return False
    return True
