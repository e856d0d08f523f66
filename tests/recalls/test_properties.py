"""Mutations and garbage: nothing beside the number can turn a hit into a miss; hostile text breaks nothing."""

from __future__ import annotations

import json
import string
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from denchi.errors import DenchiError
from denchi.model import RecallStatus, Unit
from denchi.recalls import serials
from denchi.recalls.answer import check
from denchi.recalls.extract import draft_entries, models_in_prose, split_models
from denchi.recalls.inspection import checked
from denchi.recalls.lists import load, parse_list
from denchi.recalls.matching import _codes
from denchi.recalls.normalise import normalised
from denchi.recalls.plain import answer_lines
from denchi.recalls.sources import cpsc, health_canada, safety_gate
from denchi.recalls.table import read_units
from recalls.conftest import BUNDLED, TODAY

LISTS = load(None)
MODELS = sorted({m for n in BUNDLED["notices"] for m in n["model_numbers"]})
SETTINGS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)

colours = st.one_of(
    st.sampled_from(
        ["white", "白", "ホワイト", "black", "green", "pink", "pearl WHITE", "red/blue"]
    ),
    st.text(max_size=30),
)
bought = st.one_of(
    st.sampled_from(["1999-01", "2016-06", "2022年12月", "2025-10-21", "2099-12", "2024", "soon"]),
    st.text(max_size=12),
)
countries = st.one_of(st.sampled_from(["JP", "US", "日本", "DE", "??"]), st.text(max_size=12))
brands = st.one_of(
    st.sampled_from(["Anker", "LINEヤフー", "Sony", "Belkin", "UGREEN", "川崎市"]),
    st.text(max_size=20),
)
figures = st.one_of(st.none(), st.floats(0.1, 1e6, allow_nan=False))


def fields(model):
    return st.fixed_dictionaries(
        {
            "model": model,
            "colour": colours,
            "bought": bought,
            "country": countries,
            "brand": brands,
            "rated_mah": figures,
            "rated_wh": figures,
            "max_w": figures,
        }
    )


PLAIN = {m: check(Unit(model=m), LISTS, today=TODAY) for m in MODELS}


@given(fields(st.sampled_from(MODELS)))
@SETTINGS
def test_no_colour_date_country_brand_or_figure_turns_a_hit_into_a_miss(given_fields):
    plain = PLAIN[given_fields["model"]]
    beside = check(Unit(**given_fields), LISTS, today=TODAY)
    assert beside.status >= plain.status
    assert {m.notice.id for m in plain.matches} <= {m.notice.id for m in beside.matches}
    before = {m.notice.id: m.status for m in plain.matches}
    for match in beside.matches:
        assert match.status >= before.get(match.notice.id, RecallStatus.NOT_LISTED)


@given(st.sampled_from(MODELS), st.text(max_size=40))
@SETTINGS
def test_no_serial_turns_a_hit_into_a_miss(model, serial):
    beside = check(Unit(model=model, serial=serial), LISTS, today=TODAY)
    assert beside.status >= PLAIN[model].status
    assert {m.notice.id for m in PLAIN[model].matches} <= {m.notice.id for m in beside.matches}


@given(st.sampled_from(MODELS), st.text(max_size=200), st.text(max_size=200))
@SETTINGS
def test_no_text_on_the_other_lines_hides_a_number(model, above, below):
    beside = check(Unit(), LISTS, text=f"{above}\n{model}\n{below}", today=TODAY)
    assert beside.status >= PLAIN[model].status
    assert {m.notice.id for m in PLAIN[model].matches} <= {m.notice.id for m in beside.matches}


@given(st.sampled_from(MODELS), st.lists(st.sampled_from(MODELS), max_size=4))
@SETTINGS
def test_further_numbers_only_add(model, others):
    both = check(Unit(), LISTS, text=" / ".join([*others, model]), today=TODAY)
    assert both.status >= PLAIN[model].status
    assert {m.notice.id for m in PLAIN[model].matches} <= {m.notice.id for m in both.matches}


