from __future__ import annotations

import pytest

from denchi_protocol.codec import DeviceInfo, Rejected, Scene, Send, StillScene, Wait
from denchi_protocol.meters.rdtech_um import SPECS
from denchi_protocol.meters.rdtech_um.codec import UmCodec, tail_fits
from denchi_protocol.meters.rdtech_um.emulator import UmEmulator
from denchi_protocol.samples import Quality
from protocol.wire import MS, T0, blocks, captures, converse, joined, read_capture, telemetry

SCENE = Scene(
    vbus_v=5.12, ibus_a=1.234, dp_v=2.7, dm_v=0.02, meter_temp_c=31, capacity_ah=0.5, energy_wh=2.5
)


@pytest.mark.parametrize("path", captures("rdtech_um"), ids=lambda p: p.stem)
def test_quoted_frames(path: object) -> None:
    (chunk,) = read_capture(path).received()  # type: ignore[arg-type]
    events = UmCodec().feed(chunk.data, T0)
    expect, block = chunk.extra["expect"], joined(events)
    assert block.vbus_v()[0] == pytest.approx(expect["vbus_v"])
    assert block.ibus_a()[0] == pytest.approx(expect["ibus_a"])
    assert block.temp_c("meter")[0] == expect["temp_c"]["meter"]
    assert block.si("dp_uv")[0] == pytest.approx(expect["dp_v"])
    assert block.si("dm_uv")[0] == pytest.approx(expect["dm_v"])
    assert block.quality[0] == Quality.UNCHECKED
    (info,) = (e for e in events if isinstance(e, DeviceInfo))
    assert info.model == expect["device"]["model"]
    assert telemetry(events)[0].values["tail_fits"] == 0


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.key)
@pytest.mark.parametrize("oddity", ["", *UmEmulator.ODDITIES])
def test_against_the_emulator(spec: object, oddity: str) -> None:
    emulator = spec.emulator(StillScene(SCENE), oddity=oddity)  # type: ignore[attr-defined]
    sent: list[bytes] = []
    events = converse(UmCodec(), emulator, for_s=10, step_ms=10, sent=sent)
    block = joined(events)
    assert len(block) >= 6
    assert block.vbus_v() == pytest.approx(5.12)
    assert block.ibus_a() == pytest.approx(1.234)
    assert block.temp_c("meter") == pytest.approx(31)
    assert set(sent) == {b"\xf0"}
    told = telemetry(events)[-1].values
    assert (told["capacity_ah"], told["energy_wh"]) == (0.5, 2.5)
    assert told["tail_fits"] == (oddity != "odd_tail")


def test_asks_no_more_often_than_twice_a_second() -> None:
    codec = UmCodec()
    assert codec.next(T0) == Send(b"\xf0")
    emulator = UmEmulator(StillScene(SCENE))
    emulator.receive(b"\xf0", T0)
    answer = emulator.next(T0 + 140 * MS)
    assert isinstance(answer, Send)
    codec.feed(answer.data, T0 + 140 * MS)
    assert codec.next(T0 + 141 * MS) == Wait(T0 + 500 * MS)


def frame(**scene: float) -> bytes:
    emulator = UmEmulator(StillScene(Scene(**{"meter_temp_c": 25.0, **scene})))  # type: ignore[arg-type]
    emulator.receive(b"\xf0", 0)
    answer = emulator.next(200 * MS)
    assert isinstance(answer, Send)
    assert tail_fits(answer.data)
    return answer.data


def test_a_lone_jump_never_becomes_a_value() -> None:
    codec = UmCodec()
    seen: list[float] = []
    rejected = 0
    for i, volts in enumerate((5.0, 5.0, 19.0, 5.0, 5.0, 9.0, 9.0)):
        for event in codec.feed(frame(vbus_v=volts, ibus_a=0.1), T0 + i * 500 * MS):
            rejected += isinstance(event, Rejected)
            seen += [v for b in blocks([event]) for v in b.vbus_v()]
    assert seen == [5.0, 5.0, 5.0, 5.0, 9.0, 9.0]
    assert rejected == 1


def test_what_cannot_be_is_rejected() -> None:
    for at, value in ((10, 90), (15, 12), (2, 0xFF)):
        bad = bytearray(frame(vbus_v=5.0, ibus_a=0.1))
        bad[at] = value
        events = UmCodec().feed(bytes(bad), T0)
        assert not blocks(events)
        assert any(isinstance(e, Rejected) for e in events)
