"""Words of bit fields, described once and both read and written from that description.

``Word`` serves 32-bit data objects and byte blocks alike (a block is one little-endian integer).
Bits that no field names are kept in ``reserved``, so that writing what was read gives the same word
for every word: vendors use reserved bits (usb_pd.md §2), and a monitor must not lose them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, Self

from denchi_protocol.errors import LocalProtocolError, RemoteProtocolError


@dataclass(frozen=True, slots=True)
class Bits:
    """One field: its lowest bit, its width, and what a count is worth.

    ``step``: None = a plain integer (or a flag when ``width`` is 1); else the value of one count in
    the unit that the field's name ends with, as a fraction ``(numerator, denominator)`` so that
    0.02 V is exact. ``unknown``: the count that means "not told" and is read as None.
    """

    name: str
    low: int
    width: int
    step: tuple[int, int] | None = None
    unknown: int | None = None

    def mask(self) -> int:
        """The field's bits in the word."""
        return ((1 << self.width) - 1) << self.low

    def read(self, word: int) -> bool | int | float | None:
        """The value in ``word``."""
        count = (word >> self.low) & ((1 << self.width) - 1)
        if count == self.unknown:
            return None
        if self.step is None:
            return bool(count) if self.width == 1 else count
        return count * self.step[0] / self.step[1]

    def write(self, value: Any) -> int:
        """The value's bits at their place. Raises ``LocalProtocolError`` when it does not fit."""
        if value is None:
            if self.unknown is None:
                raise LocalProtocolError(f"{self.name} cannot be left untold")
            count = self.unknown
        elif self.step is None:
            count = int(value)
        else:
            count = round(value * self.step[1] / self.step[0])
        if not 0 <= count < 1 << self.width:
            raise LocalProtocolError(f"{self.name} = {value} does not fit {self.width} bits")
        return count << self.low


@dataclass(frozen=True, slots=True)
class Word:
    """Base of everything that is one run of bits. Subclasses declare ``LAYOUT`` and its fields.

    ``MARK``: bits that say which kind of word it is, written always. ``SIZE``: bytes.
    """

    LAYOUT: ClassVar[tuple[Bits, ...]] = ()
    MARK: ClassVar[int] = 0
    MARK_MASK: ClassVar[int] = 0
    SIZE: ClassVar[int] = 4

    @classmethod
    def from_word(cls, word: int) -> Self:
        """Read a word (the mark is not checked)."""
        known = cls.MARK_MASK
        values: dict[str, Any] = {}
        for bits in cls.LAYOUT:
            values[bits.name] = bits.read(word)
            known |= bits.mask()
        make: Any = cls  # every subclass declares the fields of its layout, and ``reserved``
        built: Self = make(**values, reserved=word & ~known)
        return built

    def word(self) -> int:
        """Write the word."""
        out = self.MARK | int(getattr(self, "reserved", 0))
        for bits in self.LAYOUT:
            out |= bits.write(getattr(self, bits.name))
        return out

    def values(self) -> dict[str, Any]:
        """Named values, without the reserved bits."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "reserved"}


@dataclass(frozen=True, slots=True)
class Block(Word):
    """A data block of an extended message: bytes read as one little-endian integer.

    ``SHORTEST``: bytes of the oldest revision still read; what an older sender leaves out reads as 0
    (its fields' "not supported"), what a newer one adds is ignored (usb_pd.md §3 gives both lengths).
    """

    SHORTEST: ClassVar[int] = 0

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a block. Raises ``RemoteProtocolError`` when it is too short."""
        if len(data) < cls.SHORTEST:
            raise RemoteProtocolError(f"{len(data)} bytes of data, expected {cls.SHORTEST} or more")
        return cls.from_word(int.from_bytes(data[: cls.SIZE], "little"))

    def to_bytes(self) -> bytes:
        """Write the block in its full length."""
        return self.word().to_bytes(self.SIZE, "little")


V20: Final = (1, 50)
"""20 mV."""
V25: Final = (1, 40)
"""25 mV."""
V50: Final = (1, 20)
"""50 mV or 50 mA."""
V100: Final = (1, 10)
"""100 mV, or 0.1 Wh."""
A10: Final = (1, 100)
"""10 mA."""
W250: Final = (1, 4)
"""250 mW."""
ONE: Final = (1, 1)
"""1 W."""
