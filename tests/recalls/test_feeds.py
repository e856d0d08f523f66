"""Feeds over a local HTTP server: good synthetic records, and each guard's bad case.

Every record here is invented ("Examplebrand", example.invalid); shapes and quirks are those of the
research page on sources.
"""

from __future__ import annotations

import gzip
import json
from datetime import date

import pytest
from werkzeug import Response

from denchi.errors import InputError
from denchi.model import RecallStatus, Unit
from denchi.recalls.answer import check
from denchi.recalls.lists import load
from denchi.recalls.sources import cpsc, health_canada, safety_gate
from denchi.recalls.sources.base import FeedRefused, RecallSource
from denchi.recalls.sources.cpsc import CpscSource
from denchi.recalls.sources.fetch import Fetcher, allowed, same_place
from denchi.recalls.sources.health_canada import HealthCanadaSource
from denchi.recalls.sources.overlay import OverlaySource
from denchi.recalls.sources.safety_gate import SafetyGateSource
from denchi.recalls.update import chosen_sources, list_path, registered, status, update
from recalls.conftest import TODAY, notice
from support import shared

DAY = date(2026, 11, 20)


def cpsc_record(number="26901", day="2026-11-05", **over):
    record = {
        "RecallID": 1,
        "RecallNumber": number,
        "RecallDate": day,
        "Title": "SYNTHETIC Examplebrand Power Banks Recalled Due to Fire Hazard",
        "Description": "This recall involves Examplebrand power banks with model numbers EX-1000 and EX-1001.",
        "URL": "https://www.cpsc.gov/Recalls/2026/example",
        "ConsumerContact": "",
        "LastPublishDate": day,
        "Products": [
            {
                "Name": "Examplebrand power banks",
                "Model": "",
                "NumberOfUnits": "About 1,200 (In addition, about 20 in Canada)",
            }
        ],
        "Inconjunctions": [],
        "Images": [],
        "Injuries": [],
        "Retailers": [{"Name": "Online from June 2016 through December 2022 for about $20"}],
        "ProductUPCs": [{"UPC": "628078800836"}],
        "Hazards": [{"Name": "can overheat"}],
        "RemedyOptions": [{"Option": "Refund"}],
        "SomethingNew": {"a": [1, 2]},
    }
    record.update(over)
    return {k: v for k, v in record.items() if v is not ...}


def hc_record(i=1, **over):
    return {
        "NID": str(i),
        "Title": f"SYNTHETIC Example Pack power bank model EX-{1000 + i} recalled due to fire hazard",
        "URL": "https://recalls-rappels.canada.ca/en/alert-recall/example",
        "Organization": "Health Canada",
        "Product": "Example Pack power bank",
        "Issue": "Fire hazard",
        "Category": "Electronics",
        "Recall class": "",
        "What you should do": "Stop using it.",
        "Archived": "0",
        "Last updated": "2026-11-01",
        **over,
    }


def sg_report(*alerts, day="20/11/2026", head='<?xml version="1.0" encoding="UTF-8"?>'):
    return f"{head}<Safety-Gate><report_date>{day}</report_date>{''.join(alerts)}</Safety-Gate>"


def sg_alert(case="SYNTHETIC/00001/26", **over):
    fields = {
        "caseNumber": case,
        "reference": "<![CDATA[https://ec.europa.eu/safety-gate-alerts/alert/1,]]>",
        "category": "Electrical appliances",
        "product": "Power bank",
        "brand": "Examplebrand",
        "name": "Example Pack 10000",
        "type_numberOfModel": "EX-1000; EX1000B, Unknown",
        "batchNumber": "Unknown",
        "barcode": "Unknown",
        "riskType": "Fire",
        "danger": "null The battery can overheat.&lt;br/&gt;",
        "notifyingCountry": "Exampleland",
        **over,
    }
    return (
        "<notifications>"
        + "".join(f"<{k}>{v}</{k}>" for k, v in fields.items())
        + "</notifications>"
    )


