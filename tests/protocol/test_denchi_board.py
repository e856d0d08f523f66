from __future__ import annotations

import re
from binascii import crc_hqx

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denchi_protocol.codec import DeviceInfo, MeterGap, Rejected, Scene, Send, StillScene, Wait
from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.meters.denchi_board import SPECS
from denchi_protocol.meters.denchi_board.codec import ASK_HEADER, BoardCodec
from denchi_protocol.meters.denchi_board.emulator import BoardEmulator
from denchi_protocol.samples import MISSING, SampleBlock, same
from protocol.wire import MS, T0, blocks, captures, converse, finish, joined, read_capture
from support import ROOT

COLUMNS = "vbus:V:-6:9,ibus:A:-6:9,case:C:-4:7,ambient:C:-4:7"
SCENE = StillScene(
    Scene(vbus_v=5.123456, ibus_a=-1.5, case_temp_c=31.0625, ambient_temp_c=-2.5, meter_temp_c=40.0)
)
SEEN = {
    "vbus_uv": 5.123456,
    "ibus_ua": -1.5,
    "temp_mc.case": 31.062,  # 31.0625, half to even
    "temp_mc.ambient": -2.5,
    "temp_mc.meter": 40.0,
}


def line(body: str) -> bytes:
    """A line as the page has it, with the standard library's CRC."""
    data = body.encode("ascii")
    return data + b"*%04X\r\n" % crc_hqx(data, 0)


def header(columns: str = COLUMNS, more: str = "hz=50 sn=A1") -> bytes:
    return line(f"#D1 {crc_hqx(columns.encode(), 0):04X} {more} cols={columns}")


def values(sequence: int, time_us: int, *fields: str, columns: str = COLUMNS) -> bytes:
    id_ = f"{crc_hqx(columns.encode(), 0):04X}"
    return line(f"${id_},{sequence:05d},{time_us:012d},{','.join(fields)}")


def sample(i: int, sequence: int | None = None, time_us: int | None = None) -> bytes:
    return values(
        i if sequence is None else sequence,
        20_000 * i if time_us is None else time_us,
        f"+{5_000_000 + i:09d}",
        f"-{i:09d}",
        "?0000000" if i % 40 else f"+{250_000 + i:07d}",
        "?0000000",
    )


def fed(data: bytes, codec: BoardCodec | None = None) -> list:
    return (codec or BoardCodec()).feed(data, T0)


def test_the_capture() -> None:
    (path,) = captures("denchi_board")
    capture = read_capture(path)
    assert capture.header.synthetic
    codec, gaps = BoardCodec(), []
    for chunk in capture.received():
        events = codec.feed(chunk.data, T0 + chunk.t_ns)
        expect = chunk.extra.get("expect", {})
        gaps += [e.lost for e in events if isinstance(e, MeterGap)]
        if "device" in expect:
            (info,) = (e for e in events if isinstance(e, DeviceInfo))
            for name, value in expect["device"].items():
                assert getattr(info, name) == value
        elif expect:
            block = joined(events)
            for name, value in (
                ("vbus_uv", expect["vbus_v"]),
                ("ibus_ua", expect["ibus_a"]),
                ("temp_mc.case", expect["temp_c"]["case"]),
                ("temp_mc.ambient", expect["temp_c"]["ambient"]),
            ):
                assert block.si(name)[0] == pytest.approx(
                    np.nan if value is None else value, nan_ok=True, abs=1e-9
                )
        else:
            assert not blocks(events)
    assert gaps == [2]


def test_the_pages_examples_have_the_ids_they_claim() -> None:
    page = (ROOT / "firmware_protocol/denchi_protocol/meters/denchi_board/README.md").read_text(
        encoding="utf-8"
    )
    (found,) = re.findall(r"#D1 ([0-9A-F]{4}) .*cols=(.*)\*CCCC", page)
    assert found[0] == f"{crc_hqx(found[1].encode(), 0):04X}"
    (data,) = re.findall(r"(\$[0-9A-F]{4},.*)\*CCCC", page)
    head = re.findall(r"(#D1 .*)\*CCCC", page)[0]
    block = joined(fed(line(head) + line(data)))
    assert block.vbus_v()[0] == 5.123456
    assert np.isnan(block.temp_c("ambient")[0])


