"""The answer: status from the unit's scope, printed rules, order, wording, safety first."""

from __future__ import annotations

import re
from datetime import date

import pytest

from denchi.model import RecallStatus, Unit
from denchi.recalls.answer import check
from denchi.recalls.lists import ListFile, RecallLists
from denchi.recalls.plain import answer_lines
from recalls.conftest import BUNDLED, TODAY, notice, recall_lists

AFFECTED, CHECK = RecallStatus.AFFECTED, RecallStatus.CHECK_SERIAL
HINT, NOT_LISTED = RecallStatus.BRAND_HINT, RecallStatus.NOT_LISTED


def status_of(answer, key):
    return next(m.status for m in answer.matches if m.notice.id == key)


@pytest.mark.parametrize(
    "raw",
    [n for n in BUNDLED["notices"] if n["model_numbers"]],
    ids=lambda n: n["id"],
)
def test_a_model_alone_gives_what_its_scope_gives(ask, raw):
    for model in raw["model_numbers"]:
        given = status_of(ask(model), raw["id"])
        whole = raw["unit_scope"] == "all-units-of-model"
        whole |= model in (raw.get("rule") or {}).get("all_of", ())
        assert given is (AFFECTED if whole else CHECK), model


# Rules that official notices print: CPSC 25-061, 26-090, 26-135, 25-248, 25-304, 24-271, 24-344, 25-190
# and the Japanese lists, by the research page's part D.
RULES = [
    ("BPD005", "57V12345678901", "us-cpsc-25-061", AFFECTED, "yes"),
    ("BPD005", "58V12345678901", "us-cpsc-25-061", CHECK, "no"),
    ("BPD005", "57V123", "us-cpsc-25-061", CHECK, "unknown"),
    ("BPB002", "35S12345678901", "us-cpsc-26-090", AFFECTED, "yes"),
    ("BPB002", "57X12345678901", "us-cpsc-26-090", CHECK, "no"),
    ("MMA008", "57X12345678901", "us-cpsc-26-090", AFFECTED, "yes"),
    ("PB0003", "", "us-cpsc-26-090", AFFECTED, "yes"),
    ("BI-B41", "000I2112345", "us-cpsc-26-135", AFFECTED, "yes"),
    ("BI-B41", "000L21ABC", "us-cpsc-26-135", AFFECTED, "yes"),
    ("BI-B41", "000K2112345", "us-cpsc-26-135", CHECK, "no"),
    ("BI-B41", "", "us-cpsc-26-135", CHECK, "unknown"),
    ("BS-30KP365", "ABCDEFGH1234D", "us-cpsc-25-248", AFFECTED, "yes"),
    ("BS-30KP365", "ABCDEFGH12345", "us-cpsc-25-248", AFFECTED, "yes"),
    ("BS-30KP365", "ABCDEFGH1234A", "us-cpsc-25-248", CHECK, "no"),
    ("MXB008", "GK2309880", "us-cpsc-25-304", AFFECTED, "yes"),
    ("MXB008", "GK-2309880", "us-cpsc-25-304", AFFECTED, "yes"),
    ("MXB008", "GK2309881", "us-cpsc-25-304", CHECK, "no"),
    ("MXB008", "GK2309901", "us-cpsc-25-304", CHECK, "no"),  # a serial of DBL6000M
    ("DBL6000M", "GK2309901", "us-cpsc-25-304", AFFECTED, "yes"),
    ("AO10FK-A", "date code 0922", "us-cpsc-24-271", AFFECTED, "yes"),
    ("AO10FK-B", "date code 0123", "us-cpsc-24-271", AFFECTED, "yes"),
    ("AO10FK-C", "date code 0223", "us-cpsc-24-271", CHECK, "no"),
    ("E2037", "date code 2319", "us-cpsc-24-344", AFFECTED, "yes"),
    ("E2037", "date code 2313", "us-cpsc-24-344", CHECK, "no"),
    ("E2038", "date code 2313", "us-cpsc-24-344", AFFECTED, "yes"),
    ("ZHX-PB21", "PO-PP003", "us-cpsc-25-190", AFFECTED, "yes"),
    ("ZHX-PB21", "none", "us-cpsc-25-190", AFFECTED, "yes"),
    ("ZHX-PB21", "PO-PP011", "us-cpsc-25-190", CHECK, "no"),
    ("CIO-MB20W2C-5K-EX01", "CIO-CN-115-1", "jp-2025-01-27-cio-smartcoby-ex01", AFFECTED, "yes"),
    ("CIO-MB20W2C-5K-EX01", "CIO-CQ-115-9", "jp-2025-01-27-cio-smartcoby-ex01", CHECK, "no"),
    ("PAC20-272", "C14-P6", "cn-2025-06-16-romoss-pac20-272", AFFECTED, "yes"),
    ("PAC20-272", "C14-P9", "cn-2025-06-16-romoss-pac20-272", CHECK, "no"),
]


