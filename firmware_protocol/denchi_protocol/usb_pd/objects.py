"""Power data objects: what a source offers, what a sink needs.

Layouts: usb_pd.md §2 (Linux include/linux/usb/pd.h; the SPR AVS order of currents, 10-19 at
9-15 V and 0-9 at 15-20 V, also in usbpdparser 1.1.6). Everything is read by the specification;
reserved bits, which some chargers use for more range, are kept and never interpreted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias

from denchi_protocol.usb_pd.bits import A10, ONE, V50, V100, W250, Bits, Word

KIND_MASK: Final = 0xC000_0000
APDO_MASK: Final = 0xF000_0000
EMPTY_PDO: Final = "(empty)"
"""Text of a gap in a list."""
MAX_PDOS: Final = 11
"""Seven SPR positions and four EPR ones; an RDO can name up to 15."""


@dataclass(frozen=True, slots=True)
class _Pdo(Word):
    """Base: ``KIND`` names the supply, ``text`` is one short line (also ``str()``)."""

    KIND: ClassVar[str] = ""

    @property
    def text(self) -> str:
        """One short line."""
        raise NotImplementedError

    def __str__(self) -> str:
        """The short line."""
        return self.text


@dataclass(frozen=True, slots=True)
class FixedPdo(_Pdo):
    """Fixed supply. The flags mean something in the first object only (5 V)."""

    voltage_v: float
    current_a: float
    peak_current: int = 0
    epr_capable: bool = False
    unchunked: bool = False
    dual_role_data: bool = False
    usb_comm: bool = False
    unconstrained: bool = False
    usb_suspend: bool = False
    dual_role_power: bool = False
    reserved: int = 0

    KIND: ClassVar[str] = "fixed"
    MARK_MASK: ClassVar[int] = KIND_MASK
    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("current_a", 0, 10, A10),
        Bits("voltage_v", 10, 10, V50),
        Bits("peak_current", 20, 2),
        Bits("epr_capable", 23, 1),
        Bits("unchunked", 24, 1),
        Bits("dual_role_data", 25, 1),
        Bits("usb_comm", 26, 1),
        Bits("unconstrained", 27, 1),
        Bits("usb_suspend", 28, 1),
        Bits("dual_role_power", 29, 1),
    )

    @property
    def text(self) -> str:
        """One short line."""
        return f"fixed {self.voltage_v:.2f} V {self.current_a:.2f} A"


@dataclass(frozen=True, slots=True)
class SinkFixedPdo(_Pdo):
    """Fixed supply as a sink needs it (Sink_Capabilities)."""

    voltage_v: float
    current_a: float
    fast_swap: int = 0
    dual_role_data: bool = False
    usb_comm: bool = False
    unconstrained: bool = False
    higher_capability: bool = False
    dual_role_power: bool = False
    reserved: int = 0

    KIND: ClassVar[str] = "fixed"
    MARK_MASK: ClassVar[int] = KIND_MASK
    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("current_a", 0, 10, A10),
        Bits("voltage_v", 10, 10, V50),
        Bits("fast_swap", 23, 2),
        Bits("dual_role_data", 25, 1),
        Bits("usb_comm", 26, 1),
        Bits("unconstrained", 27, 1),
        Bits("higher_capability", 28, 1),
        Bits("dual_role_power", 29, 1),
    )

    @property
    def text(self) -> str:
        """One short line."""
        return f"fixed {self.voltage_v:.2f} V {self.current_a:.2f} A"


@dataclass(frozen=True, slots=True)
class BatteryPdo(_Pdo):
    """Battery supply: a voltage range and a power."""

    min_v: float
    max_v: float
    power_w: float
    reserved: int = 0

    KIND: ClassVar[str] = "battery"
    MARK: ClassVar[int] = 0x4000_0000
    MARK_MASK: ClassVar[int] = KIND_MASK
    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("power_w", 0, 10, W250),
        Bits("min_v", 10, 10, V50),
        Bits("max_v", 20, 10, V50),
    )

    @property
    def text(self) -> str:
        """One short line."""
        return f"battery {self.min_v:.2f}-{self.max_v:.2f} V {self.power_w:.2f} W"


@dataclass(frozen=True, slots=True)
class VariablePdo(_Pdo):
    """Variable supply: a voltage range and a current."""

    min_v: float
    max_v: float
    current_a: float
    reserved: int = 0

    KIND: ClassVar[str] = "variable"
    MARK: ClassVar[int] = 0x8000_0000
    MARK_MASK: ClassVar[int] = KIND_MASK
    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("current_a", 0, 10, A10),
        Bits("min_v", 10, 10, V50),
        Bits("max_v", 20, 10, V50),
    )

    @property
    def text(self) -> str:
        """One short line."""
        return f"variable {self.min_v:.2f}-{self.max_v:.2f} V {self.current_a:.2f} A"


@dataclass(frozen=True, slots=True)
class PpsPdo(_Pdo):
    """SPR programmable supply."""

    min_v: float
    max_v: float
    current_a: float
    power_limited: bool = False
    reserved: int = 0

    KIND: ClassVar[str] = "pps"
    MARK: ClassVar[int] = 0xC000_0000
    MARK_MASK: ClassVar[int] = APDO_MASK
    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("current_a", 0, 7, V50),
        Bits("min_v", 8, 8, V100),
        Bits("max_v", 17, 8, V100),
        Bits("power_limited", 27, 1),
    )

    @property
    def text(self) -> str:
        """One short line."""
        limited = " power limited" if self.power_limited else ""
        return f"PPS {self.min_v:.2f}-{self.max_v:.2f} V {self.current_a:.2f} A{limited}"


@dataclass(frozen=True, slots=True)
class EprAvsPdo(_Pdo):
    """EPR adjustable supply: the current follows from the power."""

    min_v: float
    max_v: float
    power_w: float
    peak_current: int = 0
    reserved: int = 0

    KIND: ClassVar[str] = "epr_avs"
    MARK: ClassVar[int] = 0xD000_0000
    MARK_MASK: ClassVar[int] = APDO_MASK
    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("power_w", 0, 8, ONE),
        Bits("min_v", 8, 8, V100),
        Bits("max_v", 17, 9, V100),
        Bits("peak_current", 26, 2),
    )

    @property
    def text(self) -> str:
        """One short line."""
        return f"EPR AVS {self.min_v:.2f}-{self.max_v:.2f} V {self.power_w:.0f} W"


@dataclass(frozen=True, slots=True)
class SprAvsPdo(_Pdo):
    """SPR adjustable supply, 9 to 20 V: one current to 15 V, one above (0 = no voltage above 15 V)."""

    current_15v_a: float
    current_20v_a: float
    peak_current: int = 0
    reserved: int = 0

    KIND: ClassVar[str] = "spr_avs"
    MARK: ClassVar[int] = 0xE000_0000
    MARK_MASK: ClassVar[int] = APDO_MASK
    LAYOUT: ClassVar[tuple[Bits, ...]] = (
        Bits("current_20v_a", 0, 10, A10),
        Bits("current_15v_a", 10, 10, A10),
        Bits("peak_current", 26, 2),
    )

    @property
    def text(self) -> str:
        """One short line."""
        above = f", 15-20 V {self.current_20v_a:.2f} A" if self.current_20v_a else ""
        return f"SPR AVS 9-15 V {self.current_15v_a:.2f} A{above}"


@dataclass(frozen=True, slots=True)
class OtherPdo(_Pdo):
    """A gap (a zero object fills an EPR list up to position 7) or a kind that is reserved."""

    reserved: int = 0

    KIND: ClassVar[str] = "other"

    @property
    def text(self) -> str:
        """One short line."""
        return f"reserved kind 0x{self.reserved:08x}" if self.reserved else EMPTY_PDO


Pdo: TypeAlias = (
    FixedPdo | SinkFixedPdo | BatteryPdo | VariablePdo | PpsPdo | EprAvsPdo | SprAvsPdo | OtherPdo
)


def parse_pdo(word: int, *, sink: bool = False) -> Pdo:
    """Read a power data object; every word has a reading (``OtherPdo`` at worst)."""
    if word == 0:
        return OtherPdo()
    kind = word >> 30
    if kind == 0:
        return SinkFixedPdo.from_word(word) if sink else FixedPdo.from_word(word)
    if kind == 1:
        return BatteryPdo.from_word(word)
    if kind == 2:
        return VariablePdo.from_word(word)
    apdos: dict[int, type[PpsPdo | EprAvsPdo | SprAvsPdo]] = {0: PpsPdo, 1: EprAvsPdo, 2: SprAvsPdo}
    apdo = apdos.get((word >> 28) & 3)
    return OtherPdo(word) if apdo is None else apdo.from_word(word)


def pdo_values(pdo: Pdo, position: int, word: int | None = None) -> dict[str, Any]:
    """The object for a decode line: ``position``, ``kind``, ``text``, its values and its raw word."""
    raw = pdo.word() if word is None else word
    values = {
        k: v for k, v in pdo.values().items() if not (v is False or (k == "peak_current" and not v))
    }
    return (
        {"position": position, "kind": pdo.KIND, "text": pdo.text}
        | values
        | {"raw": f"0x{raw:08x}"}
    )
