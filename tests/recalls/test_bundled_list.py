"""The bundled list: its schema, its completeness against the research page, its inner agreement."""

from __future__ import annotations

import copy
import json

import jsonschema
import pytest

from denchi.recalls.inspection import checked
from denchi.recalls.lists import DATA, RecallLists, load, parse_list
from denchi.recalls.normalise import compact, gtin_valid
from denchi.recalls.notice import web_link
from recalls.conftest import BUNDLED
from support import ROOT, shared

NOTICES = BUNDLED["notices"]
SCHEMA = json.loads((DATA / "schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
IDS = [n["id"] for n in NOTICES]


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_bundled_list_keeps_the_schema():
    assert [
        f"{'/'.join(map(str, e.path))}: {e.message}" for e in VALIDATOR.iter_errors(BUNDLED)
    ] == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("unit_scope", "all"),
        ("confidence", "sure"),
        ("jurisdiction", "Japan"),
        ("notice_date", "21/10/2025"),
        ("official_url", "hhttps://www.cpsc.gov/x"),
        ("official_url", "javascript:alert(1)"),
        ("model_numbers", "A1263"),
        ("sources", []),
        ("colours_affected", [""]),
        ("rule", {"kind": "prefix"}),
        ("rule", {"kind": "date-code", "values": {"*": ["0123"]}}),
        ("rule", {"kind": "prefix", "values": {"*": [" "]}}),
        ("modle_numbers", ["A1263"]),
    ],
)
def test_the_schema_refuses_a_slip(key, value):
    bad = copy.deepcopy(BUNDLED)
    bad["notices"][20][key] = value
    assert not VALIDATOR.is_valid(bad)


@pytest.mark.parametrize("raw", NOTICES, ids=IDS)
def test_the_check_for_outside_records_takes_a_bundled_notice_without_loss(raw):
    kept = checked(raw, "bundled")
    assert {k: v for k, v in raw.items() if k != "rule" and k != "sources"} == {
        k: v for k, v in kept.items() if k != "rule" and k != "sources"
    }
    if "rule" in raw:
        assert {k: v for k, v in kept["rule"].items() if v != [] and v != {}} == raw["rule"]


def test_ids_are_unique_and_superseded_ids_exist():
    assert len(set(IDS)) == len(IDS)
    for raw in NOTICES:
        assert set(raw.get("supersedes", ())) <= set(IDS)


@pytest.mark.parametrize("raw", NOTICES, ids=IDS)
def test_what_a_notice_names_agrees_with_itself(raw):
    models = set(raw["model_numbers"])
    assert set(raw.get("names", {})) <= models
    assert set(raw.get("spellings", {}).values()) <= models
    assert set(raw.get("misprints", {}).values()) <= models
    assert not {compact(m) for m in raw.get("not_models", ())} & {compact(m) for m in models}
    assert all(gtin_valid(g) for g in raw.get("gtins", ())), "a barcode's check digit is wrong"
    assert not set(raw.get("gtins", ())) & set(raw.get("gtins_doubtful", ()))
    for url in (raw.get("official_url"), raw.get("form_url"), *raw.get("other_urls", ())):
        assert url is None or web_link(url) == url
    rule = raw.get("rule")
    if rule is not None:
        assert set(rule.get("values", {})) - {"*"} <= models
        assert set(rule.get("all_of", ())) <= models
    if raw["unit_scope"] == "all-units-of-model":
        assert models, "all units of no model"
    if not models:
        assert raw["unit_scope"] in ("unknown", "lot-list", "manufacturer-serial-check")


def test_official_words_are_claimed_only_where_an_official_text_was_read():
    for raw in NOTICES:
        kinds = {s["kind"] for s in raw["sources"]}
        official = any("official" in k for k in kinds)
        assert (raw["confidence"] == "official-quoted") <= official, raw["id"]
        assert raw["confidence"] != "from-memory", "nothing stands on memory alone"


