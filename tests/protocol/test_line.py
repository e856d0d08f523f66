"""Generic line meter: names and units, three ways of printing, half lines, options of a locator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denchi.errors import DeviceRefused
from denchi.locator import Locator
from denchi.transports.opening import _with_baud
from denchi_protocol.codec import DeviceInfo, Rejected, Scene, StillScene
from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.meters.line import SPECS
from denchi_protocol.meters.line.codec import MAX_LINE, LineCodec
from denchi_protocol.meters.line.columns import column
from denchi_protocol.meters.line.emulator import LineEmulator
from denchi_protocol.meters.witrn import SPECS as WITRN
from denchi_protocol.samples import Quality, SampleBlock
from protocol.loop import MS, T0, S, drive, hang_up, values
from protocol.wire import blocks, captures, joined, read_capture

(SPEC,) = SPECS
SCENE = StillScene(Scene(vbus_v=5.123456, ibus_a=-1.25, case_temp_c=31.5, meter_temp_c=40.25))
TRUE = {"vbus_uv": 5.123456, "ibus_ua": -1.25, "temp_mc.case": 31.5, "temp_mc.meter": 40.25}


@pytest.mark.parametrize("path", captures("line"), ids=lambda p: p.stem)
def test_the_captures(path):
    names = {"vbus_v": "vbus_uv", "ibus_a": "ibus_ua", "dp_v": "dp_uv"}
    codec = LineCodec()
    for chunk in read_capture(path).received():
        block = joined(codec.feed(chunk.data, T0 + chunk.t_ns))
        if "expect" not in chunk.extra:
            assert not len(block)
            continue
        expect = dict(chunk.extra["expect"])
        assert len(block) == 1
        assert (block.quality == Quality.UNCHECKED).all()
        for place, temp in expect.pop("temp_c").items():
            got = block.temp_c(place)[0]
            assert np.isnan(got) if temp is None else got == temp
        for key, want in expect.items():
            got = block.si(names[key])[0]
            assert np.isnan(got) if want is None else got == pytest.approx(want, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("voltage_v", "vbus_uv"), ("Bus Voltage mV", "vbus_uv"), ("VBUS_uV", "vbus_uv"),
        ("current_a", "ibus_ua"), ("Current-mA", "ibus_ua"), ("temperature_c", "temp_mc.case"),
        ("case_c", "temp_mc.case"), ("ambient_c", "temp_mc.ambient"), ("dp_v", "dp_uv"),
        ("meter_temperature_c", "temp_mc.meter"), ("cell_c", "temp_mc.cell.1"),
        ("cell3_mv", "cell_uv.3"), ("cell_12_v", "cell_uv.12"), ("cell2_c", "temp_mc.cell.2"),
        ("pack_v", "pack_uv"), ("pack_a", "pack_ua"), ("pack_current_ma", "pack_ua"), ("t_ms", "t"),
        ("voltage", ""), ("voltage_c", ""), ("current_v", ""), ("power_w", ""), ("cell65_v", ""),
        ("temperature_f", ""), ("", ""), ("_v", ""), ("cell_v", ""),
    ],
)  # fmt: skip
def test_names(name, channel):
    assert column(name).channel == channel


@pytest.mark.parametrize("oddity", ["", *LineEmulator.ODDITIES])
def test_copes_with_the_oddity(oddity):
    codec, emulator = SPEC.codec(), SPEC.emulator(SCENE, now_ns=T0, oddity=oddity)
    talk = drive(codec, emulator, for_ns=30 * S)
    block = talk.block
    assert len(block) >= {"lost_bytes": 250, "half_line": 280}.get(oddity, 290)
    assert (np.diff(block.t_ns) > 0).all()
    assert not talk.sent
    for name, true in TRUE.items():
        told = values(block, name)
        if oddity == "lost_bytes":
            # No checksum: a few cut lines still look like one, most do not.
            assert np.median(told) == pytest.approx(true)
            continue
        assert np.abs(told - true).max() < 1e-6
        whole = oddity != "sensor_fails" or name != "temp_mc.case"
        assert len(told) == len(block) if whole else len(told) == pytest.approx(0.8 * len(block), 2)
    infos = talk.of(DeviceInfo)
    if oddity == "milli":
        assert infos[0].fields["left_out"] == "rssi"
    if oddity not in ("lost_bytes", "boot_noise", "half_line"):
        assert not talk.of(Rejected)
        assert len(infos) == 1
    if oddity == "half_line":
        assert len(talk.of(Rejected)) == 1  # told once, until the header comes again
    if oddity == "bunches":
        assert np.abs(np.diff(block.t_ns)[10:] - 100 * MS).max() < 5 * MS
    hang_up(codec, emulator, now_ns=talk.now_ns)


def test_a_first_line_of_bare_numbers_is_no_sample():
    codec = LineCodec(columns="voltage_v,current_a")
    (first,) = codec.feed(b"2.5,1.0\n", T0)
    assert isinstance(first, Rejected)
    block = joined(codec.feed(b"12.5,1.0\n", T0 + MS))
    assert block.vbus_v()[0] == 12.5


def test_a_header_is_taken_instead_of_the_columns_named():
    codec = LineCodec(columns="current_a,voltage_v")
    codec.feed(b"voltage_mv;current_ma\n", T0)
    block = joined(codec.feed(b"5000;250\n", T0 + MS))
    assert block.vbus_v()[0] == 5.0
    assert block.ibus_a()[0] == 0.25


def test_numbers_without_a_header_ask_for_one():
    codec = LineCodec()
    (event,) = codec.feed(b"5.1,1.0\n", T0)
    assert isinstance(event, Rejected)
    assert "columns=" in event.reason
    again = codec.feed(b"5.1,1.0\n" * 250, T0)
    assert [e.reason for e in again] == [event.reason] * 2


@pytest.mark.parametrize(
    "line",
    ["5.1", "5.1,1.0,3", "5.1,1.0x", "5.1,0x10", "5.1 1.0", "5_1,1", "５,1", "1e99,1.0", '"5.1', "{}",
     '{"voltage_v": "high"}', '{"voltage_v": true}', '{"voltage_v": [5]}', "[5.1, 1.0]", "voltage_v:abc",
     "{" * 900, '{"voltage_v": 5', '{"voltage_v": 1e999}', '{"voltage_v": 99999999999999999999}'],
)  # fmt: skip
def test_what_is_no_reading_is_no_value(line):
    codec = LineCodec(columns="voltage_v,current_a")
    codec.feed(b"\n", T0)
    events = codec.feed(line.encode() + b"\n", T0 + MS)
    assert not any(b.measured("vbus_uv").any() for b in blocks(events))


def told(events: list) -> list:
    return [
        {n: c.tolist() for n, c in e.columns.items()} for e in events if isinstance(e, SampleBlock)
    ]


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(["", "json", "labels", "semicolons", "milli", "boot_noise"]))
def test_any_chunking_gives_the_same(data, oddity):
    stream = b"".join(
        d
        for _, d in drive(LineCodec(), LineEmulator(SCENE, now_ns=T0, oddity=oddity), for_ns=S).got
    )
    whole = told(LineCodec().feed(stream, T0))
    codec, events, at = LineCodec(), [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, 90))
        events += codec.feed(stream[at : at + size], T0)
        at += size
    assert told(events) == whole
    assert len(whole) >= 9


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=3000))
def test_garbage_raises_nothing_and_is_bounded(junk):
    codec = LineCodec()
    assert not blocks(codec.feed(junk, T0))
    assert len(codec._held) <= MAX_LINE
    codec.feed(b"\n", T0)
    codec.feed(b"voltage_v,current_a\n", T0)
    block = joined(codec.feed(b"5.1,1.0\n", T0 + MS))
    assert block.vbus_v()[0] == pytest.approx(5.1)


def test_a_line_cut_at_the_end_is_no_sample():
    codec = LineCodec()
    codec.feed(b"voltage_v,current_a\n", T0)
    assert not blocks(codec.feed(b"5.1,1.2", T0))
    assert not blocks(codec.finish(T0))


# -- options of a locator --------------------------------------------------------------------


def test_options_of_a_locator_reach_codec_and_line():
    text = "line@serial:/dev/ttyUSB0?columns=voltage_v%2Ccurrent_a&baud=9600"
    place = Locator.parse(text)
    assert place.path == "/dev/ttyUSB0"
    assert str(place) == text
    assert Locator.parse("line@serial:/dev/x?columns=voltage_v,current_a").options == {
        "columns": "voltage_v,current_a"
    }
    codec = SPEC.codec_with(place.options)
    codec.feed(b"\n", T0)
    assert joined(codec.feed(b"5.1,1.0\n", T0)).ibus_a()[0] == 1.0
    assert _with_baud(SPEC.transport, place).baud == 9600
    assert _with_baud(SPEC.transport, Locator("serial", path="x")).baud == 115200
    with pytest.raises(DeviceRefused):
        _with_baud(SPEC.transport, Locator("serial", path="x", options={"baud": "fast"}))


@pytest.mark.parametrize("options", [{"colums": "voltage_v"}, {"columns": "volts,amps"}])
def test_a_wrong_option_is_refused_with_what_is_known(options):
    with pytest.raises(LocalProtocolError, match="known"):
        SPEC.codec_with(options)


def test_the_probe_of_a_witrn():
    (spec,) = WITRN
    place = Locator.parse("witrn@usb:0716:5060/AB%3FC?probe=ambient")
    assert (place.serial, place.options) == ("AB?C", {"probe": "ambient"})
    assert spec.codec_with(place.options)._probe == "temp_mc.ambient"
    with pytest.raises(LocalProtocolError):
        spec.codec_with({"probe": "pocket"})


@pytest.mark.parametrize("text", ["emulated:fnb58", "emulated:fnb58?scenario=demo", "ble:What?"])
def test_places_without_options_stay_as_they_are(text):
    assert str(Locator.parse(text)) == text
