"""Every sentence of this room in both languages, with its figures; no sentence clears; guidance has sources."""

from __future__ import annotations

import ast
import re
import string
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

import denchi.recalls
from denchi.i18n import LOCALE_DIR, Text
from denchi.recalls.answer import RecallAnswer
from denchi.recalls.safety import GUIDANCE, guidance
from denchi.recalls.wording import t, together
from recalls.conftest import BUNDLED
from support import shared

ROOM = Path(denchi.recalls.__file__).parent
CLI = [ROOM.parent / "cli" / name for name in ("recall.py", "recall_lists.py")]
PO = LOCALE_DIR / "ja" / "LC_MESSAGES" / "recalls.po"
JAPANESE = re.compile(r"[぀-ヿ一-鿿]")


def constants(tree):
    """Names bound to one text at module level: `_CHECK: Final = "..."`."""
    found = {}
    for node in tree.body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        value = getattr(node, "value", None)
        if (
            isinstance(target, ast.Name)
            and isinstance(value, ast.Constant)
            and isinstance(value.value, str)
        ):
            found[target.id] = value.value
    return found


def msgids():
    """What is passed to ``t`` and ``_`` in the room's modules."""
    out = {}
    for path in [*ROOM.rglob("*.py"), *CLI]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        known = constants(tree)
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("t", "_", "translate")
                and node.args
            ):
                arg = node.args[0]
                if isinstance(arg, ast.Constant) and isinstance(arg.value, str):
                    out[arg.value] = path.name
                elif isinstance(arg, ast.Name) and arg.id in known:
                    out[known[arg.id]] = path.name
    return out


MSGIDS = msgids()


@pytest.fixture(scope="module")
def catalogue():
    with PO.open("rb") as stream:
        return {m.id: m.string for m in read_po(stream) if m.id}


def test_the_sentences_are_found_by_this_test():
    assert len(MSGIDS) > 70
    assert {"answer.py", "questions.py", "safety.py", "plain.py", "ages.py", "reports.py"} <= set(
        MSGIDS.values()
    )


@pytest.mark.parametrize("msgid", sorted(MSGIDS), ids=lambda m: m[:40])
def test_every_sentence_is_in_japanese(catalogue, msgid):
    said = catalogue.get(msgid, "")
    assert said, f"{MSGIDS[msgid]}: no Japanese for {msgid!r}"
    if msgid.strip(string.punctuation + string.whitespace):
        assert JAPANESE.search(said)
    figures = {f for _, f, _, _ in string.Formatter().parse(msgid) if f}
    assert {f for _, f, _, _ in string.Formatter().parse(said) if f} == figures


def test_every_remedy_of_the_list_is_in_japanese(catalogue):
    missing = {
        n["remedy"]
        for n in BUNDLED["notices"]
        if n.get("remedy") and not catalogue.get(n["remedy"])
    }
    assert missing == set()


def test_no_translation_is_left_over(catalogue):
    remedies = {n["remedy"] for n in BUNDLED["notices"] if n.get("remedy")}
    assert set(catalogue) - set(MSGIDS) - remedies == set()


FORBIDDEN_EN = (
    r"\bsafe\b",
    r"\bOK\b",
    r"\bpass(ed|es)?\b",
    r"\bnot affected, ",
    r"no danger to the unit",
)
FORBIDDEN_JA = (
    "安全です",
    "合格",
    "正常",
    "異常なし",
    "問題ありません",
    "問題なし",
    "大丈夫",
    "安心",
)


def test_no_sentence_clears_a_unit(catalogue):
    for msgid in MSGIDS:
        said = str(catalogue[msgid])
        for word in FORBIDDEN_EN:
            assert not re.search(word, msgid), (word, msgid)
        for word in FORBIDDEN_JA:
            assert word not in said, (word, said)


# -- guidance ------------------------------------------------------------------------------------------


