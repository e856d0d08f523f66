"""Which voltage was promised: from USB-PD messages, else inferred from the settled voltage.

Inference knows the fixed voltages only. A voltage that has settled near none of them (a PPS or AVS
contract without PD messages) gives a contract of kind ``unknown``: sag is then judged against the
unit's own past only, never against a nominal that nobody promised.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

from denchi_protocol.codec import PdMessage

NOMINAL_V: Final = (5.0, 9.0, 12.0, 15.0, 20.0, 28.0, 36.0, 48.0)
SETTLE_S: Final = 3
"""Seconds in a row within 2 % of each other."""
SETTLE_FRAC: Final = 0.02
NEAR_BELOW: Final = 0.05
NEAR_ABOVE: Final = 0.06
"""A settled voltage is that of a nominal when it lies in -5 % .. +6 % of it."""
BELOW_5V: Final = 0.16
"""5 V is the voltage without any promise: a unit that sags from the beginning is still a 5 V unit."""
NO_CELL_V: Final = (4.45, 5.7)
"""A voltage between these is no single cell's: what shows it once and then less is a 5 V output that sags."""
DETACHED_V: Final = 0.8
DETACHED_S: Final = 3
"""vSafe0V for longer than any hard reset (650 ms down, 1 s away, 275 ms up)."""
STEP_V: Final = 1.5
"""A new contract is a step of at least this much; less is sag."""


@dataclass(frozen=True, slots=True)
class Contract:
    """What the source promised. Volts and amperes; ``low_v``/``high_v``: what it may show."""

    kind: str
    """``default`` ``fixed`` ``pps`` ``avs`` ``battery`` ``variable`` ``unknown``."""
    voltage_v: float | None
    current_a: float | None
    since_ns: int
    source: Literal["pd", "inferred"]
    low_v: float | None = None
    high_v: float | None = None
    settled_ns: int = 0
    """Not judged before: the transition's allowed time."""
    pdos: tuple[str, ...] = ()
    position: int | None = None
    limited: bool = False
    """A current limit makes the voltage fall by design (PPS)."""


class ContractWatch:
    """Keeps the contract in force; ``second`` infers, ``pd`` knows better."""

    def __init__(self) -> None:
        self.contract: Contract | None = None
        self._recent: deque[float] = deque(maxlen=SETTLE_S)
        self._settled = 0.0
        self._dark_s = 0
        self._most_v = 0.0
        self._pd: PdContract | None = None

    def pd(self, message: PdMessage) -> None:
        """Take a PD message."""
        if self._pd is None:
            self._pd = PdContract()
        if (told := self._pd.feed(message)) is not None:
            self.contract = told

    def second(self, volts: float, t_ns: int) -> None:
        """Take a second's mean voltage (NaN: not measured)."""
        if self.contract is not None and self.contract.source == "pd":
            self._dark_s = self._dark_s + 1 if volts < DETACHED_V else 0
            if self._dark_s >= DETACHED_S:
                self.detached(t_ns)
            return
        if volts != volts:
            self._recent.clear()
            return
        self._most_v = max(self._most_v, volts)
        recent = self._recent
        recent.append(volts)
        if len(recent) < SETTLE_S or volts < 2.5:
            return
        low, high = min(recent), max(recent)
        if high - low > SETTLE_FRAC * high:
            return
        middle = (low + high) / 2
        now, before = self.contract, self._settled
        self._settled = middle
        if now is not None and now.voltage_v is not None:
            near = max(STEP_V, 0.16 * now.voltage_v)
            glides_up = middle > now.voltage_v * (1 + NEAR_ABOVE) and abs(middle - before) < 0.3
            if abs(middle - now.voltage_v) < near and not (glides_up and now.voltage_v > 5.0):
                return
        elif now is not None and abs(middle - before) < STEP_V / 2:
            # A glide that passes a nominal is still a glide (PPS, AVS).
            return
        nominal = _nominal(middle)
        if now is None and 2.5 < middle < 5.0 and NO_CELL_V[0] < self._most_v < NO_CELL_V[1]:
            nominal = 5.0
        if nominal is None:
            if now is None or now.kind != "unknown":
                self.contract = Contract("unknown", None, None, t_ns, "inferred", settled_ns=t_ns)
            return
        if now is not None and now.voltage_v == nominal:
            return
        self.contract = Contract(
            "default" if nominal == 5.0 else "fixed",
            nominal,
            None,
            t_ns,
            "inferred",
            low_v=round(0.95 * nominal, 3),
            high_v=5.5 if nominal == 5.0 else round(1.05 * nominal, 3),
            settled_ns=t_ns,
        )

    def detached(self, t_ns: int) -> None:
        """VBUS has been away: whatever was agreed is over."""
        if self.contract is not None and self.contract.source == "pd" and self._pd is not None:
            self._pd.tracker.detach(t_ns)
            self.contract = None

    def gap(self) -> None:
        """Samples were missing: what was promised meanwhile is not known, but a contract may go on."""
        self._recent.clear()


def _nominal(volts: float) -> float | None:
    for nominal in NOMINAL_V:
        below = BELOW_5V if nominal == 5.0 else NEAR_BELOW
        if nominal * (1 - below) <= volts <= nominal * (1 + NEAR_ABOVE):
            return nominal
    return None


class PdContract:
    """The contract of a stream of USB-PD messages, by ``denchi_protocol.usb_pd``'s tracker."""

    def __init__(self) -> None:
        from denchi_protocol.usb_pd.tracker import ContractTracker

        self.tracker = ContractTracker()
        self._last: object = None

    def feed(self, message: PdMessage) -> Contract | None:
        """Take one message; the contract when it is a new one."""
        self.tracker.feed(message)
        told = self.tracker.contract
        if told is None or told is self._last:
            return None
        self._last = told
        return Contract(
            told.kind,
            told.voltage_v,
            told.current_a,
            told.since_ns,
            "pd",
            low_v=told.low_v,
            high_v=told.high_v,
            settled_ns=told.settled_ns,
            pdos=tuple(str(p) for p in told.pdos),
            position=told.position,
            limited=told.kind == "pps",
        )