@pytest.mark.parametrize("oddity", ["", *BoardEmulator.ODDITIES])
@pytest.mark.parametrize("chunk", [0, 7])
def test_against_the_emulator(oddity: str, chunk: int) -> None:
    codec, emulator = BoardCodec(), BoardEmulator(SCENE, now_ns=T0, oddity=oddity)
    sent: list[bytes] = []
    events = converse(codec, emulator, for_s=6, sent=sent, chunk=chunk)
    block = joined(events)
    assert len(block) > 250
    for name in block.columns:
        seen = block.si(name)
        seen = seen[~np.isnan(seen)]
        assert seen == pytest.approx(SEEN[name], abs=1e-9)
        if name.startswith("temp"):
            assert len(seen) == 0 if oddity == "no_probe" else 2 <= len(seen) <= 9
        else:
            assert len(seen) == len(block)
    assert (np.diff(block.t_ns) > 0).all()
    gaps = [e for e in events if isinstance(e, MeterGap)]
    expect = {"lost": [5, 5], "restart": [0], "bad_checksum": [1] * 7}
    assert [g.lost for g in gaps] == expect.get(oddity, [])
    infos = [e for e in events if isinstance(e, DeviceInfo)]
    assert len(infos) == (2 if oddity == "new_columns" else 1)
    assert infos[0].hardware == "emulated"
    if oddity == "unknown_column":
        assert infos[0].fields["columns_not_read"] == "lux:lx"
    if oddity in ("bad_checksum", "traceback", "twice"):
        assert any(isinstance(e, Rejected) for e in events)
    assert set(sent) <= {ASK_HEADER}
    finish(codec, emulator, T0 + 6000 * MS, sent)
    assert all(s.startswith(SPECS[0].allowed_sends) for s in sent)


def test_the_header_is_asked_for_until_it_is_there() -> None:
    codec = BoardCodec()
    assert codec.next(T0) == Send(ASK_HEADER)
    assert codec.next(T0) == Wait(T0 + 500 * MS)
    assert codec.next(T0 + 500 * MS) == Send(ASK_HEADER)
    codec.feed(header(), T0 + 501 * MS)
    assert isinstance(codec.next(T0 + 1000 * MS), Wait)


def test_stamps_follow_the_boards_clock() -> None:
    codec = BoardCodec()
    codec.feed(header(), T0)
    stamps: list[int] = []
    rng = np.random.default_rng(3)
    for i in range(400):
        late = int(rng.integers(0, 15)) * MS
        block = joined(codec.feed(sample(i), T0 + i * 20 * MS + late))
        stamps += block.t_ns.tolist()
    steps = np.diff(stamps[100:])
    assert abs(steps - 20 * MS).max() < MS


@settings(deadline=None)
@given(st.data())
def test_any_chunking_gives_the_same_events(data: st.DataObject) -> None:
    stream = (
        b"\r\n$$#"
        + sample(0)
        + header()
        + b"".join(b"junk 1\r\n" if i == 5 else sample(i) for i in range(12))
    )
    whole = fed(stream)
    codec, pieces, at = BoardCodec(), [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, 200))
        pieces += codec.feed(stream[at : at + size], T0)
        at += size
    a, b = joined(whole), joined(pieces)
    assert len(a) == 11
    assert {n: c.tolist() for n, c in a.columns.items()} == {
        n: c.tolist() for n, c in b.columns.items()
    }
    assert [e.lost for e in whole if isinstance(e, MeterGap)] == [
        e.lost for e in pieces if isinstance(e, MeterGap)
    ]


@settings(deadline=None)
@given(st.data())
def test_damage_never_makes_a_value(data: st.DataObject) -> None:
    good = [sample(i) for i in range(30)]
    stream = bytearray(b"".join(good))
    begin = data.draw(st.integers(0, len(stream) - 1))
    burst = data.draw(st.binary(min_size=1, max_size=2))  # a CRC-16 finds every burst of 16 bits
    stream[begin : begin + len(burst)] = burst
    del stream[data.draw(st.integers(0, len(stream))) :]
    codec = BoardCodec()
    codec.feed(header(), T0)
    block = joined(codec.feed(bytes(stream), T0))
    true = {5_000_000 + i for i in range(30)}
    if len(block):
        assert set(block.columns["vbus_uv"].tolist()) <= true
    assert len(block) >= len(stream) // len(good[0]) - 2


