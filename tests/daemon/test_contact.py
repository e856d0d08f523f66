"""First contact with a meter: place, temperature and direction are told and asked, in both languages."""

from __future__ import annotations

import time
from dataclasses import replace

from denchi.daemon.contact import AT_INPUT, first_contact
from denchi.drivers import registry


def test_an_unsigned_meter_without_a_probe_tells_and_asks():
    found = first_contact(registry.get("fnb58"), frozenset({"meter"}), "output", 5)
    assert [f.code for f in found] == ["meter_contact", "meter_direction"]
    assert all(f.severity.word == "info" and f.family == "data" for f in found)
    assert "not measured" in found[0].advice.render("en")
    assert "測定していません" in found[0].advice.render("ja")
    assert found[1].question == AT_INPUT


def test_a_signed_meter_and_a_known_place_are_not_asked():
    assert [f.code for f in first_contact(registry.get("km003c"), frozenset(), "output", 5)] == [
        "meter_contact"
    ]
    found = first_contact(registry.get("fnb58"), frozenset({"case"}), "input", 5)
    assert [f.code for f in found] == ["meter_contact"]
    assert "is measured here" in found[0].advice.render("en")


def test_yes_turns_the_current_into_the_unit(daemon):
    one = daemon("--bench", "demo=emulated:fnb58?scenario=healthy")
    client = one.up()

    def bench(state):
        (found,) = state["benches"]
        return found if found["link"]["state"] == "streaming" and found["energy"] else None

    before = one.wait_for(bench)
    asked = [f for f in before["findings"] if f["question"] == AT_INPUT]
    assert len(asked) == 1
    client.post("/v1/benches/demo/answers", {AT_INPUT: True})
    time.sleep(0.5)
    after = one.wait_for(lambda s: (b := bench(s)) and b["energy"]["wh_in"] > 0.001 and b)
    assert after["session"]["id"] != before["session"]["id"]
    assert after["energy"]["wh_out"] == 0
    assert after["live"]["channels"]["ibus_ua"]["value"] < -0.5
    assert not [f for f in after["findings"] if f["question"] == AT_INPUT]


def test_its_notes_come_in_the_language_of_the_sentence():
    (contact, *_rest) = first_contact(registry.get("km003c"), frozenset(), "output", 5)
    english, japanese = contact.advice.render("en"), contact.advice.render("ja")
    assert english.endswith("Only one program at a time can hold its interface.")
    assert japanese.endswith("プログラムは同時に一つだけです。")
    assert "Positive current" not in japanese


def test_a_third_party_s_braces_are_no_template():
    spec = replace(registry.get("km003c"), notes=("set {x} to }{",))
    (contact, *_rest) = first_contact(spec, frozenset(), "output", 5)
    assert contact.advice.render("ja").endswith("set {x} to }{")
