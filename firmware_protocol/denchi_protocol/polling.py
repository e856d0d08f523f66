"""Poller: one request in flight, re-sent after a silence, in rounds of a period.

Time is an argument. A device that does not answer one request of a round does not hold up the
others: after ``tries`` the request is given up and the round goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from denchi_protocol.codec import Action, Send, Wait

MS: Final = 1_000_000
"""Nanoseconds in a millisecond."""


class Poller:
    """Says what to ask and when.

    ``plan``: called at the start of a round, returns its requests.
    ``period_ms``: from the start of a round to the next. ``resend_ms``: silence before a request is
    sent again. ``pause_ms``: the device needs this long after an answer. ``tries``: sends a request
    is worth. ``quiet_ms``: for replies that do not name their request: instead of going on after an
    unanswered one, be silent for so long (a late answer drains away) and begin a new round.
    """

    def __init__(
        self,
        plan: Callable[[], Sequence[bytes]],
        *,
        period_ms: float,
        resend_ms: float,
        pause_ms: float = 0.0,
        tries: int = 2,
        quiet_ms: float | None = None,
    ) -> None:
        self._plan = plan
        self._period_ns = int(period_ms * MS)
        self._resend_ns = int(resend_ms * MS)
        self._pause_ns = int(pause_ms * MS)
        self._max_tries = tries
        self._quiet_ms = quiet_ms
        self._queue: deque[bytes] = deque()
        self._flight: bytes | None = None
        self._sent_ns = 0
        self._tried = 0
        self._ready_ns: int | None = None
        self._round_ns: int | None = None
        self.given_up = 0
        """Requests that were never answered."""
        self.expired = 0
        """Silences that led to a re-send or to giving up."""

    @property
    def in_flight(self) -> bytes | None:
        """The request that waits for its answer."""
        return self._flight

    @property
    def round_done(self) -> bool:
        """Whether nothing of the present round is left to ask or to hear."""
        return self._flight is None and not self._queue

    def next(self, now_ns: int) -> Action:
        """Say what to do at ``now_ns``: send, or wait until when."""
        if self._flight is not None:
            until = self._sent_ns + self._resend_ns
            if now_ns < until:
                return Wait(until)
            self.expired += 1
            if self._tried < self._max_tries:
                return self._send(self._flight, now_ns)
            self._flight = None
            self.given_up += 1
            if self._quiet_ms is not None:
                self.restart(now_ns, self._quiet_ms)
        if not self._queue:
            if self._round_ns is not None and now_ns < self._round_ns + self._period_ns:
                return Wait(self._round_ns + self._period_ns)
            self._queue.extend(self._plan())
            self._round_ns = now_ns
            if not self._queue:
                return Wait(now_ns + max(self._period_ns, MS))
        if self._ready_ns is not None and now_ns < self._ready_ns:
            return Wait(self._ready_ns)
        self._tried = 0
        return self._send(self._queue.popleft(), now_ns)

    def asked(self, request: bytes, now_ns: int) -> None:
        """A recording shows that ``request`` went out: the next answer is to it."""
        self._flight, self._sent_ns = request, now_ns

    def answered(self, now_ns: int) -> None:
        """The request in flight has its answer."""
        self._flight = None
        self._ready_ns = now_ns + self._pause_ns

    def restart(self, now_ns: int, pause_ms: float) -> None:
        """Forget the round and be silent for ``pause_ms`` (late answers drain away)."""
        self._queue.clear()
        self._flight = None
        self._round_ns = None
        self._ready_ns = now_ns + int(pause_ms * MS)

    def _send(self, request: bytes, now_ns: int) -> Send:
        self._flight, self._sent_ns = request, now_ns
        self._tried += 1
        return Send(request)
