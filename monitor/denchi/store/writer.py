"""The journal's two threads: one commits the open tail, the other keeps the database and the house.

They are two so that a slow commit of the database (a seal, a checkpoint, a stalled sync) never holds up
the samples: the tail is committed every interval whatever the database does. Nothing that hands data
in waits for either. When the disk refuses, samples stay in memory for ten minutes at full rate, are
thinned to 1 Hz beyond that, and dropped last; what is thinned or dropped is counted and becomes a gap.
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
from denchi.store import disk, tail
from denchi.store.database import Database, Op
from denchi.store.memory import Memory
from denchi.store.records import adopt
from denchi.store.retention import Policy, sweep
from denchi.store.seal import Sealer
from denchi.store.tail import Frame, TailFile
from denchi_protocol.samples import SampleBlock

log = logging.getLogger("denchi.store")

DIRECT_SAMPLES: Final = 16_384
"""A commit with more samples of one instrument (an import) is sealed at once: the tail would only be
written to be read again."""
QUEUE_SAMPLES: Final = 4_000_000
"""Samples that may wait for the writer; beyond that the oldest are dropped and counted."""
SEAL_BUDGET_NS: Final = 50_000_000
COMMIT_LEAD_NS: Final = 8_000_000
"""A commit begins this much before its interval is over, so that its sync ends within it."""
HOUSE_NS: Final = NS
SWEEP_NS: Final = 60 * NS


@dataclass(frozen=True, slots=True)
class Limits:
    """The writer's settings."""

    commit_ms: int = 100
    seal_s: float = 60.0
    reserve_bytes: int = 64 << 20
    tail_bytes: int = tail.MAX_BYTES
    tail_first_bytes: int = tail.FIRST_BYTES
    ring_s: float = 600.0
    ring_samples: int = 2_000_000
    policy: Policy = field(default_factory=Policy)


