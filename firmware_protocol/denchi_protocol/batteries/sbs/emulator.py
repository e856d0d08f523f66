"""A Smart Battery from the protocol page (README.md): the kernel's folder, and the pack's words."""

from __future__ import annotations

import struct
from typing import Final

from denchi_protocol.batteries.power_supply.emulator import PowerSupplyEmulator
from denchi_protocol.codec import Scene

SbsEmulator = PowerSupplyEmulator
"""The driver's folder is any battery's folder."""

_FULL_AH: Final = 10.0


def _pec(data: bytes) -> int:
    """CRC-8, polynomial 07, bit by bit."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x07 if value & 0x80 else value << 1) & 0xFF
    return value


def transaction(command: int, word: int) -> bytes:
    """A Read Word as it stands on the bus."""
    data = bytes((0x16, command, 0x17)) + struct.pack("<H", word & 0xFFFF)
    return data + bytes((_pec(data),))


def round_of_words(scene: Scene, *, v_scale: int = 0, ip_scale: int = 0, wh: bool = False) -> bytes:
    """All words that a reader asks once: units first, then measurements and figures."""
    volts, amps = scene.pack_v or 0.0, -(scene.pack_a or 0.0)  # charging is positive
    left_ah = max(0.0, _FULL_AH - (scene.capacity_ah or 0.0))

    volt_step, amp_step = float(10**v_scale), float(10**ip_scale)

    def capacity(ah: float) -> int:
        if wh:
            return round(ah * 3.7 * 100 / volt_step / amp_step)
        return round(ah * 1000 / amp_step)

    words = [
        (0x03, 0x8000 if wh else 0),
        (0x1A, 0x31 | v_scale << 8 | ip_scale << 12),
        (0x09, round(volts * 1000 / volt_step)),
        (0x0A, round(amps * 1000 / amp_step)),
        (0x0D, round(100 * left_ah / _FULL_AH)),
        (0x0F, capacity(left_ah)),
        (0x10, capacity(9.0)),
        (0x18, capacity(_FULL_AH)),
        (0x16, 0x00C0 if amps < 0 else 0x0080),
        (0x17, 42),
    ]
    if scene.cell_temps_c:
        words.append((0x08, 2731 + round(scene.cell_temps_c[0] * 10)))
    words += [(0x3F - i, round(v * 1000)) for i, v in enumerate(scene.cells_v[:4])]
    return b"".join(transaction(command, word) for command, word in words)