@pytest.mark.parametrize(
    "key",
    [
        "colours_affected",
        "colours_excluded",
        "sale_period",
        "capacity_mah",
        "max_output_w",
        "category",
    ],
)
def test_mutating_a_notice_s_side_facts_changes_no_status(key):
    """Mutation of the list instead of the question: any colour, date or figure, the status stays."""
    file = LISTS.files[0]
    other = {
        "colours_affected": ["black"],
        "colours_excluded": ["white", "green", "red"],
        "sale_period": {"from": "1990-01", "to": "1990-02"},
        "capacity_mah": 1,
        "max_output_w": 1,
        "category": "speaker",
    }[key]
    mutated = type(LISTS)([file._replace(notices=[{**n, key: other} for n in file.notices])])
    for model in MODELS:
        asked = check(
            Unit(model=model, colour="white", bought="2024-01", rated_mah=10000.0, max_w=30.0),
            mutated,
            today=TODAY,
        )
        assert asked.status is PLAIN[model].status
        assert {m.notice.id for m in asked.matches} == {m.notice.id for m in PLAIN[model].matches}


@given(st.sampled_from([n for n in BUNDLED["notices"] if n.get("rule")]), st.text(max_size=30))
@SETTINGS
def test_a_printed_rule_only_ever_raises(raw, serial):
    model = raw["model_numbers"][0]
    marks = serials.marks(serial, [normalised(serial)], [])
    said = serials.says(raw["rule"], [model], marks)
    answer = check(Unit(model=model, serial=serial), LISTS, today=TODAY)
    match = next(m for m in answer.matches if m.notice.id == raw["id"])
    assert match.status >= RecallStatus.CHECK_SERIAL
    if said is serials.Says.YES:
        assert match.status is RecallStatus.AFFECTED


# -- garbage in the matcher --------------------------------------------------------------------------

hostile = st.one_of(
    st.text(max_size=400),
    st.text(alphabet=string.ascii_uppercase + string.digits + "-/_. \n:#", max_size=400),
    st.text(alphabet="A1263BS-30KP5SN:型番ー−／ \u200b\u202e\x00\x1b[31m", max_size=200),
    st.binary(max_size=200).map(lambda b: b.decode("utf-8", "surrogateescape")),
)


@given(hostile, hostile, hostile, hostile)
@SETTINGS
def test_the_matcher_takes_any_text(text, model, brand, serial):
    unit = Unit(model=model, brand=brand, serial=serial, colour=text, bought=serial, country=brand)
    answer = check(unit, LISTS, text=text, today=TODAY)
    shown = "\n".join(answer_lines(answer))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    answer.to_json("ja")


@pytest.mark.parametrize(
    "text",
    [
        "A" * 200_000,
        "A-" * 100_000,
        "A1 " * 60_000,
        "SN:" * 60_000,
        "1" * 200_000,
        "(" * 100_000,
        "SN " + "A-1" * 60_000,
        "MODEL" * 40_000 + ":",
        "製造年月日" + " " * 100_000,
        "ﾊﾞ" * 100_000,
        "{" * 1000 + "}" * 1000,
        "%s%n{0}{notices}",
    ],
    ids=lambda t: f"{t[:8]!r}x{len(t)}",
)
def test_long_and_odd_texts_come_to_an_end(text):
    """A pattern that backtracks or a square cost would take minutes here."""
    answer = check(Unit(model=text, serial=text), LISTS, text=text, today=TODAY)
    assert answer.status in (RecallStatus.NOT_LISTED, RecallStatus.BRAND_HINT)
    assert len(answer.query) <= 300
    assert len(json.dumps(answer.to_json())) < 200_000


@pytest.mark.parametrize("unit", ["A-", "A1 ", "A/1-", "X" * 30 + " "])
def test_the_codes_of_a_label_grow_with_its_length_only(unit):
    def weight(times):
        codes = [c for _, own, broken in _codes(unit * times) for c in (*own, *broken)]
        return sum(map(len, codes))

    assert weight(2000) <= 2.2 * weight(1000)


