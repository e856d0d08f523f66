"""The guided screening as a state machine: what does not come, goes away or goes wrong is never a pass."""

from __future__ import annotations

import numpy as np
import pytest

from denchi.health import profiles
from denchi.health.profiles import load
from denchi.health.screening.checklist import KEYS
from denchi.health.screening.machine import GAP_S, LEFT_S, WAIT_S, Screening, in_band
from denchi.model import Finding, Gap, RecallStatus, Severity, Verdict
from health.helpers import NS, START, block

ALL_NO = dict.fromkeys(KEYS, False)


class Shop:
    """A screening with its own time: a load is put on for a while, seconds pass."""

    def __init__(
        self, profile: str = "quick", recall: RecallStatus = RecallStatus.NOT_LISTED
    ) -> None:
        self.machine = Screening(load(profile), "s", START)
        self.machine.recall_answered(recall, START)
        self.s = 0.0

    @property
    def now_ns(self) -> int:
        return START + int(self.s * NS)

    def begun(self) -> Shop:
        self.machine.checklist(ALL_NO, self.now_ns)
        return self

    def load(self, amps: float, seconds: float, volts: float = 5.0) -> Shop:
        """The meter sees this, ten times a second."""
        t = self.s + np.arange(round(seconds * 10)) / 10
        for cut in np.array_split(t, max(1, round(seconds))):
            self.machine.block(block(cut, v=volts, i=amps))
            self.s = float(cut[-1]) + 0.1
            self.machine.advance(self.now_ns)
        return self

    def wait(self, seconds: float) -> Shop:
        """Time without a sample."""
        for _ in range(round(seconds)):
            self.s += 1
            self.machine.advance(self.now_ns)
        return self

    def follow(self, steps: int) -> Shop:
        """Do what the first steps ask."""
        for step in self.machine.profile.steps[:steps]:
            self.load(step.target_a or 0.0, step.seconds + 6)
        return self

    def why(self) -> str:
        return " | ".join(p.render("en") for p in (*self.machine.reasons, *self.machine.problems))

    def inconclusive(self, why: str) -> None:
        assert self.machine.done
        assert self.machine.verdict_floor is Verdict.INCONCLUSIVE
        assert why in self.why(), self.why()


def test_a_whole_test_is_done_step_by_step_and_only_then():
    shop = Shop().begun()
    count = len(shop.machine.steps)
    for n in range(count):
        assert shop.machine.index == n
        assert not shop.machine.done
        assert shop.machine.verdict_floor is Verdict.INCONCLUSIVE, "not done is no pass"
        step = shop.machine.profile.steps[n]
        shop.load(step.target_a or 0.0, step.seconds + 4)
    assert shop.machine.done
    assert [s.outcome for s in shop.machine.steps] == ["held"] * count
    assert shop.machine.verdict_floor is Verdict.NO_ANOMALY_SEEN


@pytest.mark.parametrize("key", KEYS)
def test_any_symptom_ends_it_before_a_load(key):
    shop = Shop()
    shop.machine.checklist({key: True}, shop.now_ns)
    assert shop.machine.done
    assert shop.machine.verdict_floor is Verdict.STOP_USING
    assert "no load was applied" in shop.why()
    assert all(step.outcome == "pending" for step in shop.machine.steps)


@pytest.mark.parametrize("key", KEYS)
def test_a_symptom_that_shows_under_load_ends_it_too(key):
    shop = Shop().begun().follow(2)
    shop.machine.checklist({key: True, KEYS[0]: key == KEYS[0]}, shop.now_ns)
    assert shop.machine.done
    assert shop.machine.verdict_floor is Verdict.STOP_USING
    assert "take the load off" in shop.why()


def test_a_no_under_load_changes_nothing():
    shop = Shop().begun().follow(1)
    shop.machine.checklist(ALL_NO, shop.now_ns)
    assert shop.machine.phase == "running"
    assert shop.machine.index == 1


def test_a_checklist_with_a_question_left_open_begins_no_test():
    for left in KEYS:
        shop = Shop()
        shop.machine.checklist({k: False for k in KEYS if k != left}, shop.now_ns)
        assert shop.machine.phase == "checklist", left


def test_a_recalled_unit_is_not_begun():
    shop = Shop(recall=RecallStatus.AFFECTED)
    assert shop.machine.verdict_floor is Verdict.STOP_USING
    shop.begun().load(1.0, 60)
    assert all(step.outcome == "pending" for step in shop.machine.steps)


@pytest.mark.parametrize(
    ("affected", "floor"), [(True, Verdict.STOP_USING), (False, None), (None, None)]
)
def test_the_makers_answer(affected, floor):
    shop = Shop(recall=RecallStatus.CHECK_SERIAL).begun()
    assert shop.machine.phase == "maker_answer"
    shop.machine.maker_answer(affected, "R-1", shop.now_ns)
    assert shop.machine.phase == ("done" if affected else "running")
    if floor is not None:
        assert shop.machine.verdict_floor is floor


def test_pulled_in_a_step():
    Shop().begun().follow(1).load(1.0, 20).load(0.0, 12, volts=0.0).inconclusive("went dark")


def test_pulled_and_put_back_within_the_time_is_not_called_a_cut_but_is_not_counted_either():
    shop = Shop().begun().follow(1).load(1.0, 20)
    held = shop.machine.steps[1].held_s
    shop.load(0.0, 5, volts=0.0)
    assert not shop.machine.done
    assert shop.machine.steps[1].held_s == pytest.approx(held, abs=1.1)


def test_wrong_load():
    shop = Shop().begun().follow(1).load(1.0, 10).load(2.4, 60)
    shop.inconclusive("the load was not the one asked for")
    assert shop.machine.steps[1].outcome == "wrong_load"


