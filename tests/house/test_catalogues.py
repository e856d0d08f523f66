"""The message catalogues: compiled ones are current, translations keep their figures."""

from __future__ import annotations

import string

import pytest
from babel.messages.pofile import read_po

from denchi.daemon.lines import notes_of
from denchi.drivers import registry
from house.compile_catalogues import LOCALE, compiled

CATALOGUES = sorted(LOCALE.glob("*/LC_MESSAGES/*.po"))


@pytest.mark.parametrize("po", CATALOGUES, ids=lambda p: f"{p.parts[-3]}-{p.stem}")
def test_compiled_catalogue_is_current(po):
    mo = po.with_suffix(".mo")
    assert mo.exists(), f"{mo.name} is missing: make locale"
    assert mo.read_bytes() == compiled(po), f"{mo.name} is older than {po.name}: make locale"


@pytest.mark.parametrize("po", CATALOGUES, ids=lambda p: f"{p.parts[-3]}-{p.stem}")
def test_translations_keep_their_parameters(po):
    with po.open("rb") as stream:
        catalogue = read_po(stream)

    def fields(text):
        return sorted(f for _, f, _, _ in string.Formatter().parse(text) if f)

    wrong = []
    for message in catalogue:
        if message.id and message.string and isinstance(message.id, str):
            try:
                same = set(fields(str(message.string))) <= set(fields(message.id))
            except ValueError:
                same = "{" not in message.id
            if not same:
                wrong.append(message.id)
    assert not wrong


def test_every_note_on_a_meter_is_said_in_japanese():
    for spec in registry.specs().values():
        for note in notes_of(spec):
            assert note.render("ja") != note.render("en"), f"{spec.key}: {note}"
