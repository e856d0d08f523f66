"""Packets over a stream socket, each behind its length in 4 bytes."""

from __future__ import annotations

import select
import socket
import struct
import time
from typing import Final

LENGTH: Final = struct.Struct("<I")
MAX_PACKET: Final = 1 << 20


class Packets:
    """Length-prefixed packets over a stream socket; never blocks longer than asked."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        channel.setblocking(True)
        self._held = bytearray()
        self._open = True

    def receive(self, timeout_s: float) -> bytes | None:
        """The next packet; None when none came in time. Raises ``EOFError`` when the peer is gone."""
        end = time.monotonic() + timeout_s
        while True:
            if (packet := self._take()) is not None:
                return packet
            if not self._open:
                raise EOFError
            left = end - time.monotonic()
            if not select.select([self.channel], [], [], max(0.0, left))[0]:
                return None
            try:
                data = self.channel.recv(65536)
            except OSError:
                data = b""
            if not data:
                self._open = False
            self._held += data

    def _take(self) -> bytes | None:
        if len(self._held) < LENGTH.size:
            return None
        (size,) = LENGTH.unpack_from(self._held)
        if size > MAX_PACKET:
            raise EOFError
        if len(self._held) < LENGTH.size + size:
            return None
        packet = bytes(self._held[LENGTH.size : LENGTH.size + size])
        del self._held[: LENGTH.size + size]
        return packet

    def send(self, data: bytes) -> None:
        """Send one packet. Raises ``EOFError`` when the peer is gone."""
        try:
            self.channel.sendall(LENGTH.pack(len(data)) + data)
        except OSError:
            raise EOFError from None

    def close(self) -> None:
        """Close the socket."""
        self.channel.close()
