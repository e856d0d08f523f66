"""A damaged journal: noticed at the start, moved aside with the date, and salvaged row by row."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from denchi.store import carve, pack, rollup, schema
from denchi.store.records import adopt
from denchi.store.seal import merge_into

log = logging.getLogger("denchi.store")

CHECK_BYTES: Final = 128 << 20
"""A file up to this size is checked whole before the start; a larger one at its root and small tables,
so that measuring begins within seconds, and whole in the background."""
_SMALL_TABLES: Final = ("meta", "session", "instrument", "gap", "finding", "unit", "cursor")
BATCH_ROWS: Final = 64
MAX_MISSES: Final = 1024
TABLES: Final = (
    "session",
    "instrument",
    "finding",
    "gap",
    "event",
    "unit",
    "unit_record",
    "cursor",
    "rollup",
    "segment",
    "pd",
)
"""In the order of salvage: what is small and precious first."""

Op = Callable[[sqlite3.Connection], None]


def damaged(error: sqlite3.Error) -> bool:
    """Whether an error says that the file itself is broken (and not the disk, or a lock)."""
    code = int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
    return bool(code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))


def check(connection: sqlite3.Connection, path: Path, *, whole: bool | None = None) -> str | None:
    """What is wrong with the database, or None. ``whole`` None: as much as its size allows."""
    if whole is None:
        whole = path.stat().st_size <= CHECK_BYTES
    present = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    try:
        for name in ("",) if whole else [t for t in _SMALL_TABLES if t in present]:
            pragma = f"PRAGMA quick_check('{name}')" if name else "PRAGMA quick_check(1)"
            row = connection.execute(pragma).fetchone()
            if row is None or row[0] != "ok":
                return "no answer" if row is None else str(row[0]).splitlines()[0]
    except sqlite3.Error as error:
        if damaged(error):
            return str(error)
        raise
    return None


def move(path: Path, wall_ns: int) -> Path:
    """Rename a damaged database (with its WAL) so that its name says when; returns the new name."""
    stamp = datetime.fromtimestamp(wall_ns / 1e9, UTC).strftime("%Y%m%dT%H%M%SZ")
    for n in range(1000):
        target = path.with_name(f"{path.stem}-damaged-{stamp}{f'-{n}' if n else ''}.db")
        if not target.exists():
            break
    path.rename(target)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    return target


class Salvage(threading.Thread):
    """Copies every readable row of a moved-aside journal into the new one, in the background.

    ``submit`` hands an operation to the writer and returns when it is done (so that the memory held
    stays one batch). Rows of blobs pass their own checksum first. ``done(kept, bad)`` is told at the end.
    """

    def __init__(
        self, path: Path, submit: Callable[[Op], bool], done: Callable[[int, int], None]
    ) -> None:
        super().__init__(name="denchi-salvage", daemon=True)
        self._path, self._submit, self._done = path, submit, done
        self._stop = threading.Event()
        self.kept = 0
        self.bad = 0
        self._seen: set[tuple[str, int]] = set()

    def stop(self) -> None:
        """Give up soon; what was not copied stays in the moved file."""
        self._stop.set()

    def run(self) -> None:
        """Salvage table by table."""
        try:
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=5)
            connection.row_factory = sqlite3.Row
            connection.text_factory = lambda b: b.decode("utf-8", "replace")
        except sqlite3.Error as error:
            log.warning("nothing can be salvaged from %s: %s", self._path.name, error)
            self._done(0, 0)
            return
        try:
            broken = {table for table in TABLES if self._table(connection, table)}
        finally:
            connection.close()
        if broken and not self._stop.is_set():
            self._carve(broken)
        self._done(self.kept, self.bad)

    def _carve(self, broken: set[str]) -> None:
        """Rows of tables whose tree is damaged, page by page; those that came already are kept."""
        self.bad = 0
        for table in [t for t in TABLES if t in broken]:
            batch: list[dict[str, Any]] = []
            for _, rowid, values in carve.rows(self._path, {table}):
                if self._stop.is_set():
                    return
                row = dict(zip(_columns(table), values, strict=False))
                if "id" in row and row["id"] is None:
                    row["id"] = rowid
                if (table, rowid) in self._seen or not sound(table, row):
                    continue
                batch.append(row)
                if len(batch) >= BATCH_ROWS:
                    self._flush(table, batch)
                    batch = []
            if batch:
                self._flush(table, batch)

    def _table(self, connection: sqlite3.Connection, table: str) -> bool:
        """Copy one table; True when some of it could not be read."""
        batch: list[dict[str, Any]] = []
        broken = False
        try:
            for row in rows(connection, table):
                if self._stop.is_set():
                    return False
                if row is None or not sound(table, row):
                    self.bad += 1
                    broken = True
                    continue
                if (rowid := row.pop("_rowid", None)) is not None:
                    self._seen.add((table, rowid))
                batch.append(row)
                if len(batch) >= BATCH_ROWS:
                    self._flush(table, batch)
                    batch = []
        except sqlite3.Error as error:
            log.warning("table %s of the damaged journal cannot be walked: %s", table, error)
            broken = True
        if batch:
            self._flush(table, batch)
        return broken

    def _flush(self, table: str, batch: list[dict[str, Any]]) -> None:
        if self._submit(lambda con: insert(con, table, batch)):
            self.kept += len(batch)
        else:
            self.bad += len(batch)


def rows(connection: sqlite3.Connection, table: str) -> Iterator[dict[str, Any] | None]:
    """Every row that can be reached, with its ``_rowid``; None for each that is there and unreadable.

    Walks by rowid: after a damaged page it goes on behind it, where one long SELECT would end. Gives up
    after ``MAX_MISSES`` in a row (pages are then gone through one by one). Raises ``sqlite3.Error`` when
    the table cannot be begun.
    """
    if table == "cursor":  # a table without rowids, and a small one
        yield from (dict(row) for row in connection.execute("SELECT * FROM cursor"))
        return
    connection.execute(f"SELECT rowid FROM {table} NOT INDEXED LIMIT 0").fetchone()  # noqa: S608
    at, misses, ended = 0, 0, False
    while not ended and misses < MAX_MISSES:
        try:
            got = connection.execute(
                f"SELECT rowid AS _rowid, * FROM {table} NOT INDEXED"  # noqa: S608
                " WHERE rowid > ? ORDER BY rowid LIMIT 256",
                (at,),
            ).fetchall()
        except sqlite3.Error:
            for row in _one_by_one(connection, table, at + 1, 256):
                yield row
                misses = misses + 1 if row is None else 0
            at += 256
            continue
        ended = not got
        for row in got:
            at, misses = row["_rowid"], 0
            yield dict(row)


def _one_by_one(
    connection: sqlite3.Connection, table: str, start: int, count: int
) -> Iterator[dict[str, Any] | None]:
    for rowid in range(start, start + count):
        try:
            row = connection.execute(
                f"SELECT rowid AS _rowid, * FROM {table} NOT INDEXED WHERE rowid = ?",  # noqa: S608
                (rowid,),
            ).fetchone()
        except sqlite3.Error:
            yield None
            continue
        if row is not None:
            yield dict(row)


def sound(table: str, row: dict[str, Any]) -> bool:
    """Whether a row's contents pass their own checks (blobs by checksum, texts as JSON)."""
    try:
        if table == "segment":
            return bool(len(pack.decode(row["data"])) == row["n"])
        if table == "rollup":
            rollup.decode(row["data"])
        for name in ("unit", "meta", "extra", "channels", "data"):
            if isinstance(row.get(name), str):
                json.loads(row[name])
    except (pack.Damaged, ValueError, TypeError):
        return False
    return True