def sg_index(*rows):
    return (
        '<?xml version="1.0"?><Safety-Gate>'
        + "".join(
            f"<weeklyReport><reference>{r}</reference><publicationDate>{d}</publicationDate><URL>{u}</URL></weeklyReport>"
            for r, d, u in rows
        )
        + "</Safety-Gate>"
    )


@pytest.fixture
def recalls_dir(tmp_path):
    return tmp_path / "data"


def in_turn(httpserver, path, *bodies):
    """Answer with the bodies one after the other, then with the last for ever."""
    waiting = list(bodies)

    def answer(_request):
        body = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return Response(body if isinstance(body, str | bytes) else json.dumps(body))

    httpserver.expect_request(path).respond_with_handler(answer)


def renew(data_dir, *sources, today=DAY, fetcher=None):
    return update(data_dir, list(sources), today=today, fetcher=fetcher)


def stored(data_dir, name):
    return json.loads(list_path(data_dir, name).read_text(encoding="utf-8"))


# -- good answers ----------------------------------------------------------------------------------


def test_cpsc_is_asked_and_read(httpserver, recalls_dir):
    asked = []

    def answer(request):
        asked.append(dict(request.args))
        return Response(
            json.dumps(
                [
                    cpsc_record(),
                    cpsc_record(
                        "26902",
                        "2026-11-06T00:00:00",
                        Title="Toy",
                        Description="",
                        Products=[{"Name": "Toy"}],
                    ),
                ]
            ),
            content_type="application/json",
        )

    httpserver.expect_request("/Recall").respond_with_handler(answer)
    source = CpscSource(url=httpserver.url_for("/Recall"))
    (report,) = renew(recalls_dir, source)
    assert report.fine, report.message
    assert asked == [{"format": "json", "RecallDateStart": "2016-01-01"}]
    (kept,) = stored(recalls_dir, "cpsc")["notices"]
    assert kept["id"] == "us-cpsc-26-901"
    assert kept["notice_date"] == "2026-11-05"
    assert kept["model_numbers"] == ["EX-1000", "EX-1001"]
    assert kept["units"] == 1200
    assert kept["sale_period"] == {"from": "2016-06", "to": "2022-12"}
    assert kept["gtins"] == ["628078800836"]
    assert kept["extracted_by"].startswith("machine:")
    assert "EX-1001" in kept["raw_text"], (
        "the raw text is kept, so that the extraction can be repeated"
    )
    renew(recalls_dir, source)
    assert asked[1]["RecallDateStart"] == "2026-07-23", "since the last fetch, with an overlap"


def test_a_fetched_notice_is_found_and_marked_as_machine_read(httpserver, recalls_dir):
    httpserver.expect_request("/Recall").respond_with_json([cpsc_record()])
    renew(recalls_dir, CpscSource(url=httpserver.url_for("/Recall")))
    answer = check(Unit(model="EX-1001"), load(recalls_dir), today=TODAY)
    assert answer.status is RecallStatus.CHECK_SERIAL
    assert answer.matches[0].to_json()["extracted_by"].startswith("machine")
    assert any("taken from prose by a program" in n.render("en") for n in answer.notes)
    assert answer.lists_dated == {"bundled": "2026-11-23", "cpsc": "2026-11-20"}


@pytest.mark.parametrize("day", ["2026-11-05", "2026-11-05T00:00:00", "2026-11-05T08:30:00Z"])
def test_both_forms_of_dates(day):
    fetched = cpsc.parse(json.dumps([cpsc_record(day=day)]).encode(), date(2026, 9, 1), DAY)
    assert fetched.notices[0]["notice_date"] == "2026-11-05"


def test_real_cpsc_records_of_the_samples():
    """One complete record and the shortened ones (without Description), US public domain."""
    folder = shared("recall", "samples")
    whole = json.loads((folder / "cpsc_api_full_record_23147.json").read_text(encoding="utf-8"))
    whole = whole if isinstance(whole, list) else [whole.get("record", whole)]
    fetched = cpsc.parse(json.dumps(whole).encode(), date(2023, 1, 1), DAY)
    (found,) = fetched.notices
    assert found["id"] == "us-cpsc-23-147"
    assert "A1366" in found["model_numbers"]
    assert found["units"] == 42000
    short = (folder / "cpsc_api_powerbanks_shortened.json").read_bytes()
    fetched = cpsc.parse(short, date(2023, 1, 1), DAY)
    assert len(fetched.notices) == len(json.loads(short))
    assert {n["notice_number"] for n in fetched.notices} >= {"25-338", "26-792"}


