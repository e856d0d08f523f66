"""The article's list against the notices: its numbers neither flag nor clear, its names lead on."""

from __future__ import annotations

import json

import pytest

from denchi.model import RecallStatus
from denchi.recalls.lists import DATA
from support import shared

CLAIMS = json.loads((DATA / "claims.json").read_text(encoding="utf-8"))
# article's name, article's number, the number that the notices give (research page, part 1)
TABLE = [
    ("Anker PowerCore 10000", "A1263", "A1263"),
    ("Anker Power Bank (10000mAh, 22.5W)", "A1645", "A1257"),
    ("Anker MagGo Power Bank (10000mAh, 7.5W, Stand)", "A1651", "A1652"),
    ("Anker Power Bank (20000mAh, 22.5W)", "A1652", "A1647"),
    ("Anker 334 MagGo Battery (PowerCore 10000)", "A1641", "A1642"),
    ("Soundcore 3", "A3117", "A3117"),
    ("Soundcore Motion X600", "A3130", "A3130"),
    ("Anker PowerConf S500", "A3305", "A3305"),
]
UNLISTED = ["A1641", "A1645", "A1651"]


def test_the_claims_are_kept_as_a_source_and_marked():
    kept = {(c["article_name"], c["article_model"], c["actual_model"]) for c in CLAIMS["claims"]}
    assert kept == set(TABLE)
    for claim in CLAIMS["claims"]:
        assert claim["agrees"] == (claim["article_model"] == claim["actual_model"])
    white = [c for c in CLAIMS["other_claims"] if "white" in c["claim"]]
    assert [c["result"] for c in white] == ["contradicted"]
    assert "Never used to flag or to clear" in CLAIMS["what"]


def test_the_claims_are_those_of_the_research_page():
    page = json.loads(shared("recall", "samples", "seed_article_claims.json").read_text("utf-8"))
    ours = {(c["article_model"], c["actual_model"], c["agrees"]) for c in CLAIMS["claims"]}
    assert ours == {(c["article_model"], c["actual_model"], c["agrees"]) for c in page["cases"]}


@pytest.mark.parametrize("number", UNLISTED)
@pytest.mark.parametrize(
    "form", ["{}", "型番：{}", "Anker {}", "{}N12", "Model: {} SN:AKFF1Y0E4830ABCD"]
)
def test_a_number_of_the_article_alone_is_neither_flagged_nor_cleared(ask, number, form):
    answer = ask(form.format(number))
    assert answer.status in (RecallStatus.NOT_LISTED, RecallStatus.BRAND_HINT)
    assert not any(number in m.notice.models for m in answer.matches)
    said = [q.render("en") for q in answer.questions]
    assert any(number in q and "neither recalled nor cleared" in q for q in said)
    right = next(actual for _, claimed, actual in TABLE if claimed == number)
    assert any(right in q for q in said), "the number that the notices give is named"
    assert any(number in q.render("ja") for q in answer.questions)


@pytest.mark.parametrize("number", UNLISTED)
def test_the_article_s_numbers_stand_in_no_notice(lists, number):
    assert number not in lists.models


@pytest.mark.parametrize(("name", "claimed", "actual"), TABLE)
def test_a_product_name_leads_to_the_right_model(ask, name, claimed, actual):
    answer = ask(name)
    assert answer.status is RecallStatus.BRAND_HINT
    assert actual in answer.message.render("en")
    assert actual in answer.message.render("ja")
    named = {x for m in answer.matches for x in m.models}
    assert actual in named
    if claimed != actual:
        assert claimed not in named


@pytest.mark.parametrize(
    ("name", "actual"),
    [
        ("Anker Power Bank 10000mAh 22.5W", "A1257"),
        ("anker power bank 10,000 mAh 22.5 W", "A1257"),
        ("Ａｎｋｅｒ Power Bank (10000mAh, 22.5W)", "A1257"),
        ("Anker Power Bank 10K 22.5W", "A1257"),
        ("Anker Power Bank (20000mAh, 22.5W, Built-In USB-C ケーブル)", "A1647"),
        ("Anker MagGo Power Bank 10000mAh 7.5W stand", "A1652"),
        ("334 MagGo Battery", "A1642"),
        ("Anker Zolo Power Bank 20K 30W built-in USB-C cable", "A1689"),
    ],
)
def test_names_as_people_write_them(ask, name, actual):
    assert actual in {x for m in ask(name).matches for x in m.models}


def test_the_name_trap(ask):
    """ "334 MagGo Battery (PowerCore 10000)" is A1642 although A1263 is the PowerCore 10000."""
    named = {x for m in ask("Anker 334 MagGo Battery (PowerCore 10000)").matches for x in m.models}
    assert "A1642" in named
    assert "A1263" not in named
    assert {x for m in ask("Anker PowerCore 10000").matches for x in m.models} == {"A1263"}


def test_a1652_is_recalled_but_is_the_maggo_one(ask):
    answer = ask("A1652")
    assert answer.status is RecallStatus.AFFECTED
    said = " ".join(q.render("en") for q in answer.questions)
    assert "A1647" in said
    assert "contradict" in said


@pytest.mark.parametrize(
    "colour", ["white", "White", "ホワイト", "白", "ＷＨＩＴＥ", "pearl white"]
)
@pytest.mark.parametrize("model", ["A1263", "A1257", "A1642", "A1647", "A1652", "A3117"])
def test_white_never_clears(ask, model, colour):
    plain, white = ask(model), ask(model, colour=colour)
    assert white.status is plain.status
    assert {m.notice.id for m in white.matches} == {m.notice.id for m in plain.matches}
    said = " ".join(n.render("en") for n in white.notes)
    assert "contradicts it" in said, "the article's claim is named, and that it is contradicted"


@pytest.mark.parametrize("code", ["A1263N22", "A1263026", "4571411204708", "4571411205170"])
def test_the_white_units_that_the_entry_lists(ask, code):
    answer = ask(code, colour="white")
    assert answer.status is RecallStatus.CHECK_SERIAL
    assert "jp-2025-10-21-anker-a1263" in {m.notice.id for m in answer.matches}


@pytest.mark.parametrize(
    ("model", "colour", "notice"),
    [
        # colour exceptions that existed once (research page, part 1)
        ("A1647", "green", "jp-2024-09-17-anker-a1647"),
        ("A1642", "pink", "jp-2024-09-17-anker-a1642"),
        ("A3102", "red", "jp-2024-04-04-anker-a3102"),
        ("BI-B41", "orange", "us-cpsc-26-135"),
    ],
)
def test_a_colour_outside_the_notice_is_a_question(ask, model, colour, notice):
    plain, asked = ask(model), ask(model, colour=colour)
    assert asked.status is plain.status
    match = next(m for m in asked.matches if m.notice.id == notice)
    assert f"colour {colour}" in match.match.conflicts
    if not match.superseded_by:
        assert any("never clears" in q.render("en") for q in asked.questions)
