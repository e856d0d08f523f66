"""The one thread that writes the journal: commits the open tail, runs record operations, seals, keeps house.

Nothing that hands it data waits for it. When the disk refuses, data stays in memory for ten minutes at
full rate, is thinned to 1 Hz beyond that, and is dropped last; what is thinned or dropped is counted and
becomes a gap with the cause ``disk_full``.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from denchi.clock import NS, Clock
from denchi.errors import StoreError
from denchi.store import aside, disk, schema, tail
from denchi.store.memory import Memory
from denchi.store.retention import Policy, sweep
from denchi.store.seal import Sealer
from denchi.store.tail import Frame, TailFile
from denchi_protocol.samples import SampleBlock

log = logging.getLogger("denchi.store")

Op = Callable[[sqlite3.Connection], None]

DIRECT_SAMPLES: Final = 16_384
"""A commit with more samples of one instrument (an import) is sealed at once: the tail would only be
written to be read again."""
QUEUE_SAMPLES: Final = 4_000_000
"""Samples that may wait for the writer; beyond that the oldest are dropped and counted."""
SEAL_BUDGET_NS: Final = 20_000_000
COMMIT_LEAD_NS: Final = 8_000_000
"""A commit begins this much before its interval is over, so that its sync ends within it."""
RETRY_NS: Final = NS
HOUSE_NS: Final = NS
SWEEP_NS: Final = 60 * NS


@dataclass(frozen=True, slots=True)
class Limits:
    """The writer's settings."""

    commit_ms: int = 100
    seal_s: float = 60.0
    reserve_bytes: int = 64 << 20
    tail_bytes: int = tail.MAX_BYTES
    ring_s: float = 600.0
    ring_samples: int = 2_000_000
    policy: Policy = field(default_factory=Policy)


