"""One bench at work: its links, the session that runs on it, its findings and its live view.

Threads: each instrument's link calls ``_Port`` on its own thread, which stamps, gates and journals
shows (live view, listeners) and never waits for anything slower; one pipeline thread a bench does the
rest (health, findings). ``_gate_lock`` guards the session's exchange and is held for microseconds on the meter's
side; ``_lock`` guards what health and the API see, and no meter's thread ever waits for it, but for
the very first sample, when no health runs yet. Order where both are held: ``_lock``, ``_gate_lock``.
"""

from __future__ import annotations

import logging
import queue
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from denchi.clock import NS, AnchoredClock
from denchi.config import BenchConfig
from denchi.daemon.contact import AT_INPUT, first_contact
from denchi.daemon.hub import Hub
from denchi.daemon.lines import (
    contract_dict,
    finding_line,
    session_line,
    unit_dict,
    verdict_dict,
)
from denchi.daemon.links import Links, LinkView
from denchi.daemon.live import LiveView
from denchi.daemon.pipeline import Job, SessionPipe, Taken, joined
from denchi.daemon.unit_history import remember
from denchi.errors import InputError
from denchi.model import Finding, Gap, Origin, Session, SessionMeta, Severity, Unit
from denchi.text import clean
from denchi_protocol.codec import DeviceInfo, Event, PdMessage
from denchi_protocol.samples import SampleBlock

if TYPE_CHECKING:
    from denchi.daemon.pd import PdView
    from denchi.drivers.link import LinkState, MeterLink
    from denchi.health.profiles import Profile
    from denchi.recalls.answer import RecallAnswer
    from denchi.store.journal import Journal

log = logging.getLogger(__name__)

MAX_FINDINGS: Final = 200
TICK_S: Final = 0.5
"""Health and screening are told this often that time passes."""
HAND_OVER_S: Final = 0.6
"""Longer than any read of a link: by then its last samples are here, unless it is stuck in opening."""
JUDGE_S: Final = 0.5
ROUND_S: Final = 0.1
"""Health takes what came within this time at once; what is shown has not waited for it."""
MAX_BACKLOG: Final = 4096
"""Blocks that health may fall behind before it is told a gap instead (the journal has them all)."""


@dataclass(slots=True)
class Services:
    """What a bench needs of the daemon."""

    journal: Journal
    hub: Hub
    profile: Callable[[str], Profile]
    check_recall: Callable[[Unit], RecallAnswer | None]
    recall_finding: Callable[[RecallAnswer, int], Finding | None]
    alarm: Callable[[str, str, Finding], None]
    """(bench, finding id, finding): remote alarms."""
    news: Callable[[], None] = field(default=lambda: None)
    """The state has changed in a way that people should see soon."""
    on_unit: Callable[[Unit], None] = field(default=lambda _unit: None)
    standing: Callable[[dict[str, Any]], None] = field(default=lambda _line: None)
    """A finding's line, for the alarms that wait to be acknowledged."""


class _Port:
    """A link's listener: the instrument of one role."""

    def __init__(self, bench: Bench, role: str) -> None:
        self._bench, self._role = bench, role

    def on_events(self, link: MeterLink, events: list[Event], t_ns: int) -> None:
        """Called on the meter's thread."""
        self._bench.take(self._role, events)

    def on_state(self, link: MeterLink, state: LinkState) -> None:
        """Called on the meter's thread."""
        self._bench.link_state(self._role, state)


