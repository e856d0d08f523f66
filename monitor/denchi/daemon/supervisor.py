"""The supervisor: finds meters, gives them benches, runs outputs, watches that everything moves."""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from denchi import __version__
from denchi.clock import NS, SYSTEM, AnchoredClock, Clock, iso
from denchi.config import BenchConfig, Settings
from denchi.daemon.bench import Bench, Services
from denchi.daemon.hub import Hub
from denchi.daemon.lines import finding_line
from denchi.daemon.links import LinkView
from denchi.daemon.standing import Standing
from denchi.errors import DenchiError
from denchi.model import Finding, Origin, Unit
from denchi.text import clean

if TYPE_CHECKING:
    from denchi.drivers.discovery import Discovery, Found
    from denchi.health.profiles import Profile
    from denchi.locator import Locator
    from denchi.recalls.answer import RecallAnswer
    from denchi.recalls.lists import RecallLists
    from denchi.store.journal import Journal

log = logging.getLogger(__name__)

SESSIONS_S = 1.2
"""For the benches to end their sessions, all of them together."""
THREADS_S = 0.3
"""For outputs and the search for meters: what was not acknowledged stays in the journal, and nobody waits for it."""
RELEASE_S = 1.4
"""For the meters, counted from the end of ``stop``; ``link.CLOSE_MOST_S`` began before it."""
STATE_S = 1.0
"""The whole state is told this often, and when there is news."""
NEWS_S = 0.1
DISCOVER_S = 1.0
"""Polling for meters, where the system tells no plug events."""


@dataclass(frozen=True, slots=True)
class BrokenOutput:
    """An output that could not be made: shown with its reason, so that silence is never success."""

    name: str
    kind: str
    error: str

    def state(self) -> dict[str, Any]:
        """Its state for the API."""
        return {
            "name": self.name,
            "kind": self.kind,
            "state": "stopped",
            "backlog_samples": 0,
            "backlog_s": 0.0,
            "rate_per_s": 0.0,
            "last_error": self.error,
            "quarantined": 0,
        }


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """A bench given on the command line (``demo``): name, locator, speed, origin."""

    name: str
    locator: str
    speed: float = 1.0
    unit: Unit | None = None
    probes: tuple[tuple[str, str], ...] = ()
    """(role, locator) of further instruments: ``case``, ``ambient``, ``battery``."""


