"""Request data objects: which offer a sink takes. Their low bits mean what the offer's kind makes of them.

Layouts: usb_pd.md §2 (Linux include/linux/usb/pd.h, RDO_*; AVS: 25 mV counts, usbpdparser 1.1.6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias

from denchi_protocol.usb_pd.bits import A10, V20, V25, V50, W250, Bits, Word
from denchi_protocol.usb_pd.objects import (
    BatteryPdo,
    EprAvsPdo,
    FixedPdo,
    OtherPdo,
    Pdo,
    PpsPdo,
    SinkFixedPdo,
    SprAvsPdo,
    VariablePdo,
)

_FLAGS: Final = (
    Bits("epr_capable", 22, 1),
    Bits("unchunked", 23, 1),
    Bits("no_suspend", 24, 1),
    Bits("usb_comm", 25, 1),
    Bits("mismatch", 26, 1),
    Bits("give_back", 27, 1),
    Bits("position", 28, 4),
)


@dataclass(frozen=True, slots=True)
class _Rdo(Word):
    """Flags that every request has; ``position`` has four bits since PD 3.1, three before."""

    position: int
    epr_capable: bool = False
    unchunked: bool = False
    no_suspend: bool = False
    usb_comm: bool = False
    mismatch: bool = False
    give_back: bool = False


@dataclass(frozen=True, slots=True)
class PlainRdo(_Rdo):
    """A request whose capabilities were not seen: its low bits cannot be read."""

    reserved: int = 0

    KIND: ClassVar[str] = "unknown"
    LAYOUT: ClassVar[tuple[Bits, ...]] = _FLAGS


@dataclass(frozen=True, slots=True)
class CurrentRdo(_Rdo):
    """Request of a fixed or variable supply (``max_a`` is the minimum with ``give_back``)."""

    operating_a: float = 0.0
    max_a: float = 0.0
    reserved: int = 0

    KIND: ClassVar[str] = "current"
    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("max_a", 0, 10, A10),
        Bits("operating_a", 10, 10, A10),
        *_FLAGS,
    )


@dataclass(frozen=True, slots=True)
class PowerRdo(_Rdo):
    """Request of a battery supply."""

    operating_w: float = 0.0
    max_w: float = 0.0
    reserved: int = 0

    KIND: ClassVar[str] = "battery"
    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("max_w", 0, 10, W250),
        Bits("operating_w", 10, 10, W250),
        *_FLAGS,
    )


@dataclass(frozen=True, slots=True)
class PpsRdo(_Rdo):
    """Request of a programmable supply: the voltage to give and the current limit."""

    voltage_v: float = 0.0
    current_a: float = 0.0
    reserved: int = 0

    KIND: ClassVar[str] = "pps"
    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("current_a", 0, 7, V50),
        Bits("voltage_v", 9, 12, V20),
        *_FLAGS,
    )


@dataclass(frozen=True, slots=True)
class AvsRdo(_Rdo):
    """Request of an adjustable supply (25 mV counts, of which the last two bits are zero)."""

    voltage_v: float = 0.0
    current_a: float = 0.0
    reserved: int = 0

    KIND: ClassVar[str] = "avs"
    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("current_a", 0, 7, V50),
        Bits("voltage_v", 9, 12, V25),
        *_FLAGS,
    )


Rdo: TypeAlias = PlainRdo | CurrentRdo | PowerRdo | PpsRdo | AvsRdo


def parse_rdo(word: int, pdo: Pdo | None) -> Rdo:
    """Read a request against the power data object it names (None: not seen, flags only)."""
    if isinstance(pdo, (FixedPdo, SinkFixedPdo, VariablePdo)):
        return CurrentRdo.from_word(word)
    if isinstance(pdo, BatteryPdo):
        return PowerRdo.from_word(word)
    if isinstance(pdo, PpsPdo):
        return PpsRdo.from_word(word)
    if isinstance(pdo, (EprAvsPdo, SprAvsPdo)):
        return AvsRdo.from_word(word)
    return PlainRdo.from_word(word)


def named(capabilities: Sequence[Pdo], position: int) -> Pdo | None:
    """The object at ``position`` (1-based), None where the list has none there."""
    if not 1 <= position <= len(capabilities):
        return None
    found = capabilities[position - 1]
    return None if isinstance(found, OtherPdo) else found


def rdo_values(rdo: Rdo, word: int | None = None) -> dict[str, Any]:
    """The request for a decode line."""
    raw = rdo.word() if word is None else word
    out = {"kind": rdo.KIND} | rdo.values() | {"raw": f"0x{raw:08x}"}
    if isinstance(rdo, PlainRdo):  # both readings, as nothing tells which one holds
        for name, kind, keys in (
            ("as_current", CurrentRdo, ("operating_a", "max_a")),
            ("as_pps", PpsRdo, ("voltage_v", "current_a")),
        ):
            values = kind.from_word(raw).values()
            out[name] = {key: values[key] for key in keys}
    return out
