"""What a transport is: blocking reads and writes of raw bytes, on one thread."""

from __future__ import annotations

from typing import Protocol


class Transport(Protocol):
    """An open way to a device. Used by one thread; raises ``DeviceGone`` when the device has left."""

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, waiting at most ``timeout_s``; ``b""`` when nothing came."""
        ...

    def write(self, data: bytes) -> None:
        """Write one packet or request."""
        ...

    def reset(self) -> None:
        """Shake the device awake as far as this transport can; may raise ``DeviceGone``."""
        ...

    def close(self) -> None:
        """Release the device and give back what was taken (kernel drivers). Never raises."""
        ...
