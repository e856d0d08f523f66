from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denchi.errors import DeviceRefused
from denchi.transports import hid
from denchi_protocol.codec import DeviceInfo, Rejected, Scene, StillScene
from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.meters.temper import SPECS
from denchi_protocol.meters.temper.codec import ASK_NAME, ASK_TEMPERATURE, KINDS, TemperCodec
from denchi_protocol.meters.temper.emulator import TemperEmulator
from denchi_protocol.samples import SampleBlock, same
from protocol.wire import MS, T0, blocks, captures, converse, joined, read_capture

SCENE = StillScene(Scene(case_temp_c=41.25, meter_temp_c=-7.5))
BY_KEY = {spec.key: spec for spec in SPECS}


def named(name: bytes, codec: TemperCodec | None = None) -> TemperCodec:
    codec = codec or TemperCodec()
    codec.feed(name.ljust(16), T0)
    return codec


def test_real_replies() -> None:
    seen = 0
    for path in captures("temper"):
        capture = read_capture(path)
        codec = BY_KEY[capture.header.meter].codec()
        for chunk in capture.received():
            events = codec.feed(chunk.data, T0 + chunk.t_ns)
            expect = dict(chunk.extra.get("expect", {}))
            if model := expect.pop("device", None):
                (info,) = events
                assert isinstance(info, DeviceInfo)
                assert info.model == model
            for place, temp_c in expect.items():
                assert joined(events).temp_c(place)[0] == pytest.approx(temp_c)
                assert set(joined(events).columns) == {f"temp_mc.{place}"}
                seen += 1
    assert seen == 6


@pytest.mark.parametrize("oddity", ["", *TemperEmulator.ODDITIES])
@pytest.mark.parametrize("chunk", [0, 3])
def test_against_the_emulator(oddity: str, chunk: int) -> None:
    sent: list[bytes] = []
    emulator = TemperEmulator(SCENE, now_ns=T0, oddity=oddity)
    events = converse(TemperCodec(), emulator, for_s=8, sent=sent, chunk=chunk)
    assert set(sent) <= set(SPECS[0].allowed_sends)
    assert sent[0] == ASK_NAME
    if oddity == "unknown":
        assert set(sent) == {ASK_NAME}  # what nobody has described is not asked, not read
        assert not blocks(events)
        assert any(isinstance(e, Rejected) for e in events)
        return
    block = joined(events)
    assert sent.count(ASK_TEMPERATURE) >= 5
    expect = {"case": 41.25, "meter": -7.5}
    if oddity in ("gold", "no_probe"):
        del expect["case"]
    if oddity == "cable_only":
        del expect["meter"]
    for place, temp_c in expect.items():
        seen = block.temp_c(place)
        seen = seen[~np.isnan(seen)]
        assert len(seen) >= 5
        assert seen == pytest.approx(temp_c)
    if oddity == "no_probe":
        assert not block.measured("temp_mc.case").any()
    assert set(block.columns) <= {"temp_mc.case", "temp_mc.meter"}


def test_the_owner_says_where_the_stick_is() -> None:
    for key, inner, outer in (
        ("temper-case", "case", "ambient"),
        ("temper-ambient", "ambient", "case"),
    ):
        events = converse(BY_KEY[key].codec(), TemperEmulator(SCENE), for_s=4)
        block = joined(events)
        assert np.nanmax(block.temp_c(inner)) == -7.5
        assert np.nanmax(block.temp_c(outer)) == 41.25


def test_ids_that_foot_switches_share_are_never_opened_by_themselves() -> None:
    for spec in SPECS:
        for match in spec.matches:
            assert match.ambiguous == (match.product is None)
    assert all(m.ambiguous for m in SPECS[0].matches if m.vid == 0x413D)


@pytest.mark.parametrize("raw", [0x4E20])
def test_two_hundred_degrees_is_no_probe(raw: int) -> None:
    codec = named(b"TEMPer2_V3.7")
    block = joined(codec.feed(b"\x80\x01" + raw.to_bytes(2, "big") + bytes(4), T0))
    assert not block.measured("temp_mc.case").any()


