"""FNIRSI: keep-alive, draining, oddities and the garbage that was seen in the field."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from denchi_protocol.checksum import CRC8_FNIRSI
from denchi_protocol.codec import DeviceInfo, Rejected, Scene, Send, StillScene, Telemetry
from denchi_protocol.meters.fnirsi import SPECS
from denchi_protocol.meters.fnirsi.ble import FnirsiBleCodec
from denchi_protocol.meters.fnirsi.codec import FnirsiCodec, command
from denchi_protocol.meters.fnirsi.emulator import FnirsiEmulator, crc8, report
from denchi_protocol.meters.fnirsi.emulator_ble import FnirsiBleEmulator
from denchi_protocol.samples import Quality, SampleBlock
from protocol.loop import MS, T0, S, drive, hang_up, values
from support import vectors

SCENE = StillScene(
    Scene(vbus_v=9.01234, ibus_a=1.5, dp_v=0.6, dm_v=2.7, meter_temp_c=31.5, energy_wh=1.25)
)
USB = [spec for spec in SPECS if spec.transport.kind == "hid"]
C81, C82, C83 = (command(n) for n in (0x81, 0x82, 0x83))


def test_commands_are_the_published_ones():
    published = {v["hex"] for v in vectors("fnirsi") if v["decoded"].get("direction")}
    assert {c.hex() for c in (C81, C82, C83)} <= published


def test_emulators_own_checksum_agrees_with_the_published_check_value():
    assert crc8(b"123456789") == CRC8_FNIRSI.of(b"123456789") == 0x4B


@pytest.mark.parametrize("spec", USB, ids=lambda s: s.key)
def test_start_sequence_and_pauses(spec):
    talk = drive(spec.codec(), spec.emulator(SCENE, now_ns=T0))
    old = [C81, C82, C83]
    assert talk.requests[:3] == (old if spec.key in ("fnb48", "c1") else [C81, C82, C82])
    times = [t for t, _ in talk.sent]
    gaps = np.diff(times)
    assert gaps.min() >= 25 * MS
    assert gaps[:2].min() >= 50 * MS
    assert gaps.max() <= 100 * MS
    assert C81 not in talk.requests[1:]


def test_samples_are_spread_back_ten_milliseconds_apart():
    talk = drive(FnirsiCodec(), FnirsiEmulator(SCENE, now_ns=T0))
    assert set(np.diff(talk.block.t_ns)) == {10 * MS}
    assert (talk.block.quality == Quality.TIME_SPREAD).all()
    arrivals = {t for t, data in talk.got if data[1] == 4}
    assert {int(t) for t in talk.block.t_ns[3::4]} == arrivals


def test_frames_that_waited_share_the_time_since_the_one_before():
    codec = FnirsiCodec()
    frames = [
        data
        for _, data in drive(FnirsiCodec(), FnirsiEmulator(SCENE, now_ns=T0)).got
        if data[1] == 4
    ]
    events = codec.feed(frames[0], T0)
    for k in (1, 2, 3):
        events += codec.feed(frames[k], T0 + 130 * MS + k)  # three in a bunch, 1 ns apart
    events += codec.feed(b"".join(frames[4:8]), T0 + 290 * MS)  # four in one read
    stamps = SampleBlock.concat([e for e in events if isinstance(e, SampleBlock)]).t_ns
    assert len(stamps) == 32
    assert (np.diff(stamps) > 0).all()
    assert stamps[-1] == T0 + 290 * MS
    assert stamps[4] > T0


@pytest.mark.parametrize("oddity", FnirsiEmulator.ODDITIES)
@pytest.mark.parametrize("spec", USB, ids=lambda s: s.key)
def test_copes_with_the_oddity(spec, oddity):
    codec, emulator = spec.codec(), spec.emulator(SCENE, now_ns=T0, oddity=oddity)
    talk = drive(codec, emulator, for_ns=10 * S)
    assert not emulator.frozen
    assert len(talk.block) > 900
    assert set(np.round(values(talk.block, "vbus_uv"), 5)) == {9.01234}
    if oddity in ("unclean_exit", "garbage_measurement"):
        assert len(talk.of(Rejected)) >= 1
    end = hang_up(codec, emulator, now_ns=talk.now_ns)
    assert not emulator.frozen
    assert not end.sent, "nothing is sent while draining"


def test_a_drained_meter_can_be_started_again_and_an_undrained_one_cannot():
    for drains in (True, False):
        emulator = FnirsiEmulator(SCENE, now_ns=T0, oddity="freezes_undrained")
        codec = FnirsiCodec()
        talk = drive(codec, emulator)
        now = talk.now_ns
        if drains:
            now = hang_up(codec, emulator, now_ns=now).now_ns
        else:
            now += 5 * S  # nobody reads
        again = drive(FnirsiCodec(), emulator, now_ns=now)
        assert bool(again.of(SampleBlock)) is drains
        assert emulator.frozen is not drains


def slow_keep_alive(emulator, interval_ns, for_ns):
    """A host that continues at an interval of its own, as published programs do."""
    frames = 0
    for now in range(T0, T0 + for_ns, 5 * MS):
        since = now - T0
        if since in (0, 50 * MS, 100 * MS):
            emulator.receive({0: C81, 50 * MS: C82, 100 * MS: C82}[since], now)
        elif since % interval_ns == 0:
            emulator.receive(C83, now)
        while isinstance(action := emulator.next(now), Send):
            frames += action.data[1] == 4
    return frames


def test_the_emulator_stops_without_keep_alive_and_068_freezes_with_a_slow_one():
    second = 1_000 * MS
    assert slow_keep_alive(FnirsiEmulator(SCENE, now_ns=T0), 60 * S, 5 * S) <= 26
    assert slow_keep_alive(FnirsiEmulator(SCENE, now_ns=T0), 950 * MS, 5 * S) > 100
    frozen = FnirsiEmulator(SCENE, now_ns=T0, oddity="firmware_068")
    assert slow_keep_alive(frozen, second, 5 * S) < 60
    assert frozen.frozen


def test_the_emulator_crashes_when_hurried_at_the_start():
    emulator = FnirsiEmulator(SCENE, now_ns=T0, oddity="hasty_start")
    emulator.receive(C81, T0)
    emulator.receive(C82, T0 + 5 * MS)
    assert emulator.frozen


def test_silence_is_answered_with_a_new_start():
    codec = FnirsiCodec()
    sent = []
    now = T0
    while now < T0 + 5 * S:
        action = codec.next(now)
        if isinstance(action, Send):
            sent.append((now, action.data))
        else:
            now = max(now + 1, action.until_ns)
    starts = [t for t, data in sent if data == C82][2:]
    assert len(starts) >= 8
    assert max(b - a for a, b in itertools.pairwise(starts)) <= 550 * MS


def test_the_garbage_seen_in_the_field_becomes_no_value():
    # B pull 4: 188.74 V, 170.39 A, D+ 51.84 V.
    junk = bytes.fromhex("020020013000040180ca00")
    for kind in (0x03, 0x04, 0x05):
        events = FnirsiCodec().feed(report(kind, junk), T0)
        assert not [e for e in events if isinstance(e, SampleBlock)]
        assert len(events) == 1
    frames = np.frombuffer(report(4, junk), np.uint8)[None, :]
    block = FnirsiCodec().decode_run(frames, np.array([T0]))
    assert all(not len(values(block, name)) for name in block.columns)


def test_device_information_is_passed_on_raw():
    (info,) = FnirsiCodec().feed(report(3, b"\x01\x02"), T0)
    assert isinstance(info, DeviceInfo)
    assert info.fields["raw"] == "0102" + "00" * 59


@pytest.mark.parametrize("oddity", ["", *FnirsiBleEmulator.ODDITIES])
def test_ble_copes_with_the_oddity(oddity):
    codec, emulator = FnirsiBleCodec(), FnirsiBleEmulator(SCENE, now_ns=T0, oddity=oddity)
    talk = drive(codec, emulator, for_ns=5 * S)
    assert len(talk.block) >= 45
    resolution = 1e-3 if oddity == "coarse_only" else 5.1e-5
    for name, true in (("vbus_uv", 9.01234), ("ibus_ua", 1.5), ("temp_mc.meter", 31.5)):
        assert np.abs(values(talk.block, name) - true).max() <= resolution
    assert talk.of(Telemetry)[-1].values["energy_wh"] == 1.25
    assert talk.of(DeviceInfo)[0].model == "FNB58"
    end = hang_up(codec, emulator, now_ns=talk.now_ns)
    assert end.requests == [bytes.fromhex("aa840001")]
    assert not drive(codec, emulator, now_ns=end.now_ns, for_ns=1 * S).got


def test_ble_negative_temperature():
    scene = StillScene(Scene(vbus_v=5.0, ibus_a=0.1, meter_temp_c=-4.5))
    talk = drive(FnirsiBleCodec(), FnirsiBleEmulator(scene, now_ns=T0))
    assert set(values(talk.block, "temp_mc.meter")) == {-4.5}


def test_every_real_ble_segment():
    real = [v for v in vectors("fnirsi") if v["device"] == "FNIRSI FNB48S (BLE)"]
    segments = [v for v in real if v["hex"].startswith("aa")]
    assert len(segments) > 15
    for vector in segments:
        codec, told = FnirsiBleCodec(), vector["decoded"]
        events = codec.feed(bytes.fromhex(vector["hex"]), T0) + codec.finish(T0)
        (event,) = events
        if told["type"] == 8:
            assert event.values["energy_wh"] == told["energy_Wh"]
            assert event.values["capacity_ah"] == told["capacity_Ah"]
            assert event.values["record_s"] == told["record_s"]
            continue
        want = {
            5: {"temp_mc.meter": "temperature_C"},
            6: {"dp_uv": ("dp_mV", 1e-3), "dm_uv": ("dm_mV", 1e-3)},
            7: {"vbus_uv": "voltage_V", "ibus_ua": "current_A"},
        }[told["type"]]
        assert set(event.columns) == set(want)
        for name, key in want.items():
            key, scale = key if isinstance(key, tuple) else (key, 1)
            assert event.si(name)[0] == pytest.approx(told[key] * scale, abs=1e-9)