def test_a_barcode_is_never_listed_for_two_products():
    owners: dict[str, set[str]] = {}
    for raw in NOTICES:
        for code in raw.get("gtins", ()):
            owners.setdefault(code, set()).update(raw["model_numbers"][:1])
    assert {c: o for c, o in owners.items() if len(o) > 1} == {}


def test_the_bundled_list_loads_by_the_strict_door_too():
    found = parse_list((DATA / "notices.json").read_bytes(), "notices.json")
    assert len(found.notices) == len(NOTICES)
    assert len(load(None)) == len(NOTICES)


# -- against the research page (read there, never copied) -----------------------------------------

CHANGED_ON_PURPOSE = {
    # the site export glues table cells: "EverFrost 30" + A17A0 + "33 Liter" = 30A17A033
    ("us-cpsc-24-146", "model_numbers"),
    # PPXCW06 is a spelling of PPCXW06 that the notice itself gives, not a third model
    ("us-cpsc-24-287", "model_numbers"),
    # PS-1000 and the SKUs stand in the notice's table
    ("us-cpsc-24-350", "model_numbers"),
    ("us-cpsc-24-350", "model_variants"),
    ("us-cpsc-24-350", "gtins"),
    # one barcode is printed for two products in the copy read
    ("jp-2025-10-21-anker-a1263", "gtins"),
    ("jp-2025-10-21-soundcore-a3117", "gtins"),
    # colours that belong to one of several models stand in colours_text
    ("us-cpsc-25-056", "colours_affected"),
    ("us-cpsc-26-090", "colours_affected"),
}


def _plain(value):
    if isinstance(value, dict):
        value = {k: v for k, v in value.items() if v is not None}
    return value or None


@pytest.fixture(scope="module")
def researched():
    page = json.loads(shared("recall", "recalls.json").read_text(encoding="utf-8"))
    return {n["id"]: n for n in page["recalls"]}


def test_every_notice_of_the_research_page_is_bundled(researched):
    assert len(researched) == 81
    assert set(researched) <= set(IDS)


def test_every_field_of_the_research_page_is_kept(researched):
    ours = {n["id"]: n for n in NOTICES}
    differing = {
        (key, field)
        for key, raw in researched.items()
        for field, value in raw.items()
        if field not in ("sources", "notes", "serial_rule", "other_urls")
        and _plain(value) != _plain(ours[key].get(field))
    }
    assert differing - CHANGED_ON_PURPOSE == set()


def test_every_source_of_the_research_page_is_kept(researched):
    ours = {n["id"]: {s["ref"] for s in n["sources"]} for n in NOTICES}
    lost = {
        key: refs
        for key, raw in researched.items()
        if (refs := {s["ref"] for s in raw["sources"]} - ours[key])
    }
    assert lost == {}


def test_every_model_and_barcode_of_the_research_page_leads_to_its_notice(researched, ask):
    missed = []
    for key, raw in researched.items():
        for code in (*raw["model_numbers"], *raw["model_variants"], *raw["gtins"]):
            answer = ask(code)
            if key not in {m.notice.id for m in answer.matches}:
                missed.append((key, code))
    assert missed == []


def test_no_list_can_hide_a_notice_of_another():
    file = parse_list((DATA / "notices.json").read_bytes(), "notices.json")
    weaker = file._replace(
        name="other", notices=[{**n, "unit_scope": "unknown"} for n in file.notices]
    )
    both = RecallLists([file, weaker])
    assert len(both) == 2 * len(NOTICES)
    assert both.newest == file.dated


def test_the_page_of_the_recall_check_gives_the_list_s_own_figures():
    page = (ROOT / "docs" / "recalls.md").read_text(encoding="utf-8")
    quoted = sum(n["confidence"] == "official-quoted" for n in NOTICES)
    assert f"{len(NOTICES)} notices" in page
    assert f"{quoted} from the authority's own words, {len(NOTICES) - quoted} from news" in page
    for place in {n["jurisdiction"] for n in NOTICES} - {"WW"}:
        assert place in page
