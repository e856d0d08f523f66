"""WITRN: both sums, PD reports, probes that are there and are not, a board without a sensor."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denchi_protocol.codec import PdMessage, Rejected, Scene, StillScene
from denchi_protocol.meters.witrn import SPECS
from denchi_protocol.meters.witrn.codec import WitrnCodec, device_ms
from denchi_protocol.meters.witrn.emulator import WitrnEmulator
from denchi_protocol.samples import SampleBlock
from protocol.loop import MS, T0, S, drive, hang_up, values
from protocol.wire import blocks, captures, joined, read_capture, telemetry
from support import vectors

SCENE = Scene(
    vbus_v=14.8943,
    ibus_a=-0.9445,
    dp_v=2.717,
    dm_v=2.706,
    cc1_v=1.7,
    cc2_v=0.0,
    meter_temp_c=33.25,
    case_temp_c=31.5,
    energy_wh=4.5,
    capacity_ah=1.25,
)
TRUE = {
    "vbus_uv": 14.8943,
    "ibus_ua": -0.9445,
    "dp_uv": 2.717,
    "dm_uv": 2.706,
    "temp_mc.case": 31.5,
}
WIRES = [bytes.fromhex(w) for w in ("a1612c9101082cd102002cc103002cb10400454106003c21dcc0", "4102")]


class Negotiation:
    """A still scene with a PD message every 50 ms."""

    def at(self, now_ns: int) -> Scene:
        return SCENE

    def pd_between(self, after_ns: int, until_ns: int) -> list[PdMessage]:
        step = 50 * MS
        first, last = (after_ns - T0) // step + 1, (until_ns - T0) // step
        return [
            PdMessage(T0 + k * step, ("SOP", "SOP''")[k % 2], WIRES[k % 2])
            for k in range(first, last + 1)
        ]


def reports(count: int = 1, oddity: str = "", source: object = None) -> list[bytes]:
    emulator = WitrnEmulator(source or StillScene(SCENE), now_ns=T0, oddity=oddity)
    return [emulator.next(T0 + k * 10 * MS).data for k in range(count)]


def test_the_capture():
    (path,) = captures("witrn")
    chunks = read_capture(path).received()
    assert [v["hex"] for v in vectors("witrn")[:2]] == [c.data.hex() for c in chunks]
    for chunk in chunks:
        events = WitrnCodec().feed(chunk.data, T0)
        block, expect, told = joined(events), chunk.extra["expect"], telemetry(events)[0].values
        for name, key in (
            ("vbus_uv", "vbus_v"),
            ("ibus_ua", "ibus_a"),
            ("dp_uv", "dp_v"),
            ("dm_uv", "dm_v"),
        ):
            assert block.si(name)[0] == pytest.approx(expect[key], abs=1e-6)
        for place, temp in expect["temp_c"].items():
            got = block.temp_c(place)[0]
            assert np.isnan(got) if temp is None else got == pytest.approx(temp)
        assert told["capacity_ah"] == pytest.approx(expect["capacity_ah"])
        assert told["energy_wh"] == pytest.approx(expect["energy_wh"])
        frame = np.frombuffer(chunk.data, np.uint8)[None, :]
        assert device_ms(frame)[0] == expect["device_ms"] % 256_000


def test_the_field_of_a_real_meter():
    (field,) = [v for v in vectors("witrn") if v["device"] == "WITRN K2"]
    report = bytearray(reports()[0])
    report[14:18] = bytes.fromhex(field["hex"])
    report[62] = sum(report[8:62]) & 0xFF
    report[63] = (sum(report[:8]) + report[62]) & 0xFF
    told = telemetry(WitrnCodec().feed(bytes(report), T0))[0].values
    assert told["capacity_ah"] == pytest.approx(field["decoded"]["value"], rel=1e-12)


@pytest.mark.parametrize("oddity", ["", *WitrnEmulator.ODDITIES])
def test_copes_with_the_oddity(oddity):
    (spec,) = SPECS
    codec, emulator = spec.codec(), spec.emulator(Negotiation(), now_ns=T0, oddity=oddity)
    talk = drive(codec, emulator, for_ns=10 * S)
    block = talk.block
    damaged = oddity in ("bad_sum", "other_report")
    assert len(block) == (900 if damaged else 1000)
    assert len(talk.of(Rejected)) == (100 if damaged else 0)
    assert not talk.sent
    assert spec.allowed_sends == ()
    for name, true in TRUE.items():
        if name == "temp_mc.case" and oddity == "no_probe":
            assert not block.measured(name).any()
            continue
        told = values(block, name)
        assert len(told) == len(block)
        assert np.abs(told - true).max() <= 2e-6
    board = values(block, "temp_mc.meter")
    assert set(board) == ({33.25} if oddity == "board_sensor" else set())
    assert block.measured("cc1_uv").all() == (oddity != "older_model")
    assert set(values(block, "cc2_uv")) <= {0.0}
    assert set(values(block, "cc1_uv")) <= {1.7}
    messages = talk.of(PdMessage)
    assert len(messages) >= 199
    assert {(m.sop, m.wire) for m in messages} == {("SOP", WIRES[0]), ("SOP''", WIRES[1])}
    assert (np.diff(block.t_ns) > 0).all()
    if not damaged:
        assert np.abs(np.diff(block.t_ns) - 10 * MS).max() <= MS
    counters = telemetry(talk.events)
    assert 9 <= len(counters) <= 11
    assert counters[-1].values["energy_wh"] == 4.5
    hang_up(codec, emulator, now_ns=talk.now_ns)


def test_a_probe_in_the_air():
    block = joined(WitrnCodec(probe="ambient").feed(reports()[0], T0))
    assert block.temp_c("ambient")[0] == 31.5
    assert "temp_mc.case" not in block.columns


def test_a_late_bus_does_not_shake_the_stamps():
    codec, events = WitrnCodec(), []
    late = [0, 6, 0, 3, 8, 1, 0, 5] * 20
    for k, report in enumerate(reports(len(late))):
        events += codec.feed(report, T0 + (k * 10 + late[k]) * MS)
    stamps = joined(events).t_ns
    assert np.abs(np.diff(stamps)[2:] - 10 * MS).max() < MS // 10
    arrivals = T0 + (np.arange(len(late)) * 10 + late) * MS
    assert (stamps <= arrivals).all()


def test_a_run_goes_on_over_the_end_of_the_device_time():
    """The time of day in a report ends at 256 s: reads of a second each, the last of them over it."""
    said = reports(26_000)
    ends = device_ms(np.frombuffer(b"".join(said), np.uint8).reshape(-1, 64))
    assert (np.diff(ends) < 0).any()
    codec, stamps = WitrnCodec(), []
    for first in range(0, len(said), 97):
        read = said[first : first + 97]
        arrival_ns = T0 + (first + len(read)) * 10 * MS
        for block in blocks(codec.feed(b"".join(read), arrival_ns)):
            stamps += block.t_ns.tolist()
    assert len(stamps) == len(said)
    assert set(np.diff(stamps)[97:].tolist()) == {10 * MS}


def test_reports_after_a_silence_are_stamped_by_their_arrival():
    codec, frames = WitrnCodec(), reports(3)
    joined(codec.feed(frames[0], T0) + codec.feed(frames[1], T0 + 10 * MS))
    block = joined(codec.feed(frames[2], T0 + 90 * S))  # the device's clock stood still
    assert block.t_ns[0] == T0 + 90 * S


@pytest.mark.parametrize("at", range(64))
def test_no_value_from_a_damaged_report(at):
    for flip in (0x01, 0x80):
        bad = bytearray(reports()[0])
        bad[at] ^= flip
        events = WitrnCodec().feed(bytes(bad), T0)
        assert not blocks(events)


@pytest.mark.parametrize("at", [0, 1, 8, 9])
def test_a_report_of_another_kind_in_a_run_is_none_though_its_sums_are_right(at):
    said = reports(48)
    other = bytearray(said[40])
    other[at] ^= 0x10
    other[62] = sum(other[8:62]) & 0xFF
    other[63] = (sum(other[:8]) + other[62]) & 0xFF
    said[40] = bytes(other)
    whole = WitrnCodec().feed(b"".join(said), T0)
    assert sum(map(len, blocks(whole))) == 47
    assert any(isinstance(e, Rejected) for e in whole)


def test_numbers_that_are_none_become_no_value():
    for raw in (float("nan"), float("inf"), 1e30):
        report = bytearray(reports()[0])
        for at in (30, 34, 38, 42, 46, 50):
            report[at : at + 4] = struct.pack("<f", raw)
        report[62] = sum(report[8:62]) & 0xFF
        report[63] = (sum(report[:8]) + report[62]) & 0xFF
        block = joined(WitrnCodec().feed(bytes(report), T0))
        assert not any(block.measured(n).any() for n in (*TRUE, "temp_mc.meter"))


def told(events: list) -> list:
    out = []
    for e in events:
        if isinstance(e, SampleBlock):
            for k in range(len(e)):
                out.append({n: int(c[k]) for n, c in e.columns.items()})
        elif isinstance(e, PdMessage):
            out.append((e.sop, e.wire))
    return out


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 150), min_size=1, max_size=60))
def test_any_chunking_gives_the_same(sizes):
    stream = b"".join(reports(12, source=Negotiation()))
    whole = told(WitrnCodec().feed(stream, T0))
    assert len(whole) == 12
    codec, events, at = WitrnCodec(), [], 0
    for size in [*sizes, len(stream)]:
        events += codec.feed(stream[at : at + size], T0)
        at += size
    assert told(events) == whole
    stamps = joined(events).t_ns
    assert (np.diff(stamps) > 0).all()


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_back_in_step_after_garbage(junk):
    codec = WitrnCodec()
    before = codec.feed(junk, T0)
    assert not blocks(before)
    events = []
    for k, report in enumerate(reports(8)):
        events += codec.feed(report, T0 + (k + 1) * 10 * MS)
    block = joined(events)
    assert len(block) >= 6
    assert np.abs(values(block, "vbus_uv") - 14.8943).max() < 2e-6


@settings(max_examples=25, deadline=None)
@given(st.binary(min_size=61, max_size=61), st.sampled_from([0xE0, 0xC0, 0xA0, 0x80, 0x60, 0x10]))
def test_pd_reports_have_to_agree_with_themselves(rest, kind):
    for n in range(64):
        report = bytes((0xFE, n, kind)) + rest
        messages = [e for e in WitrnCodec().feed(report, T0) if isinstance(e, PdMessage)]
        if messages and messages[0].wire == rest[: n - 1]:
            assert kind != 0x10
            assert len(messages[0].wire) == 2 + 4 * (messages[0].wire[1] >> 4 & 7)
