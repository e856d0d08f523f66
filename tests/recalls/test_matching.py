"""From a label to model numbers: normalising, whole tokens, look-alikes only as questions.

The full sets of vectors are read from the research folder; a handful is quoted here with its source.
"""

from __future__ import annotations

import csv
import json

import pytest

from denchi.model import RecallStatus
from denchi.recalls.lookalike import similar
from denchi.recalls.matching import models_in
from denchi.recalls.normalise import compact, gtin, gtin_valid, normalised
from denchi.recalls.serials import anker_shape
from recalls.conftest import BUNDLED
from support import shared


def samples(name):
    return json.loads(shared("recall", "samples", name).read_text(encoding="utf-8"))


# -- vectors -------------------------------------------------------------------------------------


def test_all_normalisation_vectors(lists):
    vectors = samples("model_normalisation_vectors.json")["vectors"]
    assert len(vectors) >= 36
    wrong = {
        v["input"]: (models_in(v["input"], lists), v["expect"])
        for v in vectors
        if list(models_in(v["input"], lists)) != v["expect"]
    }
    assert wrong == {}


def test_all_serial_shape_vectors():
    page = samples("serial_shape_vectors.json")
    assert {v["input"]: anker_shape(v["input"]) for v in page["vectors"]} == {
        v["input"]: v["ok"] for v in page["vectors"]
    }


# Quoted from model_normalisation_vectors.json of the research page (synthetic, written from the findings).
QUOTED = [
    ("Ａ−１２６３", ["A1263"]),  # U+2212, full width
    ("A31170A1", ["A3117"]),  # suffix 0A1
    ("MODEL:A1263 SN:AXXXXXXXXXXXXXXX", ["A1263"]),  # serial beside it is no model
    ("2G505B", ["2G505B"]),  # not 2G505
    ("PPCXM06A", []),  # expressly not affected
    ("A12634", []),  # five digits
    ("XA1263", []),  # left boundary
    ("AI263", []),  # a question, no automatic match
    ("A1645", []),  # the article's number
]


@pytest.mark.parametrize(("label", "expected"), QUOTED)
def test_quoted_vectors(lists, label, expected):
    assert list(models_in(label, lists)) == expected


@pytest.mark.parametrize(
    "dash",
    "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\uff0d\ufe63\u30fc\uff70",
    ids=lambda c: f"U+{ord(c):04X}",
)
def test_every_dash_between_code_characters_is_a_hyphen(lists, dash):
    assert models_in(f"BS{dash}30KP365", lists) == ("BS-30KP365",)
    assert models_in(f"A{dash}1263", lists) == ("A1263",)


def test_the_long_vowel_mark_stays_a_letter_of_japanese_words():
    assert normalised("モバイルバッテリー A1263") == "モバイルバッテリー A1263"
    assert normalised("ﾊﾞｯﾃﾘｰ") == "バッテリー"


@pytest.mark.parametrize(
    "label",
    [
        "型番：A1263",
        "型番　Ａ１２６３",
        "品番:A1263/容量:10000mAh",
        "Model No.: A1263",
        "MODEL NUMBER A1263",
        "P/N A1263",
        "P/N:A1263SN:AKFF1Y0E4830ABCD",
        "モデル(A1263)",
        "「A1263」",
        "A1263™",
        "A1263\u200b",
        "A\u200b1263",
        "\u202eA1263\u202c",
        "①A1263",
        "A1263,A9999",
        "A1263-BK",
        "A1263\nINPUT: 5V⎓2A",
        "Anker PowerCore 10000\n型番 A1263N12\nPSE アンカー・ジャパン株式会社\n3.6V 10000mAh 36Wh\nSN:AKFF1Y0E4830ABCD",
        "A1263_BLACK",
        "Anker-A1263",
        "ANKER/A1263",
    ],
)
def test_whole_labels_and_scanner_input(lists, label):
    assert "A1263" in models_in(label, lists)


@pytest.mark.parametrize(
    "label",
    [
        "10000 4779",
        "AA1263",
        "A126",
        "A12635",
        "0A1263",
        "A1263X",  # one letter is no region code of Anker's grammar
        "B1263",
        "SN:A1263",  # a serial's value is a token like another, see the test below
    ],
)
def test_what_only_resembles_is_no_match_or_is_the_code_itself(lists, label):
    expected = ("A1263",) if label == "SN:A1263" else ()
    assert models_in(label, lists) == expected


def test_a_barcode_leads_to_its_notice_in_each_length(ask):
    # 4571411204692: black A1263, CAA entry of 2025-10-21 as reproduced by news.goo.ne.jp/iw/273673
    for text in ("4571411204692", "JAN 4571411204692", "04571411204692", "4571411-204692"):
        answer = ask(text)
        assert answer.status is RecallStatus.CHECK_SERIAL, text
        assert answer.matches[0].notice.id == "jp-2025-10-21-anker-a1263"


def test_the_barcode_printed_for_two_products_decides_nothing(ask):
    answer = ask("4571411205187")
    assert answer.status is RecallStatus.BRAND_HINT
    assert {m.notice.id for m in answer.matches} == {
        "jp-2025-10-21-anker-a1263",
        "jp-2025-10-21-soundcore-a3117",
    }
    assert any("two products" in q.render("en") for q in answer.questions)


def test_check_digits():
    assert gtin_valid("4571411204692")
    assert not gtin_valid("4571411204693")
    assert gtin("04571411204692") == gtin("4571411204692")