@pytest.mark.parametrize(("model", "serial", "key", "expected", "said"), RULES)
def test_printed_rules(ask, model, serial, key, expected, said):
    answer = ask(model=model, serial=serial)
    match = next(m for m in answer.matches if m.notice.id == key)
    assert (match.status, match.rule) == (expected, said)
    if said == "no":
        for lang, words in (("en", "the maker decides"), ("ja", "メーカー")):
            assert any(words in n.render(lang) for n in answer.notes)


@pytest.mark.parametrize(
    "label",
    [
        "INIU BI-B41 SN:000I2112345",
        "Model: BI-B41 S/N 000I2112345",
        "BI-B41\n000I2112345",
        "BI-B41\nSerial No. 000I2112345",
        "BI-B41 シリアル番号：000I2112345",
    ],
)
def test_a_rule_reads_the_serial_from_the_label_itself(ask, label):
    assert status_of(ask(label), "us-cpsc-26-135") is AFFECTED


@pytest.mark.parametrize("serial", ["", "AKFF1Y0E4830ABCD", "BKFF1Y0E4830ABCD", "12", "???"])
def test_anker_serials_decide_nothing(ask, serial):
    answer = ask(model="A1263", serial=serial)
    assert answer.status is CHECK
    assert all(m.notice.form for m in answer.matches), "the maker's form is linked"
    shape = any("does not look like an Anker serial" in q.render("en") for q in answer.questions)
    assert shape == (serial in ("BKFF1Y0E4830ABCD", "12", "???"))
    if not serial:
        assert any("serial number (SN)" in q.render("en") for q in answer.questions)


def test_the_serial_is_ready_to_paste_and_nowhere_else(ask):
    answer = ask("型番 A1263 SN: AKFF1Y0E4830ABCD")
    assert answer.serial == "AKFF1Y0E4830ABCD"
    assert "AKFF1Y0E4830ABCD" in "\n".join(answer_lines(answer, show_serial=True))
    assert "AKFF1Y0E4830ABCD" not in "\n".join(answer_lines(answer))
    assert "AKFF1Y0E4830" not in str(answer.to_json()) + repr(answer)


# -- hints, nothing ------------------------------------------------------------------------------


def test_a_brand_without_model_numbers_is_a_hint_at_most(ask):
    for raw in BUNDLED["notices"]:
        if not raw["model_numbers"]:
            answer = ask(f"{raw['brand']} {raw['product_name']}", brand=raw["brand"])
            touched = [m for m in answer.matches if m.notice.id == raw["id"]]
            assert touched, raw["id"]
            assert touched[0].status is HINT


def test_a_name_hint_names_the_model_to_look_for(ask):
    said = ask("Soundcore 3").message
    assert "A3117" in said.render("en")
    assert "A3117" in said.render("ja")


def test_nothing_found_names_the_date_and_clears_nothing(ask):
    answer = ask("EX-9999")
    assert answer.status is NOT_LISTED
    assert answer.matches == ()
    assert answer.exit_code == 0
    assert "2026-11-23" in answer.message.render("en")
    assert "2026-11-23" in answer.message.render("ja")


