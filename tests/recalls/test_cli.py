"""``denchi recall`` as people and scripts use it: exit codes, the line's keys, privacy, both languages."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from recalls.conftest import notice

# DESIGN.md, section 6: the recall line. Additions stand behind these.
LINE = ["query", "status", "matches", "questions", "lists_dated", "message"]
MATCH = [
    "id",
    "brand",
    "product",
    "models",
    "jurisdiction",
    "regulator",
    "notice",
    "date",
    "unit_scope",
    "url",
    "form",
    "confidence",
    "agreed",
    "conflicts",
]
SERIAL = "AKFF1Y0E4830ABCD"


@pytest.fixture
def denchi(tmp_path):
    """Run the command in a home of its own."""

    def _run(*arguments, lang="en", text=None, **env):
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("DENCHI_", "LC_"))}
        environ |= {"HOME": str(tmp_path), "DENCHI_LANG": lang, "PYTHONUTF8": "1", **env}
        environ.pop("XDG_DATA_HOME", None)
        return subprocess.run(
            [sys.executable, "-m", "denchi.cli.main", "recall", *map(str, arguments)],
            capture_output=True,
            encoding="utf-8",
            input=text,
            timeout=60,
            check=False,
            env=environ,
        )

    return _run


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        (["A1366"], 3, "affected"),
        (["--model", "PB0003"], 3, "affected"),
        (["BI-B41", "--serial", "000I2112345"], 3, "affected"),
        (["A1263"], 4, "check_serial"),
        (
            ["A1263", "--colour", "white", "--bought", "2010-01", "--country", "DE"],
            4,
            "check_serial",
        ),
        (["Soundcore", "3"], 4, "brand_hint"),
        (["EX-9999"], 0, "not_listed"),
        (["A1645"], 0, "not_listed"),
    ],
)
def test_exit_codes_and_the_line(denchi, arguments, code, status):
    done = denchi(*arguments, "--json")
    assert done.returncode == code, done.stderr
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    body = json.loads(line)
    assert list(body)[: len(LINE)] == LINE
    assert body["status"] == status
    for match in body["matches"]:
        assert list(match)[: len(MATCH)] == MATCH
    assert body["lists_dated"] == {"bundled": "2026-11-23"}
    assert denchi(*arguments).returncode == code


def test_types_of_the_line(denchi):
    body = json.loads(denchi("A1263", "--json").stdout)
    assert {type(body[k]) for k in ("query", "status", "message")} == {str}
    assert all(isinstance(q, str) for q in body["questions"])
    japan, america = body["matches"]
    assert (japan["notice"], america["notice"]) == (None, "25-338")
    assert japan["form"].startswith("https://")
    assert isinstance(japan["models"], list)


def test_status_is_that_of_the_most_serious_match(denchi):
    body = json.loads(denchi("A1263 A1366", "--json").stdout)
    assert body["status"] == "affected"
    ranks = ["affected", "check_serial", "brand_hint"]
    order = [ranks.index(m["status"]) for m in body["matches"]]
    assert order == sorted(order)


@pytest.mark.parametrize(
    "arguments",
    [
        ["A1263", "--serial", SERIAL],
        [f"型番 A1263 SN:{SERIAL}"],
        [f"A1263 {SERIAL}"],
        ["--model", "A1263", "--serial", f"SN: {SERIAL}"],
    ],
)
def test_a_serial_is_shown_by_its_last_four_characters(denchi, arguments):
    for more in ([], ["--json"]):
        done = denchi(*arguments, *more)
        assert done.returncode == 4
        assert "AKFF1Y0E4830" not in done.stdout + done.stderr
        assert "ABCD" in done.stdout


def test_a_serial_is_in_no_log(caplog, ask):
    caplog.set_level(0)
    answer = ask(f"A1263 SN:{SERIAL}", serial=SERIAL)
    assert "AKFF1Y0E4830" not in caplog.text + repr(answer)


def test_two_recalls_are_shown_apart_in_both_languages(denchi):
    for lang in ("en", "ja"):
        out = denchi("A1263", lang=lang).stdout
        for part in (
            "2022-12-25",
            "2016-06",
            "25-338",
            "251021-1",
            "ankerjapan.com",
            "anker.com/product-recalls",
        ):
            assert part in out
    assert "確認" in denchi("A1263", lang="ja").stdout


def test_swelling_comes_first(denchi):
    out = denchi("A1263", "--symptom", "swelling", "--symptom", "heat").stdout.splitlines()
    assert out[0] == "What to do:"
    assert "Stop using" in out[1]
    assert denchi("EX-9999", "--symptom", "smell", lang="ja").stdout.splitlines()[0] != ""


def test_the_age_of_each_list_is_shown(denchi):
    assert "Lists: bundled 2026-11-23" in denchi("EX-9999").stdout
    assert denchi("status").stdout.splitlines()[0].startswith("bundled: 2026-11-23")
    assert "日" in denchi("status", lang="ja").stdout
    names = [json.loads(x)["name"] for x in denchi("status", "--json").stdout.splitlines()]
    assert {"bundled", "cpsc", "health-canada", "safety-gate"} <= set(names)


def test_a_label_from_standard_input(denchi):
    done = denchi("-", "--json", text="Anker PowerCore 10000\n型番：Ａ１２６３\n")
    assert json.loads(done.stdout)["matches"][0]["id"] == "jp-2025-10-21-anker-a1263"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to look for"),
        (["A1263", "--bought", "soon"], "YYYY-MM"),
        (["A1263", "--symptom", "sad"], "swelling"),
        (["-o", "x.csv"], "--file"),
        (["--file", "x.csv", "A1263"], "--file"),
        (["update", "--source", "cpcs"], "cpsc"),
        (["update", "--url", "cpsc"], "FEED=URL"),
        (["overlay"], "jurisdiction"),
    ],
)
def test_usage_errors_are_code_2_in_one_line(denchi, arguments, said):
    done = denchi(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mistyped_subcommand_is_taken_as_a_label_and_said(denchi):
    done = denchi("udpate")
    assert done.returncode == 0
    assert "denchi recall update" in done.stderr
    assert "update" in denchi("udpate", lang="ja").stderr


def test_a_batch_with_a_result_file(denchi, tmp_path):
    units = tmp_path / "units.csv"
    units.write_text(
        "asset,model,serial\n1,A1263," + SERIAL + "\n2,A1366,\n3,=1+1,\n", encoding="utf-8"
    )
    result = tmp_path / "out" / "result.csv"
    done = denchi("--file", units, "-o", result)
    assert done.returncode == 3, done.stderr
    assert "affected 1" in done.stderr
    assert "check_serial 1" in done.stderr
    text = result.read_text(encoding="utf-8-sig")
    assert "AKFF1Y0E4830" not in text
    assert "…ABCD" in text
    assert ",'=1+1," in text
    assert result.read_bytes().startswith(b"\xef\xbb\xbf"), (
        "a spreadsheet reads Japanese by this mark"
    )
    lines = [json.loads(x) for x in denchi("--file", units, "--json").stdout.splitlines()]
    assert [x["line"] for x in lines] == [2, 3, 4]
    assert all(set(LINE) <= set(x) for x in lines)


def test_a_batch_file_that_is_away_is_one_line(denchi, tmp_path):
    done = denchi("--file", tmp_path / "absent.csv")
    assert done.returncode in (1, 2)
    assert "absent.csv" in done.stderr
    assert "Traceback" not in done.stderr


def test_update_from_a_local_server_and_the_exit_code(denchi, httpserver, tmp_path):
    httpserver.expect_request("/o.json").respond_with_json(
        {
            "format": "denchi-recall-list",
            "schema_version": 1,
            "source": "x",
            "dated": "2026-11-01",
            "notices": [notice(unit_scope="all-units-of-model")],
        }
    )
    done = denchi(
        "update", "--overlay", httpserver.url_for("/o.json"), "--data-dir", tmp_path / "d"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "renewed" in done.stdout
    assert denchi("EX-1000", "--data-dir", tmp_path / "d").returncode == 3
    assert denchi("EX-1000").returncode == 0
    httpserver.clear()
    httpserver.expect_request("/o.json").respond_with_data("<html>")
    done = denchi(
        "update", "--overlay", httpserver.url_for("/o.json"), "--data-dir", tmp_path / "d"
    )
    assert done.returncode == 1
    assert "NOT renewed" in done.stdout
    assert "更新できませんでした" in denchi("update", "--overlay", "/absent", lang="ja").stdout
    assert denchi("EX-1000", "--data-dir", tmp_path / "d").returncode == 3


def test_the_three_feeds_from_a_mirror(denchi, httpserver):
    """Each feed by ``--url``; one that is broken is named, the others are renewed (synthetic records)."""
    httpserver.expect_request("/cpsc").respond_with_json(
        [
            {
                "RecallNumber": "26901",
                "RecallDate": "2026-11-05",
                "Title": "SYNTHETIC Examplebrand Power Banks Recalled",
                "Description": "model number EX-1000",
            }
        ]
    )
    httpserver.expect_request("/hc").respond_with_json(
        [{"NID": 7, "Title": "SYNTHETIC power bank model EX-2000", "Product": "Example power bank"}]
    )
    httpserver.expect_request("/sg").respond_with_data("<html></html>")
    places = [
        f"{name}={httpserver.url_for(path)}"
        for name, path in (("cpsc", "/cpsc"), ("health-canada", "/hc"), ("safety-gate", "/sg"))
    ]
    done = denchi("update", *(x for place in places for x in ("--url", place)), "--json")
    assert done.returncode == 1
    fine = {r["source"]: r["fine"] for r in map(json.loads, done.stdout.splitlines())}
    assert fine == {"cpsc": True, "health-canada": True, "safety-gate": False}
    assert denchi("EX-1000").returncode == denchi("EX-2000").returncode == 4
    said = denchi("status").stdout
    assert "NOT renewed" in said
    assert "never fetched" in said


def test_an_overlay_entry_from_a_pasted_notice(denchi, tmp_path):
    told = [
        "overlay",
        "-",
        "--jurisdiction",
        "JP",
        "--regulator",
        "METI",
        "--brand",
        "Examplebrand",
        "--model",
        "EX-7",
    ]
    done = denchi(*told, "--print", text="回収のお知らせ")
    assert json.loads(done.stdout)[0]["model_numbers"] == ["EX-7"]
    assert denchi("EX-7").returncode == 0, "--print writes nothing"
    done = denchi(*told, text="回収のお知らせ")
    assert done.returncode == 0
    assert "extracted_by" in done.stderr
    assert denchi("EX-7").returncode == 4


def test_a_home_that_cannot_be_written_or_read_still_answers(denchi, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("x")
    assert denchi("A1366", "--data-dir", blocked / "d").returncode == 3
    done = denchi("update", "--overlay", "/absent", "--data-dir", blocked / "d")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
