"""The database's tables, their versions, and the connections to it."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from denchi.errors import StoreError

FILE: Final = "denchi.db"

_V1: Final = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE session(
    id TEXT PRIMARY KEY, origin TEXT NOT NULL, started_ns INTEGER NOT NULL, ended_ns INTEGER,
    bench TEXT NOT NULL, meter TEXT NOT NULL, unit TEXT NOT NULL, unit_key TEXT NOT NULL,
    profile TEXT NOT NULL, operator TEXT NOT NULL, meta TEXT NOT NULL, verdict INTEGER,
    report TEXT, extra TEXT NOT NULL);
CREATE INDEX session_started ON session(started_ns);
CREATE INDEX session_unit ON session(unit_key);
CREATE TABLE instrument(
    id INTEGER PRIMARY KEY, session_id TEXT NOT NULL, role TEXT NOT NULL, key TEXT NOT NULL,
    model TEXT NOT NULL, serial TEXT NOT NULL, firmware TEXT NOT NULL, maturity TEXT NOT NULL,
    channels TEXT NOT NULL, extra TEXT NOT NULL, sealed_seq INTEGER NOT NULL DEFAULT -1,
    samples INTEGER NOT NULL DEFAULT 0, first_ns INTEGER, last_ns INTEGER);
CREATE INDEX instrument_session ON instrument(session_id);
CREATE TABLE segment(
    id INTEGER PRIMARY KEY, instrument INTEGER NOT NULL, from_ns INTEGER NOT NULL,
    to_ns INTEGER NOT NULL, n INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX segment_time ON segment(instrument, from_ns);
CREATE TABLE rollup(
    instrument INTEGER NOT NULL, res_s INTEGER NOT NULL, chunk INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY(instrument, res_s, chunk));
CREATE TABLE gap(
    id INTEGER PRIMARY KEY, session_id TEXT NOT NULL, instrument INTEGER, start_ns INTEGER NOT NULL,
    end_ns INTEGER, cause TEXT NOT NULL, lost INTEGER NOT NULL);
CREATE INDEX gap_session ON gap(session_id);
CREATE TABLE finding(
    id TEXT PRIMARY KEY, session_id TEXT NOT NULL, t_ns INTEGER NOT NULL, severity INTEGER NOT NULL,
    data TEXT NOT NULL);
CREATE INDEX finding_session ON finding(session_id);
CREATE TABLE pd(
    id INTEGER PRIMARY KEY, session_id TEXT NOT NULL, t_ns INTEGER NOT NULL, sop TEXT NOT NULL,
    wire BLOB NOT NULL, crc_ok INTEGER);
CREATE INDEX pd_session ON pd(session_id);
CREATE TABLE event(
    id INTEGER PRIMARY KEY, session_id TEXT, t_ns INTEGER NOT NULL, kind TEXT NOT NULL,
    data TEXT NOT NULL);
CREATE TABLE unit(key TEXT PRIMARY KEY, data TEXT NOT NULL, first_ns INTEGER, last_ns INTEGER);
CREATE TABLE cursor(output TEXT PRIMARY KEY, data TEXT NOT NULL) WITHOUT ROWID;
"""

# 2: what a person did with a finding or a session, and figures of a unit over its sessions.
_V2: Final = """
ALTER TABLE finding ADD COLUMN acked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;
CREATE TABLE unit_record(
    id INTEGER PRIMARY KEY, unit_key TEXT NOT NULL, session_id TEXT NOT NULL, t_ns INTEGER NOT NULL,
    data TEXT NOT NULL);
CREATE INDEX unit_record_unit ON unit_record(unit_key, t_ns);
"""

# 3: records in the order in which they were written, so that an output can follow them by cursor.
_V3: Final = """
CREATE TABLE log(id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, ref TEXT NOT NULL);
INSERT INTO log(kind, ref) SELECT 'session', id FROM session ORDER BY started_ns;
INSERT INTO log(kind, ref) SELECT 'gap', id FROM gap ORDER BY id;
INSERT INTO log(kind, ref) SELECT 'finding', id FROM finding ORDER BY t_ns;
"""

MIGRATIONS: Final[tuple[str, ...]] = (_V1, _V2, _V3)
"""Step n brings version n to n + 1; a step once released is never edited."""
VERSION: Final = len(MIGRATIONS)


def connect(path: Path) -> sqlite3.Connection:
    """The writer's connection. Durability is set explicitly: defaults differ between builds."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    try:
        if not connection.execute("PRAGMA user_version").fetchone()[0]:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if sys.platform == "darwin":
            connection.execute("PRAGMA fullfsync = ON")
            connection.execute("PRAGMA checkpoint_fullfsync = ON")
        connection.execute("PRAGMA wal_autocheckpoint = 256")
        connection.execute("PRAGMA journal_size_limit = 4194304")
        connection.execute("PRAGMA cache_size = -4096")
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA temp_store = MEMORY")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A read-only connection, beside the writer or without one.

    Raises ``StoreError`` when there is no journal.
    """
    if not path.exists():
        raise StoreError(f"there is no journal in {path.parent}", cure="check --data-dir")
    uri = path.resolve().as_uri()
    for options in ("mode=ro", "mode=ro&immutable=1"):
        # A database on a read-only file system cannot have its -shm file: immutable reads it as it is.
        connection = sqlite3.connect(
            f"{uri}?{options}", uri=True, isolation_level=None, check_same_thread=False, timeout=5
        )
        try:
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            connection.close()
            last = error
            continue
        connection.execute("PRAGMA cache_size = -4096")
        return connection
    raise StoreError(f"the journal {path} cannot be read ({last})", cure="check its owner and mode")


def migrate(
    connection: sqlite3.Connection, before: Callable[[int], None] = lambda version: None
) -> int:
    """Bring the database to this program's version; returns the version it had (0: new).

    ``before(version)`` is called once ahead of the first step on an older journal: make a backup.
    Raises ``StoreError`` for a journal of a newer program.
    """
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found > VERSION:
        raise StoreError(
            f"this journal has version {found}, this program knows {VERSION}",
            cure="use the newer denchi that wrote it",
        )
    if 0 < found < VERSION:
        before(found)
    for version in range(found, VERSION):
        connection.executescript(
            f"BEGIN IMMEDIATE;{MIGRATIONS[version]};PRAGMA user_version = {version + 1};COMMIT;"
        )
    return found


def free_pages(connection: sqlite3.Connection, most: int) -> int:
    """Give up to ``most`` free pages back to the file system; returns how many.

    Page by page: the statement frees one page a step, and Python's driver steps a statement without
    columns once (measured: `incremental_vacuum(10000)` freed 1 page of 128).
    """
    free = int(connection.execute("PRAGMA freelist_count").fetchone()[0])
    for _ in range(min(most, free)):
        connection.execute("PRAGMA incremental_vacuum(1)").fetchall()
    return free - int(connection.execute("PRAGMA freelist_count").fetchone()[0])
