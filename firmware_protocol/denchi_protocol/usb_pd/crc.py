"""CRC-32 of a PD packet, and telling a packet with CRC from one without (usb_pd.md §1).

The CRC (CRC-32/ISO-HDLC over header and objects, low byte first) is on the wire; meters strip it.
"""

from __future__ import annotations

from typing import Final

from denchi_protocol.checksum import CRC32
from denchi_protocol.usb_pd.header import ExtendedHeader, Header

CRC_BYTES: Final = 4


def crc_of(wire: bytes) -> bytes:
    """The four CRC bytes that follow ``wire`` (header and objects)."""
    return CRC32.of(wire).to_bytes(CRC_BYTES, "little")


def lengths(data: bytes) -> tuple[int, ...]:
    """Bytes that a message beginning like ``data`` may have, without CRC; empty when it is too short.

    An unchunked extended message has no count of objects; it may or may not be padded to words.
    """
    if len(data) < 2:
        return ()
    header = Header.from_word(int.from_bytes(data[:2], "little"))
    if header.extended and header.objects == 0:
        if len(data) < 4:
            return ()
        size = 4 + ExtendedHeader.from_word(int.from_bytes(data[2:4], "little")).size
        return (size, size + (2 - size) % 4)
    return (2 + 4 * header.objects,)


def split_crc(data: bytes, *, carried: bool = False) -> tuple[bytes, bool | None]:
    """Part a packet into message and CRC verdict: None = it carries none, False = it is wrong.

    A matching CRC decides whatever the length; without one the header's count of objects does.
    What fits neither is returned whole with None: decoding it then says what is wrong.
    ``carried``: this wire always carries the CRC. Set it where that is known: otherwise a packet whose
    count of objects was hit (6 read as 7) looks like a longer one without CRC.
    """
    if len(data) >= 2 + CRC_BYTES and crc_of(data[:-CRC_BYTES]) == data[-CRC_BYTES:]:
        return data[:-CRC_BYTES], True
    if carried:
        return data[:-CRC_BYTES], False
    expected = lengths(data)
    if len(data) not in expected and len(data) - CRC_BYTES in expected:
        return data[:-CRC_BYTES], False
    return data, None