class Supervisor:
    """Everything that runs beside the API. Thread-safe where the API calls it."""

    def __init__(
        self,
        settings: Settings,
        data_dir: Path,
        journal: Journal,
        *,
        plans: Sequence[BenchPlan] = (),
        private: bool = False,
        clock: Clock = SYSTEM,
    ) -> None:
        self.settings = settings
        self.data_dir = data_dir
        self.journal = journal
        self.private = private
        self.clock = clock
        self.hub = Hub()
        self.standing = Standing(journal)
        self.benches: dict[str, Bench] = {}
        self.outputs: list[Any] = []
        self.started_ns = clock.wall_ns()
        self.station = settings.station or socket.gethostname()
        self._plans = list(plans)
        self._lists: RecallLists | None = None
        self._alarms: Any = None
        self._discovery: Discovery | None = None
        self._taken: dict[str, str] = {}
        self._stop = threading.Event()
        self._news = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.RLock()
        self._rounds = {"meters": 0, "upkeep": 0}

    # -- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the benches, start looking for meters, start the outputs."""
        for plan in self._plans:
            self._open_plan(plan)
        for name, config in self.settings.bench.items():
            self._bench(name, config)
        self._start_thread("meters", self._look_for_meters)
        self._start_outputs()
        self._start_thread("upkeep", self._upkeep)
        from denchi.daemon.renewal import Renewal, fetch

        renewal = Renewal(
            self.data_dir, lambda: self.settings.recall.update_days, fetch, self.clock
        )
        self._start_thread("recall lists", lambda: renewal.run(self._stop))

    def stop(self) -> None:
        """Begin to release every meter, end every session, stop the outputs, commit the journal.

        Everything at once and behind one another's back: a meter that is drained for a second, an
        output in the midst of a request and the last seal need not wait for each other.
        """
        if self._stop.is_set():
            return
        self._stop.set()
        self._news.set()
        benches = list(self.benches.values())
        for bench in benches:
            bench.release()
        stoppers = [threading.Thread(target=b.stop, daemon=True) for b in benches]
        for thread in stoppers:
            thread.start()
        self._join(stoppers, SESSIONS_S)
        self.hub.close()
        self._join(self._threads, THREADS_S)
        self.journal.close()

    def released(self) -> bool:
        """Wait for the meters that ``stop`` left draining; False when one was not let go in time."""
        end_ns = self.clock.monotonic_ns() + int(RELEASE_S * NS)
        return all(bench.released(self._seconds_to(end_ns)) for bench in self.benches.values())

    def _seconds_to(self, end_ns: int) -> float:
        return max(0, end_ns - self.clock.monotonic_ns()) / NS

    def _join(self, threads: Sequence[threading.Thread], seconds: float) -> None:
        """Wait for threads, ``seconds`` for all of them together."""
        end_ns = self.clock.monotonic_ns() + int(seconds * NS)
        for thread in threads:
            thread.join(self._seconds_to(end_ns))

    def _start_thread(self, name: str, target: Any) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def progress(self) -> dict[str, int]:
        """A count for each worker that only its own rounds move, for the watchdog.

        Outputs are not among them: one that waits for its server is no reason to stop measuring.
        """
        counts = dict(self._rounds) | self.journal.progress()
        for bench in self.benches.values():
            counts[f"bench {bench.name}"] = bench.progress
            for role, view in bench.links.items():
                if view.link is not None:
                    counts[f"{role} of {bench.name}"] = view.link.progress
        return counts

    # -- benches and meters --------------------------------------------------------------------

    def _services(self) -> Services:
        return Services(
            journal=self.journal,
            hub=self.hub,
            profile=self.profile,
            check_recall=self.check_recall,
            recall_finding=self._recall_finding,
            alarm=self._alarm,
            news=self._news.set,
            on_unit=lambda unit: self.journal.put_unit(unit, self.clock.wall_ns()),
            standing=self.standing.add,
        )

    def acknowledge(self, finding_id: str) -> bool:
        """Acknowledge an alarm; False when none of this id stands."""
        known = self.standing.acknowledge(finding_id)
        for bench in self.benches.values():
            bench.acknowledged(finding_id)
        return known

    def delete_session(self, session_id: str) -> None:
        """Delete an ended session with all that was found in it."""
        self.journal.delete_session(session_id)
        self.standing.forget(session_id)

    def _bench(
        self, name: str, config: BenchConfig, *, speed: float = 1.0, origin: Origin = "meter"
    ) -> Bench:
        bench = Bench(
            name,
            config,
            self._services(),
            clock=AnchoredClock(self.clock, speed=speed),
            origin=origin,
        )
        with self._lock:
            self.benches = self.benches | {name: bench}
        bench.start()
        return bench

    def _open_plan(self, plan: BenchPlan) -> None:
        from denchi.drivers import registry
        from denchi.locator import Locator

        locator = Locator.parse(plan.locator)
        simulated = locator.kind == "emulated"
        bench = self._bench(
            plan.name,
            BenchConfig(meter=plan.locator),
            speed=plan.speed,
            origin="simulated" if simulated else "meter",
        )
        if plan.unit is not None:
            bench.set_unit(plan.unit)
        spec = registry.get(locator.spec_key or "")
        self._attach(bench, "meter", spec.key, locator)
        for role, text in plan.probes:
            probe = Locator.parse(text)
            self._attach(bench, role, registry.get(probe.spec_key or "").key, probe)

    def _attach(
        self, bench: Bench, role: str, key: str, locator: Locator, found: Found | None = None
    ) -> None:
        from denchi.drivers import registry
        from denchi.drivers.link import MeterLink

        spec = registry.get(key)
        view = LinkView(
            spec=spec,
            port=str(locator),
            serial=clean(found.serial, 60) if found else "",
            model=clean(found.model, 60) if found else "",
        )
        self._taken[str(locator)] = bench.name
        bench.attach(
            role,
            view,
            lambda port: MeterLink(
                spec, locator, bench.clock, port, usb_backend=self.settings.usb_backend
            ),
        )

    def _look_for_meters(self) -> None:
        from denchi.drivers import discovery
        from denchi.drivers.hotplug import Hotplug

        hotplug = Hotplug()
        hotplug.start()
        while not self._stop.is_set():
            self._rounds["meters"] += 1
            try:
                self._discovery = discovery.discover()
                self._place(self._discovery)
            except Exception:
                log.exception("looking for meters failed")
            hotplug.wait(DISCOVER_S, self._stop)
        hotplug.stop()

    def _place(self, seen: Discovery) -> None:
        """Give each meter found to the bench that waits for it, or to a new one of its own."""
        for bench in list(self.benches.values()):
            wanted = {
                "meter": bench.config.meter,
                "case": bench.config.case,
                "ambient": bench.config.ambient,
                "battery": bench.config.battery,
            }
            for role, what in wanted.items():
                if not what or what == "auto" or role in bench.links or self._is_planned(bench):
                    continue
                if (match := self._find(what, seen)) is not None:
                    key, locator, found = match
                    self._attach(bench, role, key, locator, found)
        auto = [
            b for b in self.benches.values() if b.config.meter == "auto" and "meter" not in b.links
        ]
        if self._plans:
            return  # a demo shows what it was told to, not what happens to be plugged in
        for found in seen.found:
            if found.ambiguous or str(found.locator) in self._taken:
                continue
            if auto:
                bench = auto.pop(0)
            elif self.settings.bench:
                continue  # benches are named: a further meter is listed, not taken
            else:
                bench = self._bench(f"bench{len(self.benches) + 1}", BenchConfig())
            self._attach(bench, "meter", found.spec_key, found.locator, found)

    def _is_planned(self, bench: Bench) -> bool:
        return any(plan.name == bench.name for plan in self._plans)

    def _find(self, what: str, seen: Discovery) -> tuple[str, Locator, Found | None] | None:
        from denchi.errors import DenchiError
        from denchi.locator import Locator

        for found in seen.found:
            if (
                what in (found.spec_key, str(found.locator))
                and str(found.locator) not in self._taken
            ):
                return found.spec_key, found.locator, found
        try:
            locator = Locator.parse(what)
        except DenchiError:
            return None
        return (locator.spec_key, locator, None) if locator.spec_key else None

    # -- profiles, recalls, alarms ---------------------------------------------------------------

    def profile(self, name: str) -> Profile:
        """A profile by name, with the configuration's limits laid over it."""
        from denchi.health import profiles

        profile = profiles.load(name, self.settings.profiles_dir)
        return profile.with_limits(self.settings.limits) if self.settings.limits else profile

    @property
    def lists(self) -> RecallLists:
        """The recall lists, loaded once and again after an update."""
        if self._lists is None:
            from denchi.recalls.lists import load

            self._lists = load(self.data_dir)
        return self._lists

    def check_recall(
        self, unit: Unit, text: str = "", country: str = "", symptoms: Sequence[str] = ()
    ) -> RecallAnswer | None:
        """Ask the lists about a unit; None when nothing is known of it, not even a symptom."""
        if not (unit.known or text or any(s.strip() for s in symptoms)):
            return None
        from denchi.recalls.answer import check

        today = datetime.fromtimestamp(self.clock.wall_ns() / 1e9, UTC).date()
        return check(
            unit,
            self.lists,
            text=text,
            country=country or self.settings.recall.country,
            symptoms=symptoms,
            today=today,
        )

    def reload(self, settings: Settings) -> None:
        """Take new limits without a restart: running sessions go on with them."""
        self.settings = self.settings.model_copy(
            update={"limits": settings.limits, "recall": settings.recall}
        )
        for bench in self.benches.values():
            bench.reload_profile()

    def reload_lists(self) -> None:
        """The lists on disk changed: every known unit is asked about again."""
        self._lists = None
        for bench in self.benches.values():
            bench.recheck()
        self._recheck_records()

    def _recheck_records(self) -> None:
        """Ask again about the units of the journal; a journal in trouble must not stop the upkeep."""
        try:
            self._tell_listed()
        except (DenchiError, OSError, sqlite3.Error) as error:
            log.error("recall lists: the units in the records could not be checked: %s", error)

    def _tell_listed(self) -> None:
        """Units of the journal that the lists now name: a finding in their last session, and an alarm."""
        from denchi.daemon.known_units import newly_listed
        from denchi.recalls.recheck import unit_label
        from denchi.store.rows import unit_key

        now_ns = self.clock.wall_ns()
        today = datetime.fromtimestamp(now_ns / 1e9, UTC).date()
        present = {unit_key(bench.unit) for bench in self.benches.values()}
        country = self.settings.recall.country
        with closing(self.journal.reader()) as reader:
            found = newly_listed(
                reader, self.lists, now_ns, today, country=country, on_bench=present
            )
            for told in found:
                self._rounds["upkeep"] += 1
                id_ = self.journal.add_finding(told.known.session_id, told.finding)
                line = finding_line(
                    told.finding, told.known.started_ns, id_=id_, session=told.known.session_id
                )
                self.standing.add(line)
                self.hub.publish({"type": "finding"} | line)
                if self._alarms is not None:
                    self._alarms.tell(unit_label(told.known.unit), id_, told.finding)

    def _recall_finding(self, answer: RecallAnswer, t_ns: int) -> Finding | None:
        from denchi.recalls.recheck import finding_for

        return finding_for(answer, t_ns)

    def _alarm(self, bench: str, finding_id: str, finding: Finding) -> None:
        if self._alarms is None:
            return
        chosen = self.benches.get(bench)
        if (
            chosen is not None
            and chosen.origin == "simulated"
            and not self.settings.deliver_simulated
        ):
            return
        self._alarms.tell(bench, finding_id, finding)

    # -- outputs and upkeep ----------------------------------------------------------------------

    def _start_outputs(self) -> None:
        """Each output in a thread of its own. One that cannot be made is told and hinders no other."""
        from denchi.outputs import registry
        from denchi.outputs.base import Context

        context = Context(
            data_dir=self.data_dir,
            station=self.station,
            journal=self.journal,
            simulated=self.settings.deliver_simulated,
            health=self._health_figures,
        )
        for name, table in self.settings.output.items():
            try:
                configured = registry.configure(name, table)
                output = configured.kind.make(name, configured.config, context)
            except DenchiError as error:
                log.error("output %s: %s", name, error)
                self.outputs.append(BrokenOutput(name, str(table.get("kind", "?")), str(error)))
                continue
            self.outputs.append(output)
            self._start_thread(f"output-{name}", lambda o=output: o.run(self._stop))
        self._alarms = self._make_alarms()

    def _make_alarms(self) -> Any:
        from denchi.outputs import alarms

        config = self.settings.alarm
        if config.urls_file is None and config.urls_env is None:
            return None
        try:
            made = alarms.from_settings(config, self.station)
        except DenchiError as error:
            log.error("alarms: %s", error)
            return None
        self._start_thread("alarms", lambda: made.run(self._stop))
        return made

    def _health_figures(self) -> dict[str, float | int | str | bool]:
        state = self.journal.state()
        return {
            "uptime_s": (self.clock.wall_ns() - self.started_ns) / 1e9,
            "benches": len(self.benches),
            "journal_bytes": state.bytes,
            "lost_samples": state.lost_samples,
            "degraded": state.degraded or "",
        }

    def _upkeep(self) -> None:
        last_lists = self._lists_stamp()
        self._recheck_records()
        while not self._stop.is_set():
            self._rounds["upkeep"] += 1
            if self.hub.listened:
                self.hub.publish({"type": "state"} | self.state())
            stamp = self._lists_stamp()
            if stamp != last_lists:
                last_lists = stamp
                self.reload_lists()
            # A session that begins or a link that changes is told at once; one that flaps ten times a second.
            self._stop.wait(NEWS_S)
            self._news.wait(STATE_S - NEWS_S)
            self._news.clear()

    def _lists_stamp(self) -> frozenset[tuple[str, int, int]]:
        """Name, time and size of each list; one that comes or goes meanwhile is seen a second later."""
        seen = set()
        for path in (self.data_dir / "recalls").glob("*.json"):
            with suppress(OSError):
                stat = path.stat()
                seen.add((path.name, stat.st_mtime_ns, stat.st_size))
        return frozenset(seen)

    # -- state -----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """The State object of docs/api.md."""
        benches = [bench.state() for bench in self.benches.values()]
        waiting = None
        if not any(bench.links for bench in self.benches.values()):
            waiting = self.waiting()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "station": self.station,
            "private": self.private,
            "simulated": any(b.origin == "simulated" for b in self.benches.values()),
            "data_dir": str(self.data_dir),
            "started": iso(self.started_ns),
            "now_ns": self.clock.wall_ns(),
            "benches": benches,
            "journal": self._journal_state(),
            "outputs": [_output_state(o) for o in self.outputs],
            "alarms": self.standing.lines(),
            "recall_lists": self._list_state(),
            "waiting": waiting,
        }

    def waiting(self) -> dict[str, Any]:
        """What was looked for and what cannot be opened."""
        from denchi.drivers import registry

        seen = self._discovery
        looked = sorted({s.title for s in registry.specs().values()})
        return {
            "looked_for": looked,
            "unopenable": [unopenable_dict(u) for u in seen.unopenable] if seen else [],
        }

    def meters(self) -> dict[str, Any]:
        """Meters present, and those that cannot be opened."""
        seen = self._discovery
        if seen is None:
            return {"found": [], "unopenable": []}
        return {
            "found": [
                {
                    "key": f.spec_key,
                    "locator": str(f.locator),
                    "model": clean(f.model, 60),
                    "serial": clean(f.serial, 60),
                    "port": clean(f.port, 80),
                    "ambiguous": f.ambiguous,
                    "bench": self._taken.get(str(f.locator)),
                }
                for f in seen.found
            ],
            "unopenable": [unopenable_dict(u) for u in seen.unopenable],
        }

    def _journal_state(self) -> dict[str, Any]:
        return dict(self.journal.state().to_json(self.clock.wall_ns()))

    def _list_state(self) -> dict[str, Any]:
        dated = dict(self.lists.dated)
        newest = max(dated.values(), default="")
        today = datetime.fromtimestamp(self.clock.wall_ns() / 1e9, UTC).date()
        age = (today - datetime.fromisoformat(newest).date()).days if newest else None
        return {"dated": dated, "newest": newest, "age_days": age}


def unopenable_dict(one: Any) -> dict[str, str]:
    """A known device that cannot be opened, with reason and cure."""
    return {
        "what": clean(one.what, 120),
        "key": one.spec_key,
        "reason": clean(one.reason, 200),
        "cure": clean(one.cure, 200),
    }


def _output_state(output: Any) -> dict[str, Any]:
    from dataclasses import asdict, is_dataclass

    state = output.state()
    return asdict(state) if is_dataclass(state) and not isinstance(state, type) else dict(state)