def test_real_safety_gate_samples():
    folder = shared("recall", "samples")
    index = safety_gate.parse_index((folder / "safety_gate_list.xml").read_bytes())
    assert index[0][0] == "Report-2026-34"
    found, seen = safety_gate.parse_report((folder / "safety_gate_detail.xml").read_bytes())
    assert seen == 2
    (ours,) = found  # the LED tree is not ours
    assert ours["model_numbers"] == ["EX-1000", "EX1000B"]
    assert ours["notice_date"] == "2026-08-28"
    assert ours["hazard"] == "The battery can overheat."
    assert ours["official_url"] == "https://example.invalid/alert/1", (
        "the trailing comma is dropped"
    )
    assert "gtins" not in ours or ours["gtins"] == []


def test_health_canada_is_read(httpserver, recalls_dir):
    rows = [
        hc_record(1),
        *(hc_record(i, Title=f"Kettle {i}", Product="Kettle") for i in range(2, 40)),
    ]
    httpserver.expect_request("/dump.json").respond_with_json(rows)
    source = HealthCanadaSource(url=httpserver.url_for("/dump.json"))
    (report,) = renew(recalls_dir, source)
    assert report.fine, report.message
    (kept,) = stored(recalls_dir, "health-canada")["notices"]
    assert kept["model_numbers"] == ["EX-1001"]
    assert kept["notice_date"] == "2026-11-01"
    assert "only 39 records" in report.message, "a dump this short is said with the list"


def test_safety_gate_reads_what_it_has_not_read_and_remembers_it(httpserver, recalls_dir):
    def url(n):
        return httpserver.url_for(f"/report/{n}")

    httpserver.expect_request("/list").respond_with_data(
        sg_index(("R-1", "13/11/2026", url(1)), ("R-2", "20/11/2026", url(2) + ","))
    )
    httpserver.expect_request("/report/1").respond_with_data(sg_report(sg_alert("S/1")))
    httpserver.expect_request("/report/2").respond_with_data(
        sg_report(sg_alert("S/2", name="", type_numberOfModel="EX-2000"))
    )
    source = SafetyGateSource(url=httpserver.url_for("/list"))
    (first,) = renew(recalls_dir, source)
    assert first.fine, first.message
    kept = stored(recalls_dir, "safety-gate")
    assert {n["id"] for n in kept["notices"]} == {"eu-sg-S/1", "eu-sg-S/2"}
    httpserver.clear_log()
    (again,) = renew(recalls_dir, source)
    assert again.fine
    assert [r.path for r, _ in httpserver.log] == ["/list"], "nothing is fetched twice"
    assert len(stored(recalls_dir, "safety-gate")["notices"]) == 2


def test_a_mirror_is_asked_for_the_reports_at_their_official_paths(httpserver, recalls_dir):
    """The real index names ec.europa.eu; the mirror's own host is asked, and nobody else."""
    path = "/safety-gate-alerts/api/download/weeklyReport/"
    index = sg_index(
        ("R-1", "13/11/2026", f"https://ec.europa.eu{path}detail/xml/10000320?language=en")
    )
    httpserver.expect_request(path + "list/xml/en").respond_with_data(index)
    httpserver.expect_request(
        path + "detail/xml/10000320", query_string="language=en"
    ).respond_with_data(sg_report(sg_alert()))
    source = SafetyGateSource(url=httpserver.url_for(path + "list/xml/en"))
    (report,) = renew(recalls_dir, source)
    assert report.fine, report.message
    assert report.added == 1


# -- each guard's bad case ---------------------------------------------------------------------------

WHOLE_DATABASE = [cpsc_record(f"{10000 + i}", "2001-05-05", Title=f"Toy {i}") for i in range(300)]
HTML = "<!DOCTYPE html><html><body>Service unavailable</body></html>"

