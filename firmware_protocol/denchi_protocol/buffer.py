"""ReceiveBuffer: bytes that have arrived and not yet become a frame, bounded."""

from __future__ import annotations

from typing import Final

MAX_HELD: Final = 65_536
"""No codec holds more than this, whatever a device sends (DESIGN.md §7)."""


class ReceiveBuffer:
    """A byte queue that never grows past ``limit``; the oldest bytes go first and are counted."""

    def __init__(self, limit: int = MAX_HELD) -> None:
        self._data = bytearray()
        self._limit = limit
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._data)

    def __bytes__(self) -> bytes:
        return bytes(self._data)

    def append(self, data: bytes | bytearray | memoryview) -> None:
        """Add ``data``; what is over the limit is dropped from the front and counted."""
        self._data += data
        if (over := len(self._data) - self._limit) > 0:
            del self._data[:over]
            self.dropped += over

    def find(self, needle: bytes, start: int = 0) -> int:
        """Index of ``needle`` at or after ``start``, -1 when absent."""
        return self._data.find(needle, start)

    def peek(self, length: int, offset: int = 0) -> bytes:
        """Up to ``length`` bytes at ``offset`` without taking them."""
        return bytes(self._data[offset : offset + length])

    def take(self, length: int) -> bytes:
        """Remove and return the first ``length`` bytes (fewer if fewer are held)."""
        data = bytes(self._data[:length])
        del self._data[:length]
        return data

    def skip(self, length: int) -> bytes:
        """Same as ``take``, by the name that says the bytes are being thrown away."""
        return self.take(length)

    def clear(self) -> bytes:
        """Remove and return everything."""
        return self.take(len(self._data))