def test_the_older_layout() -> None:
    codec = named(b"TEMPer2_M12_V1.3")
    # padelt/temper-python issue 79: 5.5 inside, -1.8 in the Finnish autumn.
    block = joined(codec.feed(bytes([128, 4, 5, 128, 254, 48, 191, 107]), T0))
    assert block.temp_c("meter")[0] == pytest.approx(5.5)
    assert block.temp_c("case")[0] == pytest.approx(-1.8125, abs=6e-4)
    # edorfaus/TEMPered issue 32: no sensor at all.
    block = joined(codec.feed(bytes.fromhex("8004ffffffff0000"), T0))
    assert not any(block.measured(name).any() for name in block.columns)


def test_an_unknown_name_is_not_read() -> None:
    for name in (b"TEMPer1F_H1V1.5F", b"TEMPerHumM12V1.0", b"TEMPerGold_V9.9 "):
        codec = named(name)
        assert not blocks(codec.feed(bytes.fromhex("80800c674e200000"), T0))
        with pytest.raises(LocalProtocolError):
            codec.decode_run(np.full((1, 8), 0x80, np.uint8), np.array([T0]))


def test_a_run_equals_its_reports() -> None:
    rng = np.random.default_rng(5)
    t_ns = T0 + np.arange(300, dtype=np.int64) * MS
    for kind in KINDS:
        codec = named(kind.prefix.encode())
        rows = rng.integers(0, 256, (300, 8), np.uint8)
        rows[:, 0], rows[:, 1] = 0x80, 4
        ones = [codec.decode_run(rows[i : i + 1], t_ns[i : i + 1]) for i in range(300)]
        assert same(codec.decode_run(rows, t_ns), SampleBlock.concat(ones))


@settings(deadline=None)
@given(data=st.data())
def test_any_chunking(data: st.DataObject) -> None:
    stream = b"TEMPer2_V3.7    " + bytes.fromhex("8080085f4e2000008001078b4e200000") * 4
    codec, pieces, at = TemperCodec(), [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, 20))
        pieces += codec.feed(stream[at : at + size], T0)
        at += size
    whole = TemperCodec().feed(stream, T0)
    assert len(blocks(whole)) == 8
    assert all(same(a, b) for a, b in zip(blocks(whole), blocks(pieces), strict=True))


@settings(deadline=None)
@given(garbage=st.binary(max_size=400))
def test_garbage_before_a_name_is_no_value(garbage: bytes) -> None:
    codec = TemperCodec()
    codec.feed(garbage.replace(b"TEMPer", b""), T0)
    assert not blocks(codec.feed(bytes.fromhex("80800c674e200000"), T0))
    assert len(codec._held) < 8


def _interface(number: int, usb_class: int, protocol: int) -> SimpleNamespace:
    return SimpleNamespace(
        bInterfaceNumber=number, bInterfaceClass=usb_class, bInterfaceProtocol=protocol
    )


def test_the_keyboard_of_a_stick_is_left_alone() -> None:
    keyboard, sensor = _interface(0, 3, 1), _interface(1, 3, 2)
    device = SimpleNamespace(get_active_configuration=lambda: [keyboard, sensor])
    assert hid._hid_interface(device) is sensor
    only_keyboard = SimpleNamespace(get_active_configuration=lambda: [keyboard])
    with pytest.raises(DeviceRefused):
        hid._hid_interface(only_keyboard)


def test_a_report_without_an_endpoint_goes_over_the_control_pipe() -> None:
    calls: list[tuple] = []
    transport = object.__new__(hid.LibusbHid)
    transport._out, transport._interface = None, 1
    transport._device = SimpleNamespace(ctrl_transfer=lambda *args: calls.append(args))
    transport.write(ASK_NAME)
    assert calls == [(0x21, 0x09, 0x0200, 1, ASK_NAME, 1000)]