FORBIDDEN = (
    "safe",
    " ok",
    "pass",
    "no risk",
    "安全です",
    "合格",
    "正常",
    "異常なし",
    "問題ありません",
    "✓",
    "✔",
    "✅",
    "🟢",
)


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "EX-9999"},
        {"text": "A1645"},
        {"text": "PPCXM06A"},
        {"model": "A1263", "colour": "green"},
        {"model": "BI-B41", "serial": "999999999"},
        {"model": "BS-30KP365", "serial": "ABCDEFGH1234A"},
        {"text": "Sony"},
    ],
)
@pytest.mark.parametrize("lang", ["en", "ja"])
def test_no_answer_says_or_suggests_that_a_unit_is_fine(ask, fields, lang):
    answer = ask(**fields)
    body = answer.to_json(lang)
    texts = [body["message"], *body["questions"], *body["notes"], *answer_lines(answer)]
    for text in texts:
        told = re.sub(r"https?://\S+", "", text).lower()
        for word in FORBIDDEN:
            assert word not in told, (word, text)


# -- several notices -----------------------------------------------------------------------------


def test_two_recalls_of_one_model_are_told_apart(ask):
    answer = ask("A1263")
    assert [m.notice.id for m in answer.matches] == ["jp-2025-10-21-anker-a1263", "us-cpsc-25-338"]
    assert {m.notice.sold for m in answer.matches} == {
        ("2022-12-25", "2025-10-21"),
        ("2016-06", "2022-12"),
    }
    (told,) = [n for n in answer.notes if "different recalls name" in n.render("en")]
    for lang in ("en", "ja"):
        for part in ("2022-12-25", "2016-06", "25-338", "A1263", "2"):
            assert part in told.render(lang)


@pytest.mark.parametrize(
    ("country", "first"), [("JP", "jp-"), ("US", "us-"), ("日本", "jp-"), ("アメリカ", "us-")]
)
def test_a_country_changes_order_only(ask, country, first):
    plain, here = ask("A1263"), ask("A1263", country=country)
    assert here.matches[0].notice.id.startswith(first)
    assert {m.notice.id for m in here.matches} == {m.notice.id for m in plain.matches}
    assert here.status is plain.status


@pytest.mark.parametrize("country", ["DE", "BR", "Neverland", "XX", ""])
def test_a_country_without_a_notice_hides_none(ask, country):
    answer = ask("A1680", country=country)  # found in the Chinese action only
    assert [m.notice.jurisdiction for m in answer.matches] == ["CN"]
    assert answer.status is CHECK
    if country in ("DE", "BR"):
        assert any("Parallel imports" in q.render("en") for q in answer.questions)


def test_the_widened_notice_counts_not_the_older_one(ask):
    answer = ask("A1647", colour="green", country="JP")
    assert answer.status is AFFECTED
    assert answer.matches[0].notice.id == "jp-2025-06-26-anker-a1647"
    old = next(m for m in answer.matches if m.notice.id == "jp-2024-09-17-anker-a1647")
    assert old.superseded_by == "jp-2025-06-26-anker-a1647"
    assert any("no longer hold" in n.render("en") for n in answer.notes)


def test_a_weaker_record_of_the_same_notice_weakens_nothing(lists):
    file = lists.files[0]
    weaker = [{**n, "unit_scope": "unknown", "rule": None} for n in file.notices]
    both = RecallLists([file, ListFile("feed", "2026-11-24", weaker, {})], lists.claims)
    for model in ("A1366", "A1652", "BI-B41"):
        alone = check(Unit(model=model), lists, today=TODAY)
        together = check(Unit(model=model), both, today=TODAY)
        assert together.status is alone.status
        assert "feed" in {
            name for m in together.matches for name in (*m.also_in, m.notice.list_name)
        }


def test_what_a_machine_read_is_at_most_a_reason_to_look():
    lists = recall_lists(notice(unit_scope="all-units-of-model", extracted_by="machine:cpsc-1"))
    answer = check(Unit(model="EX-1000"), lists, today=TODAY)
    assert answer.status is CHECK
    assert any("not reviewed" in n.render("en") for n in answer.notes)
    assert any("machine-extracted" in line for line in answer_lines(answer))


