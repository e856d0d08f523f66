"""The screening as a state machine: pure, time is an argument, nothing is ever commanded.

States: ``recall`` -> ``checklist`` -> (``maker_answer``) -> ``running`` -> ``done``. A step of the profile says
what to connect; it *advances when the meter sees it*: the current stands in the step's band for two
seconds, and then has to stay there for the step's time. What does not come, goes away, or goes wrong
makes the screening inconclusive, with the reason. A recall hit, a symptom or a danger finding ends
it at once with ``stop_using``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from denchi.health.profiles import Profile, Step
from denchi.health.screening.checklist import CHECKLIST, symptoms_of, unanswered
from denchi.i18n import Text
from denchi.model import Finding, Gap, RecallStatus, Severity, Verdict
from denchi_protocol.samples import SampleBlock

NS: Final = 1_000_000_000
SEEN_S: Final = 2.0
"""The load must stand in its band this long before a step's time begins."""
WAIT_S: Final = 180.0
"""How long a step waits to see its load; then the operator has walked away."""
LEFT_S: Final = 1800.0
"""How long a question may stay unanswered; then nobody is at the bench any more."""
WRONG_S: Final = 45.0
"""How long a load may be wrong within a step, all told, before the step no longer counts."""
GAP_S: Final = 5.0
"""A gap longer than this in a critical step makes the screening inconclusive (reliability.md R12)."""
REMOVED_V: Final = 0.5
REMOVED_S: Final = 8.0
"""VBUS below 0.5 V for this long where the unit should supply: pulled, or switched itself off."""
IDLE_A: Final = 0.05
"""Below this the output counts as unloaded."""


def _t(msgid: str, **params: str | float | int) -> Text:
    return Text(msgid, params, domain="screening")


@dataclass(slots=True)
class StepLog:
    """What happened in one step; goes into the report."""

    key: str
    begun_ns: int | None = None
    ended_ns: int | None = None
    held_s: float = 0.0
    outcome: str = "pending"
    """``pending`` ``waiting`` ``held`` ``not_seen`` ``wrong_load`` ``cut``."""