# -- look-alikes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("AI263", "A1263"),
        ("A1Z63", "A1263"),
        ("Al263", "A1263"),
        ("A12G3", "A1263"),
        ("A1253", "A1263"),
        ("8I-841", "BI-B41"),
        ("BI-B4I", "BI-B41"),
        ("ZG505B", "2G505B"),
        ("CHE-122", "CHE-112"),
        ("BPB2002", "BPB002"),
        ("А1263", "A1263"),  # Cyrillic А
        ("Α1263", "A1263"),  # Greek Α
        ("0M10", "OM10"),
    ],
)
def test_lookalikes_are_asked_and_never_applied(ask, typed, meant):
    answer = ask(typed)
    assert answer.status in (RecallStatus.NOT_LISTED, RecallStatus.BRAND_HINT)
    assert any(meant in q.render("en") for q in answer.questions), answer.questions
    assert any(meant in q.render("ja") for q in answer.questions)


def test_a_recognised_number_raises_no_lookalike_question(ask):
    assert not any("looks like" in q.render("en") for q in ask("A1263").questions)


def test_lookalikes_cost_little_on_a_long_label(lists):
    tokens = [f"AB{i:05d}" for i in range(5000)]
    assert len(similar(tokens, lists)) <= 40


# -- the 28 notices of the US whose official text was read -------------------------------------------

CPSC = [n for n in BUNDLED["notices"] if n["id"].startswith("us-cpsc-") and "title" in n]


def test_there_are_28_of_them():
    assert len(CPSC) == 28
    assert all(n["confidence"] == "official-quoted" for n in CPSC)


@pytest.mark.parametrize("raw", CPSC, ids=lambda n: n["id"])
def test_an_official_notice_is_matched_from_its_own_title(ask, raw):
    answer = ask(raw["title"])
    assert raw["id"] in {m.notice.id for m in answer.matches}
    assert answer.exit_code in (3, 4)


@pytest.mark.parametrize("raw", CPSC, ids=lambda n: n["id"])
def test_an_official_notice_is_matched_from_its_product_name_and_numbers(ask, raw):
    answer = ask(raw["product_name"], brand=raw["brand"])
    assert raw["id"] in {m.notice.id for m in answer.matches}
    for model in raw["model_numbers"]:
        assert raw["id"] in {m.notice.id for m in ask(model).matches}


def test_the_real_rows_of_the_site_export(ask):
    """25 official rows; 24 are ours, one is a baby bath seat whose maker's name holds "anker"."""
    path = shared("recall", "samples", "from_fetch", "cpsc_site_export_powerbanks.csv")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 25
    missed = []
    for row in rows:
        found = {m.notice.number for m in ask(row["Recall Heading"]).matches}
        whole = ask(f"{row['Name of product']}\n{row['Description']}")
        found |= {m.notice.number for m in whole.matches}
        if "Trankerloop" in row["Recall Heading"]:
            assert found == set()
        elif row["Recall Number"] not in found:
            missed.append(row["Recall Number"])
    assert missed == []


def test_the_api_records_of_the_samples_are_matched_from_their_titles(ask):
    for record in samples("cpsc_api_powerbanks_shortened.json"):
        number = f"{record['RecallNumber'][:2]}-{record['RecallNumber'][2:]}"
        assert number in {m.notice.number for m in ask(record["Title"]).matches}


def test_the_entry_of_october_2025_is_matched_whole(ask):
    text = shared("recall", "samples", "caa_2025-10-21_anker_notice.txt").read_text(
        encoding="utf-8"
    )
    found = {m.notice.id for m in ask(text).matches if m.status is RecallStatus.CHECK_SERIAL}
    assert {
        "jp-2025-10-21-anker-a1263",
        "jp-2025-10-21-soundcore-a3117",
        "jp-2025-10-21-powerconf-a3305",
        "jp-2025-10-21-motionx600-a3130",
    } <= found


# -- every code of the list, in the ways it is written ----------------------------------------------

CODES = sorted({(n["id"], m) for n in BUNDLED["notices"] for m in n["model_numbers"]})
WAYS = {
    "lower": str.lower,
    "wide": lambda m: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in m),
    "labelled": lambda m: f"型番：{m}",
    "in a sentence": lambda m: f"Model: {m}, 3.7V 10000mAh 37Wh",
    "no hyphen": lambda m: m.replace("-", ""),
    "with serial": lambda m: f"{m} SN:AKFF1Y0E4830ABCD",
}


@pytest.mark.parametrize("way", WAYS)
def test_every_code_in_every_way(ask, way):
    missed = [
        (key, WAYS[way](m))
        for key, m in CODES
        if key not in {x.notice.id for x in ask(WAYS[way](m)).matches}
    ]
    assert missed == []


def test_brands_inside_other_words_are_no_brands(ask):
    assert ask("Trankerloop baby seat").matches == ()
    assert ask("Anker powerline cable").status is RecallStatus.BRAND_HINT


def test_compact_is_the_form_codes_are_compared_in():
    assert compact("IST-09991/W05") == "IST09991W05"


def test_every_product_code_and_barcode_of_the_list_leads_to_its_notice(ask):
    """What a barcode scanner types: product code, SKU, JAN, UPC, with or without a leading zero."""
    missed = []
    for raw in BUNDLED["notices"]:
        codes = [*raw.get("model_variants", ()), *raw.get("spellings", {}), *raw.get("gtins", ())]
        codes += [f"0{g}" for g in raw.get("gtins", ())]
        for code in codes:
            named = [m for m in ask(code).matches if m.status >= RecallStatus.CHECK_SERIAL]
            if raw["id"] not in {m.notice.id for m in named}:
                missed.append((raw["id"], code))
    assert missed == []
