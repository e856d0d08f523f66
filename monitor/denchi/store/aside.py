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

from denchi.store import pack, rollup, schema
from denchi.store.seal import merge_into

log = logging.getLogger("denchi.store")

CHECK_BYTES: Final = 128 << 20
"""A file up to this size is checked whole before the start; a larger one at its root and small tables,
so that measuring begins within seconds, and whole in the background."""
_SMALL_TABLES: Final = ("meta", "session", "instrument", "gap", "finding", "unit", "cursor")
BATCH_ROWS: Final = 64
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
            for table in TABLES:
                self._table(connection, table)
        finally:
            connection.close()
        self._done(self.kept, self.bad)

    def _table(self, connection: sqlite3.Connection, table: str) -> None:
        batch: list[dict[str, Any]] = []
        for row in rows(connection, table):
            if self._stop.is_set():
                return
            if row is None or not sound(table, row):
                self.bad += 1
                continue
            batch.append(row)
            if len(batch) >= BATCH_ROWS:
                self._flush(table, batch)
                batch = []
        if batch:
            self._flush(table, batch)

    def _flush(self, table: str, batch: list[dict[str, Any]]) -> None:
        if self._submit(lambda con: insert(con, table, batch)):
            self.kept += len(batch)
        else:
            self.bad += len(batch)


def rows(connection: sqlite3.Connection, table: str) -> Iterator[dict[str, Any] | None]:
    """Every readable row; None for each one that is there and cannot be read.

    Walks by rowid: after a damaged page it goes on behind it, where one long SELECT would end.
    """
    at = -(2**62)
    key = "rowid" if table != "cursor" else None
    try:
        if key is None:
            yield from (dict(row) for row in connection.execute(f"SELECT * FROM {table}"))  # noqa: S608
            return
        found = connection.execute(f"SELECT max(rowid) FROM {table} NOT INDEXED").fetchone()  # noqa: S608
        top = found[0]
    except sqlite3.Error:
        top = None if key else -1
    if top is None:
        top = _probe_top(connection, table)
    misses = 0
    while at <= top:
        try:
            cursor = connection.execute(
                f"SELECT rowid AS _rowid, * FROM {table} NOT INDEXED"  # noqa: S608
                " WHERE rowid > ? ORDER BY rowid LIMIT 256",
                (at,),
            )
            got = cursor.fetchmany(256)
        except sqlite3.Error:
            got = None
        if got is None:
            for row in _one_by_one(connection, table, max(at + 1, 1), 256):
                yield row
                misses = misses + 1 if row is None else 0
            at = max(at, 0) + 256
            continue
        if not got:
            return
        for row in got:
            at = row["_rowid"]
            yield {name: row[name] for name in row.keys() if name != "_rowid"}  # noqa: SIM118


def _one_by_one(
    connection: sqlite3.Connection, table: str, start: int, count: int
) -> Iterator[dict[str, Any] | None]:
    for rowid in range(start, start + count):
        try:
            row = connection.execute(
                f"SELECT * FROM {table} NOT INDEXED WHERE rowid = ?",  # noqa: S608
                (rowid,),
            ).fetchone()
        except sqlite3.Error:
            yield None
            continue
        if row is not None:
            yield dict(row)


def _probe_top(connection: sqlite3.Connection, table: str) -> int:
    """An upper bound of the rowids when the rightmost page is damaged: doubled until nothing answers."""
    top = 1
    while top < 1 << 24:
        try:
            found = connection.execute(
                f"SELECT rowid FROM {table} NOT INDEXED WHERE rowid >= ? LIMIT 1",  # noqa: S608
                (top,),
            ).fetchone()
        except sqlite3.Error:
            found = (top,)
        if found is None:
            break
        top *= 2
    return top


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


def insert(con: sqlite3.Connection, table: str, batch: list[dict[str, Any]]) -> None:
    """Put salvaged rows into the new journal; roll-ups are merged, rows that exist are kept."""
    known = {row[1] for row in con.execute(f"PRAGMA table_info({table})")}
    for row in batch:
        if table == "rollup":
            part = rollup.decode(row["data"])
            merge_into(con, row["instrument"], row["res_s"], part)
            continue
        if table in ("segment", "gap", "event", "pd", "unit_record"):
            row = {k: v for k, v in row.items() if k != "id"}
        names = [name for name in row if name in known]
        marks = ", ".join("?" * len(names))
        con.execute(
            f"INSERT OR IGNORE INTO {table}({', '.join(names)}) VALUES ({marks})",  # noqa: S608
            [row[name] for name in names],
        )
    if table == "segment":
        recount(con, {row["instrument"] for row in batch})


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
