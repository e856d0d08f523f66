"""Operations on the small tables; each may run again after a failure and then does no harm."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from denchi.model import Finding, Gap, Session, Unit
from denchi.store.rows import dump, finding_json, session_row, unit_key
from denchi_protocol.codec import PdMessage

Op = Callable[[sqlite3.Connection], None]


def _log(con: sqlite3.Connection, kind: str, ref: object) -> None:
    con.execute("INSERT INTO log(kind, ref) VALUES (?, ?)", (kind, str(ref)))


def put_session(session: Session) -> Op:
    """Begin or change a session; its verdict, report and pin stay unless told anew."""
    row = session_row(session)

    def op(con: sqlite3.Connection) -> None:
        names = ", ".join(row)
        marks = ", ".join(f":{name}" for name in row)
        kept = ("ended_ns", "verdict")
        changes = ", ".join(
            f"{n} = coalesce(excluded.{n}, {n})" if n in kept else f"{n} = excluded.{n}"
            for n in row
            if n != "id"
        )
        con.execute(
            f"INSERT INTO session({names}) VALUES ({marks})"  # noqa: S608  names are our own columns
            f" ON CONFLICT(id) DO UPDATE SET {changes}",
            row,
        )
        _log(con, "session", session.id)

    return op


def end_session(
    session_id: str, ended_ns: int, verdict: int | None, report: Mapping[str, Any] | None
) -> Op:
    """Set a session's end, verdict and report."""
    text = None if report is None else dump(dict(report))

    def op(con: sqlite3.Connection) -> None:
        con.execute(
            "UPDATE session SET ended_ns = ?, verdict = ?, report = ? WHERE id = ?",
            (ended_ns, verdict, text, session_id),
        )
        con.execute(
            "UPDATE gap SET end_ns = ? WHERE session_id = ? AND end_ns IS NULL",
            (ended_ns, session_id),
        )
        _log(con, "session", session_id)

    return op


def delete_session(session_id: str) -> Op:
    """Remove a session with everything that belongs to it."""

    def op(con: sqlite3.Connection) -> None:
        for table in ("segment", "rollup"):
            con.execute(
                f"DELETE FROM {table} WHERE instrument IN"  # noqa: S608
                " (SELECT id FROM instrument WHERE session_id = ?)",
                (session_id,),
            )
        for table in ("instrument", "gap", "finding", "pd", "event", "unit_record"):
            con.execute(f"DELETE FROM {table} WHERE session_id = ?", (session_id,))  # noqa: S608
        con.execute("DELETE FROM session WHERE id = ?", (session_id,))

    return op


def pin_session(session_id: str, pinned: bool) -> Op:
    """Keep a session's raw samples out of retention, or let them go again."""
    return lambda con: _run(
        con, "UPDATE session SET pinned = ? WHERE id = ?", (int(pinned), session_id)
    )


def _run(con: sqlite3.Connection, sql: str, values: Sequence[Any]) -> None:
    con.execute(sql, values)


def add_instrument(row: Mapping[str, Any]) -> Op:
    """Insert an instrument with the id it was given."""
    names = ", ".join(row)
    marks = ", ".join(f":{name}" for name in row)
    return lambda con: _run(
        con,
        f"INSERT OR IGNORE INTO instrument({names}) VALUES ({marks})",  # noqa: S608
        dict(row),  # type: ignore[arg-type]
    )


def adopt(instrument: int, started_ns: int) -> Op:
    """Give samples whose instrument is not known a session of their own."""

    def op(con: sqlite3.Connection) -> None:
        if con.execute("SELECT 1 FROM instrument WHERE id = ?", (instrument,)).fetchone():
            return
        session = Session(
            id=f"recovered-{instrument}",
            origin="meter",
            started_ns=started_ns,
            extra={"recovered": True, "origin_unknown": True},
        )
        put_session(session)(con)
        add_instrument(
            {
                "id": instrument,
                "session_id": session.id,
                "role": "meter",
                "key": "",
                "model": "",
                "serial": "",
                "firmware": "",
                "maturity": "",
                "channels": "[]",
                "extra": dump({"recovered": True}),
            }
        )(con)

    return op


