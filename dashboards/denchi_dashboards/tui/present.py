"""What the TUI knows at this moment: the daemon's state, its stream in rings, and how old all that is.

Nothing here draws and nothing here reads a clock by itself. When the daemon is away everything is
stale: the last state stays visible, with its age, and is never shown as if it were now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from denchi.clock import NS, SYSTEM, Clock
from denchi_dashboards.tui.rings import Ring
from denchi_dashboards.tui.words import number

SILENT_S: Final = 3.5
"""The daemon says its state each second; after this long without a word it counts as away."""
MAX_BENCHES: Final = 16
MAX_GAPS: Final = 256
MAX_PD: Final = 500
VOLT_CHANNELS: Final = ("vbus_uv", "pack_uv")
AMP_CHANNELS: Final = ("ibus_ua", "pack_ua")


@dataclass(frozen=True, slots=True)
class Value:
    """One live value: None = not measured. ``age_s`` counts on while nothing new arrives."""

    value: float | None
    age_s: float | None
    stale: bool
    unit: str = ""
    place: str = ""


@dataclass(slots=True)
class BenchView:
    """One bench: its part of the state, its rings, its gaps."""

    name: str
    state: dict[str, Any] = field(default_factory=dict)
    rings: dict[str, Ring] = field(default_factory=dict)
    gaps: list[tuple[int, int | None, str]] = field(default_factory=list)
    session_id: str = ""
    pd: list[dict[str, Any]] = field(default_factory=list)

    def part(self, name: str) -> dict[str, Any]:
        """An object of the bench's state, empty when null."""
        found = self.state.get(name)
        return found if isinstance(found, dict) else {}

    @property
    def simulated(self) -> bool:
        """Whether what is shown comes from a simulation."""
        return "simulated" in (self.state.get("origin"), self.part("session").get("origin"))

    @property
    def newest_ns(self) -> int | None:
        """Time of the newest sample seen."""
        stamps = [r.newest_ns for r in self.rings.values() if r.newest_ns is not None]
        live = number(self.part("live").get("t_ns"))
        if live is not None:
            stamps.append(int(live))
        return max(stamps, default=None)

    def temperatures(self) -> list[str]:
        """Temperature channels known, the unit's own places first."""
        channels = self.part("live").get("channels")
        names = set(channels if isinstance(channels, dict) else ())
        for ring in self.rings.values():
            names.update(ring.channels)
        order = {"case": 0, "pd": 1, "cell": 2, "ambient": 3, "meter": 9}
        found = {n.rpartition(":")[2] for n in names if "temp_mc." in n}
        return sorted(found, key=lambda n: (order.get(n.split(".")[1], 5), n))[:16]

    def findings(self) -> list[dict[str, Any]]:
        """The findings, newest last."""
        found = self.state.get("findings")
        return [f for f in found if isinstance(f, dict)] if isinstance(found, list) else []