class Writer:
    """State and thread behind ``Journal``; every method but ``_``-private ones may be called from any thread."""

    def __init__(self, data_dir: Path, clock: Clock, limits: Limits) -> None:
        self.data_dir = data_dir
        self.path = data_dir / schema.FILE
        self.clock = clock
        self.limits = limits
        self.lock = threading.RLock()
        self.memory = Memory(limits.ring_s, limits.ring_samples)
        self.con: sqlite3.Connection | None = None
        self.tails: list[TailFile] = []
        self.declare: Callable[[sqlite3.Connection], None] = lambda con: None
        """Writes the rows of what is still running into a new database (set by the journal)."""
        self.each_round: Callable[[], None] = lambda: None
        """Called by the writer's thread before each commit."""
        self.outputs: tuple[str, ...] = ()
        self.trouble: str | None = None
        self.message = ""
        self.moved: Path | None = None
        self.last_commit_ns = clock.wall_ns()
        self.progress_ns = clock.monotonic_ns()
        self._sealer = Sealer()
        self._active = 0
        self._active_since_ns: int | None = None
        self._generation = 0
        self._seq = 0
        self._to_seal: set[int] = set()
        self._incoming: dict[int, list[SampleBlock]] = {}
        self._incoming_n = 0
        self._last_t: dict[int, int] = {}
        self._ops: deque[Op] = deque()
        self._queued = 0
        self._done_ops = 0
        self._retry_at = 0
        self._next_house = 0
        self._next_sweep = 0
        self._wrong: str | None = None
        self._salvage: aside.Salvage | None = None
        self._salvaged = ""
        self._space = disk.space(data_dir)
        self._wake = threading.Event()
        self._idle = threading.Condition(self.lock)
        self._stopping = False
        self._ticks = 0
        self._thread = threading.Thread(target=self._run, name="denchi-journal", daemon=True)

    # -- any thread --------------------------------------------------------------------------

    def start(self) -> None:
        """Open files, recover the tail, start the thread. Raises ``StoreError`` only for a newer journal."""
        disk.take_reserve(self.data_dir, self.limits.reserve_bytes)
        self._open_database()
        self._open_tails()
        self._thread.start()

    def append(self, instrument: int, block: SampleBlock, *, wait: bool) -> None:
        """Take a block; see ``Journal.append``."""
        with self._idle:
            if wait:
                while self._incoming_n > QUEUE_SAMPLES // 8 and not self._stopping:
                    self._wake.set()
                    self._idle.wait(0.1)
            self._incoming.setdefault(instrument, []).append(block)
            self._incoming_n += len(block)
            while self._incoming_n > QUEUE_SAMPLES:
                self._drop_oldest()

    def _drop_oldest(self) -> None:
        instrument = max(self._incoming, key=lambda i: len(self._incoming[i]))
        block = self._incoming[instrument].pop(0)
        self._incoming_n -= len(block)
        self.memory.lose(instrument, block, "overload")
        if not self._incoming[instrument]:
            del self._incoming[instrument]

    def submit(self, op: Op) -> None:
        """Queue a record operation; operations run in order, and again after a failure."""
        with self.lock:
            self._ops.append(op)
            self._queued += 1

    def submit_and_wait(self, op: Op, timeout_s: float | None = None) -> bool:
        """Queue an operation and wait until it is committed; False when the journal closes or time is up.

        An operation that fails for itself is dropped and told in the log.
        """
        with self._idle:
            self._ops.append(op)
            mine = self._queued = self._queued + 1
            until = None if timeout_s is None else self.clock.monotonic_ns() + int(timeout_s * NS)
            while self._done_ops < mine:
                if self._stopping or (until is not None and self.clock.monotonic_ns() > until):
                    return False
                self._wake.set()
                self._idle.wait(0.1)
        return True

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Have everything handed in so far committed; False when that was not possible in time."""
        with self._idle:
            target = self._ticks + 2  # the tick under way may have begun before the last hand-over
            until = self.clock.monotonic_ns() + int(timeout_s * NS)
            while self._ticks < target and not self._stopping:
                self._wake.set()
                self._idle.wait(0.02)
                if self.clock.monotonic_ns() > until:
                    break
            return not self._ops and not self._incoming_n and not self.memory.samples

    def close(self) -> None:
        """Commit, seal, stop the thread, let go of the files."""
        with self.lock:
            if self._stopping:
                return
            self._stopping = True
        if self._salvage is not None:
            self._salvage.stop()
        self._wake.set()
        self._thread.join(10)

    def pending_records(self) -> int:
        """Operations not yet on disk."""
        return len(self._ops)

    @property
    def seq(self) -> int:
        """Number of the next frame."""
        return self._seq

    @property
    def free_bytes(self) -> int:
        """Free space when last looked at."""
        return self._space.free

    # -- opening -----------------------------------------------------------------------------

    def _open_database(self) -> None:
        try:
            self._connect()
        except StoreError:
            raise
        except sqlite3.Error as error:
            if aside.damaged(error):
                self._move_aside(str(error))
                return
            self._refused(error)
            if disk.give_reserve(self.data_dir):
                self._retry_open()

    def _retry_open(self) -> None:
        try:
            self._connect()
        except sqlite3.Error as error:
            self._refused(error)

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
            self._move_aside(wrong)
            return
        self.con = con
        row = con.execute("SELECT coalesce(max(sealed_seq), -1) FROM instrument").fetchone()
        self._seq = max(self._seq, row[0] + 1)
        if existed and self.path.stat().st_size > aside.CHECK_BYTES:
            aside.background_check(self.path, self._found_damaged)

    def _found_damaged(self, wrong: str) -> None:
        self._wrong = wrong

    def _open_tails(self) -> None:
        try:
            self.tails = [
                TailFile(self.data_dir / name, max_bytes=self.limits.tail_bytes)
                for name in tail.NAMES
            ]
        except OSError as error:
            self._note("disk_full", f"the open tail cannot be written: {error.strerror}")
            return
        sealed = self._sealed_seqs()
        frames = sorted((f for t in self.tails for f in t.frames), key=lambda f: f.seq)
        for t in self.tails:
            t.frames = []
        self._generation = max(t.generation for t in self.tails) + 1
        for frame in frames:
            self._seq = max(self._seq, frame.seq + 1)
            if frame.seq > sealed.get(frame.instrument, -1):
                self.memory.add(frame, durable=True)
        self._adopt_orphans(sealed)
        self._seal_all()
        newest = max((0, 1), key=lambda i: self.tails[i].last_seq)
        self._active = 1 - newest if self.memory.open else 0
        self.tails[self._active].room(1)
        self.tails[self._active].restart(self._generation)

    def _sealed_seqs(self) -> dict[int, int]:
        if self.con is None:
            return {}
        return dict(self.con.execute("SELECT id, sealed_seq FROM instrument").fetchall())

    def _adopt_orphans(self, known: dict[int, int]) -> None:
        """Samples of a tail whose instrument the database does not know (it was lost) get a session."""
        from denchi.store.records import adopt

        orphans = {i: f[0].block for i, f in self.memory.open.items() if i not in known}

        def op(con: sqlite3.Connection) -> None:
            for instrument, block in orphans.items():
                adopt(instrument, int(block.t_ns[0]))(con)

        if orphans:
            self._transact(op)

    # -- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        interval = self.limits.commit_ms * 1_000_000
        lead = min(COMMIT_LEAD_NS, interval // 5)
        due = self.clock.monotonic_ns()
        while True:
            stopping = self._stopping
            try:
                self._tick(final=stopping)
            except Exception as error:
                log.exception("the journal's writer failed and goes on")
                self._note("io_error", f"the journal failed: {error}")
            with self._idle:
                self._ticks += 1
                self._idle.notify_all()
            self.progress_ns = self.clock.monotonic_ns()
            if stopping:
                self._shut()
                return
            due = max(due + interval - lead, self.progress_ns)
            self._wake.wait((due - self.progress_ns) / NS)
            self._wake.clear()

    def _tick(self, *, final: bool = False) -> None:
        self.each_round()
        frames = self._take()
        self._run_ops()
        if frames:
            direct = [f for f in frames if len(f.block) >= DIRECT_SAMPLES and not self.trouble]
            self._commit([f for f in frames if f not in direct])
            for frame in direct:
                self.memory.add(frame, durable=False)
                self._seal_some({frame.instrument}, None)
        now = self.clock.monotonic_ns()
        if self._active_since_ns is None and self.memory.open:
            self._active_since_ns = now
        if final:
            self._seal_all()
        elif self._active_since_ns is not None and (
            now - self._active_since_ns >= self.limits.seal_s * NS
        ):
            self._flip()
        if self._to_seal:
            self._seal_some(self._to_seal, SEAL_BUDGET_NS)
        if now >= self._next_house or final:
            self._next_house = now + HOUSE_NS
            self._keep_house(now)

    def _take(self) -> list[Frame]:
        with self._idle:
            incoming, self._incoming, self._incoming_n = self._incoming, {}, 0
            self._idle.notify_all()
        frames = []
        for instrument, blocks in incoming.items():
            block = self._in_order(instrument, SampleBlock.concat(blocks))
            if len(block):
                frames.append(Frame(self._seq, instrument, block))
                self._seq += 1
        return frames

    def _in_order(self, instrument: int, block: SampleBlock) -> SampleBlock:
        """Stamps of an instrument increase; one that does not is a fault upstream: dropped, counted."""
        last = self._last_t.get(instrument)
        if last is None:
            last = int(block.t_ns[0]) - 1 if len(block) else 0
        highest = np.maximum.accumulate(np.concatenate(([last], block.t_ns)))
        good = block.t_ns > highest[:-1]
        if not good.all():
            self.memory.lose(instrument, block[~good], "time_order")
            block = block[good]
        if len(block):
            self._last_t[instrument] = int(block.t_ns[-1])
        return block

    def _commit(self, frames: list[Frame]) -> None:
        """Put frames on disk in the open tail; in memory when that is not possible."""
        if not frames:
            return
        durable = False
        size = sum(64 + 8 * len(f.block) * (3 + len(f.block.columns)) for f in frames)
        if self.tails and not self.memory.samples:
            if not self.tails[self._active].room(size):
                self._flip()
            active = self.tails[self._active]
            if active.room(size):
                try:
                    active.append(frames)
                    durable = True
                    self.last_commit_ns = self.clock.wall_ns()
                except OSError as error:
                    self._note("io_error", f"the open tail cannot be written: {error.strerror}")
        for frame in frames:
            self.memory.add(frame, durable=durable)
        if not durable:
            self._note("disk_full", "samples are only in memory: the disk takes no more")
            self.memory.bound(self.trouble or "disk_full")

    # -- sealing -----------------------------------------------------------------------------

    def _flip(self) -> None:
        """Use the other tail file, once everything in it is sealed."""
        if not self.tails:
            return
        if self._to_seal:
            self._seal_some(self._to_seal, None)
            if self._to_seal:
                return
        other = self.tails[1 - self._active]
        if not other.room(1):
            return
        self._to_seal = set(self.memory.open)
        self._active = 1 - self._active
        self._generation += 1
        other.restart(self._generation)
        self._active_since_ns = None

    def _seal_all(self) -> None:
        self._seal_some(set(self.memory.open), None)

    def _seal_some(self, instruments: set[int], budget_ns: int | None) -> None:
        """Seal instruments in one transaction, as many as the budget allows; those done leave the set."""
        begun = self.clock.monotonic_ns()
        taken: dict[int, list[Frame]] = {}

        def op(con: sqlite3.Connection) -> None:
            for instrument in list(instruments):
                frames = self.memory.frames(instrument)
                if frames:
                    self._sealer.seal(con, instrument, frames)
                taken[instrument] = frames
                if budget_ns is not None and self.clock.monotonic_ns() - begun > budget_ns:
                    break

        if instruments and self._transact(op):
            for instrument, frames in taken.items():
                self.memory.sealed(instrument, frames)
                instruments.discard(instrument)
                self._to_seal.discard(instrument)

    # -- the database ------------------------------------------------------------------------

    def _run_ops(self) -> None:
        with self.lock:
            ops = list(self._ops)
            gaps = self.memory.take_gaps() if not self.trouble else []
        if not ops and not gaps:
            return

        def run(con: sqlite3.Connection) -> None:
            for op in ops:
                op(con)
            for gap in gaps:
                gap(con)

        if self._transact(run):
            with self.lock:
                for _ in ops:
                    self._ops.popleft()
                self._done_ops += len(ops)
        else:
            self.memory.give_back(gaps)

    def _transact(self, op: Op) -> bool:
        """Run one transaction; False (and the trouble noted) when it could not be committed."""
        now = self.clock.monotonic_ns()
        if self.trouble and now < self._retry_at and not self._stopping:
            return False
        if self.con is None:
            self._open_database()
        con = self.con
        if con is None:
            return False
        for attempt in (0, 1):
            try:
                con.execute("BEGIN IMMEDIATE")
                op(con)
                con.execute("COMMIT")
                self.last_commit_ns = self.clock.wall_ns()
                self._recovered()
                return True
            except sqlite3.Error as error:
                self._roll_back(con)
                if aside.damaged(error):
                    self._move_aside(str(error))
                    return False
                self._refused(error)
                if attempt or not disk.give_reserve(self.data_dir):
                    return False
                log.warning("the disk is full: the reserve of the journal was given up")
            except BaseException:
                self._roll_back(con)
                raise
        return False

    def _roll_back(self, con: sqlite3.Connection) -> None:
        self._sealer.forget()
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
        self._note("disk_full" if full else "io_error", f"the journal cannot be written: {error}")

    def _note(self, kind: str, message: str) -> None:
        if self.trouble != kind:
            log.warning("%s", message)
        self.trouble, self.message = kind, message

    def _recovered(self) -> None:
        if self.trouble and not self._space.full:
            log.warning("the journal is written again")
            self.trouble, self.message = None, ""

    def _move_aside(self, wrong: str) -> None:
        if self.con is not None:
            self.con.close()
            self.con = None
        self._sealer.forget()
        try:
            self.moved = aside.move(self.path, self.clock.wall_ns())
            log.error("the journal is damaged (%s); moved to %s", wrong, self.moved.name)
            self._connect()
        except (OSError, sqlite3.Error) as error:
            self._note("io_error", f"the journal is damaged and cannot be replaced: {error}")
            return
        if self.con is not None:
            self.declare(self.con)
            self._salvage = aside.Salvage(self.moved, self._submit_salvage, self._salvaged_all)
            self._salvage.start()

    def _submit_salvage(self, op: Op) -> bool:
        done = self.submit_and_wait(op)
        self._sealer.forget()
        return done

    def _salvaged_all(self, kept: int, bad: int) -> None:
        self._salvaged = f"; {kept} rows salvaged, {bad} not readable"
        log.warning("salvage of the damaged journal is done%s", self._salvaged)

    def aside_message(self) -> str:
        """What to say about a journal that was moved aside; empty when none was."""
        if self.moved is None:
            return ""
        progress = self._salvaged or "; salvage goes on"
        return f"the journal was damaged and moved to {self.moved.name}{progress}"

    # -- house -------------------------------------------------------------------------------

    def _keep_house(self, now: int) -> None:
        self._space = disk.space(self.data_dir)
        if self._wrong is not None:
            wrong, self._wrong = self._wrong, None
            self._move_aside(wrong)
        if self._space.full:
            self._note("disk_full", "the disk is full")
        elif self.trouble and now >= self._retry_at:
            self._transact(lambda con: None)
            if not self.trouble:
                self._seal_all()
        elif not self.trouble:
            disk.take_reserve(self.data_dir, self.limits.reserve_bytes)
        if now >= self._next_sweep or self._space.low:
            self._next_sweep = now + SWEEP_NS
            self._transact(self._sweep)

    def _sweep(self, con: sqlite3.Connection) -> None:
        now = self.clock.wall_ns()
        sweep(con, self.limits.policy, self.outputs, now, self._space.low)

    def _shut(self) -> None:
        if self.con is not None:
            try:
                self.con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as error:
                log.warning("the last checkpoint failed: %s", error)
            self.con.close()
            self.con = None
        for t in self.tails:
            t.close()