IGNORED = (
    "the whole database from before the day asked for",
    "a hundred times too many records",
)
BAD_CPSC = {
    "the whole database from before the day asked for": json.dumps(WHOLE_DATABASE),
    "a hundred times too many records": json.dumps(
        [{"RecallNumber": "26901", "RecallDate": "2026-11-05", "Title": "Toy"}] * 8001
    ),
    "an HTML page with status 200": HTML,
    "an HTML page behind a byte order mark": "\ufeff  " + HTML,
    "an object instead of a list": json.dumps({"error": "x"}),
    "null": "null",
    "cut in the middle": json.dumps([cpsc_record()])[:-40],
    "XML, the default form": "<ArrayOfRecall/>",
    "nothing": "",
    "an empty list over ten years": "[]",
    "records without their keys": json.dumps([{"a": 1}] * 5),
    "null lists and null texts": json.dumps([cpsc_record(RecallNumber=None, Title=None)] * 3),
    "dates that are none": json.dumps([cpsc_record(day="5 November 2026")] * 3),
    "deeply nested": "[" * 100_000,
    "a number with a hundred thousand digits": "[" + "9" * 100_000 + "]",
    "not UTF-8": b"\xff\xfe\x00[",
}


@pytest.mark.parametrize("case", BAD_CPSC)
def test_a_bad_answer_never_replaces_or_shrinks_a_good_list(httpserver, recalls_dir, case):
    in_turn(httpserver, "/Recall", [cpsc_record(day="2026-11-05")], BAD_CPSC[case])
    # the second question covers the whole time too, as after a long pause
    source = CpscSource(url=httpserver.url_for("/Recall"))
    (good,) = renew(recalls_dir, source, today=date(2026, 3, 1) if "empty" in case else DAY)
    assert good.fine
    before = list_path(recalls_dir, "cpsc").read_bytes()
    (bad,) = renew(recalls_dir, source)
    assert not bad.fine
    assert "answered" not in bad.message, "the guard refused it, not the server"
    assert list_path(recalls_dir, "cpsc").read_bytes() == before
    state = next(s for s in status(recalls_dir, DAY) if s.name == "cpsc")
    assert "NOT renewed" in state.last_message
    assert state.notices == 1
    assert "\n" not in bad.message
    assert ("HTML page with status 200" in bad.message) == ("HTML" in case)
    assert ("the question was ignored" in bad.message) == (case in IGNORED)


@pytest.mark.parametrize(
    "missing",
    ["Products", "Hazards", "Retailers", "ProductUPCs", "RemedyOptions", "URL", "Description"],
)
@pytest.mark.parametrize("how", ["absent", "null", "another shape"])
def test_missing_keys_and_null_lists_cost_only_themselves(missing, how):
    value = {"absent": ..., "null": None, "another shape": {"Name": 3}}[how]
    rows = [cpsc_record(**{missing: value})]
    fetched = cpsc.parse(json.dumps(rows).encode(), date(2026, 9, 1), DAY)
    assert fetched.notices[0]["id"] == "us-cpsc-26-901"


@pytest.mark.parametrize(
    "url",
    [
        "hhttps://www.cpsc.gov/x",  # as in CPSC record 23137
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "//evil.invalid/x",
        "https://user@evil.invalid/",
        "https://a b/",
        "https://localhost/x",
        'https://www.cpsc.gov/"><script>',
        "https://x.invalid/" + "a" * 600,
        "ｈttps://www.cpsc.gov/x",
        "\x1b]8;;https://evil.invalid\x1b\\",
    ],
)
def test_wrong_url_schemes_become_no_link(url):
    raw = cpsc.notice(cpsc_record(URL=url))
    assert raw["official_url"] == ""


def test_numbers_without_a_hyphen_and_old_ones_with_a_letter():
    assert cpsc.number_of("25338") == "25-338"
    assert cpsc.number_of("98001A") == "98-001A"
    assert cpsc.number_of("25-338") == "25-338"


BAD_HC = {
    "a third of the dump": json.dumps([hc_record(i) for i in range(20)]),
    "HTML": HTML,
    "an object": "{}",
    "missing keys": json.dumps([{"NID": 1}] * 100),
    "nothing": "",
}