def add_gap(session_id: str, instrument: int | None, gap: Gap) -> Op:
    """Insert a gap; the same start once more closes or corrects it."""

    def op(con: sqlite3.Connection) -> None:
        row = con.execute(
            "SELECT id FROM gap WHERE session_id = ? AND instrument IS ? AND start_ns = ?"
            " AND (cause = ? OR end_ns IS NULL)",
            (session_id, instrument, gap.start_ns, gap.cause),
        ).fetchone()
        if row:
            con.execute(
                "UPDATE gap SET end_ns = ?, cause = ?, lost = ? WHERE id = ?",
                (gap.end_ns, gap.cause, gap.lost, row[0]),
            )
            _log(con, "gap", row[0])
            return
        done = con.execute(
            "INSERT INTO gap(session_id, instrument, start_ns, end_ns, cause, lost)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (session_id, instrument, gap.start_ns, gap.end_ns, gap.cause, gap.lost),
        )
        _log(con, "gap", done.lastrowid)

    return op


def loss(instrument: int, cause: str, start_ns: int, end_ns: int, lost: int) -> Op:
    """A gap for samples that denchi itself had to give up."""

    def op(con: sqlite3.Connection) -> None:
        done = con.execute(
            "INSERT INTO gap(session_id, instrument, start_ns, end_ns, cause, lost)"
            " SELECT session_id, id, ?, ?, ?, ? FROM instrument WHERE id = ?",
            (start_ns, end_ns, cause, lost, instrument),
        )
        if done.rowcount:
            _log(con, "gap", done.lastrowid)

    return op


def add_finding(finding_id: str, session_id: str, finding: Finding) -> Op:
    """Insert a finding under its id."""
    text = finding_json(finding)

    def op(con: sqlite3.Connection) -> None:
        con.execute(
            "INSERT OR REPLACE INTO finding(id, session_id, t_ns, severity, data)"
            " VALUES (?, ?, ?, ?, ?)",
            (finding_id, session_id, finding.t_ns, int(finding.severity), text),
        )
        _log(con, "finding", finding_id)

    return op


def ack_finding(finding_id: str) -> Op:
    """Note that a person acknowledged a finding."""
    return lambda con: _run(con, "UPDATE finding SET acked = 1 WHERE id = ?", (finding_id,))


def add_pd(session_id: str, messages: Sequence[PdMessage]) -> Op:
    """Insert PD messages in order."""

    def op(con: sqlite3.Connection) -> None:
        con.executemany(
            "INSERT INTO pd(session_id, t_ns, sop, wire, crc_ok) VALUES (?, ?, ?, ?, ?)",
            [
                (session_id, m.t_ns, m.sop, m.wire, None if m.crc_ok is None else int(m.crc_ok))
                for m in messages
            ],
        )

    return op


def add_event(session_id: str | None, t_ns: int, kind: str, data: Mapping[str, Any]) -> Op:
    """Insert an event (a contract, a clock step, a step of a screening, daemon health ...)."""
    text = dump(dict(data))

    def op(con: sqlite3.Connection) -> None:
        done = con.execute(
            "INSERT INTO event(session_id, t_ns, kind, data) VALUES (?, ?, ?, ?)",
            (session_id, t_ns, kind, text),
        )
        _log(con, "event", done.lastrowid)

    return op


def put_unit(unit: Unit, t_ns: int) -> Op:
    """Insert or refresh a unit; nothing for one without a serial (no history can be kept of it)."""
    key, text = unit_key(unit), dump(asdict(unit))

    def op(con: sqlite3.Connection) -> None:
        if key:
            con.execute(
                "INSERT INTO unit(key, data, first_ns, last_ns) VALUES (?, ?, ?, ?)"
                " ON CONFLICT(key) DO UPDATE SET data = excluded.data,"
                " last_ns = max(last_ns, excluded.last_ns)",
                (key, text, t_ns, t_ns),
            )

    return op


def add_unit_record(key: str, session_id: str, t_ns: int, data: Mapping[str, Any]) -> Op:
    """Add a session's figures to a unit's history; simulated sessions never enter it."""
    text = dump(dict(data))
    return lambda con: _run(
        con,
        "INSERT INTO unit_record(unit_key, session_id, t_ns, data)"
        " SELECT ?, id, ?, ? FROM session WHERE id = ? AND origin <> 'simulated'",
        (key, t_ns, text, session_id),
    )


def put_cursor(output: str, data: str) -> Op:
    """Store how far an output has been delivered."""
    return lambda con: _run(
        con, "INSERT OR REPLACE INTO cursor(output, data) VALUES (?, ?)", (output, data)
    )
