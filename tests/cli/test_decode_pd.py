"""``denchi decode --pd``: one line a message, with or without CRC, crooked ones told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from denchi.cli.decode_pd import decode_pd
from support import CAPTURES

CAPS = "a1612c91812b2cd102002cc103002cb10400f44106006421a4c9"
CAPS_CRC = "4aa75530"
"""CRC-32 of the same real message, computed by the research page and not by our code."""
REQUEST = "8210f4d14751"


def run(
    capsys: pytest.CaptureFixture[str], *lines: str, as_json: bool = True
) -> tuple[int, list[Any], str]:
    code = decode_pd(lines, as_json)
    out, err = capsys.readouterr()
    return code, [json.loads(r) if as_json else r for r in out.splitlines()], err


def test_stable_keys(capsys: pytest.CaptureFixture[str]) -> None:
    code, rows, err = run(capsys, CAPS)
    assert (code, err) == (0, "")
    (row,) = rows
    assert {"type", "sop", "rev", "id", "objects", "fields"} <= row.keys()
    assert (row["type"], row["sop"], row["rev"], row["id"]) == (
        "Source_Capabilities",
        "SOP",
        "3.x",
        0,
    )
    assert row["objects"][0] == "0x2b81912c"
    assert row["fields"]["pdos"][4]["voltage_v"] == 20.0


def test_with_and_without_crc(capsys: pytest.CaptureFixture[str]) -> None:
    code, rows, _ = run(capsys, CAPS, CAPS + CAPS_CRC)
    assert code == 0
    assert "crc_ok" not in rows[0]
    assert rows[1].pop("crc_ok") is True
    assert rows[0] == rows[1]


def test_wrong_crc_gives_no_value(capsys: pytest.CaptureFixture[str]) -> None:
    code, rows, err = run(capsys, CAPS + "4aa75531", REQUEST)
    assert code == 1
    assert rows[0]["type"] == "Malformed"
    assert rows[0]["fields"] == {} and rows[0]["raw"] == CAPS
    assert "line 1: wrong CRC-32" in err
    assert rows[1]["fields"]["kind"] == "unknown"  # the broken capabilities do not count


def test_requests_are_read_against_what_came_before(capsys: pytest.CaptureFixture[str]) -> None:
    _, rows, _ = run(capsys, CAPS, "", "# the sink takes 20 V", REQUEST)
    assert rows[1]["fields"]["operating_a"] == 5.0
    assert rows[1]["fields"]["pdo"] == "fixed 20.00 V 5.00 A"


@pytest.mark.parametrize(
    ("line", "sop"),
    [
        ("8301", "SOP"),
        ("SOP 8301", "SOP"),
        ("SOP' 8301", "SOP'"),
        ("sop'' 83 01", "SOP''"),
        ("SOP': 0x8301", "SOP'"),
        ("Hard_Reset", "Hard_Reset"),
    ],
)
def test_start_of_packet(capsys: pytest.CaptureFixture[str], line: str, sop: str) -> None:
    code, (row,), _ = run(capsys, line)
    assert code == 0
    assert row["sop"] == sop
    assert row["type"] == ("Hard_Reset" if sop == "Hard_Reset" else "Accept")


def test_a_line_that_is_none_is_told_and_the_rest_is_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, rows, err = run(capsys, "zz", "SOP'", "4", "a1", "8301")
    assert code == 1
    assert [r["type"] for r in rows] == ["Malformed", "Accept"]
    for number in (1, 2, 3, 4):
        assert f"line {number}: " in err


def test_a_flood_of_errors_is_cut_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    code, rows, err = run(capsys, *["zz"] * 50)
    assert (code, rows) == (1, [])
    assert err.count("\n") == 21
    assert "30 more" in err


def test_a_capture_is_read_too(capsys: pytest.CaptureFixture[str]) -> None:
    lines = (CAPTURES / "usb_pd" / "epr_charger.jsonl").read_text(encoding="utf-8").splitlines()
    code, rows, _ = run(capsys, *lines)
    assert code == 0
    assert len(rows) == 10
    assert rows[0]["sop"] == "SOP'"
    assert rows[7]["fields"]["pdos"][-1]["text"] == "fixed 28.00 V 5.00 A"


def test_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    _, rows, _ = run(capsys, CAPS, REQUEST, "9f01", as_json=False)
    assert "1: fixed 5.00 V 3.00 A" in rows[0]
    assert "pdo fixed 20.00 V 5.00 A" in rows[1]
    assert "control message type 31 is reserved [9f01]" in rows[2]


def test_no_escape_sequence_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    decode_pd(["\x1b[31mred", "SOP\x1b 8301"], False)
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