@pytest.mark.parametrize("case", BAD_HC)
def test_bad_health_canada_dumps_are_refused(httpserver, recalls_dir, case):
    good = [hc_record(i) for i in range(60)]
    in_turn(httpserver, "/d", good, BAD_HC[case])
    source = HealthCanadaSource(url=httpserver.url_for("/d"))
    assert renew(recalls_dir, source)[0].fine
    before = list_path(recalls_dir, "health-canada").read_bytes()
    assert not renew(recalls_dir, source)[0].fine
    assert list_path(recalls_dir, "health-canada").read_bytes() == before


ENTITIES = {
    "billion laughs": '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>',
    "external entity": '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY c SYSTEM "file:///etc/passwd">]>',
    "remote entity": '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY c SYSTEM "http://127.0.0.1:9/x">]>',
    "external DTD": '<?xml version="1.0"?><!DOCTYPE l SYSTEM "http://127.0.0.1:9/x.dtd">',
    "parameter entity": '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x"> %p;]>',
}


@pytest.mark.parametrize("kind", ENTITIES)
def test_entity_attacks_are_refused(kind):
    body = sg_report(
        sg_alert(name="&c;" if "DTD" not in kind and "parameter" not in kind else "x"),
        head=ENTITIES[kind],
    )
    with pytest.raises(FeedRefused):
        safety_gate.parse_report(body.encode())
    with pytest.raises(FeedRefused):
        safety_gate.parse_index(body.encode())


BAD_SG = {
    "no date": sg_report(sg_alert(), day=""),
    "an American date": sg_report(sg_alert(), day="11/20/2026"),
    "no alert": sg_report(),
    "another root": "<html><body/></html>",
    "not XML": "{}",
    "HTML": HTML,
    "nothing": "",
    "cut": sg_report(sg_alert())[:-30],
    "an unknown encoding": sg_report(sg_alert(), head='<?xml version="1.0" encoding="nope"?>'),
}


@pytest.mark.parametrize("case", BAD_SG)
def test_bad_reports_leave_the_list_and_are_asked_again(httpserver, recalls_dir, case):
    address = httpserver.url_for("/r")
    httpserver.expect_request("/list").respond_with_data(sg_index(("R-1", "13/11/2026", address)))
    in_turn(httpserver, "/r", BAD_SG[case], sg_report(sg_alert()))
    source = SafetyGateSource(url=httpserver.url_for("/list"))
    (bad,) = renew(recalls_dir, source)
    assert not bad.fine
    assert "answered" not in bad.message, "the guard refused it, not the server"
    assert not list_path(recalls_dir, "safety-gate").exists()
    (good,) = renew(recalls_dir, source)
    assert good.fine, good.message
    assert len(stored(recalls_dir, "safety-gate")["notices"]) == 1


def test_an_index_that_points_elsewhere_is_not_followed(httpserver, recalls_dir):
    rows = [
        ("R-1", "13/11/2026", "https://evil.invalid/r"),
        ("R-2", "14/11/2026", "file:///etc/passwd"),
        ("R-3", "15/11/2026", httpserver.url_for("/ok").replace("http:", "ftp:")),
    ]
    httpserver.expect_request("/list").respond_with_data(sg_index(*rows))
    (report,) = renew(recalls_dir, SafetyGateSource(url=httpserver.url_for("/list")))
    assert not report.fine
    assert "elsewhere" in report.message


# -- the wire ------------------------------------------------------------------------------------------


def test_sizes_are_bounded_compressed_or_not(httpserver):
    httpserver.expect_request("/plain").respond_with_data(b"[" + b" " * 300_000)
    bomb = gzip.compress(b" " * 5_000_000)
    httpserver.expect_request("/bomb").respond_with_data(bomb, headers={"Content-Encoding": "gzip"})
    get = Fetcher(max_bytes=100_000)
    for path in ("/plain", "/bomb"):
        with pytest.raises(InputError, match="more than 100000 bytes"):
            get.get(httpserver.url_for(path))


