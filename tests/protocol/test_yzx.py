from __future__ import annotations

import pytest

from denchi_protocol.codec import Rejected, Scene, StillScene
from denchi_protocol.meters.yzx import SPECS
from denchi_protocol.meters.yzx.codec import YzxCodec
from denchi_protocol.meters.yzx.emulator import YzxEmulator
from protocol.wire import T0, blocks, captures, converse, joined, read_capture, telemetry

SCENE = StillScene(
    Scene(vbus_v=5.1234, ibus_a=0.9876, dp_v=2.7, dm_v=2.65, energy_wh=0.6321, capacity_ah=0.1234)
)


def test_the_capture() -> None:
    (path,) = captures("yzx")
    (chunk,) = read_capture(path).received()
    events = YzxCodec().feed(chunk.data, T0)
    block, expect, told = joined(events), chunk.extra["expect"], telemetry(events)[0].values
    assert block.vbus_v()[0] == pytest.approx(expect["vbus_v"])
    assert block.ibus_a()[0] == pytest.approx(expect["ibus_a"])
    assert block.si("dp_uv")[0] == pytest.approx(expect["dp_v"])
    assert block.si("dm_uv")[0] == pytest.approx(expect["dm_v"])
    assert told["capacity_ah"] == pytest.approx(expect["capacity_ah"])
    assert told["energy_wh"] == pytest.approx(expect["energy_wh"])


@pytest.mark.parametrize("oddity", ["", *YzxEmulator.ODDITIES])
def test_against_the_emulator(oddity: str) -> None:
    sent: list[bytes] = []
    events = converse(YzxCodec(), YzxEmulator(SCENE, oddity=oddity), for_s=10, sent=sent)
    block = joined(events)
    assert not sent
    assert SPECS[0].allowed_sends == ()
    assert len(block) >= 30
    assert block.vbus_v() == pytest.approx(-0.0012 if oddity == "backwards" else 5.1234)
    assert block.ibus_a() == pytest.approx(0.9876)
    if oddity in ("bad_sum", "lost_bytes"):
        assert any(isinstance(e, Rejected) for e in events)


def test_no_value_from_a_wrong_sum() -> None:
    (path,) = captures("yzx")
    frame = read_capture(path).received()[0].data
    for at in range(1, 28):
        bad = bytearray(frame)
        bad[at] ^= 0x40
        assert not blocks(YzxCodec().feed(bytes(bad), T0))
