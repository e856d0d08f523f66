"""What the unit says of itself by USB-PD: its own protection, its own temperature state, its own capacity.

Only the unit's own messages count (the source's, or the sink's where the meter sits at the input), and
each finding carries the raw bytes. No danger rests on these flags alone: sources put the temperature
status at different bits (denchi_protocol/usb_pd/blocks.py); degrees are judged as ``temp_mc.pd``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from denchi.health.base import NS, Context, Detector, measured, text
from denchi.i18n import Text
from denchi.model import Finding, Severity
from denchi_protocol.codec import PdMessage

if TYPE_CHECKING:
    from denchi_protocol.usb_pd.tracker import ContractTracker, PdEvent

QUIET_NS: Final = 60 * NS
"""The same report within a minute of the last is still the same episode."""
SHOWN_BYTES: Final = 40
MESSAGES: Final = {
    "ocp": text("The unit itself reports over-current (USB-PD)."),
    "otp": text("The unit itself reports that its over-temperature protection acted (USB-PD)."),
    "ovp": text("The unit itself reports over-voltage (USB-PD)."),
    "over_temperature": text("The unit itself reports the state over-temperature (USB-PD)."),
    "temperature_warning": text("The unit itself reports the state temperature warning (USB-PD)."),
}
ADVICE: Final = text("Its own protection has acted or warns. Find out why before it is used on.")


class PdReports(Detector):
    """``pd_report`` of protection and temperature state, ``battery_worn`` by the unit's own figures."""

    code = "pd_report"
    family = "protection"

    def __init__(self) -> None:
        self._tracker: ContractTracker | None = None
        self._last: dict[str, int] = {}
        self._worn: set[int] = set()

    def pd(self, message: PdMessage, ctx: Context) -> Iterable[Finding]:
        """A USB Power Delivery message."""
        if self._tracker is None:
            from denchi_protocol.usb_pd.tracker import ContractTracker

            self._tracker = ContractTracker()
        unit = "sink" if ctx.input_side else "source"
        found: list[Finding] = []
        for event in self._tracker.feed(message):
            if event.role != unit:
                continue
            if event.kind in MESSAGES:
                found += self._report(event)
            elif event.kind == "battery":
                found += self._batteries(unit, event, ctx)
        return found

    def _report(self, event: PdEvent) -> list[Finding]:
        before = self._last.get(event.kind)
        self._last[event.kind] = event.t_ns
        if before is not None and event.t_ns - before < QUIET_NS:
            return []
        warning = event.kind == "temperature_warning"
        return [
            self._finding(
                event,
                "pd_report",
                Severity.INFO if warning else Severity.CAUTION,
                MESSAGES[event.kind],
            )
        ]

    def _finding(self, event: PdEvent, code: str, severity: Severity, message: Text) -> Finding:
        celsius = event.fields.get("temperature_c")
        return Finding(
            code=code,
            family="protection",
            severity=severity,
            onset_ns=event.t_ns,
            t_ns=event.t_ns,
            message=message,
            advice=ADVICE,
            measured=measured(temperature=(celsius, "degC")) if celsius is not None else {},
            limit=f"{event.kind}, raised by the unit itself",
            source=f"the unit's own USB-PD message, raw {event.raw[:SHOWN_BYTES].hex()}",
            place="pd",
        )

    def _batteries(self, unit: str, event: PdEvent, ctx: Context) -> list[Finding]:
        assert self._tracker is not None
        found = []
        for key, battery in self._tracker.partner(unit).batteries.items():
            full, design = battery.last_full_wh, battery.design_wh
            if battery.health is None or not full or not design or key in self._worn:
                continue
            if battery.health >= ctx.limits.soh_info_frac:
                continue
            self._worn.add(key)
            found.append(
                Finding(
                    code="battery_worn",
                    family="energy",
                    severity=Severity.INFO,
                    onset_ns=event.t_ns,
                    t_ns=event.t_ns,
                    message=text(
                        "The unit itself reports a full charge of {full:.1f} Wh of {design:.1f} Wh by design ({share:.0f} %).",
                        full=full,
                        design=design,
                        share=full / design * 100,
                    ),
                    advice=text("Its own figure, not measured here."),
                    measured=measured(full=(full, "Wh"), design=(design, "Wh")),
                    limit=f"{ctx.limits.soh_info_frac * 100:.0f} % of design",
                    source=f"the unit's own USB-PD message, raw {event.raw[:SHOWN_BYTES].hex()}",
                    place="pd",
                )
            )
        return found