@pytest.mark.parametrize("code", [204, 400, 403, 404, 429, 500, 503])
def test_other_answers_are_refused_by_number(httpserver, code):
    httpserver.expect_request("/x").respond_with_data("[]", status=code)
    with pytest.raises(InputError, match=str(code)):
        Fetcher().get(httpserver.url_for("/x"))


def test_redirects_are_followed_only_to_allowed_places(httpserver):
    httpserver.expect_request("/a").respond_with_data("", status=302, headers={"Location": "/b"})
    httpserver.expect_request("/b").respond_with_data("[1]")
    assert Fetcher().get(httpserver.url_for("/a")) == b"[1]"
    for place in ("http://192.0.2.1/x", "file:///etc/passwd", "ftp://example.invalid/x"):
        httpserver.expect_request("/c").respond_with_data(
            "", status=301, headers={"Location": place}
        )
        with pytest.raises(InputError, match="https"):
            Fetcher().get(httpserver.url_for("/c"))
        httpserver.clear()
    httpserver.expect_request("/loop").respond_with_data(
        "", status=302, headers={"Location": "/loop"}
    )
    with pytest.raises(InputError, match="redirects"):
        Fetcher().get(httpserver.url_for("/loop"))


@pytest.mark.parametrize(
    "url",
    [
        "http://example.invalid/x",
        "ftp://x.invalid",
        "file:///etc/passwd",
        "https://u:p@x.invalid/",
        "x",
        "https://[::1",
        "",
    ],
)
def test_only_https_is_fetched(url):
    with pytest.raises(InputError):
        allowed(url)


def test_this_machine_may_be_asked_plainly():
    for url in (
        "http://localhost:1/x",
        "http://127.0.0.1/x",
        "http://[::1]:80/",
        "https://x.invalid/",
    ):
        allowed(url)
    assert same_place("https://a.invalid/x", "https://a.invalid/y")
    assert not same_place("https://a.invalid:444/x", "https://a.invalid/y")


def test_a_server_that_is_away_leaves_everything(recalls_dir, unused_tcp_port):
    (report,) = renew(recalls_dir, CpscSource(url=f"http://127.0.0.1:{unused_tcp_port}/Recall"))
    assert not report.fine
    assert not list_path(recalls_dir, "cpsc").exists()
    assert (
        check(Unit(model="A1263"), load(recalls_dir), today=TODAY).status
        is RecallStatus.CHECK_SERIAL
    )


# -- hostile texts -----------------------------------------------------------------------------------

HOSTILE = (
    "\x1b[31mred\x1b[0m \u202eevil\u202c {notices} %s <script>alert(1)</script> =cmd|' /C calc'!A0"
)


def test_hostile_texts_in_records_stay_texts(httpserver, recalls_dir):
    from denchi.recalls.plain import answer_lines

    record = cpsc_record(
        Title=f"Examplebrand power banks {HOSTILE}",
        Hazards=[{"Name": HOSTILE}],
        RemedyOptions=[{"Option": HOSTILE}],
        Products=[{"Name": f"Examplebrand {HOSTILE}"}],
        Description=f"model number EX-1000 {HOSTILE}",
    )
    httpserver.expect_request("/Recall").respond_with_json([record])
    (report,) = renew(recalls_dir, CpscSource(url=httpserver.url_for("/Recall")))
    assert report.fine, report.message
    answer = check(Unit(model="EX-1000"), load(recalls_dir), today=TODAY)
    assert answer.status is RecallStatus.CHECK_SERIAL
    shown = "\n".join(answer_lines(answer)) + json.dumps(answer.to_json(), ensure_ascii=False)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "{notices}" in shown, "braces in data are never filled in"


def test_a_feed_cannot_write_outside_its_folder(recalls_dir):
    for name in ("../evil", "/etc/evil", "a/../../b", "..", ""):
        path = list_path(recalls_dir, name)
        assert path.parent == recalls_dir / "recalls"


