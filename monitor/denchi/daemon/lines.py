"""The JSON shapes of docs/api.md and DESIGN.md §6, made from the model's types."""

from __future__ import annotations

from typing import Any

from denchi.clock import iso
from denchi.health import lines as health_lines
from denchi.i18n import Text
from denchi.model import Finding, Session, Unit, VerdictReport
from denchi.text import clean
from denchi_protocol.codec import MeterSpec


def both(text: Text) -> dict[str, str]:
    """A sentence in both languages."""
    return {"en": text.render("en"), "ja": text.render("ja")}


def notes_of(spec: MeterSpec) -> list[Text]:
    """What is to be known of a meter; a third party's words have no translation and stay as they are."""
    return [
        Text("{note}", {"note": note})
        if "{" in note or "}" in note
        else Text(note, domain="meters")
        for note in spec.notes
    ]


def unit_label(unit: Unit) -> str:
    """One line that names a unit: brand and model, or what is known; the serial is not in it."""
    return clean(" ".join(p for p in (unit.brand, unit.model) if p) or unit.label_text, 80)


UNIT_FIELDS = (
    "brand",
    "model",
    "serial",
    "colour",
    "bought",
    "country",
    "rated_mah",
    "rated_wh",
    "max_w",
    "chemistry",
    "label_text",
)


def unit_dict(unit: Unit) -> dict[str, Any]:
    """A unit's fields."""
    return {name: getattr(unit, name) for name in UNIT_FIELDS}


def session_line(
    session: Session, *, samples: int, gaps: int, verdict: str | None = None
) -> dict[str, Any]:
    """The sessions line of DESIGN.md §6."""
    word = verdict or (session.verdict.word if session.verdict else None)
    return {
        "id": session.id,
        "origin": session.origin,
        "started": iso(session.started_ns),
        "ended": None if session.ended_ns is None else iso(session.ended_ns),
        "bench": session.bench,
        "meter": session.meter,
        "unit": unit_label(session.unit),
        "profile": session.profile,
        "samples": samples,
        "gaps": gaps,
        "verdict": word,
    }


def finding_line(
    finding: Finding,
    start_ns: int,
    *,
    file: str | None = None,
    id_: str = "",
    bench: str = "",
    session: str = "",
    acknowledged: bool = False,
) -> dict[str, Any]:
    """The findings line of DESIGN.md §6 with the API's additions; times relative to ``start_ns``."""
    return health_lines.finding_line(finding, start_ns, file) | {
        "message": finding.message.render("en"),
        "id": id_,
        "bench": bench,
        "session": session,
        "t_ns": finding.t_ns,
        "onset_ns": finding.onset_ns,
        "advice": finding.advice.render("en"),
        "message_ja": finding.message.render("ja"),
        "advice_ja": finding.advice.render("ja"),
        "question": finding.question,
        "ends": finding.ends,
        "acknowledged": acknowledged,
    }


def verdict_dict(report: VerdictReport) -> dict[str, Any]:
    """A verdict with its reasons, in both languages."""
    return {
        "verdict": report.verdict.word,
        "sentence": both(report.sentence),
        "reasons": [both(reason) for reason in report.reasons],
        "observed": list(report.observed),
        "not_observed": list(report.not_observed),
    }


def meter_dict(
    spec: MeterSpec, *, serial: str, firmware: str, port: str, model: str
) -> dict[str, Any]:
    """A meter as screens show it."""
    return {
        "key": spec.key,
        "model": clean(model or (spec.models[0] if spec.models else spec.key), 60),
        "maker": spec.maker,
        "serial": clean(serial, 60),
        "firmware": clean(firmware, 40),
        "maturity": spec.maturity,
        "port": clean(port, 80),
        "temperature_place": spec.temperature_place,
        "current": spec.current,
        "notes": [both(note) for note in notes_of(spec)],
    }


def contract_dict(contract: Any) -> dict[str, Any] | None:
    """The ``contract`` object of docs/api.md."""
    if contract is None:
        return None
    from denchi_protocol.usb_pd.objects import EMPTY_PDO

    pdos = getattr(contract, "pdos", ()) or ()
    active = getattr(contract, "position", None)
    return {
        "kind": contract.kind,
        "voltage_v": contract.voltage_v,
        "current_a": contract.current_a,
        "since_ns": contract.since_ns,
        "from": contract.source,
        "low_v": contract.low_v,
        "high_v": contract.high_v,
        "pdos": [
            {"position": i, "text": str(p), "active": i == active}
            for i, p in enumerate(pdos, 1)
            if str(p) != EMPTY_PDO
        ],
    }
