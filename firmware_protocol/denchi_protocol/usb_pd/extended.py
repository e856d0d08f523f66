"""Extended messages on the wire: the parts of one, joining chunks, and cutting into them.

A message of up to 260 bytes travels in chunks of 26; the receiver asks for each one behind the first
by sending the same type with ``request`` set (usb_pd.md §1). Both directions are joined, each sender
for itself; a chunk that comes twice counts once; one that is missing ends the message unread.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from denchi_protocol.errors import LocalProtocolError, RemoteProtocolError
from denchi_protocol.usb_pd.header import CHUNK_BYTES, MAX_EXTENDED_BYTES, ExtendedHeader


def extended_part(wire: bytes) -> tuple[ExtendedHeader, bytes]:
    """Extended header and data bytes (padding removed) of a whole wire message.

    Raises ``RemoteProtocolError`` when its sizes contradict each other.
    """
    if len(wire) < 4:
        raise RemoteProtocolError("no extended header")
    head = ExtendedHeader.from_word(int.from_bytes(wire[2:4], "little"))
    body = wire[4:]
    if head.size > MAX_EXTENDED_BYTES:
        raise RemoteProtocolError(f"data size {head.size}, at most {MAX_EXTENDED_BYTES}")
    if head.request:
        return head, b""
    if not head.chunked:
        if len(body) < head.size:
            raise RemoteProtocolError(f"{len(body)} of {head.size} data bytes")
        return head, body[: head.size]
    left = head.size - head.chunk * CHUNK_BYTES
    if left <= 0 and head.chunk:
        raise RemoteProtocolError(f"chunk {head.chunk} lies behind the end of {head.size} bytes")
    expected = min(CHUNK_BYTES, left)
    if len(body) < expected:
        raise RemoteProtocolError(f"{len(body)} of {expected} data bytes in chunk {head.chunk}")
    return head, body[:expected]


@dataclass(slots=True)
class _Open:
    size: int
    data: bytearray
    next: int


class Assembler:
    """Joins chunks; ``key`` tells senders and types apart. Holds one message a key, 16 keys at most."""

    MAX_OPEN = 16

    def __init__(self) -> None:
        self._open: dict[Hashable, _Open] = {}

    def clear(self) -> None:
        """Forget what is incomplete (a reset)."""
        self._open.clear()

    def feed(
        self, key: Hashable, head: ExtendedHeader, data: bytes
    ) -> tuple[bytes | None, str | None]:
        """Take one chunk; returns the whole data once it is complete, or why it cannot be joined."""
        if head.request:
            return None, None
        if not head.chunked:
            return data, None
        if head.chunk == 0:
            self._open.pop(key, None)
            if len(data) >= head.size:
                return data, None
            while len(self._open) >= self.MAX_OPEN:
                self._open.pop(next(iter(self._open)))
            self._open[key] = _Open(head.size, bytearray(data), 1)
            return None, None
        begun = self._open.get(key)
        if begun is None:
            return None, f"chunk {head.chunk} of a message whose beginning was not seen"
        if head.chunk == begun.next - 1 and head.size == begun.size:
            return None, None  # sent again: its GoodCRC was lost
        if head.chunk != begun.next or head.size != begun.size:
            del self._open[key]
            return None, f"chunk {head.chunk} where chunk {begun.next} was due"
        begun.data += data
        begun.next += 1
        if len(begun.data) < begun.size:
            return None, None
        del self._open[key]
        return bytes(begun.data), None


def cut(data: bytes) -> Iterator[tuple[ExtendedHeader, bytes]]:
    """The chunks of ``data`` as (extended header, bytes), one empty chunk for no data."""
    if len(data) > MAX_EXTENDED_BYTES:
        raise LocalProtocolError(f"{len(data)} bytes, at most {MAX_EXTENDED_BYTES}")
    for number, at in enumerate(range(0, max(1, len(data)), CHUNK_BYTES)):
        yield ExtendedHeader(len(data), False, number, True), data[at : at + CHUNK_BYTES]


def ask(chunk: int) -> tuple[ExtendedHeader, bytes]:
    """The request for a chunk: extended header and no data."""
    return ExtendedHeader(0, True, chunk, True), b""
