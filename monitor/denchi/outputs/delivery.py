"""Delivery from the journal: one loop for every destination that takes batches.

At least once, with stamps fixed at capture, gives exactly once where a rewrite is idempotent. Nothing
is ever given up because a destination is away: back-off with jitter, for ever. What a destination
refuses for good is found by halving, set aside in a file and counted; its neighbours go through.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from denchi.clock import NS
from denchi.outputs.base import Context, OutputState, State
from denchi.store.cursor import Cursor
from denchi.store.feed import Batch
from denchi.text import clean, file_stem

log = logging.getLogger("denchi.outputs")

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
IDLE_S: Final = 1.0
CURSOR_EVERY_S: Final = 10.0
"""A crash delivers at most this much again; storing at each batch would wear the disk."""
QUARANTINE_BYTES: Final = 4 << 20


class Away(Exception):
    """The destination cannot be reached or asks to wait; keep and try again."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Misconfigured(Away):
    """The destination says that our settings are wrong (401, 404): keep, tell, try again slowly."""


class TooLarge(Exception):
    """The batch is more than the destination takes at once (413)."""


class Refused(Exception):
    """Some lines can never be stored. ``lines``: which (0-based), when the destination says so.

    ``dropped``: how many, when it says only that; the others it has stored.
    """

    def __init__(
        self, message: str, lines: Sequence[int] | None = None, *, dropped: int | None = None
    ) -> None:
        super().__init__(message)
        self.lines = lines
        self.dropped = dropped


