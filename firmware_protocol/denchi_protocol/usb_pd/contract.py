"""What a source promised: voltage, current, the limits it may show, and from when that counts.

Times of transition (USB-IF PD R3.x, timers as firmware of several makers uses them: tSrcTransition
25-35 ms; tSrcReady 285 ms SPR, 720 ms EPR; tPSTransition 450-550 ms SPR, 830-1020 ms EPR;
tPpsSrcTransSmall 25 ms up to vPpsSmallStep 500 mV, tPpsSrcTransLarge 275 ms; hard reset: tPSHardReset
35 ms, tSafe0V 650 ms, tSrcRecover 660-1000 ms, tSrcTurnOn 275 ms; role swap: tPSSourceOff 920 ms,
tPSSourceOn 480 ms). While a transition lasts, no voltage between the two contracts is a fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from denchi_protocol.usb_pd.objects import (
    BatteryPdo,
    EprAvsPdo,
    FixedPdo,
    Pdo,
    PpsPdo,
    SinkFixedPdo,
    SprAvsPdo,
    VariablePdo,
)
from denchi_protocol.usb_pd.requests import AvsRdo, CurrentRdo, PpsRdo, Rdo

ContractKind: TypeAlias = Literal[
    "default", "fixed", "variable", "battery", "pps", "avs", "unknown"
]

MS: Final = 1_000_000
SPR_TRANSITION_NS: Final = 550 * MS
EPR_TRANSITION_NS: Final = 1020 * MS
PPS_SMALL_NS: Final = 60 * MS
"""tSrcTransition does not apply; tPpsSrcTransSmall and the time that the Accept needs."""
PPS_LARGE_NS: Final = 310 * MS
PPS_SMALL_STEP_V: Final = 0.5
AFTER_READY_NS: Final = 100 * MS
"""PS_RDY says "there"; messages are stamped when a meter is polled (POWER-Z: every 40 ms)."""
HARD_RESET_NS: Final = 1960 * MS
SWAP_NS: Final = 1400 * MS

TOLERANCE: Final = 0.05
"""vSrcNew, vPpsNew, vAvsNew: 5 % of the voltage either way."""
SAFE_5V: Final = (4.75, 5.5)
"""vSafe5V: the default, and any 5 V contract."""
EPR_FROM: Final = 8
"""Object positions from here on are EPR ones."""


@dataclass(frozen=True, slots=True)
class Contract:
    """One contract in force. Volts and amperes at the source's socket, ns of the session's clock.

    ``voltage_v`` is None where the source may choose within ``low_v`` .. ``high_v`` (variable,
    battery) and for ``unknown``: something was agreed that was not seen, so nothing is known to be
    promised. ``current_a`` is None where nothing was said of it. ``transition_until_ns``: VBUS is
    not judged before.
    """

    kind: ContractKind
    voltage_v: float | None
    current_a: float | None
    since_ns: int
    transition_until_ns: int
    low_v: float | None = None
    high_v: float | None = None
    position: int | None = None
    pdos: tuple[Pdo, ...] = ()
    """The source's capabilities at that time; ``position`` counts from 1."""
    request: Rdo | None = None
    raw: int | None = None
    """The request's word."""
    power_w: float | None = None
    """A battery supply's promise."""
    mismatch: bool = False
    """The sink said that it needs more than was offered."""

    @property
    def settled_ns(self) -> int:
        """The same as ``transition_until_ns``."""
        return self.transition_until_ns

    @property
    def pdo(self) -> Pdo | None:
        """The power data object in force."""
        if self.position is None or not 1 <= self.position <= len(self.pdos):
            return None
        return self.pdos[self.position - 1]

    @property
    def limited(self) -> bool:
        """A current limit makes the voltage fall by design, which is then no sag."""
        return self.kind == "pps"

    def promises(self) -> tuple[object, ...]:
        """What makes one contract another; a repeated request (PPS: every 10 s) is none."""
        return (self.kind, self.voltage_v, self.current_a, self.power_w, self.position, self.pdos)


def tolerance(voltage_v: float) -> tuple[float, float]:
    """Lowest and highest VBUS that a source may show for ``voltage_v``."""
    if voltage_v == 5.0:
        return SAFE_5V
    return round(voltage_v * (1 - TOLERANCE), 4), round(voltage_v * (1 + TOLERANCE), 4)


def default(since_ns: int, until_ns: int, pdos: tuple[Pdo, ...] = ()) -> Contract:
    """The implicit contract: 5 V, the current not said (it stands in the CC voltage)."""
    low, high = SAFE_5V
    return Contract("default", 5.0, None, since_ns, until_ns, low, high, pdos=pdos)


def unknown(since_ns: int, pdos: tuple[Pdo, ...] = ()) -> Contract:
    """Something was agreed that was not seen."""
    return Contract("unknown", None, None, since_ns, since_ns + EPR_TRANSITION_NS, pdos=pdos)


def agreed(
    rdo: Rdo, pdo: Pdo | None, pdos: tuple[Pdo, ...], t_ns: int, before: Contract | None
) -> Contract:
    """The contract that an accepted request makes at ``t_ns``."""
    wait_ns = EPR_TRANSITION_NS if rdo.position >= EPR_FROM else SPR_TRANSITION_NS
    kind: ContractKind = "unknown"
    volts: float | None = None
    amps: float | None = None
    power_w: float | None = None
    low: float | None = None
    high: float | None = None
    if isinstance(pdo, (FixedPdo, SinkFixedPdo)) and isinstance(rdo, CurrentRdo):
        kind, volts, amps = "fixed", pdo.voltage_v, min(rdo.operating_a, pdo.current_a)
    elif isinstance(pdo, VariablePdo) and isinstance(rdo, CurrentRdo):
        kind, amps = "variable", min(rdo.operating_a, pdo.current_a)
        low, high = pdo.min_v, pdo.max_v
    elif isinstance(pdo, BatteryPdo):
        kind, low, high = "battery", pdo.min_v, pdo.max_v
        power_w = min(getattr(rdo, "operating_w", pdo.power_w), pdo.power_w)
    elif isinstance(pdo, PpsPdo) and isinstance(rdo, PpsRdo):
        kind, volts, amps = "pps", rdo.voltage_v, rdo.current_a
        wait_ns = _pps_wait(volts, before)
    elif isinstance(pdo, (EprAvsPdo, SprAvsPdo)) and isinstance(rdo, AvsRdo):
        kind, volts, amps = "avs", rdo.voltage_v, rdo.current_a
    if volts is not None:
        low, high = tolerance(volts)
    return Contract(
        kind,
        volts,
        amps,
        t_ns,
        t_ns + wait_ns,
        low,
        high,
        rdo.position,
        pdos,
        rdo,
        rdo.word(),
        power_w,
        rdo.mismatch,
    )


def _pps_wait(volts: float, before: Contract | None) -> int:
    if before is None or before.kind != "pps" or before.voltage_v is None:
        return SPR_TRANSITION_NS
    small = abs(volts - before.voltage_v) <= PPS_SMALL_STEP_V
    return PPS_SMALL_NS if small else PPS_LARGE_NS
