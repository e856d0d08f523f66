"""Checksums of the meters, by parameter set, each with its published check value.

Algorithms come from ``crccheck``; a table for the 256 byte values is built once from it, so that
one frame costs a loop over a table and a run of frames (n, length) costs ``length`` numpy steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from crccheck import crc as _crc
from numpy.typing import NDArray

Bytes2D = NDArray[np.uint8]


class Crc:
    """A CRC of up to 32 bits; ``of`` for one frame, ``of_rows`` for a run of equal-length frames."""

    def __init__(self, width: int, poly: int, init: int, *, reflected: bool, xor_out: int) -> None:
        self.width, self.init, self.xor_out, self.reflected = width, init, xor_out, reflected
        self._mask = (1 << width) - 1
        # The library's own engine yields the table: entry b is the CRC of the single byte b with
        # init 0 and no final XOR.
        engine: Any = _crc.Crc(width, poly, 0, reflected, reflected, 0)
        self._table = [int(engine.calc(bytes([b]))) & self._mask for b in range(256)]
        self._np_table = np.array(self._table, dtype=np.uint32)
        self._start = int(f"{init:0{width}b}"[::-1], 2) if reflected else init

    def of(self, data: bytes | bytearray | memoryview) -> int:
        """Checksum of ``data``."""
        value, table = self._start, self._table
        if self.reflected:
            for byte in data:
                value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
        else:
            shift, mask = self.width - 8, self._mask
            for byte in data:
                value = table[((value >> shift) ^ byte) & 0xFF] ^ ((value << 8) & mask)
        return value ^ self.xor_out

    def of_rows(self, rows: Bytes2D) -> NDArray[np.uint32]:
        """Checksums of each row of ``rows`` (n, length) uint8; result (n,) uint32."""
        value = np.full(len(rows), self._start, np.uint32)
        table = self._np_table
        columns = np.ascontiguousarray(rows.T)
        if self.reflected:
            for column in columns:
                value = table[(value ^ column) & 0xFF] ^ (value >> np.uint32(8))
        else:
            shift, mask = np.uint32(self.width - 8), np.uint32(self._mask)
            for column in columns:
                value = table[((value >> shift) ^ column) & 0xFF] ^ ((value << np.uint32(8)) & mask)
        return value ^ np.uint32(self.xor_out)


CRC8_FNIRSI = Crc(8, 0x39, 0x42, reflected=False, xor_out=0)
"""FNIRSI USB frames; check("123456789") = 0x4B (protocol page, recomputed)."""
CRC8_SMBUS = Crc(8, 0x07, 0x00, reflected=False, xor_out=0)
"""SMBus PEC; check = 0xF4 (CRC catalogue, CRC-8/SMBUS)."""
CRC16_XMODEM = Crc(16, 0x1021, 0x0000, reflected=False, xor_out=0)
"""FNIRSI BLE (low byte only); check = 0x31C3 (CRC catalogue, CRC-16/XMODEM)."""
CRC16_MODBUS = Crc(16, 0x8005, 0xFFFF, reflected=True, xor_out=0)
"""TC66, KingMeter, Daly D2; check = 0x4B37 (CRC catalogue, CRC-16/MODBUS)."""
CRC32 = Crc(32, 0x04C11DB7, 0xFFFFFFFF, reflected=True, xor_out=0xFFFFFFFF)
"""USB-PD, POWER-Z; check = 0xCBF43926 (CRC catalogue, CRC-32/ISO-HDLC)."""


def sum8(data: bytes | bytearray | memoryview) -> int:
    """Low byte of the sum of all bytes."""
    return sum(data) & 0xFF


def sum8_rows(rows: Bytes2D) -> NDArray[np.uint8]:
    """Low byte of the sum of each row (n, length)."""
    sums: NDArray[np.uint32] = rows.sum(axis=1, dtype=np.uint32)
    return sums.astype(np.uint8)


def xor8(data: bytes | bytearray | memoryview) -> int:
    """XOR of all bytes."""
    value = 0
    for byte in data:
        value ^= byte
    return value