class Sender(Protocol):
    """One destination's side: how a batch is put into words, and how words are sent."""

    align_ns: int
    max_samples: int
    records_only: bool

    def encode(self, batch: Batch, cursor: Cursor) -> list[bytes]:
        """The batch as lines, each complete in itself."""
        ...

    def send(self, lines: Sequence[bytes]) -> None:
        """Send lines at once. Raises ``Away``, ``Misconfigured``, ``TooLarge`` or ``Refused``."""
        ...

    def check(self) -> str | None:
        """Try the connection; what is wrong, or None."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(slots=True)
class _Rate:
    """Samples a second over the last half minute."""

    marks: deque[tuple[int, int]] = field(default_factory=deque)

    def add(self, now_ns: int, n: int) -> None:
        self.marks.append((now_ns, n))

    def at(self, now_ns: int) -> float:
        while self.marks and now_ns - self.marks[0][0] > 30 * NS:
            self.marks.popleft()
        if not self.marks:
            return 0.0
        span_s = max(1.0, (now_ns - self.marks[0][0]) / NS)
        return sum(n for _, n in self.marks) / span_s


class Delivery:
    """An ``Output`` that delivers the journal through a ``Sender``."""

    def __init__(
        self,
        name: str,
        kind: str,
        context: Context,
        sender: Sender,
        *,
        prepare: Callable[[Batch, Cursor], Cursor] = lambda batch, cursor: cursor,
        wait: Callable[[threading.Event, float], bool] | None = None,
    ) -> None:
        self.name = name
        self.kind = kind
        self._context = context
        self._sender = sender
        self._prepare = prepare
        self._wait = wait or (lambda stop, seconds: stop.wait(seconds))
        self._lock = threading.Lock()
        self._state: State = "idle"
        self._error = ""
        self._backlog = (0, 0.0)
        self._delivered = 0
        self._quarantined = 0
        self._rate = _Rate()
        self._random = random.Random()  # noqa: S311  jitter, no secret
        self._cursor = Cursor()
        self._stored_at = 0
        self._unstored = False
        self._running = False

    # -- Output ------------------------------------------------------------------------------

    def state(self) -> OutputState:
        """How the delivery is."""
        with self._lock:
            return OutputState(
                self.name,
                self.kind,
                self._state,
                self._backlog[0],
                self._backlog[1],
                round(self._rate.at(self._context.clock.monotonic_ns()), 1),
                self._error,
                self._quarantined,
                self._delivered,
            )

    def check(self) -> str | None:
        """Try the connection once."""
        try:
            return self._sender.check()
        finally:
            if not self._running:
                self._sender.close()

    def run(self, stop: threading.Event) -> None:
        """Deliver until ``stop`` is set."""
        self._running = True
        self._load(stop)
        while not stop.is_set():
            try:
                pause = self.step(stop)
            except Exception as error:
                log.exception("output %s failed and goes on", self.name)
                self._set("waiting", f"failed: {clean(error)}")
                pause = LONGEST_PAUSE_S
            if pause:
                self._wait(stop, pause)
        if self._unstored:
            self._store()
        self._running = False
        self._sender.close()
        self._set("stopped", self._error)

    def _load(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self._cursor = self._context.journal.load_cursor(self.name)
                return
            except Exception as error:
                self._set("waiting", f"the journal cannot be read: {clean(error)}")
                self._wait(stop, FIRST_PAUSE_S)

    # -- one round ---------------------------------------------------------------------------

    def step(self, stop: threading.Event) -> float:
        """Deliver one batch; returns the seconds to pause before the next."""
        sender = self._sender
        batch, after = self._context.journal.read_after(
            self._cursor,
            sender.max_samples,
            align_ns=sender.align_ns,
            simulated=self._context.simulated,
        )
        with self._lock:
            self._backlog = (batch.backlog_samples, round(batch.backlog_s, 1))
        if not batch:
            self._advance(after)
            self._set("idle", "")
            return IDLE_S
        prepared = self._prepare(batch, self._cursor)
        if prepared.labels != self._cursor.labels:
            # What later tries must repeat exactly is on disk before the first try.
            self._cursor = self._cursor.with_labels(prepared.labels)
            self._store(wait=True)
        after = after.with_labels(prepared.labels)
        self._set("delivering", self._error)
        if not self._deliver(sender.encode(batch, after), stop):
            return 0.0
        with self._lock:
            self._delivered += batch.samples
            self._rate.add(self._context.clock.monotonic_ns(), batch.samples)
        self._advance(after)
        self._set("delivering" if batch.backlog_samples else "idle", "")
        return 0.0 if batch.samples >= sender.max_samples // 2 else IDLE_S

    def _deliver(self, lines: list[bytes], stop: threading.Event) -> bool:
        """Send lines, however often it takes; False when stopped before it was possible."""
        pending = deque([lines]) if lines else deque()
        tries = 0
        while pending:
            part = pending[0]
            try:
                self._sender.send(part)
            except Away as error:
                tries += 1
                self._set("waiting", clean(error, 300))
                self._look()
                if self._wait(stop, self._pause(tries, error)) or stop.is_set():
                    return False
                continue
            except TooLarge as error:
                pending.popleft()
                if len(part) == 1:
                    self._quarantine(part, f"too large: {clean(error)}")
                else:
                    pending.extendleft(reversed(_halves(part)))
                continue
            except Refused as error:
                pending.popleft()
                pending.extendleft(reversed(self._sort_out(part, error)))
                continue
            tries = 0
            pending.popleft()
        return True

    def _look(self) -> None:
        """Renew the backlog: while a destination is away it grows, and people ask how much it is."""
        with contextlib.suppress(Exception):
            batch, _ = self._context.journal.read_after(
                self._cursor,
                0,
                align_ns=self._sender.align_ns,
                simulated=self._context.simulated,
            )
            with self._lock:
                self._backlog = (batch.backlog_samples, round(batch.backlog_s, 1))

    def _sort_out(self, part: list[bytes], error: Refused) -> list[list[bytes]]:
        """What is still to send after a refusal; the bad lines are set aside."""
        if error.lines:
            bad = {i for i in error.lines if 0 <= i < len(part)}
            if bad:
                self._quarantine([part[i] for i in sorted(bad)], str(error))
                rest = [line for i, line in enumerate(part) if i not in bad]
                # Lines of a partial write that were stored are sent again: that changes nothing, and
                # a destination's list may be cut short.
                return [rest] if rest else []
        if len(part) == 1 or error.dropped == len(part):
            self._quarantine(part, str(error))
            return []
        return _halves(part)

    def _pause(self, tries: int, error: Away) -> float:
        if error.retry_after_s is not None:
            return min(3600.0, max(0.0, error.retry_after_s)) + self._random.uniform(0, 0.5)
        longest = LONGEST_PAUSE_S
        base = (
            longest if isinstance(error, Misconfigured) else FIRST_PAUSE_S * 2 ** min(tries - 1, 10)
        )
        return min(longest, base) * self._random.uniform(0.5, 1.0)

    # -- bookkeeping -------------------------------------------------------------------------

    def _advance(self, cursor: Cursor) -> None:
        if cursor == self._cursor:
            return
        self._cursor = cursor
        self._unstored = True
        now = self._context.clock.monotonic_ns()
        if now - self._stored_at >= CURSOR_EVERY_S * NS:
            self._store()

    def _store(self, *, wait: bool = False) -> None:
        self._context.journal.store_cursor(self.name, self._cursor, wait=wait)
        self._stored_at = self._context.clock.monotonic_ns()
        self._unstored = False

    def _set(self, state: State, error: str) -> None:
        with self._lock:
            if error and error != self._error:
                log.warning("output %s: %s", self.name, error)
            self._state, self._error = state, error

    def _quarantine(self, lines: Sequence[bytes], reason: str) -> None:
        first = self._quarantined == 0
        with self._lock:
            self._quarantined += len(lines)
        if first:
            log.error("output %s refuses a line for good: %s", self.name, clean(reason, 300))
        path = self._quarantine_path()
        with contextlib.suppress(OSError):
            path.parent.mkdir(exist_ok=True, mode=0o700)
            if path.exists() and path.stat().st_size > QUARANTINE_BYTES:
                return
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(f"# {clean(reason, 300)}\n".encode())
                file.writelines(line.rstrip(b"\n") + b"\n" for line in lines)

    def _quarantine_path(self) -> Path:
        return self._context.data_dir / "outputs" / f"{file_stem(self.name)}.quarantine"


def _halves(lines: list[bytes]) -> list[list[bytes]]:
    middle = len(lines) // 2
    return [lines[:middle], lines[middle:]]