def test_each_sentence_of_advice_names_its_source_and_day():
    assert len({g.key for g in GUIDANCE}) == len(GUIDANCE)
    for item in GUIDANCE:
        assert item.source
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", item.dated)
        assert item.confidence in ("official-quoted", "secondary")
        assert item.text.render("ja") != item.text.render("en")


def test_what_was_not_verified_is_not_shown_as_fact():
    """Research page, part 6: April 2026 airline rules, the collection duty, FAA on recalled batteries."""
    told = " ".join(g.text.render(x) for g in GUIDANCE for x in ("en", "ja"))
    for part in (
        "2026-04",
        "April 2026",
        "2026年4月",
        "FAA",
        "at most two",
        "2個",
        "100 Wh",
        "160 Wh",
    ):
        assert part not in told
    for deed in ("discharge", "puncture", "放電", "穴を", "冷や"):
        assert deed not in told, "no source for such advice was read"


def test_advice_rests_on_the_research_page():
    page = (
        shared("recall", "findings.md")
        .read_text(encoding="utf-8")
        .split("## 6.")[1]
        .split("## 7.")[0]
    )
    for part in (
        "metal container",
        "JBRC",
        "Letter Pack Plus",
        "2025-07-08",
        "2025-06-28",
        "large amounts of water",
    ):
        assert part in page


@pytest.mark.parametrize(
    ("asked", "first", "keys"),
    [
        (
            {"symptom": True, "listed": False, "countries": frozenset({"JP"})},
            "stop",
            {"stop", "fire", "metal", "jbrc"},
        ),
        (
            {"symptom": False, "listed": True, "countries": frozenset({"JP"})},
            "stop",
            {"stop", "bin", "jbrc", "cabin"},
        ),
        ({"symptom": False, "listed": True, "countries": frozenset({"CN"})}, "stop", {"ccc"}),
        ({"symptom": True, "listed": True, "countries": frozenset()}, "stop", {"metal", "bin"}),
    ],
)
def test_symptoms_first_then_the_recall_then_travel(asked, first, keys):
    chosen = guidance(**asked, anker_jp=False)
    assert chosen[0].key == first
    assert keys <= {g.key for g in chosen}
    order = [{"symptom": 0, "listed": 1, "travel": 2}[g.when] for g in chosen]
    assert order == sorted(order)
    assert all(not g.country or g.country in asked["countries"] for g in chosen)


def test_nothing_reported_and_nothing_listed_gives_no_advice():
    assert guidance(symptom=False, listed=False, countries=frozenset(), anker_jp=True) == ()


# -- sentences as data ---------------------------------------------------------------------------------


def test_several_sentences_are_read_as_one_text_in_both_languages():
    both = together(
        t("You report a symptom: stop using the unit now, whatever the lists say."),
        t("Recall status"),
    )
    assert both.render("en").startswith("You report a symptom")
    assert JAPANESE.search(both.render("ja"))
    assert str(both) == both.render("en")
    assert Text(both.msgid, both.params, both.domain).render("en") == both.render("en")


def test_braces_in_data_are_never_filled_in():
    evil = t(
        "Lists older than 30 days: {lists} (up to {days} days). Renew with: denchi recall update.",
        lists="{days}{x}",
        days=31,
    )
    assert "{days}{x}" in evil.render("en")
    assert "{days}{x}" in evil.render("ja")


def test_every_answer_has_both_languages(ask):
    for text in (
        "A1263",
        "A1645",
        "EX-9999",
        "Anker",
        "PPCXM06A",
        "AI263",
        "A3117",
        "4571411205187",
    ):
        answer = ask(text, country="JP", colour="white", bought="2010-01")
        assert isinstance(answer, RecallAnswer)
        body = answer.to_json()
        assert JAPANESE.search(body["message_ja"])
        assert len(body["questions_ja"]) == len(body["questions"])
        assert all(JAPANESE.search(q) for q in (*body["questions_ja"], *body["notes_ja"]))
        assert not JAPANESE.search(body["message"])
