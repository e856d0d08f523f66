from __future__ import annotations

import struct

import numpy as np
import pytest

from denchi_protocol.codec import MeterGap, Rejected, Scene, StillScene
from denchi_protocol.meters.avhzy import SPECS
from denchi_protocol.meters.avhzy.codec import AvhzyCodec, TextCodec, command
from denchi_protocol.meters.avhzy.emulator import AvhzyEmulator, TextEmulator
from protocol.wire import MS, T0, blocks, captures, converse, finish, joined, read_capture

SCENE = StillScene(Scene(vbus_v=9.0, ibus_a=-1.5, dp_v=0.6, dm_v=0.62))


class Ramp:
    """Volts are seconds since ``t0``: a sample's stamp can be checked by its value."""

    def __init__(self, t0: int = T0) -> None:
        self.t0 = t0

    def at(self, now_ns: int) -> Scene:
        return Scene(vbus_v=(now_ns - self.t0) / 1e9, ibus_a=0.0)

    def pd_between(self, after_ns: int, until_ns: int) -> tuple[()]:
        return ()


def test_worked_frames() -> None:
    assert command(bytes.fromhex("01070000")).hex() == "a50400000001070000065a"
    assert command(bytes.fromhex("0109010001000000")).hex() == "a5080000000109010001000000085a"


def test_the_capture() -> None:
    (path,) = captures("avhzy")
    capture = read_capture(path)
    assert capture.header.synthetic
    codec = AvhzyCodec()
    events = [e for chunk in capture.received() for e in codec.feed(chunk.data, chunk.t_ns)]
    (block,) = blocks(events)
    assert (block.vbus_v()[0], block.ibus_a()[0]) == (9.0, -1.5)


@pytest.mark.parametrize("oddity", ["", *AvhzyEmulator.ODDITIES])
def test_against_the_emulator(oddity: str) -> None:
    codec, emulator = AvhzyCodec(), AvhzyEmulator(SCENE, now_ns=T0, oddity=oddity)
    sent: list[bytes] = []
    events = converse(codec, emulator, for_s=6, sent=sent)
    block = joined(events)
    assert len(block) > (2500 if oddity == "stall" else 4000)
    assert set(block.vbus_v()) == {9.0}
    assert set(block.ibus_a()) == {-1.5}
    assert (np.diff(block.t_ns) > 0).all()
    gaps = [e for e in events if isinstance(e, MeterGap)]
    if oddity == "lost":
        assert len(gaps) >= 8
        assert {g.lost for g in gaps} == {60}
    elif oddity != "stall":
        assert not gaps
    if oddity == "bad_xor":
        assert any(isinstance(e, Rejected) for e in events)
        assert len(block) < 6000 * 49 / 50 + 50
    finish(codec, emulator, T0 + 6_000 * MS, sent)
    assert sent[-1][5:7] == b"\x01\x07"  # it ends by stopping the stream
    spec = SPECS[0]
    assert all(s.startswith(spec.allowed_sends) for s in sent)


@pytest.mark.parametrize("oddity", ["", "bursts"])
def test_stamps_follow_the_meters_clock(oddity: str) -> None:
    events = converse(AvhzyCodec(), AvhzyEmulator(Ramp(), now_ns=T0, oddity=oddity), for_s=5)
    block = joined(events)
    late_s = (block.t_ns - T0) / 1e9 - block.vbus_v()
    assert late_s.min() > -1e-3  # float32 volts: half a microvolt at 5
    assert late_s.max() < 0.1
    assert late_s[2000:].max() - late_s[2000:].min() < 2e-3


def test_runs_and_single_frames_agree() -> None:
    frames = [_sample(5 + i / 1000, 0.001 * i, 1_000 * i) for i in range(300)]
    whole = joined(AvhzyCodec().feed(b"".join(frames), T0))
    one = AvhzyCodec()
    single = joined([e for f in frames for e in one.feed(f, T0)])
    assert np.array_equal(whole.columns["vbus_uv"], single.columns["vbus_uv"])
    assert np.array_equal(whole.columns["ibus_ua"], single.columns["ibus_ua"])
    expect = np.array([np.float32(5 + i / 1000) for i in range(300)], np.float64)
    assert whole.vbus_v() == pytest.approx(expect, abs=5e-7)


def test_a_broken_frame_in_a_run_costs_itself_only() -> None:
    frames = [_sample(5.0, 0.5, 1_000 * i) for i in range(50)]
    frames[20] = frames[20][:9] + b"\x00\x01" + frames[20][11:]
    frames[30] = frames[30][:12]
    events = AvhzyCodec().feed(b"\x11\xa5" + b"".join(frames), T0)
    assert len(joined(events)) == 48
    assert sum(isinstance(e, Rejected) for e in events) >= 2


def test_not_a_number_is_not_a_value() -> None:
    block = joined(AvhzyCodec().feed(_sample(float("nan"), float("inf"), 5), T0))
    assert not block.measured("vbus_uv").any()
    assert not block.measured("ibus_ua").any()


@pytest.mark.parametrize("oddity", ["", *TextEmulator.ODDITIES])
def test_the_older_text_protocol(oddity: str) -> None:
    sent: list[bytes] = []
    events = converse(TextCodec(), TextEmulator(SCENE, oddity=oddity), for_s=5, sent=sent)
    block = joined(events)
    assert len(block) >= 20
    assert block.vbus_v() == pytest.approx(9.0)
    assert block.ibus_a() == pytest.approx(-1.5)
    assert block.si("dm_uv") == pytest.approx(0.62)
    assert set(sent) == {b"Get Meter Data"}


def _sample(volts: float, amps: float, at_us: int) -> bytes:
    return command(
        bytes((4, 0, 1, 0)) + struct.pack("<ff", volts, amps) + bytes(8) + struct.pack("<Q", at_us)
    )
