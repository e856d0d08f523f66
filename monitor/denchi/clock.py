"""Time: the only place of the product that reads a clock.

A session's stamps are UTC nanoseconds taken from the **monotonic** clock, anchored to the wall
clock once at the session's start: a stepped, slewed or suspended wall clock cannot make a stamp
go back, repeat, or change an energy. A later wall step is noticed and told (``drift_ns``), and a
new anchor is taken only with the next session.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final, Protocol

NS: Final = 1_000_000_000


class Clock(Protocol):
    """What the product needs of a clock; tests and replay bring their own."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back; CLOCK_BOOTTIME where there is one, so suspend counts."""
        ...

    def wall_ns(self) -> int:
        """UTC nanoseconds as the system believes them."""
        ...

    def sleep(self, seconds: float) -> None:
        """Pause this thread."""
        ...


class SystemClock:
    """The machine's clocks."""

    # Linux: CLOCK_BOOTTIME goes on during suspend, so a suspend becomes a gap and not a time warp.
    _boottime = getattr(time, "CLOCK_BOOTTIME", None)

    def monotonic_ns(self) -> int:
        """Monotonic nanoseconds, suspend included where the system can."""
        if self._boottime is not None:
            return time.clock_gettime_ns(self._boottime)
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        """UTC nanoseconds."""
        return time.time_ns()

    def sleep(self, seconds: float) -> None:
        """Pause this thread."""
        time.sleep(max(0.0, seconds))


class FakeClock:
    """A clock that a test moves by hand; ``sleep`` moves it."""

    def __init__(self, wall_ns: int = 1_750_000_000 * NS, monotonic_ns: int = 1_000 * NS) -> None:
        self._wall = wall_ns
        self._monotonic = monotonic_ns

    def monotonic_ns(self) -> int:
        """The fake monotonic time."""
        return self._monotonic

    def wall_ns(self) -> int:
        """The fake wall time."""
        return self._wall

    def sleep(self, seconds: float) -> None:
        """Move both clocks on."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move both clocks on by ``seconds``."""
        self._wall += int(seconds * NS)
        self._monotonic += int(seconds * NS)

    def step_wall(self, seconds: float) -> None:
        """Step the wall clock only, as NTP or a person would."""
        self._wall += int(seconds * NS)


SYSTEM: Final[Clock] = SystemClock()


class AnchoredClock:
    """UTC nanoseconds from the monotonic clock, anchored once (a session's clock).

    ``speed`` > 1 makes session time run faster than the machine's (the demo's time lapse).
    """

    def __init__(
        self, clock: Clock = SYSTEM, *, speed: float = 1.0, anchor_wall_ns: int | None = None
    ) -> None:
        self.clock = clock
        self.speed = speed
        self._wall = clock.wall_ns() if anchor_wall_ns is None else anchor_wall_ns
        self._monotonic = clock.monotonic_ns()

    def reanchor(self, wall_ns: int | None = None) -> None:
        """Anchor anew, between two sessions and never inside one."""
        self._wall = self.clock.wall_ns() if wall_ns is None else wall_ns
        self._monotonic = self.clock.monotonic_ns()

    def now_ns(self) -> int:
        """Session time now, UTC ns."""
        return self.at(self.clock.monotonic_ns())

    def at(self, monotonic_ns: int) -> int:
        """Session time of a monotonic reading taken earlier (an arrival time)."""
        passed = monotonic_ns - self._monotonic
        return self._wall + (passed if self.speed == 1.0 else int(passed * self.speed))

    def drift_ns(self) -> int:
        """How far the wall clock now stands from the anchor's reckoning (0 without steps)."""
        return self.clock.wall_ns() - self._wall - (self.clock.monotonic_ns() - self._monotonic)

    def seconds_until(self, session_ns: int) -> float:
        """Machine seconds from now until session time ``session_ns`` (0 when passed)."""
        return max(0.0, (session_ns - self.now_ns()) / NS / self.speed)


def iso(t_ns: int) -> str:
    """UTC time stamp to the millisecond, ``2026-11-23T08:13:00.000Z``."""
    whole, rest = divmod(t_ns, NS)
    moment = datetime.fromtimestamp(whole, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"
