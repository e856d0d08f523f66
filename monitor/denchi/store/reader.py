"""Reading the journal, beside its writer or without one.

What is not sealed yet is taken from the open tail: first the tail, then the database. Whatever was
sealed in between then stands in the database, and frames that it already holds are left out by their
number; so a reader never misses a sample and never sees one twice.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from denchi.model import Session
from denchi.store import pack, rollup, rows, schema, tail
from denchi.store.cursor import Cursor
from denchi.store.feed import Record, Source, StoredEvent
from denchi.store.rows import (
    StoredFinding,
    StoredGap,
    StoredInstrument,
    StoredSession,
    StoredUnit,
    UnitRecord,
)
from denchi.store.series import Series, read_series
from denchi.store.tail import Frame
from denchi_protocol.codec import PdMessage
from denchi_protocol.samples import SampleBlock

EVER = 2**62
LOOKS = 4
"""How often a torn look at the tail is taken again."""


class JournalReader:
    """A read-only view of a data directory. Raises ``StoreError`` when there is no journal.

    May be shared by threads (one query at a time); holds no lock between calls.
    """

    def __init__(self, data_dir: Path, *, tail: Callable[[], list[Frame]] | None = None) -> None:
        self.data_dir = Path(data_dir)
        self.path = self.data_dir / schema.FILE
        self._tail = tail
        self._lock = threading.RLock()
        self._con: sqlite3.Connection | None = None
        self._inode = -1
        self._frames: list[Frame] | None = None

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._con is not None:
                self._con.close()
                self._con = None

    # -- one consistent look -----------------------------------------------------------------

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """One consistent look at tail and database for all reads inside."""
        with self._lock:
            if self._frames is not None:
                yield self._connection()
                return
            con = self._connection()
            try:
                self._frames = self._look(con)
                yield con
            finally:
                self._frames = None
                if con.in_transaction:
                    con.execute("COMMIT")

    def _look(self, con: sqlite3.Connection) -> list[Frame]:
        """The frames not sealed yet, and the transaction in which that is so.

        The two files of the tail are read one after the other; a writer that changes them twice in
        between leaves a hole in the numbers that every frame carries. Then it is looked once more; a
        hole that stays is a damaged frame.
        """
        for again in reversed(range(LOOKS)):
            frames = self._tail() if self._tail else tail.read(self.data_dir)
            con.execute("BEGIN")
            sealed = dict(con.execute("SELECT id, sealed_seq FROM instrument").fetchall())
            top = max(sealed.values(), default=-1)
            newer = [f.seq for f in frames if f.seq > top]
            if not again or self._tail or newer == list(range(top + 1, top + 1 + len(newer))):
                break
            con.execute("COMMIT")
        return [f for f in frames if f.seq > sealed.get(f.instrument, EVER)]

    def _connection(self) -> sqlite3.Connection:
        """The connection; a new one when the file was moved aside and replaced."""
        try:
            inode = self.path.stat().st_ino
        except OSError:
            inode = -1
        if self._con is None or inode != self._inode:
            if self._con is not None:
                self._con.close()
                self._con = None
            self._con = schema.connect_reader(self.path)
            self._con.row_factory = sqlite3.Row
            self._inode = inode
        return self._con

    def _open_frames(self, instrument: int) -> list[Frame]:
        return [f for f in self._frames or () if f.instrument == instrument]

    def open_blocks(self, instrument: int) -> list[SampleBlock]:
        """Blocks of the open tail that are not sealed yet (inside ``snapshot``)."""
        return [f.block for f in self._open_frames(instrument)]

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return list(self._connection().execute(sql, values))

    # -- sessions ----------------------------------------------------------------------------

    def sessions(
        self, limit: int = 100, before: str | None = None, search: str = ""
    ) -> list[StoredSession]:
        """Sessions, newest first; ``before`` continues behind one; ``search`` looks in texts."""
        where, values = ["1"], []
        if before is not None:
            where.append(
                "(started_ns, session.id) < (SELECT started_ns, id FROM session WHERE id = ?)"
            )
            values.append(before)
        if search:
            like = "%" + search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
            places = ("session.id", "unit", "bench", "meter", "operator")
            own = " OR ".join(f"{name} LIKE ? ESCAPE '\\'" for name in places)
            meters = " OR ".join(
                f"{name} LIKE ? ESCAPE '\\'" for name in ("key", "model", "serial")
            )
            where.append(
                f"({own} OR EXISTS(SELECT 1 FROM instrument WHERE session_id = session.id"  # noqa: S608
                f" AND ({meters})))"
            )
            values += [like] * (len(places) + 3)
        with self.snapshot() as con:
            found = con.execute(
                f"SELECT * FROM session WHERE {' AND '.join(where)}"  # noqa: S608  constants only
                " ORDER BY started_ns DESC, id DESC LIMIT ?",
                (*values, limit),
            ).fetchall()
            return [self._counted(con, row) for row in found]

    def session(self, session_id: str) -> StoredSession | None:
        """One session, or None."""
        with self.snapshot() as con:
            row = con.execute("SELECT * FROM session WHERE id = ?", (session_id,)).fetchone()
            return None if row is None else self._counted(con, row)

    def _counted(self, con: sqlite3.Connection, row: sqlite3.Row) -> StoredSession:
        own = con.execute(
            "SELECT id, samples FROM instrument WHERE session_id = ?", (row["id"],)
        ).fetchall()
        ids = {i for i, _ in own}
        samples = sum(n for _, n in own)
        samples += sum(len(f.block) for f in self._frames or () if f.instrument in ids)
        gaps = con.execute(
            "SELECT count(*) FROM gap WHERE session_id = ?", (row["id"],)
        ).fetchone()[0]
        return rows.session_of(row, samples, gaps)

    def instruments(self, session_id: str) -> list[StoredInstrument]:
        """The instruments of a session, in the order they were added."""
        with self.snapshot() as con:
            found = con.execute(
                "SELECT * FROM instrument WHERE session_id = ? ORDER BY id", (session_id,)
            )
            return [self._with_tail(rows.instrument_of(row)) for row in found]

    def _with_tail(self, instrument: StoredInstrument) -> StoredInstrument:
        frames = [f for f in self._open_frames(instrument.id) if len(f.block)]
        if not frames:
            return instrument
        first = int(frames[0].block.t_ns[0])
        return replace(
            instrument,
            samples=instrument.samples + sum(len(f.block) for f in frames),
            first_ns=first if instrument.first_ns is None else min(first, instrument.first_ns),
            last_ns=max(int(frames[-1].block.t_ns[-1]), instrument.last_ns or 0),
        )

    # -- samples -----------------------------------------------------------------------------

    def blocks(
        self, instrument_id: int, from_ns: int | None = None, to_ns: int | None = None
    ) -> Iterator[SampleBlock]:
        """Samples with from_ns <= t < to_ns, in order, a segment at a time; damaged ones are skipped."""
        start = -EVER if from_ns is None else from_ns
        end = EVER if to_ns is None else to_ns
        with self.snapshot() as con:
            ids = con.execute(
                "SELECT id FROM segment WHERE instrument = ? AND from_ns < ? AND from_ns >="
                " coalesce((SELECT max(from_ns) FROM segment WHERE instrument = ?"
                " AND from_ns <= ?), ?) ORDER BY from_ns",
                (instrument_id, end, instrument_id, start, start),
            ).fetchall()
            frames = self._open_frames(instrument_id)
        for (number,) in ids:
            found = self._all("SELECT data FROM segment WHERE id = ?", (number,))
            if not found:
                continue  # retention removed it meanwhile
            try:
                block = pack.decode(found[0]["data"])
            except pack.Damaged:
                continue
            if len(cut := _cut(block, start, end)):
                yield cut
        for frame in frames:
            if len(cut := _cut(frame.block, start, end)):
                yield cut

    def last_before(self, instrument_id: int, t_ns: int) -> rollup.Before | None:
        """The last sample ahead of ``t_ns`` that is near enough for the energy of the step between."""
        found = None
        for block in self.blocks(
            instrument_id, t_ns - int(rollup.LONGEST_STEP_S * rollup.NS), t_ns
        ):
            found = block
        return None if found is None else rollup.last_of(found)

    def last_sealed(self, instrument_id: int, before_ns: int) -> rollup.Before | None:
        """The last sealed sample ahead of a time, for the energy of the step to the open tail."""
        found = self._all(
            "SELECT data FROM segment WHERE instrument = ? AND from_ns < ?"
            " ORDER BY from_ns DESC LIMIT 1",
            (instrument_id, before_ns),
        )
        try:
            return rollup.last_of(pack.decode(found[0]["data"])) if found else None
        except pack.Damaged:
            return None

    def series(
        self,
        session_id: str,
        role: str = "meter",
        channels: Sequence[str] = (),
        from_ns: int | None = None,
        to_ns: int | None = None,
        points: int = 400,
    ) -> Series:
        """Minimum, mean and maximum by bucket for a plot; see ``series.read_series``."""
        return read_series(self, session_id, role, channels, from_ns, to_ns, points)

    # -- records -----------------------------------------------------------------------------

    def findings(self, session_id: str) -> list[StoredFinding]:
        """A session's findings in the order of their time."""
        found = self._all(
            "SELECT * FROM finding WHERE session_id = ? ORDER BY t_ns, id", (session_id,)
        )
        return [_finding(row) for row in found]

    def unacknowledged(self, least: int, limit: int) -> list[tuple[StoredFinding, Session]]:
        """Findings of real meters from severity ``least`` on that nobody has acknowledged, the gravest last."""
        with self.snapshot() as con:
            found = con.execute(
                "SELECT finding.* FROM finding JOIN session ON session.id = session_id"
                " WHERE acked = 0 AND severity >= ? AND origin = 'meter'"
                " ORDER BY severity DESC, t_ns DESC LIMIT ?",
                (least, limit),
            ).fetchall()
            known: dict[str, Session] = {}
            for row in found:
                id_ = row["session_id"]
                if id_ not in known:
                    one = con.execute("SELECT * FROM session WHERE id = ?", (id_,)).fetchone()
                    known[id_] = rows.session_of(one).session
        return [(_finding(row), known[row["session_id"]]) for row in reversed(found)]

    def gaps(self, session_id: str) -> list[StoredGap]:
        """A session's gaps in order."""
        found = self._all(
            "SELECT * FROM gap WHERE session_id = ? ORDER BY start_ns, id", (session_id,)
        )
        return [rows.gap_of(row) for row in found]

    def pd(self, session_id: str, after: int = 0, limit: int = 500) -> tuple[list[PdMessage], int]:
        """PD messages behind number ``after``, and the number to go on from."""
        found = self._all(
            "SELECT * FROM pd WHERE session_id = ? AND id > ? ORDER BY id LIMIT ?",
            (session_id, after, limit),
        )
        return [rows.pd_of(row) for row in found], found[-1]["id"] if found else after

    def events(self, session_id: str | None, kind: str | None = None) -> list[StoredEvent]:
        """Events of a session (None: of the daemon), in order."""
        found = self._all(
            "SELECT * FROM event WHERE session_id IS ? AND (? IS NULL OR kind = ?) ORDER BY id",
            (session_id, kind, kind),
        )
        return [_event(row) for row in found]

    # -- units -------------------------------------------------------------------------------

    def units(self, limit: int = 1000, search: str = "") -> list[StoredUnit]:
        """Units seen before, newest first."""
        like = "%" + search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        found = self._all(
            "SELECT * FROM unit WHERE data LIKE ? ESCAPE '\\' ORDER BY last_ns DESC LIMIT ?",
            (like, limit),
        )
        return [
            StoredUnit(
                row["key"], rows.unit_of(json.loads(row["data"])), row["first_ns"], row["last_ns"]
            )
            for row in found
        ]

    def unit_history(self, key: str) -> list[UnitRecord]:
        """What each session left about a unit, oldest first."""
        found = self._all("SELECT * FROM unit_record WHERE unit_key = ? ORDER BY t_ns, id", (key,))
        return [
            UnitRecord(row["unit_key"], row["session_id"], row["t_ns"], json.loads(row["data"]))
            for row in found
        ]

    # -- for outputs -------------------------------------------------------------------------

    def cursor(self, output: str) -> Cursor:
        """The stored cursor of an output; one at nothing when it never delivered."""
        found = self._all("SELECT data FROM cursor WHERE output = ?", (output,))
        return Cursor.from_json(json.loads(found[0]["data"]) if found else {})

    def sources(self, below: int = 0, skip: Collection[int] = ()) -> Iterator[Source]:
        """Every instrument from id ``below`` on, with its session; those in ``skip`` left out."""
        with self.snapshot() as con:
            sessions: dict[str, Session] = {}
            for row in con.execute("SELECT * FROM instrument WHERE id >= ? ORDER BY id", (below,)):
                if row["id"] in skip:
                    continue
                instrument = self._with_tail(rows.instrument_of(row))
                key = instrument.session_id
                if key not in sessions:
                    found = con.execute("SELECT * FROM session WHERE id = ?", (key,)).fetchone()
                    if found is None:
                        continue
                    sessions[key] = rows.session_of(found).session
                yield Source(instrument, sessions[key])

    def records_after(
        self, log: int, limit: int, simulated: bool = False
    ) -> tuple[list[Record], Mapping[str, Session], int]:
        """Records written after place ``log``, the sessions they speak of, and the new place."""
        with self.snapshot() as con:
            entries = con.execute(
                "SELECT * FROM log WHERE id > ? ORDER BY id LIMIT ?", (log, limit)
            ).fetchall()
            records: list[Record] = []
            sessions: dict[str, Session] = {}
            for kind, ref in dict.fromkeys((e["kind"], e["ref"]) for e in entries):
                record = _record(con, kind, ref)
                if record is None:
                    continue
                name = record.session.id if isinstance(record, StoredSession) else record.session_id
                if name and name not in sessions:
                    row = con.execute("SELECT * FROM session WHERE id = ?", (name,)).fetchone()
                    if row is not None:
                        sessions[name] = rows.session_of(row).session
                session = sessions.get(name or "")
                if session is None or session.origin != "simulated" or simulated:
                    records.append(record)
            return records, sessions, entries[-1]["id"] if entries else log


def _cut(block: SampleBlock, start: int, end: int) -> SampleBlock:
    if not len(block) or (block.t_ns[0] >= start and block.t_ns[-1] < end):
        return block
    return block[(block.t_ns >= start) & (block.t_ns < end)]


def _finding(row: sqlite3.Row) -> StoredFinding:
    return StoredFinding(
        row["id"], row["session_id"], rows.finding_of(row["data"]), bool(row["acked"])
    )


def _event(row: sqlite3.Row) -> StoredEvent:
    return StoredEvent(
        row["id"], row["session_id"], row["t_ns"], row["kind"], json.loads(row["data"])
    )


def _record(con: sqlite3.Connection, kind: str, ref: str) -> Record | None:
    """The row that a log entry points to, as it is now; None when it is gone."""
    if kind not in ("session", "finding", "gap", "event"):
        return None
    row = con.execute(f"SELECT * FROM {kind} WHERE id = ?", (ref,)).fetchone()  # noqa: S608
    if row is None:
        return None
    if kind == "session":
        return rows.session_of(row)
    if kind == "finding":
        return _finding(row)
    return rows.gap_of(row) if kind == "gap" else _event(row)
