"""POWER-Z KM001 and FL001: the one quoted sample, oddities, spoiled bytes; no rate is ever set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denchi_protocol.checksum import CRC16_MODBUS
from denchi_protocol.codec import Rejected, Scene, StillScene, UsbMatch
from denchi_protocol.meters.power_z_classic import SPECS
from denchi_protocol.meters.power_z_classic.codec import ASK, Fl001Codec, Km001Codec
from denchi_protocol.meters.power_z_classic.emulator import (
    FL_ODDITIES,
    KM_ODDITIES,
    Fl001Emulator,
    Km001Emulator,
    crc16,
)
from denchi_protocol.samples import Quality, SampleBlock
from protocol.loop import MS, T0, S, drive, hang_up, values
from protocol.wire import blocks, captures, joined, read_capture

KM, FL = SPECS
SCENE = StillScene(Scene(vbus_v=5.1875, ibus_a=0.205085, dp_v=0.022, dm_v=0.204, meter_temp_c=-3.5))
TRUE = {
    "vbus_uv": 5.1875,
    "ibus_ua": 0.205085,
    "dp_uv": 0.022,
    "dm_uv": 0.204,
    "temp_mc.meter": -3.5,
}
CASES = [(KM, o) for o in ("", *KM_ODDITIES)] + [(FL, o) for o in ("", *FL_ODDITIES)]


def test_checksums_and_the_request():
    assert crc16(b"123456789") == CRC16_MODBUS.of(b"123456789") == 0x4B37
    assert ASK[:6] == bytes.fromhex("550522050b00")
    assert ASK[6] == 0x8C
    assert ASK[7:9] == crc16(ASK[:6]).to_bytes(2, "little")
    assert len(ASK) == 64
    assert not any(ASK[9:])


@pytest.mark.parametrize("path", captures("power_z_classic"), ids=lambda p: p.stem)
def test_the_captures(path):
    capture = read_capture(path)
    (spec,) = [s for s in SPECS if s.key == capture.header.meter]
    for chunk in capture.received():
        block, expect = joined(spec.codec().feed(chunk.data, T0)), chunk.extra["expect"]
        assert len(block) == 1
        for key, name in (
            ("vbus_v", "vbus_uv"),
            ("ibus_a", "ibus_ua"),
            ("dp_v", "dp_uv"),
            ("dm_v", "dm_uv"),
        ):
            assert block.si(name)[0] == pytest.approx(expect[key], abs=1e-9)
        assert block.temp_c("meter")[0] == pytest.approx(expect["temp_c"]["meter"])


@pytest.mark.parametrize(("spec", "oddity"), CASES, ids=lambda v: getattr(v, "key", v) or "plain")
def test_copes_with_the_oddity(spec, oddity):
    codec, emulator = spec.codec(), spec.emulator(SCENE, now_ns=T0, oddity=oddity)
    talk = drive(codec, emulator, for_ns=10 * S)
    block = talk.block
    least = {"slow_rate": 95, "hasty": 9000, "other_reports": 900, "bad_crc": 275, "late": 300}
    assert len(block) >= least.get(oddity, 300)
    for name, true in TRUE.items():
        told = values(block, name)
        assert len(told) == len(block)
        assert np.abs(told - true).max() < 1e-6
    assert (np.diff(block.t_ns) > 0).all()
    assert len(talk.of(Rejected)) == (31 if oddity == "bad_crc" else 0)
    assert bool((block.quality & Quality.UNCHECKED).any()) is (spec is KM)
    assert set(talk.requests) == set(spec.allowed_sends)
    if spec is KM:
        assert min(np.diff([t for t, _ in talk.sent])) >= 200 * MS
    assert not hang_up(codec, emulator, now_ns=talk.now_ns).sent


def test_a_host_that_sets_no_rate_and_spoils_a_request_gets_nothing():
    emulator = Km001Emulator(SCENE, now_ns=T0)
    emulator.receive(ASK[:6] + b"\0" + ASK[7:], T0)
    assert not hasattr(emulator.next(T0 + S), "data")


def test_both_are_opened_only_by_name_and_never_in_place_of_an_atorch():
    import re

    for spec in SPECS:
        for match in spec.matches:
            assert isinstance(match, UsbMatch)
            assert match.ambiguous
    for match in KM.matches:
        assert not re.search(match.product, "Atorch ACD15P")
        assert not re.search(match.product, "DL24P")
        assert re.search(match.product, "KingMeter")
        assert re.search(match.product, "")


def one(emulator) -> bytes:
    emulator.receive(ASK, T0)
    return emulator.next(T0).data


def told(events: list) -> list:
    return [
        tuple(int(c[k]) for c in e.columns.values())
        for e in events
        if isinstance(e, SampleBlock)
        for k in range(len(e))
    ]


@pytest.mark.parametrize("at", range(64))
def test_no_value_from_a_damaged_report(at):
    bad = bytearray(one(Fl001Emulator(SCENE, now_ns=T0)))
    bad[at] ^= 0x20
    assert not blocks(Fl001Codec().feed(bytes(bad), T0))
    if at < 6 or 37 <= at < 63:  # a KM001 sample has no checksum, only what is always so
        bad = bytearray(one(Km001Emulator(SCENE, now_ns=T0)))
        bad[at] ^= 0x20
        assert not blocks(Km001Codec().feed(bytes(bad), T0))


@pytest.mark.parametrize("make", [(Km001Codec, Km001Emulator), (Fl001Codec, Fl001Emulator)])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_chunking_and_garbage(make, data):
    codec, emulator = make[0](), make[1](SCENE, now_ns=T0)
    report = one(emulator)
    junk = data.draw(st.binary(max_size=150))
    assert not blocks(codec.feed(junk, T0))
    stream, events, at = report * 4, [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, 100))
        events += codec.feed(stream[at : at + size], T0 + at * MS)
        at += size
    whole = told(make[0]().feed(report, T0))
    assert set(told(events)) == set(whole)
    assert len(told(events)) >= 2
    assert (np.diff(joined(events).t_ns) > 0).all()
