"""The instruments of a bench by role: how their links are, where they measure, what is known of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from denchi.clock import NS
from denchi.config import BenchConfig
from denchi.daemon.lines import meter_dict
from denchi.ingest import Gate
from denchi.text import clean
from denchi_protocol.codec import DeviceInfo, MeterSpec

if TYPE_CHECKING:
    from denchi.drivers.link import LinkState, MeterLink

MAIN: Final = ("meter", "battery")
"""Roles of what watches the unit itself, the first of them that is there."""
PROBES: Final = ("case", "ambient")
"""Roles whose thermometer measures where the role says."""
_WORKING: Final = ("streaming", "stale")
_AWAY: Final = ("gone", "searching", "opening", "settling")


@dataclass(slots=True)
class LinkView:
    """What is known of one instrument's link."""

    spec: MeterSpec
    port: str
    serial: str = ""
    model: str = ""
    firmware: str = ""
    state: str = "searching"
    since_ns: int = 0
    message: str = ""
    cure: str = ""
    link: MeterLink | None = None

    def meter(self) -> dict[str, Any]:
        """The ``meter`` object of docs/api.md."""
        return meter_dict(
            self.spec, serial=self.serial, firmware=self.firmware, port=self.port, model=self.model
        )

    def told(self, info: DeviceInfo) -> None:
        """The instrument said what it is."""
        self.model = clean(info.model or self.model, 60)
        self.serial = clean(info.serial or self.serial, 60)
        self.firmware = clean(info.firmware or self.firmware, 40)

    def changed(self, state: LinkState, now_ns: int) -> bool:
        """Take a new state; True when the instrument was lost."""
        before, self.state, self.since_ns = self.state, str(state.state), now_ns
        self.message, self.cure = clean(state.message, 200), clean(state.cure, 200)
        return before in _WORKING and self.state in _AWAY

    def instrument(self, place: str) -> dict[str, Any]:
        """The journal's row of it; ``place``: where a probe's thermometer is, by its role."""
        return {
            "key": self.spec.key,
            "model": self.model,
            "serial": self.serial,
            "firmware": self.firmware,
            "maturity": self.spec.maturity,
            "channels": (f"temp_mc.{place}",) if place else self.spec.channels,
            "extra": {"port": self.port, "temperature_place": self.spec.temperature_place},
        }


class Links(dict[str, LinkView]):
    """A bench's instruments by role."""

    @property
    def main_role(self) -> str | None:
        """Role of what watches the unit."""
        return next((role for role in MAIN if role in self), None)

    @property
    def main(self) -> LinkView | None:
        """What watches the unit."""
        role = self.main_role
        return self[role] if role is not None else None

    @property
    def running(self) -> list[MeterLink]:
        """Links with a thread."""
        return [view.link for view in self.values() if view.link is not None]

    def release(self) -> None:
        """Tell every instrument's thread to let go; returns at once, ``released`` waits for it."""
        for link in self.running:
            link.release()

    def released(self, seconds: float, now_ns: Callable[[], int]) -> bool:
        """Wait until every instrument's thread has ended; False when one has not in time."""
        end_ns = now_ns() + int(seconds * NS)
        return all(link.stop(max(0, end_ns - now_ns()) / NS) for link in self.running)

    def places(self) -> frozenset[str]:
        """Where temperatures are measured."""
        found = {
            role if role in PROBES else view.spec.temperature_place for role, view in self.items()
        }
        return frozenset(place for place in found if place)

    def probes(self) -> dict[str, Any]:
        """The ``probes`` object of docs/api.md: all but what watches the unit."""
        main = self.main_role
        return {role: view.meter() for role, view in self.items() if role != main}

    def gate(self, role: str, config: BenchConfig) -> tuple[Gate, str]:
        """A gate for the instrument, and the place of its thermometer where its role says it."""
        spec = self[role].spec
        gate = Gate.of(
            spec,
            reversed_=config.reversed and role == "meter",
            position=config.position if role == "meter" else "output",
        )
        return gate, role if spec.kind == "sensor" and role in PROBES else ""

    def state(self, settling: bool) -> dict[str, Any]:
        """The ``link`` object of docs/api.md; ``settling``: the first values after a connect are not taken yet."""
        main = self.main
        if main is None:
            return {"state": "searching", "since_ns": 0, "message": "", "cure": ""}
        counters = main.link.counters() if main.link else None
        return {
            "state": "settling" if settling and main.state == "streaming" else main.state,
            "since_ns": main.since_ns,
            "message": main.message,
            "cure": main.cure,
            "rate_hz": round(counters.rate_hz, 2) if counters else 0.0,
            "frames": counters.frames if counters else 0,
            "rejected": counters.rejected if counters else 0,
            "reconnects": counters.reconnects if counters else 0,
            "unchecked": not main.spec.checksum,
        }