@settings(deadline=None)
@given(st.binary(max_size=3000))
def test_garbage_never_raises_and_never_measures(garbage: bytes) -> None:
    codec = BoardCodec()
    codec.feed(header(), T0)
    events = codec.feed(garbage, T0)
    assert not blocks(events)
    assert len(codec._framer) <= 512
    # A line feed ends whatever garbage began.
    assert len(blocks(codec.feed(b"\n" + sample(1), T0 + MS))) == 1


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(-(10**9) + 1, 10**9 - 1) | st.none(),
            st.integers(-(10**7) + 1, 10**7 - 1) | st.none(),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_round_trip(rows: list[tuple[int | None, int | None]]) -> None:
    columns = "ibus:A:-6:9,case:C:-3:7"

    def field(value: int | None, digits: int) -> str:
        if value is None:
            return "?" + "0" * digits
        return f"{'-' if value < 0 else '+'}{abs(value):0{digits}d}"

    stream = b"".join(
        values(i, 1000 * i, field(a, 9), field(t, 7), columns=columns)
        for i, (a, t) in enumerate(rows)
    )
    block = joined(fed(header(columns) + stream))
    expect = [MISSING if a is None else a for a, _ in rows]
    assert block.columns["ibus_ua"].tolist() == expect
    assert block.columns["temp_mc.case"].tolist() == [MISSING if t is None else t for _, t in rows]


def test_a_run_equals_its_lines() -> None:
    codec = BoardCodec()
    codec.feed(header(), T0)
    frames = [np.frombuffer(sample(i), np.uint8) for i in range(1000)]
    t_ns = np.arange(1000, dtype=np.int64) * MS + T0
    whole = codec.decode_run(np.stack(frames), t_ns)
    ones = [codec.decode_run(f[None, :], t_ns[i : i + 1]) for i, f in enumerate(frames)]
    assert same(whole, SampleBlock.concat(ones))
    with pytest.raises(LocalProtocolError):
        BoardCodec().decode_run(np.stack(frames), t_ns)


THREE = "vbus:V:-6:9,ibus:A:-6:9,case:C:-4:7"