class Bench:
    """One meter, with optional probes, watching one unit."""

    def __init__(
        self,
        name: str,
        config: BenchConfig,
        services: Services,
        *,
        clock: AnchoredClock | None = None,
        origin: Origin = "meter",
    ) -> None:
        self.name = name
        self.config = config
        self.origin: Origin = origin
        self.clock = clock or AnchoredClock()
        self.links = Links()
        self.unit = Unit()
        self.recall: RecallAnswer | None = None
        self.answers: dict[str, bool] = {}
        self.symptoms: tuple[str, ...] = ()
        self.recall_answered: bool | None = None
        """The maker's recorded answer for a serial: affected or not; None = not asked."""
        self.screening: Any = None
        self._pd: PdView | None = None
        self._greeted: set[tuple[str, str]] = set()
        self._begun = False
        """Whether a session was ever begun here."""
        self._ended = False
        """Whether this bench was stopped: what comes from a meter now begins no session."""
        self.behind = 0
        self._services = services
        self._lock = threading.RLock()
        self._gate_lock = threading.RLock()
        self._live = LiveView()
        self._pipe: SessionPipe | None = None
        self._queue: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._lines: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._work, name=f"bench-{name}", daemon=True)
        self.progress = 0

    # -- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the pipeline thread."""
        self._thread.start()

    def attach(self, role: str, view: LinkView, make: Callable[[_Port], MeterLink]) -> None:
        """Give the bench an instrument and start its link."""
        self.links[role] = view
        view.link = make(_Port(self, role))
        view.link.start()

    def release(self) -> None:
        """Tell every meter's thread to let go; returns at once, ``released`` waits for it."""
        self.links.release()

    def stop(self) -> None:
        """Let go of the meters, judge what they still handed over, end the session.

        A meter that has to be drained is not waited for: nothing it says then counts any more.
        """
        self.release()
        for link in self.links.running:
            link.handed_over(HAND_OVER_S)
        self._ended = True
        self._ending.set()
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=JUDGE_S)
        self.end_session()

    def released(self, seconds: float) -> bool:
        """Wait until every meter's thread has ended; False when one has not in time."""
        return self.links.released(seconds, self.clock.clock.monotonic_ns)

    # -- sessions ----------------------------------------------------------------------------

    def begin_session(
        self,
        unit: Unit | None = None,
        *,
        profile: str | None = None,
        operator: str = "",
        meta: SessionMeta | None = None,
    ) -> Session:
        """End the running session and begin a new one, with a new anchor of the clock."""
        from denchi.health.engine import HealthEngine

        chosen = self._services.profile(profile or self.config.profile)
        with self._lock:
            self.end_session()
            # Never behind what was stamped before: a wall clock that was put back (or a time lapse that
            # ran ahead) would hold every stamp of the new session at the last one of the old.
            floor_ns = self.clock.now_ns() if self._begun else 0
            self._begun = True
            self.clock.reanchor(max(self.clock.clock.wall_ns(), floor_ns))
            start_ns = self.clock.now_ns()
            if unit is not None:
                self.unit = unit
            main = self.links.main
            session = Session(
                id=_session_id(start_ns, self.name),
                origin=self.origin,
                started_ns=start_ns,
                bench=self.name,
                meter=main.spec.key if main else "",
                unit=self.unit,
                profile=chosen.name,
                operator=clean(operator, 80),
                meta=self._meta(meta),
            )
            engine = HealthEngine(
                chosen,
                session.meta,
                start_ns=start_ns,
                temperature_places=self.links.places(),
                rate_hz=main.spec.rate_hz if main else None,
            )
            self._services.journal.begin_session(session)
            pipe = SessionPipe(session, engine, self._services.journal)
            self._live.clear()
            self._lines, self._pd = [], None
            self.answers, self.symptoms, self.recall_answered = {}, (), None
            with self._gate_lock:
                self._pipe = pipe
                for role in self.links:
                    self._register(role)
            self._recheck(pipe)
            self._greet(pipe)
        self._services.news()
        return session

    def _greet(self, pipe: SessionPipe) -> None:
        """Once a meter: what no frame can tell is said and asked."""
        main = self.links.get("meter")
        if main is None or (main.spec.key, main.serial) in self._greeted:
            return
        self._greeted.add((main.spec.key, main.serial))
        found = first_contact(
            main.spec, self.links.places(), self.config.position, pipe.session.started_ns
        )
        self._publish_findings(pipe, pipe.keep(found))

    def end_session(self) -> None:
        """End the running session with its verdict, if one runs."""
        with self._lock:
            with self._gate_lock:
                pipe, self._pipe = self._pipe, None
            if pipe is None:
                return
            end_ns = self.clock.now_ns()
            pipe.keep(pipe.engine.finish(end_ns))
            found = remember(self._services.journal, pipe.session, pipe.engine.summary(), end_ns)
            self._publish_findings(pipe, pipe.keep(pipe.engine.note(found)))
            report = self._verdict(pipe, end_ns)
            body = verdict_dict(report) | {"summary": _summary(pipe)}
            if self.recall is not None:
                body["recall"] = self.recall.to_json()
            if self.screening is not None and self.screening.machine.session == pipe.session.id:
                body["screening"] = self.screening.machine.state()
            self._services.journal.end_session(pipe.session.id, end_ns, report.verdict, body)

    def end_screening(self) -> Any:
        """End the screening's session; returns its verdict. The meter stays, the next unit may come."""
        with self._lock:
            pipe = self._pipe
            if pipe is None:
                return None
            end_ns = self.clock.now_ns()
            report = self._verdict(pipe, end_ns)
            self.end_session()
            self.unit, self.recall = Unit(), None  # the next unit has not been named yet
            return report

    def profile(self, name: str) -> Profile:
        """A profile by name, with the configuration's limits."""
        return self._services.profile(name)

    def locked(self) -> threading.RLock:
        """The state's lock, for one consistent change."""
        return self._lock

    def set_unit(self, unit: Unit) -> None:
        """Say which unit is on the bench; the recall lists are asked at once."""
        with self._lock:
            self.unit = unit
            self.recall = None
            if (pipe := self._pipe) is not None:
                meta = replace(
                    pipe.session.meta,
                    rated_mah=unit.rated_mah or pipe.session.meta.rated_mah,
                    rated_wh=unit.rated_wh or pipe.session.meta.rated_wh,
                    max_w=unit.max_w or pipe.session.meta.max_w,
                )
                pipe.session = replace(pipe.session, unit=unit, meta=meta)
                pipe.engine.set_meta(meta)
                self._services.journal.update_session(pipe.session)
                self._recheck(pipe)
            self._services.on_unit(unit)

    def answer(self, answers: dict[str, bool]) -> None:
        """Take answers to questions that findings asked."""
        with self._lock:
            self.answers.update(answers)
            if answers.get(AT_INPUT):
                self.config = self.config.model_copy(update={"position": "input"})
                self.begin_session()
                return
            if (pipe := self._pipe) is not None:
                now = self.clock.now_ns()
                for question, value in answers.items():
                    self._publish_findings(
                        pipe, pipe.keep(pipe.engine.answer(question, value, now))
                    )

    def recheck(self) -> None:
        """The recall lists changed: ask them again about this unit."""
        with self._lock:
            if self._pipe is not None:
                self._recheck(self._pipe)

    def reload_profile(self) -> None:
        """Limits changed in the configuration: the running session goes on with the new ones."""
        with self._lock:
            if (pipe := self._pipe) is not None:
                pipe.engine.set_profile(self._services.profile(pipe.session.profile))

    def acknowledged(self, finding_id: str) -> None:
        """Mark a finding of the running session as seen by a person."""
        with self._lock:
            for line in self._lines:
                if line["id"] == finding_id:
                    line["acknowledged"] = True

    # -- the meter's side (called on its thread) -----------------------------------------------

    def take(self, role: str, events: list[Event]) -> None:
        """Gate, journal, and hand over to the pipeline thread."""
        for event in events:
            if isinstance(event, DeviceInfo) and role in self.links:
                self.links[role].told(event)
        if self._pipe is None:
            if self._ended or not any(isinstance(e, SampleBlock) and len(e) for e in events):
                return
            with self._lock:
                if self._pipe is None and not self._ended:
                    self.begin_session()
        with self._gate_lock:
            pipe = self._pipe
            if pipe is None:
                return
            if role not in pipe.instruments:
                self._register(role)
            taken = pipe.take(role, events)
            try:
                self._show(pipe, taken)
            except Exception:
                # What is shown must not end what is measured.
                log.exception("bench %s: a block could not be shown", self.name)
        if self._queue.qsize() > MAX_BACKLOG:
            # Health is behind: it is told the absence; the journal already has every sample.
            self.behind += len(taken)
            spans = [t.what for t in taken if isinstance(t.what, SampleBlock)]
            taken = [Taken(role, Gap(int(b.t_ns[0]), int(b.t_ns[-1]), "overload")) for b in spans]
        for one in taken:
            self._queue.put((pipe, one))

    def _show(self, pipe: SessionPipe, taken: list[Taken]) -> None:
        """Live view and listeners, before any detector has looked: the way to the screen is short."""
        hub = self._services.hub
        max_hz = hub.max_hz  # asked once: a listener may leave at any moment
        for one in taken:
            if not isinstance(one.what, SampleBlock):
                continue
            self._live.feed(one.role, one.what, pipe.instruments[one.role].gate.rate_hz)
            if max_hz <= 0:
                continue
            if message := self._live.thinned(one.role, one.what, max_hz):
                message |= {"bench": self.name, "told_ns": self.clock.now_ns()}
                hub.publish(message, (self.name, one.role), message["t_ns"][0])

    def link_state(self, role: str, state: LinkState) -> None:
        """A link changed state."""
        view = self.links.get(role)
        if view is None:
            return
        with self._gate_lock:
            lost = view.changed(state, self.clock.now_ns())
            if lost and self._pipe and role in self._pipe.instruments:
                self._pipe.instruments[role].gate.connected("unplugged")
        self._queue.put(self._publish_state)

    # -- the pipeline thread ---------------------------------------------------------------------

    def _prepare(self) -> None:
        """Import and read what a session needs before there is one: its first sample, and the meter's
        thread with it, would wait for that."""
        from denchi.health.engine import HealthEngine

        try:
            profile = self._services.profile(self.config.profile)
            engine = HealthEngine(profile, SessionMeta(), start_ns=0)
            verdict_dict(engine.verdict(recall=None, recall_answered=False, symptoms=(), end_ns=0))
        except Exception:
            # The session will say it again, where it can be told; this thread must live.
            log.exception("bench %s: health cannot be prepared", self.name)

    def _work(self) -> None:
        self._prepare()
        due_ns = 0
        while True:
            jobs, until_ns = self._round()
            ended = None in jobs
            if ended:
                jobs = jobs[: jobs.index(None)]
            if (now_ns := self.clock.clock.monotonic_ns()) >= due_ns or not jobs:
                # A probe that goes on streaming must not keep a silent meter from being noticed. Behind
                # what was queued already: time passes for health after the samples that came before.
                due_ns = now_ns + int(TICK_S * NS)
                jobs.append(partial(self._tick, until_ns))
            for job in joined(jobs):
                try:
                    if isinstance(job, tuple):
                        self._judge(*job)
                    elif job is not None:
                        job()
                except Exception:
                    # A detector's bug must not end the measuring: it is logged, shown, and told as data.
                    log.exception("bench %s: health failed on one block", self.name)
            self.progress += 1
            if ended:
                return

    def _round(self) -> tuple[list[Job], int]:
        """What came within ``ROUND_S``, and the session time until which that is everything."""
        jobs: list[Job] = []
        try:
            jobs.append(self._queue.get(timeout=TICK_S))
        except queue.Empty:
            return jobs, self.clock.now_ns()
        self._ending.wait(ROUND_S)
        until_ns = self.clock.now_ns()
        with suppress(queue.Empty):
            while True:
                jobs.append(self._queue.get_nowait())
        return jobs, until_ns

    def _judge(self, pipe: SessionPipe, taken: Taken) -> None:
        with self._lock:
            if pipe is not self._pipe:
                return  # its session has ended meanwhile
            what = taken.what
            if isinstance(what, Gap):
                message = {
                    "type": "gap",
                    "start_ns": what.start_ns,
                    "end_ns": what.end_ns,
                    "cause": what.cause,
                }
                self._services.hub.publish(message | {"bench": self.name})
            elif isinstance(what, PdMessage):
                self._publish_pd(what)
            self._publish_findings(pipe, pipe.judge(taken))
            if self.screening is not None:
                self.screening.on_taken(taken)

    def _tick(self, now_ns: int) -> None:
        with self._lock:
            if (pipe := self._pipe) is not None:
                self._publish_findings(pipe, pipe.keep(pipe.engine.advance(now_ns)))
            if self.screening is not None:
                self.screening.on_tick()

    def _publish_findings(self, pipe: SessionPipe, found: list[tuple[str, Finding]]) -> None:
        for id_, finding in found:
            line = finding_line(
                finding, pipe.session.started_ns, id_=id_, bench=self.name, session=pipe.session.id
            )
            self._lines.append(line)
            del self._lines[:-MAX_FINDINGS]
            self._services.standing(line)
            self._services.hub.publish({"type": "finding"} | line)
            if self.screening is not None:
                self.screening.on_finding(finding)
            if finding.severity > Severity.INFO or finding.ends:
                self._services.alarm(self.name, id_, finding)

    def _publish_pd(self, message: PdMessage) -> None:
        line = self._pd_view().feed(message)
        if self._services.hub.listened:
            self._services.hub.publish({"type": "pd", "bench": self.name} | line)

    def _pd_view(self) -> PdView:
        """The session's view of USB-PD; made with its first message."""
        if self._pd is None:
            from denchi.daemon.pd import PdView, unit_role

            pipe = self._pipe
            position = pipe.session.meta.meter_position if pipe else self.config.position
            self._pd = PdView(unit_role(position))
        return self._pd

    def _publish_state(self) -> None:
        if self._services.hub.listened:
            self._services.hub.publish(
                {"type": "link", "bench": self.name, "link": self._link_state()}
            )
            self._services.news()

    # -- what the api shows ----------------------------------------------------------------------

    @property
    def session(self) -> Session | None:
        """The running session."""
        pipe = self._pipe
        return pipe.session if pipe else None

    def state(self) -> dict[str, Any]:
        """The bench object of docs/api.md."""
        with self._lock:
            now = self.clock.now_ns()
            pipe = self._pipe
            main = self.links.main
            out: dict[str, Any] = {
                "name": self.name,
                "origin": self.origin,
                "link": self._link_state(),
                "meter": main.meter() if main else None,
                "probes": self.links.probes(),
                "position": self.config.position,
                "unit": unit_dict(self.unit),
                "recall": self.recall.to_json() if self.recall else None,
                "live": self._live.state(now),
                "findings": list(self._lines),
                "screening": self.screening.state() if self.screening else None,
                "pd_messages": self._pd.messages if self._pd else 0,
                "pd": self._pd.state() if self._pd else None,
                "answers": dict(self.answers),
                "health_behind": self.behind,
            }
            if pipe is None:
                return out | {"session": None, "energy": None, "contract": None, "verdict": None}
            session = session_line(pipe.session, samples=pipe.samples, gaps=pipe.gaps) | {
                "started_ns": pipe.session.started_ns,
                "duration_s": round((now - pipe.session.started_ns) / NS, 3),
                "gap_s": round(pipe.gap_ns / NS, 3),
            }
            summary = pipe.engine.summary()
            report = self._verdict(pipe, now)
            return out | {
                "session": session | {"verdict": report.verdict.word},
                "energy": {
                    "wh_out": summary.wh_out,
                    "ah_out": summary.ah_out,
                    "wh_in": summary.wh_in,
                    "ah_in": summary.ah_in,
                    "seconds": summary.span_s,
                },
                "contract": contract_dict(pipe.engine.contract),
                "verdict": verdict_dict(report),
            }

    def _link_state(self) -> dict[str, Any]:
        pipe, role = self._pipe, self.links.main_role
        instrument = pipe.instruments.get(role) if pipe and role else None
        return self.links.state(instrument is not None and instrument.gate.settling)

    # -- helpers -----------------------------------------------------------------------------

    def _register(self, role: str) -> None:
        pipe, view = self._pipe, self.links.get(role)
        if pipe is None or view is None:
            raise InputError(f"bench {self.name} has no instrument {role!r}")
        gate, place = self.links.gate(role, self.config)
        pipe.add(role, gate, view.instrument(place), place=place)

    def _meta(self, meta: SessionMeta | None) -> SessionMeta:
        unit = self.unit
        base = meta or SessionMeta(meter_position=self.config.position)
        return replace(
            base,
            rated_mah=base.rated_mah or unit.rated_mah,
            rated_wh=base.rated_wh or unit.rated_wh,
            max_w=base.max_w or unit.max_w,
            chemistry=base.chemistry or unit.chemistry,
        )

    def _recheck(self, pipe: SessionPipe) -> None:
        if not self.unit.known:
            return
        before = self.recall.status if self.recall else None
        self.recall = self._services.check_recall(self.unit)
        if self.recall is not None and self.recall.status != before:
            now_ns, status = self.clock.now_ns(), self.recall.status
            told = {"status": status.word, "level": int(status)}
            if pipe.journal is not None:
                pipe.journal.add_event(pipe.session.id, now_ns, "recall", told)
            finding = self._services.recall_finding(self.recall, now_ns)
            if finding is not None:
                self._publish_findings(pipe, pipe.keep([finding]))

    def _verdict(self, pipe: SessionPipe, now_ns: int) -> Any:
        report = pipe.engine.verdict(
            recall=self.recall.status if self.recall else None,
            recall_answered=self.recall_answered is not None,
            symptoms=self.symptoms,
            end_ns=now_ns,
        )
        screening = self.screening
        if screening is not None and screening.machine.session == pipe.session.id:
            report = screening.judged(report)
        return report


def _summary(pipe: SessionPipe) -> dict[str, Any]:
    from dataclasses import asdict, is_dataclass

    summary = pipe.engine.summary()
    if not is_dataclass(summary) or isinstance(summary, type):
        return {}
    return {
        k: v
        for k, v in asdict(summary).items()
        if isinstance(v, (int, float, str, bool, list, dict, tuple, type(None)))
    }


def _session_id(start_ns: int, bench: str) -> str:
    from datetime import UTC, datetime

    moment = datetime.fromtimestamp(start_ns // NS, UTC)
    return f"{moment:%Y%m%d-%H%M%S}-{bench}-{uuid.uuid4().hex[:4]}"
