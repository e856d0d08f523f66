from __future__ import annotations

import pytest

from denchi_protocol.codec import Rejected, Scene, Send, StillScene, Wait
from denchi_protocol.meters.ebd import SPECS
from denchi_protocol.meters.ebd.codec import CONNECT, DISCONNECT, EbdCodec
from denchi_protocol.meters.ebd.emulator import EbdEmulator
from protocol.wire import (
    MS,
    T0,
    blocks,
    captures,
    converse,
    finish,
    joined,
    read_capture,
    telemetry,
)

SCENE = StillScene(Scene(vbus_v=5.012, ibus_a=1.2345, dp_v=2.7, dm_v=2.7))


def test_the_capture() -> None:
    (path,) = captures("ebd")
    capture = read_capture(path)
    assert [c.data for c in capture.chunks if c.direction == "tx"] == [CONNECT, DISCONNECT]
    (chunk,) = capture.received()
    events = EbdCodec().feed(chunk.data, T0)
    block, expect = joined(events), chunk.extra["expect"]
    assert block.vbus_v()[0] == pytest.approx(expect["vbus_v"])
    assert block.ibus_a()[0] == pytest.approx(expect["ibus_a"])
    assert block.si("dp_uv")[0] == pytest.approx(expect["dp_v"])
    assert telemetry(events)[0].values == {"load_on": 1.0, "limit_a": 1.25, "limit_under_v": 4.5}


@pytest.mark.parametrize("oddity", ["", *EbdEmulator.ODDITIES])
def test_against_the_emulator(oddity: str) -> None:
    codec, emulator = EbdCodec(), EbdEmulator(SCENE, oddity=oddity)
    sent: list[bytes] = []
    events = converse(codec, emulator, for_s=40, step_ms=50, sent=sent)
    finish(codec, emulator, T0 + 40_000 * MS, sent)
    block = joined(events)
    assert len(block) >= 15
    assert block.vbus_v() == pytest.approx(5.012)
    assert block.ibus_a() == pytest.approx(0.0 if oddity == "load_off" else 1.2345)
    if oddity in ("bad_xor", "cut_short"):
        assert any(isinstance(e, Rejected) for e in events)
    assert sent.count(CONNECT) == (2 if oddity == "deaf_once" else 1)
    assert sent[-1] == DISCONNECT


def test_only_05_and_06_may_ever_be_sent() -> None:
    """Whatever arrives, the load is never touched."""
    assert SPECS[0].allowed_sends == (CONNECT, DISCONNECT)
    codec, emulator = EbdCodec(), EbdEmulator(SCENE)
    sent: list[bytes] = []
    for step in range(300):
        now = T0 + step * 500 * MS
        action = codec.next(now)
        if isinstance(action, Send):
            sent.append(action.data)
            emulator.receive(action.data, now)
        codec.feed(bytes([0xFA, step % 256, 0x01, 0x02, 0x07] * 4), now)
    finish(codec, emulator, T0 + 200_000 * MS, sent)
    assert set(sent) == {CONNECT, DISCONNECT}
    assert emulator.load_commands == 0


def test_a_silence_connects_again() -> None:
    codec = EbdCodec()
    assert codec.next(T0) == Send(CONNECT)
    assert codec.next(T0 + 5999 * MS) == Wait(T0 + 6000 * MS)
    assert codec.next(T0 + 6000 * MS) == Send(CONNECT)


def test_digits_above_239_are_no_reading() -> None:
    body = bytes([0x0A, 0xF0, *bytes(14)])
    check = 0
    for byte in body:
        check ^= byte
    assert not blocks(EbdCodec().feed(b"\xfa" + body + bytes([check, 0xF8]), T0))
