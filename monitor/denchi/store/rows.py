"""The house's frozen types as rows and JSON, and back."""

from __future__ import annotations

import json
import sqlite3
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from denchi.i18n import Text
from denchi.model import Finding, Gap, Measured, Session, SessionMeta, Severity, Unit, Verdict
from denchi_protocol.codec import PdMessage


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as the journal holds it."""

    session: Session
    samples: int = 0
    gaps: int = 0
    report: Mapping[str, Any] | None = None
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class StoredInstrument:
    """One instrument of a session."""

    id: int
    session_id: str
    role: str
    key: str
    model: str
    serial: str
    firmware: str
    maturity: str
    channels: tuple[str, ...]
    extra: Mapping[str, Any]
    sealed_seq: int = -1
    samples: int = 0
    first_ns: int | None = None
    last_ns: int | None = None


@dataclass(frozen=True, slots=True)
class StoredFinding:
    """A finding with its id and what a person did with it."""

    id: str
    session_id: str
    finding: Finding
    acknowledged: bool = False


@dataclass(frozen=True, slots=True)
class StoredGap:
    """A gap with the session (and instrument, when it is one's own) that it belongs to."""

    session_id: str
    instrument: int | None
    gap: Gap


@dataclass(frozen=True, slots=True)
class StoredUnit:
    """A unit seen before."""

    key: str
    unit: Unit
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class UnitRecord:
    """Figures that one session left about a unit (capacity, resistance, rises ...)."""

    unit_key: str
    session_id: str
    t_ns: int
    data: Mapping[str, Any] = field(default_factory=dict)


def unit_key(unit: Unit) -> str:
    """The key under which a unit's history is kept: brand, model and serial, forms of letters apart.

    Empty when the serial is not known: two units of a model are two units.
    """
    if not unit.serial.strip():
        return ""
    parts = (unit.brand, unit.model, unit.serial)
    return "|".join(
        " ".join(unicodedata.normalize("NFKC", part).casefold().replace("|", "/").split())
        for part in parts
    )


def dump(value: Any) -> str:
    """JSON as it is stored."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _known(cls: type[Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Only the keys that the type still has: an old or newer journal must not stop a reader."""
    names = {f.name for f in fields(cls)}
    return {name: value for name, value in data.items() if name in names}


def unit_of(data: Mapping[str, Any]) -> Unit:
    """A ``Unit`` from its JSON."""
    return Unit(**_known(Unit, data))


def meta_of(data: Mapping[str, Any]) -> SessionMeta:
    """A ``SessionMeta`` from its JSON."""
    return SessionMeta(**_known(SessionMeta, data))


def session_row(session: Session) -> dict[str, Any]:
    """The columns of a session that its own type holds."""
    return {
        "id": session.id,
        "origin": session.origin,
        "started_ns": session.started_ns,
        "ended_ns": session.ended_ns,
        "bench": session.bench,
        "meter": session.meter,
        "unit": dump(asdict(session.unit)),
        "unit_key": unit_key(session.unit),
        "profile": session.profile,
        "operator": session.operator,
        "meta": dump(asdict(session.meta)),
        "verdict": None if session.verdict is None else int(session.verdict),
        "extra": dump(dict(session.extra)),
    }


def session_of(row: sqlite3.Row, samples: int = 0, gaps: int = 0) -> StoredSession:
    """A session from its row."""
    session = Session(
        id=row["id"],
        origin=row["origin"],
        started_ns=row["started_ns"],
        ended_ns=row["ended_ns"],
        bench=row["bench"],
        meter=row["meter"],
        unit=unit_of(json.loads(row["unit"])),
        profile=row["profile"],
        operator=row["operator"],
        meta=meta_of(json.loads(row["meta"])),
        verdict=None if row["verdict"] is None else Verdict(row["verdict"]),
        extra=json.loads(row["extra"]),
    )
    report = None if row["report"] is None else json.loads(row["report"])
    return StoredSession(session, samples, gaps, report, bool(row["pinned"]))


def instrument_of(row: sqlite3.Row) -> StoredInstrument:
    """An instrument from its row."""
    data = {name: row[name] for name in row.keys()}  # noqa: SIM118  Row iterates over values
    data["channels"] = tuple(json.loads(data["channels"]))
    data["extra"] = json.loads(data["extra"])
    return StoredInstrument(**_known(StoredInstrument, data))


def _text(value: Text) -> dict[str, Any]:
    return {"msgid": value.msgid, "params": dict(value.params), "domain": value.domain}


def _text_of(data: Mapping[str, Any]) -> Text:
    return Text(data.get("msgid", ""), data.get("params", {}), data.get("domain", "health"))


def finding_json(finding: Finding) -> str:
    """A finding as stored: message and advice stay templates with their figures apart."""
    data = {f.name: getattr(finding, f.name) for f in fields(Finding)}
    data["severity"] = int(finding.severity)
    data["message"] = _text(finding.message)
    data["advice"] = _text(finding.advice)
    data["measured"] = {k: [m.value, m.unit] for k, m in finding.measured.items()}
    return dump(data)


def finding_of(text: str) -> Finding:
    """A finding from its JSON."""
    data = _known(Finding, json.loads(text))
    data["severity"] = Severity(data["severity"])
    data["message"] = _text_of(data["message"])
    data["advice"] = _text_of(data["advice"])
    data["measured"] = {k: Measured(v, unit) for k, (v, unit) in data["measured"].items()}
    return Finding(**data)


def gap_of(row: sqlite3.Row) -> StoredGap:
    """A gap from its row."""
    gap = Gap(row["start_ns"], row["end_ns"], row["cause"], row["lost"])
    return StoredGap(row["session_id"], row["instrument"], gap)


def pd_of(row: sqlite3.Row) -> PdMessage:
    """A PD message from its row."""
    crc = row["crc_ok"]
    return PdMessage(row["t_ns"], row["sop"], row["wire"], None if crc is None else bool(crc))