class Present:
    """The whole present, fed with the messages of the API's stream."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self.clock = clock
        self.state: dict[str, Any] = {}
        self.benches: dict[str, BenchView] = {}
        self.connected = False
        self.trouble = "", ""
        self.ever = False
        self.version = 0
        """Counts every change, so that a frame without news costs nothing."""
        self.told = 0
        """Counts the changes that are more than samples: words, lists and alarms rest on these."""
        self._state_at = 0
        self._heard_at = 0
        self._heard_wall = 0
        self.new_findings: list[dict[str, Any]] = []
        """Findings of the stream not yet taken by the screen (toasts, bell)."""

    # -- feeding -------------------------------------------------------------------------------

    def take(self, message: Mapping[str, Any]) -> None:
        """One message of the stream; unknown types are left alone (a newer daemon)."""
        self._heard_at, self._heard_wall = self.clock.monotonic_ns(), self.clock.wall_ns()
        self.connected = self.ever = True
        kind = message.get("type")
        if kind == "block":
            self.version += 1
        else:
            self.changed()
        if kind == "state":
            self.take_state(message)
        elif kind == "block":
            self._block(message)
        elif kind == "finding":
            self._finding(message)
        elif kind == "gap":
            self._gap(message)
        elif kind == "pd":
            bench = self.benches.get(str(message.get("bench")))
            if bench is not None:
                bench.pd = [*bench.pd, dict(message)][-MAX_PD:]
        elif kind == "bye":
            self.away("", "")

    def take_state(self, state: Mapping[str, Any]) -> None:
        """A whole state."""
        self.state = dict(state)
        self._state_at = self._heard_at = self.clock.monotonic_ns()
        self._heard_wall = self.clock.wall_ns()
        self.connected = self.ever = True
        self.trouble = "", ""
        self.changed()
        listed = [b for b in state.get("benches") or [] if isinstance(b, dict)][:MAX_BENCHES]
        names = [str(b.get("name")) for b in listed]
        self.benches = {n: self.benches.get(n) or BenchView(n) for n in names}
        for one in listed:
            self._bench(self.benches[str(one.get("name"))], one)

    def away(self, message: str, cure: str) -> None:
        """The daemon does not answer: everything shown is stale from now on."""
        self.connected = False
        self.trouble = message, cure
        self.changed()

    def changed(self) -> None:
        """Something besides the samples is another."""
        self.version += 1
        self.told += 1

    def _bench(self, bench: BenchView, state: dict[str, Any]) -> None:
        bench.state = state
        session = bench.part("session")
        if session.get("id") != bench.session_id:
            bench.session_id = str(session.get("id") or "")
            bench.rings.clear()
            bench.gaps.clear()
            bench.pd = []

    def _block(self, message: Mapping[str, Any]) -> None:
        bench = self.benches.get(str(message.get("bench")))
        times, columns = message.get("t_ns"), message.get("columns")
        if bench is None or not isinstance(times, list) or not isinstance(columns, dict):
            return
        role = str(message.get("role") or "meter")
        if role not in bench.rings and len(bench.rings) >= 8:
            return
        bench.rings.setdefault(role, Ring()).append(times, columns)

    def _gap(self, message: Mapping[str, Any]) -> None:
        bench = self.benches.get(str(message.get("bench")))
        start, end = number(message.get("start_ns")), number(message.get("end_ns"))
        if bench is None or start is None:
            return
        whole = (int(start), None if end is None else int(end), str(message.get("cause") or ""))
        kept = [g for g in bench.gaps if g[0] != whole[0]]
        bench.gaps = [*kept, whole][-MAX_GAPS:]

    def _finding(self, message: Mapping[str, Any]) -> None:
        line = {k: v for k, v in message.items() if k != "type"}
        self.new_findings = [*self.new_findings, line][-50:]

    # -- reading -------------------------------------------------------------------------------

    def since_state_s(self) -> float:
        """Seconds since the last state arrived."""
        return (self.clock.monotonic_ns() - self._state_at) / NS if self.ever else 0.0

    def silent_s(self) -> float:
        """Seconds since the daemon was last heard."""
        return (self.clock.monotonic_ns() - self._heard_at) / NS if self.ever else 0.0

    @property
    def last_seen_ns(self) -> int | None:
        """Wall time at which the daemon was last heard."""
        return self._heard_wall if self.ever else None

    @property
    def fresh(self) -> bool:
        """Whether what is shown is the present."""
        return self.connected and self.silent_s() < SILENT_S

    @property
    def simulated(self) -> bool:
        """Whether anything on the screen is simulated."""
        return bool(self.state.get("simulated")) or any(b.simulated for b in self.benches.values())

    @property
    def alarms(self) -> list[dict[str, Any]]:
        """Episodes not yet acknowledged, the most severe first, then the newest."""
        found = [a for a in self.state.get("alarms") or [] if isinstance(a, dict)]
        rank = {"danger": 0, "caution": 1}
        return sorted(
            found,
            key=lambda a: (rank.get(str(a.get("severity")), 2), -(number(a.get("t_ns")) or 0)),
        )

    @property
    def waiting(self) -> dict[str, Any] | None:
        """What was looked for while there is no meter."""
        found = self.state.get("waiting")
        return found if isinstance(found, dict) else None

    def now_ns(self, bench: BenchView) -> int:
        """The right edge of a live plot: session time now, as far as it is known."""
        newest = bench.newest_ns
        told = number(self.state.get("now_ns"))
        if told is None:
            return newest or self.clock.wall_ns()
        # A stalled meter's plot moves on with the daemon's clock, so the hole shows; a demo that
        # runs faster than the machine is led by its samples.
        return max(newest or 0, int(told + self.since_state_s() * NS))

    def value(self, bench: BenchView, *names: str) -> Value:
        """The newest value of the first of ``names`` that the bench has."""
        channels = bench.part("live").get("channels")
        channels = channels if isinstance(channels, dict) else {}
        for name in names:
            told = channels.get(name)
            if not isinstance(told, dict):
                told = next((v for k, v in channels.items() if k.endswith(f":{name}")), None)
            if not isinstance(told, dict):
                continue
            return self._value(bench, name, told)
        return Value(None, None, True)

    def _value(self, bench: BenchView, name: str, told: Mapping[str, Any]) -> Value:
        since = self.since_state_s()
        value = number(told.get("value"))
        age = number(told.get("age_s"))
        age = None if age is None else age + since
        stale = bool(told.get("stale")) or not self.fresh
        newest = number(bench.part("live").get("t_ns"))
        for ring in bench.rings.values():
            last = ring.last(name)
            if last is not None and self.fresh and (newest is None or last[0] > newest):
                value, age, stale = last[1], 0.0, False
                break
        return Value(value, age, stale, str(told.get("unit") or ""), str(told.get("place") or ""))
