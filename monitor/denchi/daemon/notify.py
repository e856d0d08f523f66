"""systemd's notify protocol: a datagram on the socket that the service manager names."""

from __future__ import annotations

import os
import socket


def notify(*lines: str) -> bool:
    """Tell the service manager (``READY=1``, ``WATCHDOG=1`` ...); False when there is none."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path or path[0] not in "/@":
        return False
    address = "\0" + path[1:] if path[0] == "@" else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto("\n".join(lines).encode(), address)
    except OSError:
        return False
    return True


def watchdog_s() -> float | None:
    """Half of the interval in which the service manager wants to hear from us; None: not watched."""
    try:
        interval_us = int(os.environ.get("WATCHDOG_USEC", "0"))
    except ValueError:
        return None
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return interval_us / 2e6 if interval_us > 0 else None
