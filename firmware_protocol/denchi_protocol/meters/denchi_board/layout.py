"""Header line of a denchi board: the columns it announces, and where they stand in a data line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from denchi_protocol.checksum import CRC16_XMODEM
from denchi_protocol.errors import LocalProtocolError, RemoteProtocolError
from denchi_protocol.samples import channel

VERSION_WORD: Final = "#D1"
MAX_COLUMNS: Final = 24
TAIL: Final = 7
"""'*', four digits of checksum, CR, LF."""
ID_AT, SEQUENCE_AT, TIME_AT, VALUES_AT = 1, 6, 12, 24
"""Where the fields of a data line begin; a value begins with its comma."""

_PREFIX: Final = {"V": ("", "_uv"), "A": ("", "_ua"), "C": ("temp_mc.", "")}
_COUNTS: Final = {"V": 6, "A": 6, "C": 3}
"""Powers of ten from the unit to the counts of its channel."""
_COLUMN: Final = re.compile(r"([a-z0-9_.]{1,16}):([A-Za-z]{1,8}):(-?\d):([1-9])\Z", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,6}(?:\.\d{1,6})?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Column:
    """One value of a data line: its channel (None = not known here), power of ten to counts, place."""

    channel: str | None
    named: str
    power: int
    at: int
    """Offset of the sign."""
    digits: int


@dataclass(frozen=True, slots=True)
class Layout:
    """What one header says."""

    id: str
    columns: tuple[Column, ...]
    length: int
    """Bytes of a data line, CR LF included."""
    hz: float
    words: Mapping[str, str]

    @property
    def unknown(self) -> tuple[str, ...]:
        """Columns that are read over."""
        return tuple(column.named for column in self.columns if column.channel is None)


def parse_header(body: str) -> Layout:
    """Parse a header's body (without checksum). Raises ``RemoteProtocolError`` for one that cannot be."""
    words = body.split(" ")
    if words[0] != VERSION_WORD:
        raise RemoteProtocolError("a header of another version")
    if len(words) < 2:
        raise RemoteProtocolError("a header without id")
    keys = dict(word.partition("=")[::2] for word in words[2:] if word)
    listed = keys.pop("cols", "")
    if words[1] != f"{CRC16_XMODEM.of(listed.encode('ascii')):04X}":
        raise RemoteProtocolError("the header's id is not that of its columns")
    columns, length = _columns(listed)
    rate = keys.pop("hz", "0")
    if not _NUMBER.match(rate):
        raise RemoteProtocolError("the header's rate is no number")
    return Layout(words[1], columns, length, float(rate), keys)


def _columns(listed: str) -> tuple[tuple[Column, ...], int]:
    at = VALUES_AT
    columns: list[Column] = []
    for text in listed.split(","):
        found = _COLUMN.match(text)
        if not found or not -9 <= int(found[3]) <= 0:
            raise RemoteProtocolError("the header has a column that cannot be read")
        place, unit, exponent, digits = found[1], found[2], int(found[3]), int(found[4])
        name = _channel_name(place, unit)
        power = exponent + _COUNTS.get(unit, 0)
        columns.append(Column(name, f"{place}:{unit}", power, at + 1, digits))
        at += 2 + digits
    if len(columns) > MAX_COLUMNS:
        raise RemoteProtocolError("the header has too many columns")
    if len({column.named for column in columns}) < len(columns):
        raise RemoteProtocolError("the header names a column twice")
    return tuple(columns), at + TAIL


def _channel_name(place: str, unit: str) -> str | None:
    if unit not in _PREFIX or place == "pd":
        return None
    before, after = _PREFIX[unit]
    stem, dot, number = place.partition(".")
    name = f"{before}{stem}{after}{dot}{number}"
    try:
        return name if channel(name).name == name else None
    except LocalProtocolError:
        return None
