"""The journal: the truth on disk. One writer a data directory; nothing that hands it data waits.

Layout of a data directory: ``denchi.db`` (SQLite, WAL: sealed segments, roll-ups, records),
``tail-0.bin`` ``tail-1.bin`` (the open tail, see ``tail.py`` for why it is not in SQLite),
``reserve.bin`` (given up when the disk is full), ``denchi.lock``. docs/journal.md explains all of it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from denchi.clock import SYSTEM, Clock
from denchi.model import Finding, Gap, Session, Unit, Verdict
from denchi.store import disk, records
from denchi.store.cursor import Cursor
from denchi.store.database import Op
from denchi.store.feed import Batch, read_after
from denchi.store.lock import DirectoryLock
from denchi.store.reader import JournalReader
from denchi.store.retention import Policy
from denchi.store.rows import dump
from denchi.store.state import JournalState
from denchi.store.writer import Limits, Writer
from denchi_protocol.codec import PdMessage
from denchi_protocol.samples import SampleBlock

PD_EVERY_S = 1.0
"""PD messages are committed in batches of this length: a row a message would wear the disk."""
TELEMETRY_NS = 60 * 1_000_000_000


class Journal:
    """The open journal. Every method may be called from any thread and none waits for the disk.

    (``flush``, ``close`` and ``append(wait=True)`` wait, that is what they are for.)
    """

    def __init__(self, data_dir: Path, lock: DirectoryLock, writer: Writer) -> None:
        self.data_dir = data_dir
        self._lock = lock
        self._writer = writer
        self._mutex = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._instruments: dict[int, dict[str, Any]] = {}
        self._pd: dict[str, list[PdMessage]] = {}
        self._pd_since = 0.0
        self._telemetry: dict[tuple[str | None, Any], tuple[int, Any]] = {}
        self._next_instrument = 1
        self._next_finding = 1
        self._closed = False
        writer.database.declare = self._declare
        writer.each_round = self._flush_pd_when_due

    @classmethod
    def open(
        cls,
        data_dir: Path,
        *,
        clock: Clock = SYSTEM,
        commit_ms: int = 100,
        seal_s: float = 60.0,
        reserve_mb: float = 64,
        retain_raw_days: float | None = None,
        max_gb: float | None = None,
        outputs: Iterable[str] = (),
        limits: Limits | None = None,
    ) -> Journal:
        """Open (or begin) the journal of a directory and become its writer.

        Starts also when the disk is full (samples wait in memory) or the file is damaged (moved
        aside with the date, a new one begun, the old one salvaged in the background); ``state()``
        tells. Raises ``StoreBusy`` when another process writes here, ``StoreError`` when the directory
        cannot be written or the journal is of a newer denchi.
        """
        data_dir = Path(data_dir)
        lock = DirectoryLock(data_dir)
        try:
            policy = Policy(retain_raw_days, None if max_gb is None else int(max_gb * 1e9))
            given = limits or Limits(
                commit_ms, seal_s, reserve_bytes=int(reserve_mb * (1 << 20)), policy=policy
            )
            writer = Writer(data_dir, clock, given)
            journal = cls(data_dir, lock, writer)
            writer.outputs = tuple(outputs)
            writer.open()
            journal._number()
            writer.start()
        except BaseException:
            lock.release()
            raise
        return journal

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _number(self) -> None:
        """Next free ids. A journal that was moved aside starts at the wall clock's seconds: the rows
        being salvaged keep their own ids and cannot collide."""
        writer = self._writer
        database = writer.database
        instrument = max([0, *writer.memory.open])
        finding = 0
        if database.con is not None:
            row = database.con.execute("SELECT coalesce(max(id), 0) FROM instrument").fetchone()
            instrument = max(instrument, row[0])
            row = database.con.execute(
                "SELECT coalesce(max(CAST(substr(id, 2) AS INTEGER)), 0) FROM finding"
            ).fetchone()
            finding = row[0]
        if database.con is None or database.moved is not None:
            # The rows being salvaged (or a database that cannot be read yet) have ids of their own.
            instrument = finding = max(instrument, writer.clock.wall_ns() // 1_000_000_000)
        self._next_instrument = max(self._next_instrument, instrument + 1)
        self._next_finding = max(self._next_finding, finding + 1)

    def _declare(self, con: sqlite3.Connection) -> None:
        with self._mutex:
            sessions, instruments = list(self._sessions.values()), list(self._instruments.values())
        con.execute("BEGIN IMMEDIATE")
        for session in sessions:
            records.put_session(session)(con)
        for row in instruments:
            records.add_instrument(row)(con)
        con.execute("COMMIT")

    # -- sessions ----------------------------------------------------------------------------

    def begin_session(self, session: Session) -> None:
        """Begin a session."""
        with self._mutex:
            self._sessions[session.id] = session
        self._writer.submit(records.put_session(session))
        if session.origin != "simulated" and session.unit.known:
            self._writer.submit(records.put_unit(session.unit, session.started_ns))

    def update_session(self, session: Session) -> None:
        """Change what is known of a session (its unit, meta, profile); end and verdict stay."""
        self.begin_session(session)

    def end_session(
        self,
        session_id: str,
        ended_ns: int,
        verdict: Verdict | None,
        report: Mapping[str, Any] | None = None,
    ) -> None:
        """End a session with its verdict and report."""
        self._flush_pd()
        with self._mutex:
            self._sessions.pop(session_id, None)
            self._telemetry = {k: v for k, v in self._telemetry.items() if k[0] != session_id}
            gone = [i for i, r in self._instruments.items() if r["session_id"] == session_id]
            for instrument in gone:
                del self._instruments[instrument]
        self._writer.submit(
            records.end_session(
                session_id, ended_ns, None if verdict is None else int(verdict), report
            )
        )

    def delete_session(self, session_id: str) -> None:
        """Remove an ended session with everything that belongs to it."""
        self._writer.submit(records.delete_session(session_id))

    def pin_session(self, session_id: str, pinned: bool = True) -> None:
        """Keep a session's raw samples out of retention (or let them go again)."""
        self._writer.submit(records.pin_session(session_id, pinned))

    def add_instrument(
        self,
        session_id: str,
        role: str,
        *,
        key: str,
        model: str = "",
        serial: str = "",
        firmware: str = "",
        maturity: str = "",
        channels: Sequence[str] = (),
        extra: Mapping[str, Any] | None = None,
    ) -> int:
        """Add an instrument to a session; returns the id under which its blocks are appended."""
        with self._mutex:
            number = self._next_instrument
            self._next_instrument += 1
            row: dict[str, Any] = {
                "id": number,
                "session_id": session_id,
                "role": role,
                "key": key,
                "model": model,
                "serial": serial,
                "firmware": firmware,
                "maturity": maturity,
                "channels": dump(list(channels)),
                "extra": dump(dict(extra or {})),
            }
            self._instruments[number] = row
        self._writer.submit(records.add_instrument(row))
        return number

    # -- data --------------------------------------------------------------------------------

    def append(self, instrument_id: int, block: SampleBlock, *, wait: bool = False) -> None:
        """Take a block of an instrument; its stamps lie after all earlier ones.

        Returns at once: when samples come faster than they can be written for long, the oldest
        waiting are dropped, counted and marked by a gap ``overload``. ``wait``: for imports, which
        can be slowed down instead.
        """
        if len(block):
            self._writer.append(instrument_id, block, wait=wait)

    def add_gap(self, session_id: str, instrument_id: int | None, gap: Gap) -> None:
        """Add a gap; the same start once more closes or corrects it."""
        self._writer.submit(records.add_gap(session_id, instrument_id, gap))

    def add_finding(self, session_id: str, finding: Finding) -> str:
        """Add a finding; returns its id."""
        with self._mutex:
            number = self._next_finding
            self._next_finding += 1
        self._writer.submit(records.add_finding(f"f{number}", session_id, finding))
        return f"f{number}"

    def ack_finding(self, finding_id: str) -> None:
        """Note that a person acknowledged a finding."""
        self._writer.submit(records.ack_finding(finding_id))

    def add_pd(self, session_id: str, message: PdMessage) -> None:
        """Add a USB-PD message (committed within a second)."""
        with self._mutex:
            if not self._pd:
                self._pd_since = self._writer.clock.monotonic_ns() / 1e9
            self._pd.setdefault(session_id, []).append(message)

    def _flush_pd_when_due(self) -> None:
        if self._pd and self._writer.clock.monotonic_ns() / 1e9 - self._pd_since >= PD_EVERY_S:
            self._flush_pd()

    def _flush_pd(self) -> None:
        with self._mutex:
            waiting, self._pd = self._pd, {}
        for session_id, messages in waiting.items():
            self._writer.submit(records.add_pd(session_id, messages))

    def add_event(
        self, session_id: str | None, t_ns: int, kind: str, data: Mapping[str, Any] | None = None
    ) -> None:
        """Add an event: a contract, a clock step, a step of a screening, daemon health ...

        ``telemetry`` (counters that a battery sends with every frame) is kept once a minute, and
        whenever its flags change: an event a frame would wear the disk.
        """
        if kind == "telemetry" and self._told_lately(session_id, t_ns, data or {}):
            return
        self._writer.submit(records.add_event(session_id, t_ns, kind, data or {}))

    def _told_lately(self, session_id: str | None, t_ns: int, data: Mapping[str, Any]) -> bool:
        key, flags = (session_id, data.get("role")), data.get("flags")
        with self._mutex:
            last = self._telemetry.get(key)
            if last is not None and last[1] == flags and 0 <= t_ns - last[0] < TELEMETRY_NS:
                return True
            self._telemetry[key] = (t_ns, flags)
        return False

    # -- units -------------------------------------------------------------------------------

    def put_unit(self, unit: Unit, t_ns: int) -> None:
        """Remember a unit (only one whose serial is known has a history)."""
        self._writer.submit(records.put_unit(unit, t_ns))

    def add_unit_record(
        self, key: str, session_id: str, t_ns: int, data: Mapping[str, Any]
    ) -> None:
        """Add a session's figures to a unit's history (``rows.unit_key``); never from simulated ones."""
        self._writer.submit(records.add_unit_record(key, session_id, t_ns, data))

    # -- outputs -----------------------------------------------------------------------------

    def read_after(
        self,
        cursor: Cursor,
        max_samples: int = 5000,
        *,
        live_s: float = 10.0,
        align_ns: int = 1,
        simulated: bool = False,
    ) -> tuple[Batch, Cursor]:
        """What an output has not got yet, the live end first; see ``feed.read_after``."""
        with self.reader() as reader:
            return read_after(
                reader,
                cursor,
                max_samples,
                live_s=live_s,
                align_ns=align_ns,
                simulated=simulated,
            )

    def load_cursor(self, output: str) -> Cursor:
        """The stored cursor of an output."""
        with self.reader() as reader:
            return reader.cursor(output)

    def store_cursor(self, output: str, cursor: Cursor, *, wait: bool = False) -> None:
        """Store how far an output is delivered; after a crash it may be delivered a little again.

        ``wait``: return when it is on disk (or after 2 s when the disk refuses).
        """
        op = records.put_cursor(output, json.dumps(cursor.to_json()))
        if wait:
            self._writer.submit_and_wait(op, timeout_s=2.0)
        else:
            self._writer.submit(op)

    def set_outputs(self, names: Iterable[str]) -> None:
        """The outputs whose cursors hold back retention."""
        self._writer.outputs = tuple(names)

    def reader(self) -> JournalReader:
        """A reader of this journal that also sees what is not on disk yet. Close it after use."""
        return JournalReader(self.data_dir, tail=self._writer.memory.snapshot)

    # -- the journal itself ------------------------------------------------------------------

    def submit(self, op: Op) -> bool:
        """Run an operation on the writer's connection and wait for its commit (upkeep)."""
        return self._writer.submit_and_wait(op)

    def state(self) -> JournalState:
        """How the journal is now."""
        writer = self._writer
        degraded, message = writer.condition()
        return JournalState(
            path=writer.database.path,
            bytes=disk.used_bytes(self.data_dir),
            free_bytes=writer.space.free,
            tail_samples=writer.memory.open_samples(),
            memory_samples=writer.memory.samples,
            last_commit_ns=max(writer.last_commit_ns, writer.database.last_commit_ns),
            commit_ms=writer.limits.commit_ms,
            lost_samples=writer.memory.lost,
            degraded=degraded,
            message=message,
            pending_records=writer.pending_records(),
        )

    def progress(self) -> dict[str, int]:
        """Counts that the writer's two threads move with each round, for the watchdog."""
        return {"journal": self._writer.ticks, "journal's database": self._writer.rounds}

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Have everything handed in so far on disk; False when that is not possible now."""
        self._flush_pd()
        return self._writer.flush(timeout_s)

    def close(self) -> None:
        """Commit, seal and let go; in well under 2 s."""
        if self._closed:
            return
        self._closed = True
        self._flush_pd()
        self._writer.close()
        self._lock.release()
