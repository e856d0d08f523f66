"""A table of units: read in the forms people have, answered row by row, harmless in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import random

import pytest

from denchi.errors import InputError
from denchi.recalls.table import RESULT, check_rows, read_units, result_csv
from recalls.conftest import TODAY

HEAD = "asset,model,serial,colour,bought,country,symptom\n"


def answered(lists, text, lang="en"):
    units = read_units(text if isinstance(text, bytes) else text.encode(), "units.csv")
    rows = check_rows(units, lists, TODAY)
    body = result_csv(units, rows, lang, lists)
    return units, rows, list(csv.DictReader(io.StringIO(body, newline=""), strict=True)), body


def test_each_row_is_answered_beside_its_own_cells(lists):
    _, rows, out, _ = answered(
        lists,
        HEAD
        + "1,A1263,AKFF1Y0E4830ABCD,white,2023-05,JP,\n2,A1366,,,,,\n3,EX-9999,,,,,\n4,A1645,,,,,\n5,,,,,,swelling\n",
    )
    assert [o["asset"] for o in out] == ["1", "2", "3", "4", "5"]
    assert [o["recall_status"] for o in out] == [
        "check_serial",
        "affected",
        "not_listed",
        "not_listed",
        "not_listed",
    ]
    assert set(RESULT) < set(out[0])
    assert out[0]["recall_models"] == "A1263"
    assert out[0]["recall_link"].startswith("https://")
    assert "A1257" in out[3]["recall_questions"]
    assert out[4]["recall_message"].startswith("Stop using")
    assert [r.line for r in rows] == [2, 3, 4, 5, 6]


def test_the_answers_are_those_of_a_single_check(lists, ask):
    _, rows, _, _ = answered(
        lists, "型番,シリアル番号,色\nA1263,AKFF1Y0E4830ABCD,白\nBI-B41,000I2112345,\n"
    )
    alone = ask(model="A1263", serial="AKFF1Y0E4830ABCD", colour="白")
    assert rows[0].to_json() == {"line": 2} | alone.to_json()
    assert rows[1].answer.exit_code == 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_what_excel_writes_is_read(lists, encoding, newline):
    text = newline.join(["品番,色,購入年月", "Ａ１２６３,ホワイト,2023年5月", ""])
    _, rows, out, _ = answered(lists, text.encode(encoding))
    assert out[0]["recall_status"] == "check_serial"
    assert rows[0].answer.matches[0].match.agreed[0].startswith("model A1263")


EVIL = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", '=HYPERLINK("http://x")']


@pytest.mark.parametrize("evil", EVIL)
def test_nothing_becomes_a_formula(lists, evil):
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["model", evil])
    writer.writerow(["A1263", evil])
    writer.writerow([evil, evil])
    _, _, _, body = answered(lists, out.getvalue())
    for row in csv.reader(io.StringIO(body, newline="")):
        for cell in row:
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")), cell


def test_serials_leave_with_their_last_four_characters_only(lists):
    _, rows, out, body = answered(
        lists,
        "model,SN,label\nA1263,AKFF1Y0E4830ABCD,shelf 3\nBI-B41,000I2112345,\n,,型番 A1263 SN:AKFF1Y0E4830WXYZ\nA1263,,AKFF1Y0E4830QRST\n",
    )
    assert out[0]["SN"] == "…ABCD"
    for serial in ("AKFF1Y0E4830", "000I211"):
        assert serial not in body
        assert serial not in json.dumps([r.to_json() for r in rows])
    assert "WXYZ" in out[2]["label"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"a,b\n1,2\n", "no column named"),
        (b"model\nA1263,extra\n", "line 2"),
        (b'model\n"A1263\n', "line"),
        (b"model\n\x81\x00\xff\xfe\n", "neither UTF-8"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_line(text, said):
    with pytest.raises(InputError, match=said):
        read_units(text, "units.csv")


def test_short_rows_and_empty_lines_are_fine(lists):
    _, rows, out, _ = answered(lists, "model,serial\nA1263\n\n,\nA1366,\n")
    assert [o["recall_status"] for o in out] == ["check_serial", "affected"]
    assert [r.line for r in rows] == [2, 5]


def test_a_thousand_units_of_a_school(lists):
    """Synthetic inventory: every row answered, listed ones found wherever they stand."""
    rng = random.Random(6)
    kinds = {
        "A1263": "check_serial",
        "A1652": "affected",
        "EX-9999": "not_listed",
        "PB0003": "affected",
    }
    chosen = [rng.choice(list(kinds)) for _ in range(1000)]
    _, _, out, _ = answered(lists, "model\n" + "\n".join(chosen))
    assert [o["recall_status"] for o in out] == [kinds[m] for m in chosen]
