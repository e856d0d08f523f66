"""When a list changes: known units are asked about again, and one that became affected raises a finding."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from denchi.daemon.known_units import known_units, newly_listed
from denchi.i18n import Text
from denchi.model import Finding, RecallStatus, Session, Severity, Unit
from denchi.recalls.answer import check
from denchi.recalls.lists import load
from denchi.recalls.recheck import finding_for, recheck, status_told, unit_label
from denchi.recalls.update import add_overlay
from denchi.store.journal import Journal
from denchi.store.rows import unit_key
from recalls.conftest import TODAY, notice, recall_lists

T0 = 1_790_000_000_000_000_000
EX = Unit(brand="Examplebrand", model="EX-1000", serial="SERIAL00012345")
OTHER = Unit(brand="Examplebrand", model="EX-7777", serial="SERIAL99999999")
NONE, HINT = RecallStatus.NOT_LISTED, RecallStatus.BRAND_HINT
CHECK, AFFECTED = RecallStatus.CHECK_SERIAL, RecallStatus.AFFECTED


# -- the pure half -----------------------------------------------------------------------------------


def test_only_units_that_became_listed_are_named():
    lists = recall_lists(notice())
    changed = recheck([(EX, NONE), (OTHER, NONE)], lists, today=TODAY)
    assert [(u.model, a.status) for u, a in changed] == [("EX-1000", CHECK)]


@pytest.mark.parametrize(
    ("told", "now", "raised"),
    [
        (NONE, "manufacturer-serial-check", True),
        (HINT, "manufacturer-serial-check", True),
        (CHECK, "manufacturer-serial-check", False),
        (AFFECTED, "manufacturer-serial-check", False),
        (NONE, "all-units-of-model", True),
        (CHECK, "all-units-of-model", True),  # the notice was widened
        (AFFECTED, "all-units-of-model", False),
    ],
)
def test_a_unit_is_told_of_once_a_seriousness(told, now, raised):
    changed = recheck([(EX, told)], recall_lists(notice(unit_scope=now)), today=TODAY)
    assert bool(changed) is raised


def test_a_brand_on_a_list_raises_nothing():
    lists = recall_lists(notice(model_numbers=[], unit_scope="unknown"))
    assert recheck([(EX, NONE)], lists, today=TODAY) == []


@pytest.mark.parametrize(
    ("status", "severity"),
    [(AFFECTED, Severity.DANGER), (CHECK, Severity.CAUTION), (HINT, Severity.INFO)],
)
def test_the_finding_of_an_answer(status, severity):
    raw = {
        AFFECTED: notice(unit_scope="all-units-of-model", form_url="https://example.invalid/form"),
        CHECK: notice(form_url="https://example.invalid/form"),
        HINT: notice(model_numbers=[], form_url="https://example.invalid/form"),
    }[status]
    answer = check(EX, recall_lists(raw), today=TODAY)
    finding = finding_for(answer, T0)
    assert isinstance(finding, Finding)
    assert (finding.code, finding.family) == (f"recall_{status.word}", "recall")
    assert finding.severity is severity
    assert finding.t_ns == finding.onset_ns == T0
    assert "xx-example-1" in finding.source
    assert "2026-11-01" in finding.source
    for text in (finding.message, finding.advice):
        assert isinstance(text, Text)
        assert text.render("ja") != text.render("en")
    assert "https://example.invalid/form" in finding.advice.render("en")
    assert status_told(finding.code) is status


def test_nothing_listed_raises_nothing():
    unit = Unit(brand="Otherbrand", model="ZZ-1")
    assert finding_for(check(unit, recall_lists(notice()), today=TODAY), T0) is None
    assert status_told("over_temperature") is NONE
    assert status_told("recall_nonsense") is NONE


def test_a_unit_of_the_records_is_named_without_its_serial():
    answer = check(EX, recall_lists(notice(unit_scope="all-units-of-model")), today=TODAY)
    finding = finding_for(answer, T0, unit=EX)
    assert finding is not None
    for lang in ("en", "ja"):
        said = finding.message.render(lang)
        assert "EX-1000" in said
        assert "…2345" in said
        assert "SERIAL0001" not in said
    assert unit_label(EX) == "Examplebrand EX-1000 …2345"
    assert unit_label(Unit()) == "?"


# -- with the journal ---------------------------------------------------------------------------------


@pytest.fixture
def journal(tmp_path):
    with Journal.open(tmp_path) as opened:
        yield opened


def seen(journal, unit, name, origin="meter", started=T0):
    journal.begin_session(Session(name, origin, started, bench="b1", meter="fnb58", unit=unit))
    journal.put_unit(unit, started)


def told(journal, lists, **more):
    assert journal.flush()
    with closing(journal.reader()) as reader:
        return list(newly_listed(reader, lists, T0 + 5, TODAY, **more))


def test_a_unit_that_became_affected_is_told_once_in_its_last_session(journal, tmp_path):
    seen(journal, EX, "s1")
    seen(journal, EX, "s2", started=T0 + 1)
    seen(journal, OTHER, "s3")
    assert told(journal, load(tmp_path)) == []
    add_overlay(tmp_path, [notice(unit_scope="all-units-of-model")], TODAY)
    (found,) = told(journal, load(tmp_path))
    assert found.known.session_id == "s2"
    assert found.finding.severity is Severity.DANGER
    journal.add_finding(found.known.session_id, found.finding)
    assert told(journal, load(tmp_path)) == [], "what stands in the journal is not told again"


def test_what_a_bench_told_counts(journal, tmp_path):
    seen(journal, EX, "s1")
    add_overlay(tmp_path, [notice()], TODAY)
    lists = load(tmp_path)
    finding = finding_for(check(EX, lists, today=TODAY), T0)
    assert finding is not None
    journal.add_finding("s1", finding)
    assert told(journal, lists) == []
    add_overlay(tmp_path, [notice(unit_scope="all-units-of-model")], TODAY)
    (found,) = told(journal, load(tmp_path))
    assert found.finding.code == "recall_affected"


def test_a_unit_on_a_bench_is_asked_there(journal, tmp_path):
    seen(journal, EX, "s1")
    add_overlay(tmp_path, [notice()], TODAY)
    assert told(journal, load(tmp_path), on_bench={unit_key(EX)}) == []


def test_simulated_sessions_raise_nothing(journal, tmp_path):
    seen(journal, EX, "s1", origin="simulated")
    add_overlay(tmp_path, [notice()], TODAY)
    assert told(journal, load(tmp_path)) == []


def test_another_unit_of_the_model_is_another_unit(journal):
    seen(journal, EX, "s1")
    near = Unit(brand="Examplebrand", model="EX-1000", serial="SERIAL000123456")
    seen(journal, near, "s2")
    assert journal.flush()
    with closing(journal.reader()) as reader:
        assert {k.session_id: k.unit.serial for k in known_units(reader, ())} == {
            "s1": EX.serial,
            "s2": near.serial,
        }


# -- the daemon ------------------------------------------------------------------------------------------


def test_the_supervisor_tells_hub_journal_and_alarms(journal, tmp_path):
    """A list that changes while the daemon runs, and one that changed while it was down."""
    from denchi.config import Settings
    from denchi.daemon.supervisor import Supervisor

    seen(journal, EX, "s1")
    add_overlay(tmp_path, [notice(id="old", model_numbers=["EX-5"])], TODAY)
    daemon = Supervisor(Settings(), tmp_path, journal)
    lines, alarms = [], []
    daemon.hub.publish = lambda message: lines.append(message)

    class Alarms:
        def tell(self, bench, finding_id, finding):
            alarms.append((bench, finding_id, finding.code))

    daemon._alarms = Alarms()
    before = daemon._lists_stamp()
    daemon.reload_lists()
    assert lines == []
    add_overlay(tmp_path, [notice(unit_scope="all-units-of-model")], TODAY)
    assert daemon._lists_stamp() != before
    daemon.reload_lists()
    (line,) = lines
    assert (line["code"], line["family"], line["session"]) == ("recall_affected", "recall", "s1")
    assert "SERIAL0001" not in json.dumps(line)
    ((bench, id_, code),) = alarms
    assert (bench, code) == ("Examplebrand EX-1000 …2345", "recall_affected")
    assert journal.flush()
    with closing(journal.reader()) as reader:
        assert [f.id for f in reader.findings("s1")] == [id_]
    daemon.reload_lists()
    assert len(lines) == len(alarms) == 1


def test_a_temporary_file_beside_the_lists_is_no_change(tmp_path, journal):
    from denchi.config import Settings
    from denchi.daemon.supervisor import Supervisor

    daemon = Supervisor(Settings(), tmp_path, journal)
    before = daemon._lists_stamp()
    (tmp_path / "recalls").mkdir()
    (tmp_path / "recalls" / ".cpsc.json.abc").write_text("x")
    (tmp_path / "recalls" / "attempts.jsonl").write_text("x")
    assert daemon._lists_stamp() == before == frozenset()


def test_the_api_takes_symptoms_and_keeps_serials(tmp_path):
    from denchi.daemon.offline import OfflineClient

    client = OfflineClient(tmp_path)
    body = client.get(
        "/v1/recall", text="A1263", serial="AKFF1Y0E4830ABCD", symptom="swelling,heat"
    )
    assert body["symptom"] is True
    assert body["message"].startswith("You report a symptom")
    assert "AKFF1Y0E4830" not in json.dumps(body)
    assert client.get("/v1/recall", text="A1263")["symptom"] is False