# -- garbage in the readers of feeds and files ---------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
CPSC_KEYS = "RecallNumber RecallDate Title Description URL Products Hazards RemedyOptions ProductUPCs Retailers"


def records(keys, good):
    return st.fixed_dictionaries(
        {}, optional={k: json_values | st.just(good[k]) for k in keys if k in good}
    )


CPSC_GOOD = {
    "RecallNumber": "26999",
    "RecallDate": "2026-10-01T00:00:00",
    "Title": "SYNTHETIC Examplebrand Power Banks Recalled",
    "Description": "model number EX-1000",
    "URL": "https://example.invalid/x",
    "Products": [{"Name": "Examplebrand power banks", "NumberOfUnits": "About 5"}],
    "Hazards": [{"Name": "fire"}],
    "RemedyOptions": [{"Option": "Refund"}],
    "ProductUPCs": [{"UPC": "4571411204692"}],
    "Retailers": [{"Name": "from June 2016 through December 2022"}],
}
HC_GOOD = {
    "NID": "1",
    "Title": "SYNTHETIC power bank EX-1000",
    "URL": "https://example.invalid/x",
    "Product": "Example power bank",
    "Issue": "Fire",
    "What you should do": "Stop",
    "Last updated": "2026-10-01",
}


@given(st.lists(records(CPSC_KEYS.split(), CPSC_GOOD), max_size=5))
@SETTINGS
def test_cpsc_records_of_any_shape_give_sound_notices_or_a_refusal(rows):
    try:
        fetched = cpsc.parse(json.dumps(rows).encode(), date(2026, 9, 20), TODAY)
    except DenchiError:
        return
    for raw in fetched.notices:
        checked(raw, "cpsc")


@given(st.lists(records(HC_GOOD, HC_GOOD), max_size=5))
@SETTINGS
def test_health_canada_records_of_any_shape(rows):
    try:
        fetched = health_canada.parse(json.dumps(rows).encode())
    except DenchiError:
        return
    for raw in fetched.notices:
        checked(raw, "health-canada")


@given(st.binary(max_size=300) | json_values.map(lambda v: json.dumps(v).encode()))
@SETTINGS
def test_any_bytes_are_a_list_a_feed_or_a_refusal(body):
    for read in (
        lambda: parse_list(body, "x"),
        lambda: cpsc.parse(body, date(2026, 9, 20), TODAY),
        lambda: health_canada.parse(body),
        lambda: safety_gate.parse_report(body),
        lambda: safety_gate.parse_index(body),
        lambda: read_units(body, "x.csv"),
    ):
        try:
            read()
        except DenchiError:
            continue


@given(st.dictionaries(st.sampled_from([*BUNDLED["notices"][20], "names", "rule"]), json_values))
@SETTINGS
def test_overlay_notices_of_any_shape_are_taken_or_refused_by_name(raw):
    base = {"id": "x-1", "jurisdiction": "XX", "regulator": "R", "brand": "B", "product_name": "P"}
    try:
        kept = checked({**base, "unit_scope": "unknown", **raw}, "entry 1")
    except DenchiError as error:
        assert "entry 1" in str(error)
        return
    lists = type(LISTS)([LISTS.files[0]._replace(name="o", notices=[kept])])
    answer_lines(check(Unit(model="A1263", brand="B"), lists, today=TODAY))


@given(hostile, st.lists(hostile, max_size=3))
@SETTINGS
def test_extraction_takes_any_prose(text, many):
    models_in_prose(text, *many)
    split_models(text)
    try:
        entries = draft_entries(text, jurisdiction="JP", regulator="CAA", brand="Examplebrand")
    except DenchiError:
        return
    for entry in entries:
        checked(entry, "draft")


@pytest.mark.parametrize(
    "text",
    [
        "MODEL " * 30_000,
        "A1642, " * 30_000,
        "型番:" * 30_000,
        "(" * 60_000,
        "JANUARY 2020 " * 9000,
        "<" * 60_000,
    ],
    ids=lambda t: t[:8],
)
def test_long_prose_comes_to_an_end(text):
    assert len(models_in_prose(text)) <= 60
    assert len(split_models(text)) <= 60
