"""One writer a data directory: a lock file that the system lets go of when its holder dies."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from denchi.errors import StoreBusy, StoreError

NAME: Final = "denchi.lock"


class DirectoryLock:
    """Holds ``denchi.lock`` of a data directory until ``release`` or the end of the process.

    Raises ``StoreBusy`` naming the process that holds it, ``StoreError`` when the directory cannot
    be written.
    """

    def __init__(self, data_dir: Path) -> None:
        path = data_dir / NAME
        try:
            data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        except OSError as error:
            raise StoreError(
                f"the data directory {data_dir} cannot be written ({error.strerror})",
                cure="choose another with --data-dir, or mend its owner and mode",
            ) from None
        try:
            _lock(self._fd)
        except OSError:
            holder = os.pread(self._fd, 64, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise StoreBusy(
                f"another denchi (process {holder}) writes {data_dir}",
                cure="attach to it with `denchi tui`, or give this one its own --data-dir",
            ) from None
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            pass  # a full disk must not keep us from starting; the lock itself holds

    def release(self) -> None:
        """Let go; calling it twice is allowed."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(fd: int) -> None:
        # flock, not lockf: a POSIX record lock is lost as soon as any handle of this process closes.
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