class Writer:
    """State and threads behind ``Journal``; methods without ``_`` may be called from any thread."""

    def __init__(self, data_dir: Path, clock: Clock, limits: Limits) -> None:
        self.data_dir = data_dir
        self.clock = clock
        self.limits = limits
        self.lock = threading.RLock()
        self.memory = Memory(limits.ring_s, limits.ring_samples)
        self.database = Database(data_dir, clock)
        self.tails: list[TailFile] = []
        self.each_round: Callable[[], None] = lambda: None
        """Called by the database's thread each second at least."""
        self.outputs: tuple[str, ...] = ()
        self.last_commit_ns = clock.wall_ns()
        self.rounds = 0
        """Rounds of the database's thread; ``ticks`` are the other's (for the watchdog)."""
        self.space = disk.space(data_dir)
        self._tail_trouble = ""
        self._sealer = Sealer()
        self.database.forget = self._sealer.forget
        self.database.submit = self.submit_and_wait
        self._active = 0
        self._active_since_ns: int | None = None
        self._generation = 0
        self._seq = 0
        self._unsynced: list[Frame] = []
        """Written into the open tail, and not synced yet."""
        self._to_seal: set[int] = set()
        self._incoming: dict[int, list[SampleBlock]] = {}
        self._incoming_n = 0
        self._last_t: dict[int, int] = {}
        self._ops: deque[Op] = deque()
        self._queued = 0
        self._done_ops = 0
        self._gaps_out = False
        self._next_house = 0
        self._next_sweep = 0
        self._commit_now = threading.Event()
        self._work = threading.Event()
        self._idle = threading.Condition(self.lock)
        self._stopping = False
        self.ticks = 0
        self._threads = [
            threading.Thread(target=self._commit_loop, name="denchi-journal", daemon=True),
            threading.Thread(target=self._house_loop, name="denchi-journal-db", daemon=True),
        ]

    # -- any thread --------------------------------------------------------------------------

    def open(self) -> None:
        """Open files, recover the tail. Raises ``StoreError`` only for a newer journal."""
        disk.take_reserve(self.data_dir, self.limits.reserve_bytes)
        self.database.open()
        self._open_tails()

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def append(self, instrument: int, block: SampleBlock, *, wait: bool) -> None:
        """Take a block; see ``Journal.append``."""
        with self._idle:
            if wait:
                limit = QUEUE_SAMPLES // 8
                while self._incoming_n + self.memory.samples > limit and not self._stopping:
                    self._commit_now.set()
                    self._idle.wait(0.05)
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
        self._work.set()

    def submit_and_wait(self, op: Op, timeout_s: float | None = None) -> bool:
        """Queue an operation and wait for its commit; False when the journal closes or time is up."""
        with self._idle:
            self.submit(op)
            return self._wait_ops(self._queued, timeout_s)

    def _wait_ops(self, target: int, timeout_s: float | None) -> bool:
        until = None if timeout_s is None else self.clock.monotonic_ns() + int(timeout_s * NS)
        while self._done_ops < target:
            if self._stopping or (until is not None and self.clock.monotonic_ns() > until):
                return False
            self._work.set()
            self._idle.wait(0.05)
        return True

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Have everything handed in so far on disk; False when that was not possible in time."""
        until = self.clock.monotonic_ns() + int(timeout_s * NS)
        with self._idle:
            target = self.ticks + 2  # the round under way may have begun before the last hand-over
            while (self.ticks < target or self.memory.samples) and not self._stopping:
                self._commit_now.set()
                self._work.set()
                self._idle.wait(0.02)
                if self.clock.monotonic_ns() > until:
                    return False
            if self.memory.has_losses() or self._gaps_out:
                self.submit(lambda con: None)  # what was lost is written with the next operation
            left = max(0.0, (until - self.clock.monotonic_ns()) / NS)
            return self._wait_ops(self._queued, left) and not self.memory.samples

    def close(self) -> None:
        """Commit, seal, stop the threads, let go of the files."""
        with self.lock:
            if self._stopping:
                return
            self._stopping = True
        self._commit_now.set()
        self._threads[0].join(10)
        self._work.set()
        self._threads[1].join(10)
        for t in self.tails:
            t.close()

    def pending_records(self) -> int:
        """Operations not yet on disk."""
        return len(self._ops)

    def condition(self) -> tuple[str | None, str]:
        """(degraded, message): the worst that is the case."""
        if self.database.trouble:
            return self.database.trouble, self.database.message
        if self._tail_trouble:
            return "io_error", self._tail_trouble
        if self.space.full:
            return "disk_full", "the disk is full"
        if self.database.moved is not None:
            return "moved_aside", self.database.aside_message()
        return None, ""

    # -- opening -----------------------------------------------------------------------------

    def _open_tails(self) -> None:
        if self.database.con is not None:
            row = self.database.con.execute("SELECT max(sealed_seq) FROM instrument").fetchone()
            self._seq = (row[0] if row[0] is not None else -1) + 1
        try:
            self.tails = [
                TailFile(
                    self.data_dir / name,
                    max_bytes=self.limits.tail_bytes,
                    first_bytes=self.limits.tail_first_bytes,
                )
                for name in tail.NAMES
            ]
        except OSError as error:
            self._tail_trouble = f"the open tail cannot be written: {error.strerror}"
            return
        self._recover()
        # Both now, while there is room: a full disk must not take the second one away later.
        for t in self.tails:
            t.room(max(0, self.limits.tail_first_bytes - t.at))
        newest = max((0, 1), key=lambda i: self.tails[i].generation)
        # What could not be sealed now stands in either file: go on behind the newest.
        if self.memory.open:
            self._to_seal = set(self.memory.open)
            self._active = newest
            return
        self._active = 1 - newest
        self._generation = self.tails[newest].generation + 1
        self.tails[self._active].restart(self._generation)

    def _recover(self) -> None:
        """Frames that are not sealed yet are sealed; those of an unknown instrument get a session."""
        sealed = self._sealed_seqs()
        frames = sorted((f for t in self.tails for f in t.frames), key=lambda f: f.seq)
        for t in self.tails:
            t.frames = []
            self._generation = max(self._generation, t.generation)
        for frame in frames:
            self._seq = max(self._seq, frame.seq + 1)
            if frame.seq > sealed.get(frame.instrument, -1):
                self.memory.add(frame, durable=True)
        orphans = {i: f[0].block for i, f in self.memory.open.items() if i not in sealed}

        def op(con: sqlite3.Connection) -> None:
            for instrument, block in orphans.items():
                adopt(instrument, int(block.t_ns[0]))(con)

        if orphans:
            self.database.transact(op)
        self._seal(set(self.memory.open), None)

    def _sealed_seqs(self) -> dict[int, int]:
        if self.database.con is None:
            return {}
        rows = self.database.con.execute("SELECT id, sealed_seq FROM instrument").fetchall()
        return dict(rows)

    # -- the thread of the tail --------------------------------------------------------------

    def _commit_loop(self) -> None:
        interval = self.limits.commit_ms * 1_000_000
        lead = min(COMMIT_LEAD_NS, interval // 5)
        while True:
            stopping = self._stopping
            due = self.clock.monotonic_ns() + interval - lead
            self._round(synced=True)
            with self._idle:
                self.ticks += 1
                self._idle.notify_all()
            if stopping:
                return
            # A kill costs what was not written, a power cut what was not synced, and only a sync wears
            # the disk. So what came is written half-way too: a thread that is late then still is in time.
            if not self._wait_until(due - interval // 2) and not self._tail_trouble:
                self._round(synced=False)
            self._wait_until(due)
            self._commit_now.clear()

    def _wait_until(self, due_ns: int) -> bool:
        """Sleep; True when somebody wants a commit now."""
        return self._commit_now.wait(max(0.0, (due_ns - self.clock.monotonic_ns()) / NS))

    def _round(self, *, synced: bool) -> None:
        try:
            self._commit(self._take(), synced=synced)
        except Exception as error:
            log.exception("committing the open tail failed and goes on")
            self._tail_trouble = f"committing failed: {error}"

    def _take(self) -> list[Frame]:
        with self._idle:
            incoming, self._incoming, self._incoming_n = self._incoming, {}, 0
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

    def _commit(self, frames: list[Frame], *, synced: bool) -> None:
        """Put frames into the open tail, and all of it on disk; in memory where that is not possible."""
        now = self.clock.monotonic_ns()
        since = self._active_since_ns
        if since is not None and now - since >= self.limits.seal_s * NS:
            self._flip()
        small = [
            f
            for f in frames
            if len(f.block) < DIRECT_SAMPLES and not self.memory.only_here(f.instrument)
        ]
        written = bool(small) and self._write(small, synced)
        if synced and not small and self.tails and (self._tail_trouble or self._unsynced):
            # Samples that wait in memory go to the database, past the tail: whether the tail works
            # again would never be seen, and "degraded" never end.
            self._append([], True)
        for frame in frames:
            self.memory.add(frame, durable=written and frame in small)
        if frames and self._active_since_ns is None:
            self._active_since_ns = now
        if len(small) < len(frames) or (small and not written):
            with self.lock:
                self._to_seal.update(f.instrument for f in frames if not written or f not in small)
            self._work.set()
            if self.database.trouble or self._tail_trouble:
                self.memory.bound(self.database.trouble or "io_error")

    def _write(self, frames: list[Frame], synced: bool) -> bool:
        if not self.tails:
            return False
        size = sum(64 + 4 * len(f.block) * (4 + len(f.block.columns)) for f in frames)
        if not self.tails[self._active].room(size):
            self._flip()
        return self.tails[self._active].room(size) and self._append(frames, synced)

    def _append(self, frames: list[Frame], synced: bool) -> bool:
        """Write, and sync all that was written; False where either is refused."""
        active = self.tails[self._active]
        try:
            if frames or not self._unsynced:
                active.write(frames)
            if synced:
                active.sync()
        except OSError as error:
            self._tail_trouble = f"the open tail cannot be written: {error.strerror}"
            doubtful, self._unsynced = self._unsynced, []
            if (
                doubtful
            ):  # a sync that failed has forgotten them: only the database can keep them now
                self.memory.doubt(doubtful)
                with self.lock:
                    self._to_seal.update(f.instrument for f in doubtful)
                self._work.set()
            return False
        if synced:
            self._unsynced = []
            self._tail_trouble = ""
            self.last_commit_ns = self.clock.wall_ns()
        else:
            self._unsynced += frames
        return True

    def _flip(self) -> None:
        """Use the other tail file, once everything in it is sealed; the full one is then sealed."""
        if self._unsynced:
            self._append([], True)
        with self.lock:
            if self._to_seal or not self.tails or not self.tails[1 - self._active].room(1):
                return
            self._to_seal = set(self.memory.open)
            self._active = 1 - self._active
            self._generation += 1
            self.tails[self._active].restart(self._generation)
            self._active_since_ns = None
        self._work.set()

    # -- the thread of the database ----------------------------------------------------------

    def _house_loop(self) -> None:
        while True:
            final = self._stopping and not self._threads[0].is_alive()
            try:
                self._house_round(final)
            except Exception as error:
                log.exception("the journal's database failed and goes on")
                self.database.note("io_error", f"the journal failed: {error}")
            with self._idle:
                self._idle.notify_all()
            self.rounds += 1
            if final:
                self.database.close()
                return
            self._work.wait(self.limits.commit_ms / 1000 if self._to_seal else 1.0)
            self._work.clear()

    def _house_round(self, final: bool) -> None:
        self.each_round()
        if final:
            self.database.stopping = True
        self._run_ops()
        with self.lock:
            wanted = set(self.memory.open) if final else set(self._to_seal)
        if wanted:
            self._seal(wanted, None if final else SEAL_BUDGET_NS)
        now = self.clock.monotonic_ns()
        if now >= self._next_house or final:
            self._next_house = now + HOUSE_NS
            self._keep_house(now)

    def _run_ops(self) -> None:
        with self.lock:
            ops = list(self._ops)
            gaps = self.memory.take_gaps() if not self.database.trouble else []
            self._gaps_out = bool(gaps)
        if not ops and not gaps:
            return

        def run(con: sqlite3.Connection) -> None:
            for op in [*ops, *gaps]:
                op(con)

        try:
            done = self.database.transact(run)
        except Exception as error:
            log.error("a record cannot be stored as it is: %s", error)
            done = self._one_by_one([*ops, *gaps])
        if done:
            with self._idle:
                for _ in ops:
                    self._ops.popleft()
                self._done_ops += len(ops)
                self._idle.notify_all()
        else:
            self.memory.give_back(gaps)
        self._gaps_out = False

    def _one_by_one(self, ops: list[Op]) -> bool:
        """Run operations apart: one that fails for itself must not keep the others from the disk."""
        for op in ops:
            try:
                if not self.database.transact(op):
                    return False
            except Exception as error:
                log.error("a record was dropped: %s", error)
        return True

    def _seal(self, instruments: set[int], budget_ns: int | None) -> None:
        """Seal instruments in one transaction, as many as the budget allows."""
        begun = self.clock.monotonic_ns()
        taken: dict[int, list[Frame]] = {}

        def op(con: sqlite3.Connection) -> None:
            taken.clear()
            for instrument in instruments:
                frames = self.memory.frames(instrument)
                if frames:
                    self._sealer.seal(con, instrument, frames)
                taken[instrument] = frames
                if budget_ns is not None and self.clock.monotonic_ns() - begun > budget_ns:
                    break

        if self.database.transact(op):
            with self._idle:
                for instrument, frames in taken.items():
                    self.memory.sealed(instrument, frames)
                    # A frame that came into memory meanwhile keeps its place in the queue: with no
                    # further sample behind it nothing else would ever seal it.
                    if not self.memory.only_here(instrument):
                        self._to_seal.discard(instrument)
                self._idle.notify_all()

    def _keep_house(self, now: int) -> None:
        self.space = disk.space(self.data_dir)
        if self.database.retry_due():
            self.database.transact(lambda con: None)
        elif not self.database.trouble and not self.space.full:
            disk.take_reserve(self.data_dir, self.limits.reserve_bytes)
        if now >= self._next_sweep or self.space.low:
            self._next_sweep = now + SWEEP_NS
            self.database.transact(self._sweep)

    def _sweep(self, con: sqlite3.Connection) -> None:
        now = self.clock.wall_ns()
        sweep(con, self.limits.policy, self.outputs, now, self.space.low)
