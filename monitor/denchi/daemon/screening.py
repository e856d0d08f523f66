"""The screening on a bench: the pure machine of ``denchi.health.screening`` fed by the bench's pipeline."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from denchi.daemon.lines import unit_dict, verdict_dict
from denchi.daemon.pipeline import Taken
from denchi.errors import InputError
from denchi.health.screening.checklist import KEYS
from denchi.health.screening.machine import Screening
from denchi.model import Finding, Gap, Unit, Verdict, VerdictReport
from denchi.text import clean
from denchi_protocol.samples import SampleBlock

if TYPE_CHECKING:
    from denchi.daemon.bench import Bench

log = logging.getLogger(__name__)


class BenchScreening:
    """One screening on one bench. The bench calls ``on_*`` on its pipeline thread, under its lock."""

    def __init__(self, bench: Bench, machine: Screening) -> None:
        self._bench = bench
        self.machine = machine
        self.report: VerdictReport | None = None
        self._unit = bench.unit
        self._recall = bench.recall

    def on_taken(self, taken: Taken) -> None:
        """A block or a gap of the bench's main instrument."""
        if taken.role in ("meter", "battery"):
            if isinstance(taken.what, SampleBlock):
                self.machine.block(taken.what)
            elif isinstance(taken.what, Gap):
                self.machine.gap(taken.what)
        self._settle()

    def on_finding(self, finding: Finding) -> None:
        """A finding was raised."""
        self.machine.finding(finding)

    def on_tick(self) -> None:
        """Time passes."""
        self.machine.advance(self._bench.clock.now_ns())
        self._settle()

    def _settle(self) -> None:
        """When the machine is done: end the session with its verdict."""
        if self.machine.done and self.report is None:
            self.report = self._bench.end_screening()

    def state(self) -> dict[str, Any]:
        """The screening object of docs/api.md."""
        state = self.machine.state()
        state["verdict"] = verdict_dict(self.report) if self.report else None
        # The unit that was screened: the bench itself is free for the next one once this is done.
        state["unit"] = unit_dict(self._unit)
        state["recall"] = self._recall.to_json() if self._recall else None
        return state

    def judged(self, report: VerdictReport) -> VerdictReport:
        """A verdict of health under the screening's floor: it can make a verdict worse, never better."""
        floor = self.machine.verdict_floor
        # A danger that ended the test is told by the machine and by health: once is enough.
        told = (*self.machine.reasons, *self.machine.problems, *report.reasons)
        reasons = tuple({reason.render("en"): reason for reason in told}.values())
        if floor <= report.verdict:
            return replace(report, reasons=reasons)
        from denchi.health.verdict import sentence

        not_observed = report.not_observed
        if floor is Verdict.INCONCLUSIVE and "whole_test" not in not_observed:
            not_observed = (*not_observed, "whole_test")
        return replace(
            report,
            verdict=floor,
            reasons=reasons,
            not_observed=not_observed,
            sentence=sentence(floor, not_observed, reasons),
        )


def begin(bench: Bench, profile: str, unit: Unit | None, operator: str) -> None:
    """Begin a screening: a session of its own, the recall lists first."""
    chosen = bench.profile(profile)
    if not chosen.steps:
        raise InputError(
            f"profile {profile!r} has no steps to guide through",
            cure="choose quick, standard or full",
        )
    if unit is None or not unit.known:
        raise InputError("a screening needs the unit's label", cure="scan or type model and serial")
    # The old screening's end must not be taken for the new one's.
    bench.screening = None
    session = bench.begin_session(unit, profile=profile, operator=operator)
    machine = Screening(chosen, session.id, session.started_ns)
    bench.screening = BenchScreening(bench, machine)
    machine.recall_answered(bench.recall.status if bench.recall else None, bench.clock.now_ns())
    bench.screening.on_tick()


def act(
    bench: Bench, supervisor: Any, action: str, body: dict[str, Any], unit: Unit | None
) -> None:
    """One request of the API. Raises ``InputError`` for what does not fit the screening's state."""
    with bench.locked():
        if action == "begin":
            begin(
                bench, str(body.get("profile", "quick")), unit, clean(body.get("operator", ""), 80)
            )
            return
        screening = bench.screening
        if screening is None:
            raise InputError(f"no screening runs on bench {bench.name}", cure="begin one")
        now = bench.clock.now_ns()
        machine: Screening = screening.machine
        if action == "checklist":
            if unknown := set(body) - set(KEYS):
                raise InputError(
                    f"no question {clean(min(unknown), 40)!r}", cure=f"known: {', '.join(KEYS)}"
                )
            if not all(isinstance(v, bool) for v in body.values()):
                raise InputError("checklist answers are true or false")
            machine.checklist(body, now)
        elif action == "maker_answer":
            affected = body.get("affected")
            if affected is not None and not isinstance(affected, bool):
                raise InputError("affected is true, false, or null for not asked")
            machine.maker_answer(affected, clean(body.get("reference", ""), 80), now)
        elif action == "cancel":
            machine.cancel(now)
        else:
            raise InputError(
                f"no screening action {clean(action, 40)!r}", cure="checklist, maker_answer, cancel"
            )
        bench.symptoms = machine.symptoms
        if machine.maker_affected is not None:
            bench.recall_answered = machine.maker_affected
        screening.on_tick()
