"""`denchi decode`: real frames by hex, captures, wrong lines told by number and nothing good lost."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from denchi.cli.decode import decode, frame_bytes
from denchi_protocol.meters.fnirsi.emulator import report
from support import CAPTURES, vectors


def run(*arguments, lines=(), text=None):
    done = CliRunner().invoke(
        decode,
        [*arguments, "--json"],
        input=text if text is not None else "\n".join(lines) + "\n",
        standalone_mode=False,
    )
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.return_value, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def usb(volts, amps):
    sample = (
        round(volts * 1e5).to_bytes(4, "little")
        + round(amps * 1e5).to_bytes(4, "little")
        + bytes.fromhex("540b64000100fa")[:5]
        + (250).to_bytes(2, "little")
    )
    return report(4, sample * 4 + b"\x30").hex()


def told(vector, *names):
    decoded = vector["decoded"]
    return next(decoded[name] for name in names if name in decoded)


@pytest.mark.parametrize(
    ("family", "meter", "device", "count"),
    [
        ("atorch", "atorch", "Atorch", 36),
        ("rdtech", "um34c", "UM", 2),
        ("others_serial", "yzx", "YZX", 1),
        ("fnirsi", "fnb58-ble", "BLE)", 5),
    ],
)
def test_real_frames(family, meter, device, count):
    """Each line is decoded by itself to what the source says, with the meter's own sign."""
    real = [
        v
        for v in vectors(family)
        if device in v["device"]
        and "voltage_V" in v["decoded"]
        and v["decoded"].get("dev") != 1  # a mains meter
        and "request" not in v["decoded"]
    ]
    good = 0
    for vector in real:
        code, lines, _ = run("--meter", meter, lines=[vector["hex"]])
        if code == 1 and len(vector["hex"]) == 70:
            continue  # the source lost its first byte
        (line,) = lines
        assert code == 0
        assert line["t_s"] is None
        assert line["vbus_v"] == pytest.approx(told(vector, "voltage_V"), abs=1e-6)
        assert line["ibus_a"] == pytest.approx(told(vector, "current_A"), abs=1e-6)
        good += 1
    assert good >= count, f"{good} of {len(real)} real frames decoded"
    print(f"{meter}: {good} real frames")


def test_lines_stand_alone_and_bad_ones_are_told_by_number():
    """A jump of 15 V between two lines is no reason to hold a value back, as it is on a live wire."""
    broken = usb(9.0, 1.0)
    lines = [
        usb(5.0, 0.5),
        "",
        "# a note",
        "zz" + usb(5.0, 0.5)[2:],
        broken[:-2] + f"{int(broken[-2:], 16) ^ 1:02x}",
        usb(20.0, 3.0)[:-1],
        usb(20.0, 3.0),
    ]
    code, samples, said = run("--meter", "fnb58", lines=lines)
    assert code == 1
    assert [s["vbus_v"] for s in samples] == [5.0] * 4 + [20.0] * 4
    assert [int(one.split("line ")[1].split(":")[0]) for one in said.splitlines()] == [4, 5, 6]
    assert "checksum" in said


def test_a_frame_may_go_on_in_the_next_line_and_a_cut_one_is_told():
    whole = usb(5.1, 1.0)
    code, samples, _ = run("--meter", "fnb58", lines=[whole[:40], whole[40:], whole])
    assert (code, len(samples)) == (0, 8)
    code, samples, said = run("--meter", "fnb58", lines=[whole[:60], whole])
    assert (code, len(samples)) == (1, 4)
    assert "line 1" in said


def test_spaces_colons_and_0x_are_hex():
    assert (
        frame_bytes(" 0xAA 0x04 ") == frame_bytes("aa:04") == frame_bytes("AA04\r\n") == b"\xaa\4"
    )
    for wrong in ("aa0", "rx aa", "ａａ"):
        with pytest.raises(ValueError, match="hex"):
            frame_bytes(wrong)


def test_requests_tell_what_a_px100_reply_answers():
    lines = [
        "b1b2110000b6", "cacb00136ececf",
        "b1b2120000b6", "cacb0000cacecf",
        "b1b2160000b6", "cacb000019cecf",
    ]  # fmt: skip
    code, samples, said = run("--meter", "dl24", lines=lines)
    assert (code, said) == (0, "")
    (line,) = samples
    assert (line["vbus_v"], line["ibus_a"], line["temp_c"]) == (4.974, 0.202, {"meter": 25.0})
    assert line["unchecked"] is True
    code, samples, _ = run("--meter", "dl24", lines=lines[1::2])
    assert (code, samples) == (1, [])


def test_keys_are_stable_and_nothing_is_invented():
    segment = next(
        v["hex"]
        for v in vectors("fnirsi")
        if v["decoded"].get("type") == 5 and v["hex"][:2] == "aa"
    )
    _, (line,), _ = run("--meter", "fnb58-ble", lines=[segment])
    assert line["temp_c"]["meter"] > 20
    assert [line[k] for k in ("vbus_v", "ibus_a", "dp_v", "dm_v")] == [None] * 4


def test_batteries_and_counters():
    jbd = [v for v in vectors("sbs_bms") if v["hex"].startswith("dd0")]
    code, lines, _ = run("--meter", "jbd", lines=[v["hex"] for v in jbd])
    assert code == 0
    assert len(lines) == len(jbd)
    packs = [line for line in lines if line.get("pack_v")]
    assert packs[0]["temp_c"]["cell"]
    assert packs[0]["soc_pct"] == 100
    assert any(len(line.get("cells_v", ())) == 4 for line in lines)
    assert any(line.get("device", {}).get("maker") == "JBD" for line in lines)


@pytest.mark.parametrize("path", sorted(CAPTURES.glob("*/*.jsonl")), ids=lambda p: p.stem)
def test_every_capture_of_the_project_decodes(path):
    pd = path.parent.name == "usb_pd"
    code, lines, _ = run(*(["--pd"] if pd else []), str(path))
    assert code == 0
    assert lines
    assert all(("type" if pd else "t_s") in line for line in lines)


def test_pd_messages_of_a_meter_are_read_in_their_order():
    """A KM003C tells samples and PD in one reply; the messages carry the names of the PD decoder."""
    real = [
        v
        for v in vectors("power_z")
        if "direction" not in v["decoded"]
        and any(p.get("att") == 16 for p in v["decoded"].get("packets", ()))
    ]
    assert len(real) > 10
    _, lines, _ = run("--meter", "km003c", lines=[v["hex"] for v in real])
    types = [line["type"] for line in lines if "sop" in line]
    assert {"GoodCRC", "Source_Capabilities", "Request", "Accept", "PS_RDY"} <= set(types)


def test_a_damaged_capture_is_an_error_with_its_line():
    from denchi.errors import InputError

    path = CAPTURES / "fnirsi" / "fnb58_usb.jsonl"
    text = path.read_text(encoding="utf-8") + '{"t_ns": 1, "dir": "rx", "hex": "zz"}\n'
    with pytest.raises(InputError, match="line"):
        run("-", text=text)


def test_without_meter_and_with_nothing():
    from click import UsageError

    with pytest.raises(UsageError, match="--meter"):
        run(lines=["aa"])
    assert run("--meter", "fnb58", text="")[:2] == (0, [])
