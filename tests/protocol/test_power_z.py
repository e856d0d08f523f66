"""POWER-Z: real replies of a KM003C, sequence gaps, the sentinel, emulator oddities, spoiled bytes."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denchi_protocol.codec import MeterGap, PdMessage, Rejected, Scene, StillScene
from denchi_protocol.meters.power_z import SPECS
from denchi_protocol.meters.power_z.codec import PowerZCodec, request
from denchi_protocol.meters.power_z.emulator import PowerZEmulator
from denchi_protocol.samples import Quality, SampleBlock
from protocol.loop import MS, T0, S, drive, hang_up, values
from protocol.wire import blocks, captures, joined, read_capture, telemetry
from support import vectors

SCENE = Scene(
    vbus_v=9.012345, ibus_a=-1.234567, cc1_v=1.65, cc2_v=0.01, dp_v=0.6, dm_v=2.7, meter_temp_c=31.5
)
TRUE = {
    "vbus_uv": 9.012345,
    "ibus_a": -1.234567,
    "cc1_uv": 1.65,
    "cc2_uv": 0.01,
    "dp_uv": 0.6,
    "dm_uv": 2.7,
    "temp_mc.meter": 31.5,
}
NAMES = {"vbus_v": "vbus_uv", "ibus_a": "ibus_ua"} | {
    f"{line}_v": f"{line}_uv" for line in ("cc1", "cc2", "dp", "dm")
}
PD_GAP_NS = 7 * MS
WIRES = [bytes.fromhex(w) for w in ("a1612c9101082cd102002cc103002cb10400454106003c21dcc0", "4102")]


class Negotiation:
    """A still scene with a PD message every 7 ms."""

    def at(self, now_ns: int) -> Scene:
        return SCENE

    def pd_between(self, after_ns: int, until_ns: int) -> list[PdMessage]:
        first = (after_ns - T0) // PD_GAP_NS + 1
        last = (until_ns - T0) // PD_GAP_NS
        return [
            PdMessage(T0 + k * PD_GAP_NS, ("SOP", "SOP'")[k % 2], WIRES[k % 2])
            for k in range(first, last + 1)
        ]


def capture_file(name: str):
    (path,) = [p for p in captures("power_z") if p.stem == name]
    return read_capture(path).received()


@pytest.mark.parametrize("name", ["adc", "vendor_example"])
def test_captured_adc_replies(name):
    for chunk in capture_file(name):
        block, expect = joined(PowerZCodec().feed(chunk.data, T0)), chunk.extra["expect"]
        assert len(block) == 1
        for key, column in NAMES.items():
            assert block.si(column)[0] == pytest.approx(expect[key], abs=1e-9)
        told, temp = block.temp_c("meter")[0], expect["temp_c"]["meter"]
        assert np.isnan(told) if temp is None else told == pytest.approx(temp, abs=1e-9)


def test_captured_negotiation_on_the_meters_own_clock():
    codec, events = PowerZCodec(), []
    want_pd, want_attached = [], []
    for chunk in capture_file("pd"):
        events += codec.feed(chunk.data, T0 + chunk.t_ns)
        want_pd += chunk.extra["expect"]["pd"]
        want_attached += chunk.extra["expect"]["attached"]
    messages = [e for e in events if isinstance(e, PdMessage)]
    assert [m.wire.hex() for m in messages] == [wire for _, wire in want_pd]
    assert {m.sop for m in messages} == {"SOP"}
    for message, (ms, _) in zip(messages, want_pd, strict=True):
        assert abs(message.t_ns - (T0 + ms * MS)) < 2 * MS
    assert [t.values["attached"] for t in telemetry(events)] == want_attached
    assert not [e for e in events if isinstance(e, Rejected)]


def test_captured_stream_its_gap_and_the_temperature_lent_to_it():
    codec, events = PowerZCodec(), []
    chunks = capture_file("stream")
    for chunk in chunks:
        events += codec.feed(chunk.data, T0 + chunk.t_ns)
    block = joined(events)
    expects = [chunk.extra["expect"] for chunk in chunks]
    for key, name in (("vbus_v", "vbus_uv"), ("ibus_a", "ibus_ua")):
        assert block.si(name) == pytest.approx([v for e in expects for v in e[key]], abs=1e-9)
    lines = [v for e in expects for v in e["cc1_v"]]
    assert block.si("cc1_uv")[:-1] == pytest.approx(lines[:-1], abs=1e-9)
    assert block.si("cc1_uv")[-1] == pytest.approx(expects[-1]["last_cc1_v"], abs=1e-9)
    assert values(block, "temp_mc.meter") == pytest.approx([expects[-1]["last_temp_c"]])
    seqs = [s for e in expects for s in e["seq"]]
    assert set(np.diff(block.t_ns[:5])) == {20 * MS}
    (gap,) = [e for e in events if isinstance(e, MeterGap)]
    assert gap.lost == (expects[1]["seq"][0] - expects[0]["seq"][-1]) // 20 - 1
    assert gap.start_ns < gap.end_ns
    assert len(seqs) == len(block)


def test_every_reply_of_the_vectors():
    adc = pd = queue = 0
    for vector in vectors("power_z"):
        packets = vector["decoded"].get("packets") or []
        if not packets or any(p["att"] not in (1, 2, 8, 16) for p in packets):
            continue
        data = bytes.fromhex(vector["hex"])
        events = PowerZCodec().feed(data, T0)
        assert not [e for e in events if isinstance(e, Rejected)], vector["source"]
        block = joined(events)
        for packet in packets:
            if "adc" in packet and len(packets) == 1:
                adc += 1
                assert block.columns["vbus_uv"][0] == packet["adc"]["vbus_uV"]
                assert block.columns["ibus_ua"][0] == packet["adc"]["ibus_uA"]
            if "samples" in packet:
                queue += 1
                told = [s["vbus_uV"] for s in packet["samples"]]
                assert block.columns["vbus_uv"].tolist() == told
                assert (np.diff(block.t_ns) > 0).all()
            for event in packet.get("pd", {}).get("events", ()):
                if event["kind"] == "pd":
                    pd += 1
        told_pd = [e for e in events if isinstance(e, PdMessage)]
        wires = [
            e["wire"]
            for p in packets
            for e in p.get("pd", {}).get("events", ())
            if e["kind"] == "pd"
        ]
        assert [m.wire.hex() for m in told_pd] == wires
    print(f"{adc} ADC replies, {queue} streams, {pd} PD messages agree")
    assert adc >= 6
    assert queue >= 12
    assert pd >= 40


def test_the_sentinel_is_no_temperature_and_negative_ones_are_right():
    emulator = PowerZEmulator(StillScene(SCENE), now_ns=T0, oddity="no_temperature")
    block = drive(PowerZCodec(), emulator, for_ns=S).block
    assert not block.measured("temp_mc.meter").any()
    assert (block.quality & Quality.FAULT_CODE).all()
    for celsius in (-0.5, -12.25, -39.0, 0.0, 25.125):
        scene = StillScene(Scene(vbus_v=5.0, ibus_a=0.0, meter_temp_c=celsius))
        block = drive(PowerZCodec(), PowerZEmulator(scene, now_ns=T0), for_ns=S).block
        assert set(values(block, "temp_mc.meter")) == {celsius}


@pytest.mark.parametrize("oddity", ["", *PowerZEmulator.ODDITIES])
@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.key)
def test_copes_with_the_oddity(spec, oddity):
    codec, emulator = spec.codec(), spec.emulator(Negotiation(), now_ns=T0, oddity=oddity)
    talk = drive(codec, emulator, for_ns=10 * S)
    # A kept, lost or late reply costs 50 ms; everything else comes a hundred times a second.
    few = {"joined": 80, "deaf": 350, "pd_apart": 900, "short_reports": 150}
    assert len(talk.block) >= few.get(oddity, 990)
    tolerance = 6e-4 if oddity == "pd_apart" else 5e-7
    for name, true in TRUE.items():
        if name == "temp_mc.meter" and oddity in ("no_temperature", "pd_apart"):
            continue
        if name in ("dp_uv", "dm_uv") and oddity == "pd_apart":
            continue
        told = values(talk.block, "ibus_ua" if name == "ibus_a" else name)
        assert len(told)
        assert np.abs(told - true).max() <= tolerance
    assert (np.diff(talk.block.t_ns) > 0).all()
    assert set(talk.requests) <= set(spec.allowed_sends)
    messages = talk.of(PdMessage)
    if oddity != "short_reports":
        assert len(messages) >= 1000
        for message in messages:
            late = (message.t_ns - T0) % PD_GAP_NS
            assert min(late, PD_GAP_NS - late) <= 2 * MS
            assert (message.sop, message.wire) in (("SOP", WIRES[0]), ("SOP'", WIRES[1]))
        assert [t.values["attached"] for t in telemetry(talk.events)] == [1.0]
    hang_up(codec, emulator, now_ns=talk.now_ns)


def test_a_device_slow_to_start_is_asked_for_both_again():
    class Sleeping(PowerZEmulator):
        def receive(self, data, now_ns):
            if now_ns > T0 + 2 * S:
                super().receive(data, now_ns)

    talk = drive(PowerZCodec(), Sleeping(Negotiation(), now_ns=T0), for_ns=6 * S)
    late = [data for t, data in talk.sent if t > T0 + 3 * S]
    assert len(late) >= 299
    assert {data[2] for data in late} == {0x22}


def reply_of(emulator: PowerZEmulator, mask: int = 0x11, now_ns: int = T0 + S) -> bytes:
    emulator.receive(request(7, mask), now_ns)
    return emulator.next(now_ns).data


def stream_reply(seqs: list[int]) -> bytes:
    samples = b"".join(
        struct.pack("<HHiiHHHH", s, 9, 5_000_000 + s, 1_000_000, 330, 3240, 0, 0) for s in seqs
    )
    head = struct.pack("<II", 0x41 | 1 << 17 | 5 << 22, 2 | len(seqs) << 16 | 20 << 22)
    return head + samples


def test_sequence_gaps_wraps_and_restarts():
    codec = PowerZCodec()
    ms = 64_000
    lost = []

    def step(numbers: list[int]) -> list:
        events = codec.feed(stream_reply([n % 65536 for n in numbers]), T0 + numbers[-1] * MS)
        lost.extend(e.lost for e in events if isinstance(e, MeterGap))
        return events

    step(list(range(ms, ms + 40)))
    step(list(range(ms + 40, ms + 80)))
    assert lost == []
    step(list(range(ms + 90, ms + 130)))
    assert lost == [10]
    step([*range(65_520, 65_545), *range(65_555, 65_580)])  # over the wrap, with a hole
    assert lost == [10, 65_520 - ms - 130, 10]
    # A restart of the meter: the numbers do not follow the time that passed.
    events = codec.feed(stream_reply(list(range(40))), T0 + 66_000 * MS)
    assert not [e for e in events if isinstance(e, MeterGap)]
    assert len(joined(events)) == 40


def test_lines_of_a_stream_wait_for_its_rate():
    codec = PowerZCodec()
    (one,) = blocks(codec.feed(stream_reply([100]), T0))
    assert not one.measured("cc1_uv").any()
    (two,) = blocks(codec.feed(stream_reply([600]), T0 + 500 * MS))
    assert two.si("cc1_uv")[0] == pytest.approx(0.033)  # 2 samples/s: 0.1 mV a count
    (other,) = blocks(codec.feed(stream_reply([620]), T0 + 520 * MS))
    assert not other.measured("cc1_uv").any()
    (three,) = blocks(codec.feed(stream_reply([640]), T0 + 540 * MS))
    assert three.si("cc1_uv")[0] == pytest.approx(0.33)


def told(events: list) -> list:
    out = []
    for e in events:
        if isinstance(e, SampleBlock):
            out.append((e.t_ns.tolist(), {n: c.tolist() for n, c in e.columns.items()}))
        elif not isinstance(e, Rejected):
            out.append(e)
    return out


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_chunking_gives_the_same(data):
    emulator = PowerZEmulator(Negotiation(), now_ns=T0)
    stream = b"".join(reply_of(emulator, now_ns=T0 + k * 10 * MS) for k in range(6))
    whole = told(PowerZCodec().feed(stream, T0 + S))
    codec, events, at = PowerZCodec(), [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, 90))
        events += codec.feed(stream[at : at + size], T0 + S)
        at += size
    assert told(events) == whole
    assert len(joined(events)) == 6


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_garbage_becomes_no_value_and_the_next_replies_are_read(junk):
    codec = PowerZCodec()
    assert not joined(codec.feed(junk, T0)).columns
    emulator = PowerZEmulator(StillScene(SCENE), now_ns=T0)
    good = reply_of(emulator, 0x01)
    # An unfinished look-alike is given up when its answer does not come in time.
    codec.next(T0)
    codec.next(T0 + 150 * MS)
    block = joined(codec.feed(good + good, T0 + 160 * MS))
    assert len(block) >= 1
    assert set(np.round(values(block, "vbus_uv"), 6)) == {9.012345}


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 71))
def test_a_cut_reply_gives_no_value(length):
    emulator = PowerZEmulator(StillScene(SCENE), now_ns=T0)
    reply = reply_of(emulator)
    codec = PowerZCodec()
    codec.next(T0)
    assert not blocks(codec.feed(reply[:length], T0))
    codec.next(T0 + 150 * MS)  # silence: the piece is given up
    block = joined(codec.feed(reply_of(emulator, 0x01, T0 + 2 * S), T0 + 160 * MS))
    assert len(block) == 1
    assert block.vbus_v()[0] == pytest.approx(9.012345)


@pytest.mark.parametrize(
    ("at", "value"), [(4, 3), (7, 0x22), (4 + 4 + 35, 0xF0), (8 + 11, 0x7F), (8 + 15, 0x60)]
)
def test_what_does_not_fit_is_rejected(at, value):
    reply = bytearray(reply_of(PowerZEmulator(StillScene(SCENE), now_ns=T0), 0x01))
    reply[at] = value
    events = PowerZCodec().feed(bytes(reply) + bytes(2000), T0)
    assert not blocks(events)
    assert [e for e in events if isinstance(e, Rejected)]


def test_emulator_masks_what_needs_authentication():
    emulator = PowerZEmulator(StillScene(SCENE), now_ns=T0)
    assert reply_of(emulator, 0x02) == bytes((0x41, 7, 2, 0))
    emulator.receive(bytes.fromhex("44020101") + bytes(32), T0)
    assert emulator.next(T0).data[0] == 0x27
