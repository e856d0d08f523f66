"""Where a daemon's API is: a small file in the data directory that clients read.

The socket stands in the data directory itself; where that path is too long for a socket (about 100
bytes) it stands in a private runtime folder. The file is mode 0600, as it may hold a token.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

FILE_NAME = "api.json"
SOCKET_NAME = "api.sock"
_MAX_SOCKET_PATH = 100
"""sun_path holds 108 bytes on Linux and 104 on macOS, the final NUL included."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How to reach a daemon: a Unix socket, or a loopback address with a token."""

    pid: int
    socket: str | None = None
    url: str | None = None
    token: str | None = None


def socket_path(data_dir: Path) -> Path:
    """Path of the daemon's socket for this data directory."""
    path = data_dir.absolute() / SOCKET_NAME
    if len(os.fsencode(path)) <= _MAX_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    private = Path(base) / f"denchi-{os.getuid() if hasattr(os, 'getuid') else 0}"
    private.mkdir(mode=0o700, exist_ok=True)
    stat = private.stat()
    if hasattr(os, "getuid") and (stat.st_uid != os.getuid() or stat.st_mode & 0o077):
        raise PermissionError(f"{private} is not private to this user")
    return private / f"{digest}.sock"


def write(data_dir: Path, endpoint: Endpoint) -> None:
    """Publish the endpoint, readable by this user only."""
    path = data_dir / FILE_NAME
    fresh = path.with_suffix(f".{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(asdict(endpoint), stream)
    fresh.replace(path)


def read(data_dir: Path) -> Endpoint | None:
    """The endpoint published in this data directory, None when there is none."""
    try:
        data = json.loads((data_dir / FILE_NAME).read_text(encoding="utf-8"))
        return Endpoint(**data)
    except (OSError, ValueError, TypeError):
        return None


def withdraw(data_dir: Path) -> None:
    """Remove the published endpoint (best effort: a killed daemon leaves it behind)."""
    (data_dir / FILE_NAME).unlink(missing_ok=True)