@dataclass(slots=True)
class Screening:
    """One unit's way through a profile. Feed it what the meter saw; ask ``state`` and ``verdict_floor``."""

    profile: Profile
    session: str
    start_ns: int
    recall: RecallStatus | None = None
    phase: str = "recall"
    answers: dict[str, bool] = field(default_factory=dict)
    maker_affected: bool | None = None
    maker_reference: str = ""
    problems: list[Text] = field(default_factory=list)
    reasons: list[Text] = field(default_factory=list)
    steps: list[StepLog] = field(default_factory=list)
    index: int = 0
    ended_ns: int | None = None
    stopped: bool = False
    """Ended with stop_using: recall, symptom or danger."""
    _now_ns: int = 0
    _last_sample_ns: int | None = None
    _asked_ns: int = 0
    _seen_s: float = 0.0
    _wrong_s: float = 0.0
    _dark_s: float = 0.0

    def __post_init__(self) -> None:
        self._now_ns = self._asked_ns = self.start_ns
        self.steps = [StepLog(step.key) for step in self.profile.steps]

    # -- before the test -----------------------------------------------------------------------

    def recall_answered(self, status: RecallStatus | None, now_ns: int) -> None:
        """The recall lists were asked. ``affected``: no load is applied, the test is not begun."""
        self._now_ns = now_ns
        self.recall = status
        if status is RecallStatus.AFFECTED:
            self._stop(_t("the unit is named in a recall: no load was applied"), now_ns)
        else:
            self.phase = "checklist"

    def checklist(self, answers: Mapping[str, bool], now_ns: int) -> None:
        """Take look-and-feel answers; any yes ends with stop_using, all no goes on.

        A symptom that shows later, with the load on, ends the test in the same way; a no then changes nothing.
        """
        if self.phase not in ("checklist", "maker_answer", "running"):
            return
        self._now_ns = self._asked_ns = now_ns
        loaded = self.phase == "running"
        if self.phase != "checklist":
            answers = {key: yes for key, yes in answers.items() if yes}
        self.answers.update(answers)
        if found := symptoms_of(self.answers):
            self.reasons.extend(found)
            self._stop(
                _t("a symptom was reported during the test: take the load off")
                if loaded
                else _t("a symptom was reported: no load was applied"),
                now_ns,
            )
        elif self.phase == "checklist" and not unanswered(self.answers):
            if self.recall is RecallStatus.CHECK_SERIAL:
                self.phase = "maker_answer"
            else:
                self._run(now_ns)

    def maker_answer(self, affected: bool | None, reference: str, now_ns: int) -> None:
        """Record the maker's answer for a serial; None: not asked, the best verdict is then caution."""
        if self.phase != "maker_answer":
            return
        self.maker_affected, self.maker_reference = affected, reference
        if affected:
            self._stop(_t("the maker says this serial is affected: no load was applied"), now_ns)
        else:
            self._run(now_ns)

    def _run(self, now_ns: int) -> None:
        self.phase = "running"
        self._enter(0, now_ns)

    # -- while the meter watches -----------------------------------------------------------------

    @property
    def step(self) -> Step | None:
        """The step in progress."""
        return self.profile.steps[self.index] if self.phase == "running" else None

    def block(self, block: SampleBlock) -> None:
        """Take a block of the bench's meter, in the parts of it that lie in one second each."""
        if self.phase != "running" or not len(block):
            return
        volts, amps = block.vbus_v(), np.abs(block.ibus_a())
        seconds = (block.t_ns - self.start_ns) // NS
        for second in np.unique(seconds):
            rows = seconds == second
            self._second(
                float(np.nanmean(volts[rows])) if not np.isnan(volts[rows]).all() else float("nan"),
                float(np.nanmean(amps[rows])) if not np.isnan(amps[rows]).all() else float("nan"),
                int(block.t_ns[rows][-1]),
            )
            if self.phase != "running":
                return

    def _second(self, volts: float, amps: float, t_ns: int) -> None:
        last = self._last_sample_ns
        dt = 0.0 if last is None else min(2.0, max(0.0, (t_ns - last) / NS))
        self._last_sample_ns, self._now_ns = t_ns, max(self._now_ns, t_ns)
        step, log = self.profile.steps[self.index], self.steps[self.index]
        self._dark_s = self._dark_s + dt if volts < REMOVED_V and not step.unpowered else 0.0
        right = in_band(step, amps)
        if log.outcome == "waiting":
            self._seen_s = self._seen_s + dt if right else 0.0
            if self._seen_s >= SEEN_S:
                log.outcome = "held"
        elif right:
            log.held_s += dt
        else:
            self._wrong_s += dt
        if self._dark_s >= REMOVED_S and log.outcome == "held":
            log.outcome = "cut"
            self._end_inconclusive(
                _t("the output went dark in step “{step}”", step=step.title.render("en")), t_ns
            )
        elif self._wrong_s >= WRONG_S:
            log.outcome = "wrong_load"
            self._end_inconclusive(
                _t(
                    "the load was not the one asked for in step “{step}”",
                    step=step.title.render("en"),
                ),
                t_ns,
            )
        elif log.held_s >= step.seconds:
            log.ended_ns = t_ns
            self._enter(self.index + 1, t_ns)
        else:
            self._waited(t_ns)

    def gap(self, gap: Gap) -> None:
        """The meter was away: in a critical step a long gap cannot be made good."""
        if self.phase != "running":
            return
        end = gap.end_ns if gap.end_ns is not None else self._now_ns
        length_s = (end - gap.start_ns) / NS
        if length_s > GAP_S and self.profile.steps[self.index].critical:
            self._end_inconclusive(
                _t("the meter was away for {seconds:.0f} s", seconds=length_s), end
            )

    def finding(self, finding: Finding) -> None:
        """A danger ends the test: the load is to be taken off."""
        if self.phase == "running" and finding.severity is Severity.DANGER:
            self.reasons.append(finding.message)
            self._stop(_t("a danger was seen: take the load off"), finding.t_ns)

    def advance(self, now_ns: int) -> None:
        """Time passes, with or without samples."""
        self._now_ns = max(self._now_ns, now_ns)
        if self.phase in ("checklist", "maker_answer") and now_ns - self._asked_ns > LEFT_S * NS:
            minutes = LEFT_S / 60
            self._end_inconclusive(
                _t("the questions were not answered within {minutes:.0f} min", minutes=minutes),
                now_ns,
            )
        if self.phase != "running":
            return
        last = (
            self._last_sample_ns
            if self._last_sample_ns is not None
            else self.steps[self.index].begun_ns
        )
        silent_s = (now_ns - last) / NS if last is not None else 0.0
        if silent_s > WAIT_S or (silent_s > 30.0 and self.steps[self.index].outcome == "held"):
            self._end_inconclusive(_t("the meter was lost"), now_ns)
        else:
            self._waited(now_ns)

    def cancel(self, now_ns: int) -> None:
        """The operator ended it."""
        if self.phase != "done":
            self._end_inconclusive(_t("the screening was ended by the operator"), now_ns)

    # -- the outcome -------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self.phase == "done"

    @property
    def verdict_floor(self) -> Verdict:
        """The verdict can be no better than this; findings may make it worse."""
        if self.stopped:
            return Verdict.STOP_USING
        if self.problems or not self.done:
            return Verdict.INCONCLUSIVE
        return Verdict.NO_ANOMALY_SEEN

    @property
    def symptoms(self) -> tuple[str, ...]:
        """Keys of the symptoms reported."""
        return tuple(q.key for q in CHECKLIST if self.answers.get(q.key))

    def state(self) -> dict[str, Any]:
        """The screening object of docs/api.md, without the verdict (the bench adds it)."""
        total = sum(step.seconds for step in self.profile.steps) or 1.0
        held = sum(
            min(log.held_s, step.seconds)
            for log, step in zip(self.steps, self.profile.steps, strict=True)
        )
        return {
            "profile": self.profile.name,
            "title": _both(self.profile.title),
            "state": self.phase,
            "session": self.session,
            "checklist": [{"key": q.key, "text": _both(q.text)} for q in CHECKLIST],
            "answers": dict(self.answers),
            "step": self._step_state(),
            "steps": [
                {
                    "key": log.key,
                    "title": _both(step.title),
                    "outcome": log.outcome,
                    "held_s": round(log.held_s, 1),
                }
                for log, step in zip(self.steps, self.profile.steps, strict=True)
            ],
            "progress": 1.0 if self.done else round(held / total, 4),
            "seconds_left": 0.0 if self.done else round(total - held, 1),
            "problems": [_both(problem) for problem in self.problems],
            "reasons": [_both(reason) for reason in self.reasons],
            "maker": {"affected": self.maker_affected, "reference": self.maker_reference},
        }

    def _step_state(self) -> dict[str, Any] | None:
        step = self.step
        if step is None:
            return None
        log = self.steps[self.index]
        waiting = log.outcome == "waiting"
        return {
            "index": self.index,
            "count": len(self.steps),
            "key": step.key,
            "title": _both(step.title),
            "instruction": _both(step.instruction),
            "seconds_total": step.seconds,
            "seconds_left": round(max(0.0, step.seconds - log.held_s), 1),
            "waiting_for": _both(waiting_for(step)) if waiting else None,
        }

    # -- helpers -----------------------------------------------------------------------------------

    def _enter(self, index: int, now_ns: int) -> None:
        if index >= len(self.steps):
            self.phase, self.ended_ns = "done", now_ns
            return
        self.index = index
        log = self.steps[index]
        log.begun_ns, log.outcome = now_ns, "waiting"
        self._seen_s = self._wrong_s = self._dark_s = 0.0

    def _waited(self, now_ns: int) -> None:
        log = self.steps[self.index]
        if (
            log.outcome == "waiting"
            and log.begun_ns is not None
            and now_ns - log.begun_ns > WAIT_S * NS
        ):
            log.outcome = "not_seen"
            step = self.profile.steps[self.index]
            self._end_inconclusive(
                _t(
                    "step “{step}” was not done within {minutes:.0f} min",
                    step=step.title.render("en"),
                    minutes=WAIT_S / 60,
                ),
                now_ns,
            )

    def _stop(self, why: Text, now_ns: int) -> None:
        self.reasons.append(why)
        self.phase, self.stopped, self.ended_ns = "done", True, now_ns

    def _end_inconclusive(self, why: Text, now_ns: int) -> None:
        self.problems.append(why)
        self.phase, self.ended_ns = "done", now_ns


def in_band(step: Step, amps: float) -> bool:
    """Whether the current is the one the step asks for (NaN never is)."""
    if step.target_a is None:
        return amps == amps
    if step.target_a <= 0:
        return amps < IDLE_A
    return abs(amps - step.target_a) <= max(0.15, 0.25 * step.target_a)


def waiting_for(step: Step) -> Text:
    """What the step waits to see."""
    if step.target_a is None:
        return _t("waiting for a reading")
    if step.target_a <= 0:
        return _t("waiting until no load is seen (below {amps:.2f} A)", amps=IDLE_A)
    return _t("waiting to see about {amps:.2f} A", amps=step.target_a)


def _both(text: Text) -> dict[str, str]:
    return {"en": text.render("en"), "ja": text.render("ja")}