def _columns(table: str) -> list[str]:
    """Column names of this program's version of a table, in their order on disk."""
    connection = sqlite3.connect(":memory:")
    try:
        schema.migrate(connection)
        return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    finally:
        connection.close()


def insert(con: sqlite3.Connection, table: str, batch: list[dict[str, Any]]) -> None:
    """Put salvaged rows into the new journal; what is there already is kept and not doubled."""
    known = {row[1] for row in con.execute(f"PRAGMA table_info({table})")}
    for row in batch:
        if table == "rollup":
            part = rollup.decode(row["data"])
            merge_into(con, row["instrument"], row["res_s"], part)
        elif table == "segment":
            _insert_segment(con, row)
        else:
            if table == "instrument":
                row["sealed_seq"] = max(row["sealed_seq"], _disown(con, row["id"]))
            if table in ("gap", "event", "pd", "unit_record"):
                row = {k: v for k, v in row.items() if k != "id"}
            names = [name for name in row if name in known]
            marks = ", ".join("?" * len(names))
            con.execute(
                f"INSERT OR IGNORE INTO {table}({', '.join(names)}) VALUES ({marks})",  # noqa: S608
                [row[name] for name in names],
            )
    if table == "segment":
        recount(con, {row["instrument"] for row in batch})


def _insert_segment(con: sqlite3.Connection, row: dict[str, Any]) -> None:
    """A salvaged segment without the samples that the open tail has brought already."""
    block = pack.decode(row["data"])
    there = con.execute(
        "SELECT data FROM segment WHERE instrument = ? AND from_ns <= ? AND to_ns >= ?",
        (row["instrument"], row["to_ns"], row["from_ns"]),
    ).fetchall()
    for (data,) in there:
        block = block[~np.isin(block.t_ns, pack.decode(data).t_ns)]
    if len(block):
        con.execute(
            "INSERT INTO segment(instrument, from_ns, to_ns, n, data) VALUES (?, ?, ?, ?, ?)",
            (
                row["instrument"],
                int(block.t_ns[0]),
                int(block.t_ns[-1]),
                len(block),
                pack.encode(block, packed=True),
            ),
        )
    orphan = con.execute("SELECT 1 FROM instrument WHERE id = ?", (row["instrument"],)).fetchone()
    if orphan is None:
        adopt(row["instrument"], row["from_ns"])(con)


