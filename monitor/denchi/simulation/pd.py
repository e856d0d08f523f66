"""A plausible USB-PD conversation as wire bytes, built from the public message layouts.

Written from the layouts (header, fixed PDO, fixed RDO) and not from denchi's PD decoder, which this
is meant to test. GoodCRC is sent for every message, as on a real line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from denchi_protocol.codec import PdMessage

NS: Final = 1_000_000_000
GOOD_CRC, ACCEPT, PS_RDY = 1, 3, 6
SOURCE_CAPABILITIES, REQUEST = 1, 2
_REVISION_3: Final = 2
_DUAL_ROLE_POWER: Final = 1 << 29


def header(kind: int, *, source: bool, message_id: int, objects: int = 0) -> bytes:
    """The 16-bit header, little-endian: type, data role, revision, power role, id, object count.

    The source is DFP here and the sink UFP, as with a power bank that feeds a device.
    """
    word = kind | source << 5 | _REVISION_3 << 6 | source << 8 | message_id % 8 << 9 | objects << 12
    return word.to_bytes(2, "little")


def fixed_pdo(volts: float, amps: float, *, first: bool = False) -> bytes:
    """A fixed supply: 10 mA in bits 0-9, 50 mV in 10-19; the first one carries dual-role power."""
    word = round(amps * 100) | round(volts * 20) << 10 | (_DUAL_ROLE_POWER if first else 0)
    return word.to_bytes(4, "little")


def fixed_request(position: int, amps: float) -> bytes:
    """A request for a fixed supply: position in 28-31, operating and most current, USB comms."""
    current = round(amps * 100)
    return (position << 28 | 1 << 25 | current << 10 | current).to_bytes(4, "little")


class Conversation:
    """What a source with fixed supplies and a sink say on each new contract."""

    def __init__(self, supplies: Sequence[tuple[float, float]]) -> None:
        self.supplies = tuple(supplies)
        self._source_id = self._sink_id = 0

    def contract(self, t_ns: int, volts: float, *, attach: bool) -> list[PdMessage]:
        """The messages that end with ``volts`` in force at ``t_ns``; ``attach``: ids begin anew."""
        if attach:
            self._source_id = self._sink_id = 0
        position = 1 + min(
            range(len(self.supplies)), key=lambda i: abs(self.supplies[i][0] - volts)
        )
        pdos = b"".join(fixed_pdo(v, a, first=i == 0) for i, (v, a) in enumerate(self.supplies))
        amps = self.supplies[position - 1][1]
        at = t_ns - 180_000_000
        out: list[PdMessage] = []
        self._say(out, at, True, SOURCE_CAPABILITIES, pdos, len(self.supplies))
        self._say(out, at + 12_000_000, False, REQUEST, fixed_request(position, amps), 1)
        self._say(out, at + 16_000_000, True, ACCEPT)
        self._say(out, t_ns, True, PS_RDY)
        return out

    def _say(
        self,
        out: list[PdMessage],
        t_ns: int,
        source: bool,
        kind: int,
        data: bytes = b"",
        objects: int = 0,
    ) -> None:
        message_id = self._source_id if source else self._sink_id
        head = header(kind, source=source, message_id=message_id, objects=objects)
        out.append(PdMessage(t_ns, "SOP", head + data))
        good = header(GOOD_CRC, source=not source, message_id=message_id)
        out.append(PdMessage(t_ns + 700_000, "SOP", good))
        if source:
            self._source_id += 1
        else:
            self._sink_id += 1
