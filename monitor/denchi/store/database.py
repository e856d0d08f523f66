"""The writer's database: transactions that survive a full disk, an I/O error and a damaged file."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from denchi.clock import NS, Clock
from denchi.errors import StoreError
from denchi.store import aside, disk, schema

log = logging.getLogger("denchi.store")

Op = Callable[[sqlite3.Connection], None]
RETRY_NS: Final = NS


class Database:
    """Connection and condition; used by one thread (``trouble`` and ``message`` may be read by any)."""

    def __init__(self, data_dir: Path, clock: Clock) -> None:
        self.data_dir = data_dir
        self.path = data_dir / schema.FILE
        self.clock = clock
        self.con: sqlite3.Connection | None = None
        self.trouble: str | None = None
        self.message = ""
        self.moved: Path | None = None
        self.last_commit_ns = clock.wall_ns()
        self.declare: Op = lambda con: None
        """Writes the rows of what is still running into a new database."""
        self.submit: Callable[[Op], bool] = lambda op: False
        """Hands an operation of the salvage to the writer and waits for it."""
        self.forget: Callable[[], None] = lambda: None
        """Called when a transaction was undone: what was remembered of it is void."""
        self.stopping = False
        self._retry_at = 0
        self._wrong: str | None = None
        self._salvage: aside.Salvage | None = None
        self._salvaged = ""

    # -- opening -----------------------------------------------------------------------------

    def open(self) -> None:
        """Open, check, migrate; a damaged file is moved aside, a refusing disk noted.

        Raises ``StoreError`` for a journal of a newer program.
        """
        for attempt in (0, 1):
            try:
                self._connect()
                return
            except sqlite3.Error as error:
                if aside.damaged(error):
                    self.move_aside(str(error))
                    return
                self._refused(error)
                if attempt or not disk.give_reserve(self.data_dir):
                    return

    def _connect(self) -> None:
        existed = self.path.exists()
        con = schema.connect(self.path)
        try:
            wrong = aside.check(con, self.path) if existed else None
            if wrong is None:
                from denchi.store.upkeep import backup_before_migration

                schema.migrate(
                    con, lambda version: backup_before_migration(con, self.path, version)
                )
        except BaseException:
            con.close()
            raise
        if wrong is not None:
            con.close()
            self.move_aside(wrong)
            return
        self.con = con
        if existed and self.path.stat().st_size > aside.CHECK_BYTES:
            aside.background_check(self.path, self._found_damaged)

    def _found_damaged(self, wrong: str) -> None:
        self._wrong = wrong

    def close(self) -> None:
        """Checkpoint and close."""
        self.stopping = True
        if self._salvage is not None:
            self._salvage.stop()
        if self.con is not None:
            try:
                self.con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as error:
                log.warning("the last checkpoint failed: %s", error)
            self.con.close()
            self.con = None

    # -- transactions ------------------------------------------------------------------------

    def transact(self, op: Op) -> bool:
        """Run one transaction; False (and the trouble noted) when it could not be committed.

        Raises what ``op`` raises for itself.
        """
        if self._wrong is not None:
            wrong, self._wrong = self._wrong, None
            self.move_aside(wrong)
        now = self.clock.monotonic_ns()
        if self.trouble and now < self._retry_at and not self.stopping:
            return False
        if self.con is None:
            self.open()
        for attempt in (0, 1):
            con = self.con
            if con is None:
                return False
            try:
                con.execute("BEGIN IMMEDIATE")
                op(con)
                con.execute("COMMIT")
                self.last_commit_ns = self.clock.wall_ns()
                self._recovered()
                return True
            except sqlite3.Error as error:
                self._roll_back(con)
                if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
                    raise  # the operation's own fault: neither the disk's nor the file's
                if aside.damaged(error):
                    self.move_aside(str(error))
                    return False
                self._refused(error)
                if attempt or not disk.give_reserve(self.data_dir):
                    return False
                log.warning("the disk is full: the reserve of the journal was given up")
            except BaseException:
                self._roll_back(con)
                raise
        return False

    def retry_due(self) -> bool:
        """Whether there is trouble and it is time to look whether it is over."""
        return bool(self.trouble) and self.clock.monotonic_ns() >= self._retry_at

    def _roll_back(self, con: sqlite3.Connection) -> None:
        self.forget()
        if con.in_transaction:
            try:
                con.execute("ROLLBACK")
            except sqlite3.Error:
                con.close()
                self.con = None

    def _refused(self, error: sqlite3.Error) -> None:
        code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
        full = code == sqlite3.SQLITE_FULL or disk.space(self.data_dir).full
        self._retry_at = self.clock.monotonic_ns() + RETRY_NS
        self.note("disk_full" if full else "io_error", f"the journal cannot be written: {error}")

    def note(self, kind: str, message: str) -> None:
        """Say that something is wrong."""
        if self.trouble != kind:
            log.warning("%s", message)
        self.trouble, self.message = kind, message

    def _recovered(self) -> None:
        if self.trouble and not disk.space(self.data_dir).full:
            log.warning("the journal is written again")
            self.trouble, self.message = None, ""

    # -- a damaged file ----------------------------------------------------------------------

    def move_aside(self, wrong: str) -> None:
        """Begin a new database and salvage the old one in the background."""
        if self.con is not None:
            self.con.close()
            self.con = None
        self.forget()
        try:
            self.moved = aside.move(self.path, self.clock.wall_ns())
            log.error("the journal is damaged (%s); moved to %s", wrong, self.moved.name)
            self._connect()
        except (OSError, sqlite3.Error) as error:
            self.note("io_error", f"the journal is damaged and cannot be replaced: {error}")
            return
        except StoreError:
            return
        if self.con is not None:
            self.declare(self.con)
            self._salvage = aside.Salvage(self.moved, self._submit, self._salvaged_all)
            self._salvage.start()

    def _submit(self, op: Op) -> bool:
        def salvage(con: sqlite3.Connection) -> None:
            self.forget()  # chunks being filled may be merged by this operation
            op(con)

        return self.submit(salvage)

    def _salvaged_all(self, kept: int, bad: int) -> None:
        self._salvaged = f"; {kept} rows salvaged, {bad} not readable"
        log.warning("salvage of the damaged journal is done%s", self._salvaged)

    def aside_message(self) -> str:
        """What to say about a journal that was moved aside; empty when none was."""
        if self.moved is None:
            return ""
        progress = self._salvaged or "; salvage goes on"
        return f"the journal was damaged and moved to {self.moved.name}{progress}"