def test_headers_within_a_recording_tell_what_they_tell_one_by_one() -> None:
    """The same again says nothing; another, one as long as a data line, and one that cannot be read do."""

    def lines(first: int, count: int) -> list[bytes]:
        fields = ("+005000000", "-001500000", "+0250000")
        return [values(i, 20_000 * i, *fields, columns=THREE) for i in range(first, first + count)]

    plain, other, unread = header(THREE), header(THREE, "hz=50 sn=B2"), line("#D2 0000 cols=x")
    as_long = header(THREE, "hz=50")
    assert len(as_long) == len(lines(0, 1)[0])
    said: list[bytes] = []
    for one in (plain, plain, other, other, plain, as_long, plain, as_long, as_long, unread, unread, plain):  # fmt: skip
        said += [one, *lines(40 * (len(said) // 41), 40)]
    alone, whole = BoardCodec(), BoardCodec()
    want = [event for one in said for event in alone.feed(one, T0)]
    have = whole.feed(b"".join(said), T0)

    def told(events: list) -> list:
        return [e for e in events if not isinstance(e, SampleBlock)]

    assert told(have) == told(want)
    kinds = [type(e) for e in told(have)]
    assert kinds.count(DeviceInfo) == 7  # plain, other, plain, as_long, plain, as_long, plain
    assert kinds.count(Rejected) == 2
    assert kinds.count(MeterGap) == 0
    assert joined(have).columns["vbus_uv"].tolist() == [5_000_000] * 480


def test_a_header_between_few_lines_ends_no_run() -> None:
    codec = BoardCodec()
    codec.feed(header() + sample(0), T0)
    for i, read in ((2, [sample(1), header(), sample(2)]), (5, [sample(3), sample(4), header(), sample(5)])):  # fmt: skip
        (block,) = codec.feed(b"".join(read), T0 + 20 * i * MS)
        assert isinstance(block, SampleBlock)
        assert set(np.diff(block.t_ns).tolist()) == {20 * MS}


@pytest.mark.parametrize("cut", [0, 100, 1000, 5000])
def test_what_lies_ready_at_once_keeps_the_boards_distances(cut: int) -> None:
    """A header every second within it ends no run: each read, however large, is stamped as one."""
    said = b"".join((header() if i % 50 == 0 else b"") + sample(i) for i in range(5000))
    codec, events = BoardCodec(), []
    events += codec.feed(said[:cut], T0)
    events += codec.feed(said[cut:], T0 + 100 * 1000 * MS)
    for block in blocks(events)[-1:]:
        assert len(block) >= 5000 - cut // 60
        assert (np.diff(block.t_ns) == 20 * MS).all()
    assert sum(map(len, blocks(events))) == 5000


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ("vbus:V:-6:9,vbus:V:-6:9", "twice"),
        ("vbus:V:1:9", "cannot be read"),
        ("vbus:V:-6:0", "cannot be read"),
        ("", "cannot be read"),
        (",".join(f"cell.{i}:V:-3:5" for i in range(1, 26)), "too many"),
    ],
)
def test_headers_that_are_none(columns: str, why: str) -> None:
    (event,) = fed(header(columns))
    assert isinstance(event, Rejected)
    assert why in event.reason


def test_a_header_with_a_foreign_id_or_version_is_not_believed() -> None:
    text = header().decode()[:-7]
    for wrong in (text.replace("#D1", "#D2"), text[:4] + "0000" + text[8:]):
        codec = BoardCodec()
        (event,) = codec.feed(line(wrong), T0)
        assert isinstance(event, Rejected)
        assert not blocks(codec.feed(sample(0), T0))


def test_values_of_other_columns_are_not_read() -> None:
    other = COLUMNS.replace("vbus", "pack")
    codec = BoardCodec()
    codec.feed(header(other), T0)
    (event,) = codec.feed(sample(0), T0)
    assert isinstance(event, Rejected)


@pytest.mark.parametrize(
    "field", ["+00512345 ", "+0051234.6", " 005123456", "+00512345", "x005123456", "0005123456"]
)
def test_a_field_that_is_no_number_is_no_value(field: str) -> None:
    codec = BoardCodec()
    codec.feed(header(), T0)
    wrong = values(1, 1, field, "+000000000", "?0000000", "?0000000")
    events = codec.feed(wrong, T0)
    assert not blocks(events)
    assert isinstance(events[0], Rejected)
    among = [sample(i) for i in range(2, 50)]
    events = codec.feed(b"".join([*among[:40], wrong, *among[40:]]), T0 + 1000 * MS)
    assert sum(map(len, blocks(events))) == 48
    assert [e.data for e in events if isinstance(e, Rejected)] == [wrong[:64]]


def test_what_a_column_cannot_hold_is_missing() -> None:
    columns = "vbus:V:-3:9,case:C:0:7,meter:C:-9:9"
    codec = BoardCodec()
    codec.feed(header(columns), T0)
    block = joined(
        codec.feed(values(0, 5, "+999999999", "+9999999", "-000500001", columns=columns), T0)
    )
    assert not block.measured("vbus_uv").any()
    assert not block.measured("temp_mc.case").any()
    assert block.columns["temp_mc.meter"].tolist() == [-1]


def test_time_and_sequence_turn_over_without_a_gap_and_a_restart_is_one() -> None:
    codec = BoardCodec()
    codec.feed(header(), T0)
    top = 10**12
    stream = b"".join(
        sample(0, (99_998 + i) % 100_000, (top - 40_000 + 20_000 * i) % top) for i in range(6)
    )
    events = codec.feed(stream, T0)
    assert len(joined(events)) == 6
    assert not any(isinstance(e, MeterGap) for e in events)
    assert set(np.diff(joined(events).t_ns)) == {20 * MS}
    again = codec.feed(sample(0, 0, 20_000) + sample(0, 1, 40_000), T0 + 3000 * MS)
    (gap,) = (e for e in again if isinstance(e, MeterGap))
    assert (gap.lost, gap.cause) == (0, "the board restarted")
    assert gap.end_ns > gap.start_ns


def test_two_lines_of_one_microsecond_are_no_restart() -> None:
    codec = BoardCodec()
    codec.feed(header(), T0)
    events = codec.feed(sample(0, 5, 7000) + sample(0, 6, 7000) + sample(0, 7, 9000), T0)
    events += codec.feed(sample(0, 8, 9000), T0 + MS)
    block = joined(events)
    assert len(block) == 4
    assert (np.diff(block.t_ns) > 0).all()
    assert not any(isinstance(e, MeterGap) for e in events)
