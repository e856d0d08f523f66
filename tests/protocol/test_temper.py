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


def measured(block: SampleBlock) -> list[float]:
    """The temperatures that are there."""
    assert set(block.columns) <= {"temp_mc.ambient"}
    series = block.temp_c("ambient")
    return series[~np.isnan(series)].tolist()


def test_real_replies() -> None:
    seen = 0
    for path in captures("temper"):
        for sensor, spec in (("cable", BY_KEY["temper"]), ("inner", BY_KEY["temper-inner"])):
            codec, got = spec.codec(), []
            expect: dict[str, float] = {}
            for chunk in read_capture(path).received():
                events = codec.feed(chunk.data, T0 + chunk.t_ns)
                told = dict(chunk.extra.get("expect", {}))
                if model := told.pop("device", None):
                    (info,) = events
                    assert isinstance(info, DeviceInfo)
                    assert info.model == model
                expect |= told
                got += measured(joined(events))
            # A stick with one sensor shows it whichever is asked for.
            assert got == pytest.approx([expect.get(sensor, next(iter(expect.values())))])
            seen += 1
    assert seen == 8


@pytest.mark.parametrize("oddity", ["", *TemperEmulator.ODDITIES])
@pytest.mark.parametrize("chunk", [0, 3])
@pytest.mark.parametrize("key", BY_KEY)
def test_against_the_emulator(key: str, oddity: str, chunk: int) -> None:
    sent: list[bytes] = []
    emulator = TemperEmulator(SCENE, now_ns=T0, oddity=oddity)
    events = converse(BY_KEY[key].codec(), emulator, for_s=8, sent=sent, chunk=chunk)
    assert set(sent) <= set(SPECS[0].allowed_sends)
    assert sent[0] == ASK_NAME
    if oddity == "unknown":
        assert set(sent) == {ASK_NAME}  # what nobody has described is not asked, not read
        assert not blocks(events)
        assert any(isinstance(e, Rejected) for e in events)
        return
    assert sent.count(ASK_TEMPERATURE) >= 5
    cable = oddity == "cable_only" or (key == "temper" and oddity != "gold")
    seen = measured(joined(events))
    if cable and oddity == "no_probe":
        assert not seen
    else:
        assert len(seen) >= 5
        assert set(seen) == {41.25 if cable else -7.5}


def test_ids_that_foot_switches_share_are_never_opened_by_themselves() -> None:
    for match in SPECS[0].matches:
        assert match.ambiguous == (match.product is None)
    assert not SPECS[1].matches
    assert all(m.ambiguous for m in SPECS[0].matches if m.vid == 0x413D)


def test_two_hundred_degrees_is_no_probe() -> None:
    codec = named(b"TEMPer2_V3.7")
    assert not measured(joined(codec.feed(bytes.fromhex("80014e2000000000"), T0)))
    assert measured(joined(codec.feed(bytes.fromhex("80014e1f00000000"), T0))) == [199.99]


def test_the_older_layout() -> None:
    # padelt/temper-python issue 79: 5.5 inside, -1.8 in the Finnish autumn.
    report = bytes([128, 4, 5, 128, 254, 48, 191, 107])
    for sensor, temp_c in (("cable", -1.8125), ("inner", 5.5)):
        codec = named(b"TEMPer2_M12_V1.3", TemperCodec(sensor))
        (seen,) = measured(joined(codec.feed(report, T0)))
        assert seen == pytest.approx(temp_c, abs=6e-4)
        # edorfaus/TEMPered issue 32: no sensor at all.
        assert not measured(joined(codec.feed(bytes.fromhex("8004ffffffff0000"), T0)))
    codec = named(b"TEMPer2_M12_V1.3")
    assert not blocks(codec.feed(bytes.fromhex("800205800000bf6b"), T0))  # its cable is not there


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
        codec = named(kind.prefix.encode(), TemperCodec("inner"))
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
    assert len(blocks(whole)) == 4
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