def _disown(con: sqlite3.Connection, instrument: int) -> int:
    """Take back the stand-in of an instrument whose own row was found; returns what it had sealed."""
    name = f"recovered-{instrument}"
    found = con.execute(
        "SELECT sealed_seq FROM instrument WHERE id = ? AND session_id = ?", (instrument, name)
    ).fetchone()
    if found is None:
        return -1
    con.execute("DELETE FROM instrument WHERE id = ?", (instrument,))
    con.execute("DELETE FROM session WHERE id = ?", (name,))
    return int(found[0])


def recount(con: sqlite3.Connection, instruments: set[int]) -> None:
    """Set the counters of instruments from their segments."""
    for instrument in instruments:
        con.execute(
            "UPDATE instrument SET (samples, first_ns, last_ns) ="
            " (SELECT coalesce(sum(n), 0), min(from_ns), max(to_ns) FROM segment"
            " WHERE instrument = ?) WHERE id = ?",
            (instrument, instrument),
        )


def background_check(path: Path, report: Callable[[str], None]) -> threading.Thread:
    """Check a large database whole on a thread of its own; ``report(what)`` only when it is damaged."""

    def run() -> None:
        try:
            connection = schema.connect_reader(path)
        except Exception as error:
            log.warning("the journal could not be checked: %s", error)
            return
        try:
            wrong = check(connection, path, whole=True)
        except sqlite3.Error as error:
            log.warning("the journal could not be checked: %s", error)
            return
        finally:
            connection.close()
        if wrong:
            report(wrong)

    thread = threading.Thread(target=run, name="denchi-check", daemon=True)
    thread.start()
    return thread