def test_a_feed_cannot_weaken_a_reviewed_notice(httpserver, recalls_dir):
    rows = [
        cpsc_record(
            "23147",
            "2023-03-09",
            Title="Anker 535 Power Banks Recalled",
            Description="model A1366",
            Products=[{"Name": "Anker 535"}],
        )
    ]
    httpserver.expect_request("/Recall").respond_with_json(rows)
    renew(recalls_dir, CpscSource(url=httpserver.url_for("/Recall")))
    answer = check(Unit(model="A1366"), load(recalls_dir), today=TODAY)
    assert answer.status is RecallStatus.AFFECTED
    entries = [m for m in answer.matches if m.notice.number == "23-147"]
    assert len(entries) == 1, "one notice in two lists is one notice"
    assert entries[0].also_in == ("cpsc",)
    assert not entries[0].notice.by_machine


# -- sources ------------------------------------------------------------------------------------------


def test_the_built_in_feeds_use_the_entry_points():
    found = registered()
    assert {"cpsc", "health-canada", "safety-gate"} <= set(found)
    for source in found.values():
        assert isinstance(source, RecallSource)
        assert source.url.startswith("https://")
        assert source.licence
    assert health_canada.SOURCE.name == "health-canada"


def test_an_unknown_source_is_named(recalls_dir):
    with pytest.raises(KeyError, match=r"cpcs.*cpsc"):
        chosen_sources(recalls_dir, ["cpcs"])


class Broken:
    name, title, licence, url = "broken", "x", "x", "https://x.invalid"

    def fetch(self, fetcher, known, today):
        raise ZeroDivisionError("boom")


def test_one_broken_source_does_not_stop_the_others(httpserver, recalls_dir):
    httpserver.expect_request("/Recall").respond_with_json([cpsc_record()])
    reports = renew(recalls_dir, Broken(), CpscSource(url=httpserver.url_for("/Recall")))
    assert [r.fine for r in reports] == [False, True]
    assert "boom" in reports[0].message


# -- overlay from an address --------------------------------------------------------------------------


def overlay_body(*notices, dated="2026-11-19"):
    return {
        "format": "denchi-recall-list",
        "schema_version": 1,
        "source": "club",
        "dated": dated,
        "notices": list(notices),
    }


def test_an_overlay_from_an_address_is_read_and_renewed(httpserver, recalls_dir):
    httpserver.expect_request("/o.json").respond_with_json(overlay_body(notice()))
    (report,) = renew(recalls_dir, OverlaySource(httpserver.url_for("/o.json")))
    assert report.fine, report.message
    answer = check(Unit(model="EX-1000"), load(recalls_dir), today=TODAY)
    assert answer.status is RecallStatus.CHECK_SERIAL
    assert answer.lists_dated["overlay-shared"] == "2026-11-19", (
        "its own date, not the day of the fetch"
    )
    assert "overlay-shared" in {s.name for s in chosen_sources(recalls_dir)}


@pytest.mark.parametrize(
    "bad",
    [
        {"format": "x"},
        overlay_body(notice(unit_scope="all")),
        overlay_body(notice(), notice(id=None)),
        {**overlay_body(notice()), "schema_version": 2},
        {**overlay_body(notice()), "dated": "yesterday"},
        overlay_body(notice(rule={"kind": "prefix", "values": {"*": [""]}})),
        overlay_body(notice(model_numbers="EX-1000")),
    ],
)
def test_a_bad_overlay_is_refused_whole(httpserver, recalls_dir, bad):
    in_turn(httpserver, "/o", overlay_body(notice()), bad)
    source = OverlaySource(httpserver.url_for("/o"))
    assert renew(recalls_dir, source)[0].fine
    before = list_path(recalls_dir, "overlay-shared").read_bytes()
    (report,) = renew(recalls_dir, source)
    assert not report.fine
    assert list_path(recalls_dir, "overlay-shared").read_bytes() == before


def test_an_overlay_cannot_claim_the_future(httpserver, recalls_dir):
    httpserver.expect_request("/o").respond_with_json(overlay_body(notice(), dated="2099-01-01"))
    renew(recalls_dir, OverlaySource(httpserver.url_for("/o")))
    assert stored(recalls_dir, "overlay-shared")["dated"] == DAY.isoformat()
