"""Source resistance from load steps: both ends of a step, within one contract.

At a USB output this is converter regulation, connectors and cable together, never the cell's resistance
(science.md §8.6). A large one is told (info: cable or contact); one that grows during a session is a caution.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from statistics import median
from typing import Final

from denchi.health.base import NAN, NS, OWN, Context, Detector, Second, measured, text
from denchi.model import Finding, Severity

STEP_A: Final = 0.2
STEADY_A: Final = 0.05
STEADY_S: Final = 3
KEEP: Final = 7
"""Steps in a median."""
STEP_WITHIN_S: Final = 15.0
"""Both ends of a step lie this close together; over longer times a supply or a PPS contract moves the voltage by itself."""
CONTRACT_STEP_V: Final = 1.5
"""Voltage that moves by this with the current, where 1.5 V at 5 A would need 0.3 Ohm and more: a renegotiation."""


class Resistance(Detector):
    """``source_resistance`` (info) and ``resistance_growing`` (caution)."""

    code = "source_resistance"
    family = "resistance"

    def __init__(self) -> None:
        self._contract_ns = -1
        self._plateau: list[tuple[float, float]] = []
        self._before: tuple[float, float] | None = None
        self._before_ns = 0
        self._steps: deque[float] = deque(maxlen=KEEP)
        self._first: list[float] = []
        self._told: set[str] = set()

    def second(self, s: Second, ctx: Context) -> Iterable[Finding]:
        """Find plateaus of current; each pair of neighbours is a step."""
        contract = ctx.contract
        if s.pack or ctx.input_side or contract is None or contract.limited:
            return ()
        if contract.since_ns != self._contract_ns:
            self._contract_ns = contract.since_ns
            self._plateau, self._before = [], None
            self._steps.clear()
            self._first = []
        if not s.fresh or not s.v > 2.5 or s.i != s.i:
            self._plateau = []
            return ()
        if s.i_high - s.i_low > STEADY_A or (
            self._plateau and abs(s.i - self._plateau[-1][1]) > STEADY_A
        ):
            self._end_plateau(s.t_ns - NS)
            self._plateau = []
            return ()
        self._plateau.append((s.v, s.i))
        if len(self._plateau) > 10:
            del self._plateau[0]
        if len(self._plateau) == STEADY_S and self._before is not None:
            return self._step(s, ctx)
        return ()

    def _end_plateau(self, t_ns: int) -> None:
        if len(self._plateau) >= STEADY_S:
            last = self._plateau[-STEADY_S:]
            self._before = (median(v for v, _ in last), median(i for _, i in last))
            self._before_ns = t_ns

    def _step(self, s: Second, ctx: Context) -> list[Finding]:
        assert self._before is not None
        v0, i0 = self._before
        v1, i1 = median(v for v, _ in self._plateau), median(i for _, i in self._plateau)
        apart_s = (s.t_ns - self._before_ns) / NS - STEADY_S
        if apart_s > STEP_WITHIN_S or abs(i1 - i0) < STEP_A:
            return []
        ohm = (v0 - v1) / (i1 - i0)
        self._before, self._before_ns = (v1, i1), s.t_ns
        if abs(v1 - v0) > CONTRACT_STEP_V:
            # Voltage and load were changed together: a new contract that the watch has not told (yet).
            self._steps.clear()
            self._first = []
            return []
        self._steps.append(ohm)
        if len(self._first) < 3:
            self._first.append(ohm)
        now = median(self._steps) if len(self._steps) >= 2 else NAN
        if now == now:
            ctx.figures["ohm"] = now
        found: list[Finding] = []
        if now > ctx.limits.resistance_info_ohm and "source_resistance" not in self._told:
            self._told.add("source_resistance")
            found.append(
                self._finding(
                    "source_resistance", Severity.INFO, s, now, ctx.limits.resistance_info_ohm
                )
            )
        contract = ctx.contract
        # Where nothing was promised the unit may follow a PPS request that no meter shows.
        promised = contract is not None and contract.voltage_v is not None
        if promised and len(self._first) == 3 and len(self._steps) >= 3:
            recent = min(list(self._steps)[-3:])
            limit = median(self._first) + ctx.limits.resistance_growth_ohm
            if recent > limit and "resistance_growing" not in self._told:
                self._told.add("resistance_growing")
                found.append(
                    self._finding("resistance_growing", Severity.CAUTION, s, recent, limit)
                )
        return found

    def _finding(
        self, code: str, severity: Severity, s: Second, ohm: float, limit: float
    ) -> Finding:
        msgid = (
            "Load steps show {ohm:.2f} Ω between the source and the meter: cable, contact or converter; from here they cannot be told apart."
            if code == "source_resistance"
            else "The resistance between the source and the meter has grown to {ohm:.2f} Ω in this session."
        )
        return Finding(
            code=code,
            family="resistance",
            severity=severity,
            onset_ns=s.t_ns,
            t_ns=s.t_ns,
            message=text(msgid, ohm=ohm),
            advice=text(
                "Feel the plugs for heat, change the cable, plug again; if it stays, it is the unit."
            ),
            measured=measured(resistance=(ohm, "Ohm"), current=(s.i, "A"), voltage=(s.v, "V")),
            limit=f"{limit:.2f} Ohm",
            source=OWN,
            place="vbus",
        )
