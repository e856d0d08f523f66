"""Batteries that talk: cell voltages, their spread at rest, the flags and figures that they report.

Limits of lithium-ion cells with a graphite anode; an LFP pack says so in ``chemistry``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from denchi.health.base import OWN, Context, Detector, Episode, Hold, Second, measured, text
from denchi.model import Finding, Severity
from denchi_protocol.codec import Telemetry

HOLD_S: Final = 5.0
REST_S: Final = 300.0
LFP_HIGH_V: Final = 3.75
LFP_LOW_V: Final = 2.3


class Cells(Detector):
    """``cell_over_voltage`` ``cell_under_voltage`` ``cell_imbalance`` ``battery_flag`` ``battery_worn``."""

    code = "cell_over_voltage"
    family = "cell"

    def __init__(self) -> None:
        self._high, self._low, self._spread = Hold(HOLD_S), Hold(HOLD_S), Hold(60.0)
        self._episodes = {
            c: Episode(60.0) for c in ("cell_over_voltage", "cell_under_voltage", "cell_imbalance")
        }
        self._flags: set[str] = set()
        self._worn = False
        self._rest_s = 0.0

    def second(self, s: Second, ctx: Context) -> Iterable[Finding]:
        """Judge the cells of one second."""
        cells = s.cells
        if not cells or not s.fresh:
            return ()
        lfp = "lfp" in ctx.meta.chemistry.lower() or "fepo4" in ctx.meta.chemistry.lower()
        high_v = LFP_HIGH_V if lfp else ctx.limits.cell_high_v
        low_v = LFP_LOW_V if lfp else ctx.limits.cell_low_v
        top, bottom = max(cells), min(cells)
        # A cell input that is not connected reads 0: no statement about a cell.
        if bottom < 0.5:
            bottom = min((c for c in cells if c >= 0.5), default=bottom)
        self._rest_s = self._rest_s + 1.0 if abs(s.i) < 0.1 else 0.0
        found: list[Finding] = []
        if self._high.step(top > high_v, s.t_ns) and self._raise("cell_over_voltage"):
            found.append(
                self._cell(
                    s, "cell_over_voltage", Severity.DANGER, cells.index(top) + 1, top, high_v
                )
            )
        self._episodes["cell_over_voltage"].ends(top < high_v - 0.03, s.t_ns)
        if self._low.step(bottom < low_v, s.t_ns) and self._raise("cell_under_voltage"):
            found.append(
                self._cell(
                    s,
                    "cell_under_voltage",
                    Severity.CAUTION,
                    cells.index(bottom) + 1,
                    bottom,
                    low_v,
                )
            )
        self._episodes["cell_under_voltage"].ends(bottom > low_v + 0.1, s.t_ns)
        limit = ctx.limits.cell_imbalance_v
        if len(cells) > 1 and self._rest_s >= REST_S:
            if self._spread.step(top - bottom > limit, s.t_ns) and self._raise("cell_imbalance"):
                found.append(self._imbalance(s, top, bottom, limit))
            self._episodes["cell_imbalance"].ends(top - bottom < 0.7 * limit, s.t_ns)
        return found

    def _raise(self, code: str) -> bool:
        return self._episodes[code].raises(
            Severity.DANGER if code == "cell_over_voltage" else Severity.CAUTION
        )

    def _cell(
        self, s: Second, code: str, severity: Severity, n: int, volts: float, limit: float
    ) -> Finding:
        high = code == "cell_over_voltage"
        return Finding(
            code=code,
            family="cell",
            severity=severity,
            onset_ns=(self._high if high else self._low).since_ns,
            t_ns=s.t_ns,
            message=text(
                "Cell {n} is at {volts:.3f} V, above {limit:.2f} V."
                if high
                else "Cell {n} is at {volts:.3f} V, below {limit:.2f} V.",
                n=n,
                volts=volts,
                limit=limit,
            ),
            advice=text("End the charge at once and do not charge this battery again.")
            if high
            else text("End the discharge. A cell that stays this low must not be charged again."),
            measured=measured(voltage=(volts, "V"), cell=(float(n), "")),
            limit=f"{limit:.2f} V",
            source=OWN,
            place=f"cell.{n}",
        )

    def _imbalance(self, s: Second, top: float, bottom: float, limit: float) -> Finding:
        return Finding(
            code="cell_imbalance",
            family="cell",
            severity=Severity.CAUTION,
            onset_ns=self._spread.since_ns,
            t_ns=s.t_ns,
            message=text(
                "Cells differ by {spread:.0f} mV at rest ({low:.3f} to {high:.3f} V).",
                spread=(top - bottom) * 1000,
                low=bottom,
                high=top,
            ),
            advice=text(
                "A cell that keeps falling behind at rest leaks or is worn: watch its difference from day to day."
            ),
            measured=measured(spread=(top - bottom, "V"), low=(bottom, "V"), high=(top, "V")),
            limit=f"{limit * 1000:.0f} mV after {REST_S / 60:.0f} min of rest",
            source=OWN,
            place="cell",
        )

    def telemetry(self, telemetry: Telemetry, ctx: Context) -> Iterable[Finding]:
        """Flags and the battery's own opinion of its capacity."""
        found: list[Finding] = []
        if telemetry.flags is not None:
            for flag in telemetry.flags:
                if flag not in self._flags:
                    found.append(self._flag(flag, telemetry))
            self._flags = set(telemetry.flags)
        full, design = telemetry.values.get("full_ah"), telemetry.values.get("design_ah")
        if full and design and not self._worn and 0 < full / design < ctx.limits.soh_info_frac:
            self._worn = True
            found.append(self._worn_out(full, design, ctx.limits.soh_info_frac, telemetry.t_ns))
        return found

    def _flag(self, flag: str, telemetry: Telemetry) -> Finding:
        return Finding(
            code="battery_flag",
            family="protection",
            severity=Severity.CAUTION,
            onset_ns=telemetry.t_ns,
            t_ns=telemetry.t_ns,
            message=text("The battery itself reports: {flag}.", flag=flag.replace("_", " ")),
            advice=text(
                "Its own protection has acted or warns. Find out why before it is used on."
            ),
            limit="raised by the battery's own protection",
            source="the battery's own report",
            place="cell",
        )

    def _worn_out(self, full: float, design: float, limit: float, t_ns: int) -> Finding:
        return Finding(
            code="battery_worn",
            family="energy",
            severity=Severity.INFO,
            onset_ns=t_ns,
            t_ns=t_ns,
            message=text(
                "The battery itself reports a full charge of {full:.2f} Ah of {design:.2f} Ah by design ({share:.0f} %).",
                full=full,
                design=design,
                share=full / design * 100,
            ),
            advice=text("Its own figure, not measured here."),
            measured=measured(full=(full, "Ah"), design=(design, "Ah")),
            limit=f"{limit * 100:.0f} % of design",
            source="the battery's own report",
            place="cell",
        )

    def open_codes(self) -> Iterable[tuple[str, Severity]]:
        """Open episodes."""
        return [(c, e.severity) for c, e in self._episodes.items() if e.severity is not None]