def test_speakers_get_the_recall_answer_and_cannot_be_tested(ask):
    for model in ("A3117", "A3130", "A3305"):
        answer = ask(model)
        assert answer.status is CHECK
        assert any("cannot be tested here" in n.render("en") for n in answer.notes)
        assert not answer.matches[0].notice.testable
    assert not any("cannot be tested" in n.render("en") for n in ask("A1263").notes)


# -- what stands beside the number ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"bought": "2010-01"}, "A date never clears"),
        ({"colour": "yellow"}, "A colour never clears"),
        ({"brand": "LINEヤフー"}, "other logos"),
        ({"rated_mah": 5000.0}, "mAh"),
        ({"country": "DE"}, "Parallel imports"),
    ],
)
def test_a_conflict_is_a_question(ask, fields, words):
    plain, beside = ask(model="A1263"), ask(model="A1263", **fields)
    assert beside.status is plain.status
    assert any(words in q.render("en") for q in beside.questions), beside.questions
    assert any(m.match.conflicts for m in beside.matches)


def test_what_agrees_is_named(ask):
    answer = ask(model="A1263", brand="Anker", colour="ホワイト", bought="2023-05", country="JP")
    agreed = answer.matches[0].match.agreed
    assert agreed[0] == "model A1263"
    assert {"brand Anker", "colour ホワイト", "bought 2023-05", "country JP"} <= set(agreed)


def test_not_affected_by_name_is_asked_again(ask):
    """PPCXM06A is expressly not affected; one letter less is. Neither flagged nor cleared."""
    answer = ask("PPCXM06A")
    assert answer.status in (NOT_LISTED, HINT)
    assert any(
        "PPCXM06" in q.render("en") and "Read the label again" in q.render("en")
        for q in answer.questions
    )


# -- symptoms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("symptom", ["swelling", "heat", "smell", "leaking", "膨らんでいる"])
@pytest.mark.parametrize("text", ["A1263", "EX-9999", "A1366"])
@pytest.mark.parametrize("lang", ["en", "ja"])
def test_a_symptom_puts_the_safety_text_first(ask, text, symptom, lang, monkeypatch):
    monkeypatch.setenv("DENCHI_LANG", lang)
    answer = ask(text, symptoms=[symptom])
    assert answer.symptom
    lines = answer_lines(answer)
    first = next(i for i, line in enumerate(lines) if line.startswith("- "))
    listed = next(i for i, line in enumerate(lines) if line.startswith("["))
    assert first < listed, "the safety text stands before the lists' answer"
    assert answer.guidance[0].key == "stop"
    begins = {"en": "You report a symptom: stop using", "ja": answer.message.render("ja")[:12]}
    assert answer.message.render(lang).startswith(begins[lang])
    assert answer.status is ask(text).status


def test_no_symptom_and_no_listing_gives_no_advice(ask):
    assert ask("EX-9999").safety == ()
    assert ask("A1263").safety


def test_age_of_the_lists_is_said_after_thirty_days(ask):
    assert ask("A1263", today=date(2026, 12, 23)).stale_lists == ()
    for text in ("A1263", "EX-9999", "Anker"):
        old = ask(text, today=date(2026, 12, 24))
        assert old.stale_lists == ("bundled",)
        for lang, words in (("en", "older than 30 days"), ("ja", "30")):
            assert words in old.message.render(lang)
        assert "31" in old.message.render("en")
    assert "bundled 2026-11-23" in "\n".join(answer_lines(ask("A1263")))


def test_a_clock_that_is_behind_breaks_nothing(ask):
    assert ask("A1263", today=date(1970, 1, 1)).stale_lists == ()


def test_a_unit_and_a_pasted_label_are_one_question(ask):
    answer = ask("Anker PowerCore 10000", model="A1263", label_text="10000mAh SN:AKFF1Y0E4830ABCD")
    assert answer.status is CHECK
    assert answer.serial == "AKFF1Y0E4830ABCD"