def test_a_load_that_never_comes_is_an_operator_who_walked_away():
    shop = Shop().begun().follow(1).load(0.0, WAIT_S + 5)
    shop.inconclusive("was not done within 3 min")
    assert shop.machine.steps[1].outcome == "not_seen"


def test_a_question_nobody_answers_is_an_operator_who_walked_away():
    for recall in (RecallStatus.NOT_LISTED, RecallStatus.CHECK_SERIAL):
        shop = Shop(recall=recall)
        if recall is RecallStatus.CHECK_SERIAL:
            shop.begun()
        shop.s = LEFT_S - 1
        shop.machine.advance(shop.now_ns)
        assert not shop.machine.done
        shop.wait(3).inconclusive("not answered within 30 min")


def test_the_meter_is_lost_in_a_step():
    Shop().begun().follow(1).load(1.0, 10).wait(40).inconclusive("the meter was lost")


def test_the_meter_is_lost_before_anything_was_seen():
    Shop().begun().wait(WAIT_S + 5).inconclusive("")


@pytest.mark.parametrize(("seconds", "ends"), [(GAP_S - 1, False), (GAP_S + 1, True)])
def test_a_gap_in_a_critical_step(seconds, ends):
    shop = Shop().begun().follow(1).load(1.0, 10)
    shop.machine.gap(Gap(shop.now_ns, shop.now_ns + int(seconds * NS), "unplugged"))
    assert shop.machine.done is ends
    if ends:
        shop.inconclusive("the meter was away for 6 s")


def test_a_danger_ends_it_and_says_take_the_load_off():
    shop = Shop().begun().follow(1).load(1.0, 10)
    from denchi.i18n import Text

    for severity in (Severity.INFO, Severity.CAUTION, Severity.DANGER):
        assert not shop.machine.done
        shop.machine.finding(
            Finding(
                code="x", family="thermal", severity=severity, onset_ns=START, t_ns=shop.now_ns,
                measured={}, limit="", source="", place="case", message=Text("hot"), advice=Text(""),
            )
        )  # fmt: skip
    assert shop.machine.verdict_floor is Verdict.STOP_USING
    assert "take the load off" in shop.why()


def test_cancelled():
    shop = Shop().begun()
    shop.machine.cancel(shop.now_ns)
    shop.inconclusive("ended by the operator")


def test_values_that_are_not_measured_hold_no_step():
    shop = Shop().begun().follow(1)
    shop.load(float("nan"), 30, volts=float("nan"))
    assert shop.machine.steps[1].held_s == 0
    assert not in_band(shop.machine.profile.steps[1], float("nan"))
    assert not in_band(shop.machine.profile.steps[0], float("nan"))


def test_what_is_said_is_said_in_both_languages():
    shop = Shop().begun()
    state = shop.machine.state()
    for text in (state["step"]["instruction"], state["step"]["waiting_for"], state["title"]):
        assert text["en"] and text["ja"] and text["en"] != text["ja"]


# -- profiles ------------------------------------------------------------------------------------

OWN = """title = "Ours"
minutes = 1
required = ["vbus_uv"]
[[step]]
key = "a"
title = "A"
instruction = "Plug 1 A."
seconds = 10
target_a = 1.0
"""
WRONG = [
    (("seconds = 10", "seconds = 0"), "seconds = 0: a number from 5"),
    (("seconds = 10", "seconds = nan"), "seconds = nan"),
    (("seconds = 10", 'seconds = "10"'), "seconds = '10'"),
    (("seconds = 10", "secnds = 10"), "line 8: no setting 'secnds': did you mean 'seconds'?"),
    (("target_a = 1.0", "target_a = -1.0"), "target_a = -1.0"),
    (("instruction = ", "# "), "a step lacks or mistypes 'instruction'"),
    (("minutes = 1", "gap_fraction_most = 1"), "gap_fraction_most = 1: a number from 0 to 0.2"),
    (("minutes = 1", 'electrical_only = "no"'), "electrical_only = 'no': write true or false"),
    (("minutes = 1", "limits = 5"), "limits is no table"),
    (('required = ["vbus_uv"]', 'required = ["vbus"]'), "no channel 'vbus'"),
    (('required = ["vbus_uv"]', 'required = "vbus_uv"'), "required is no list of channels"),
    (("[[step]]", "[step]"), "step is no list of [[step]] tables"),
    (('title = "Ours"', ""), "title is missing"),
    (('title = "Ours"', 'title = "Ours'), "not TOML"),
]


def test_a_shops_own_profile_comes_before_a_built_in_one(tmp_path):
    (tmp_path / "quick.toml").write_text(OWN, encoding="utf-8")
    assert load("quick", tmp_path).title.render("en") == "Ours"
    assert load("standard", tmp_path).title.render("en") != "Ours"
    assert set(profiles.names(tmp_path)) >= {"quick", "standard", "full"}


@pytest.mark.parametrize(
    ("change", "told"), WRONG, ids=lambda x: x[1] if isinstance(x, tuple) else ""
)
def test_a_wrong_profile_is_refused_with_file_and_cure(tmp_path, change, told):
    from denchi.errors import ConfigError

    (tmp_path / "ours.toml").write_text(OWN.replace(*change), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load("ours", tmp_path)
    assert told in str(caught.value)
    assert "ours.toml" in str(caught.value)
    assert caught.value.cure


@pytest.mark.parametrize("name", profiles.names())
def test_built_in_profiles_speak_both_languages(name):
    profile = load(name)
    for text in (profile.title, profile.description, *(s.instruction for s in profile.steps)):
        assert text.render("en") and text.render("ja") and text.render("en") != text.render("ja")
