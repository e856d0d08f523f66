"""What a person is told and asked when a meter is met for the first time on a bench.

Where the meter must sit, whether the unit's own temperature is measured at all, and, where the meter's current has no sign,
which way it flows: what no frame can tell.
"""

from __future__ import annotations

from typing import Final

from denchi.daemon.lines import notes_of
from denchi.i18n import Text
from denchi.model import Finding, Severity
from denchi_protocol.codec import MeterSpec

AT_INPUT: Final = "meter_at_input"
"""Question: the meter sits between charger and unit, its current flows into the unit."""
UNIT_PLACES: Final = frozenset({"case", "cell", "pd"})


def _t(msgid: str, **params: str | float | int) -> Text:
    return Text(msgid, params, domain="health")


def _with_notes(advice: Text, spec: MeterSpec) -> Text:
    """The advice, and behind it each note as a sentence of its own."""
    parts = {"advice": advice} | {f"note_{i}": note for i, note in enumerate(notes_of(spec))}
    return Text(" ".join(f"{{{name}}}" for name in parts), parts)


def first_contact(
    spec: MeterSpec, places: frozenset[str], position: str, t_ns: int
) -> list[Finding]:
    """Findings of severity ``info`` for a meter just met; ``places``: where temperatures are measured."""
    found = []
    seen = bool(places & UNIT_PLACES)
    where = {
        "input": "The meter is taken to sit at the unit's input (between charger and unit).",
        "cell": "The meter is taken to sit at a cell or pack.",
    }.get(position, "The meter is taken to sit at the unit's output (between unit and load).")
    if spec.kind == "meter":
        found.append(
            Finding(
                code="meter_contact",
                family="data",
                severity=Severity.INFO,
                onset_ns=t_ns,
                t_ns=t_ns,
                message=_t(where),
                advice=_with_notes(
                    _t("The unit's own temperature is measured here.")
                    if seen
                    else _t(
                        "The unit's own temperature is not measured here: heat of the unit cannot be seen. A probe on its case can."
                    ),
                    spec,
                ),
                place="meter",
            )
        )
    if spec.current == "unsigned" and position == "output":
        found.append(
            Finding(
                code="meter_direction",
                family="data",
                severity=Severity.INFO,
                onset_ns=t_ns,
                t_ns=t_ns,
                message=_t(
                    "This meter's current has no sign. Does it sit between charger and unit, is the unit being charged?"
                ),
                advice=_t(
                    "Yes begins a new session that counts the current into the unit; no leaves it as it is."
                ),
                place="meter",
                question=AT_INPUT,
            )
        )
    return found
