from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from denchi_protocol.codec import MeterSpec, Rejected, Scene, Send, StillScene, Wait
from denchi_protocol.meters.atorch import SPECS
from denchi_protocol.meters.atorch.codec import (
    ASK_AMPS,
    ASK_VOLTS,
    PX_REQUESTS,
    AtorchCodec,
    polling_codec,
)
from denchi_protocol.meters.atorch.emulator import AtorchEmulator, of_kind
from denchi_protocol.meters.atorch.frames import checksum
from denchi_protocol.samples import Quality
from protocol.wire import MS, T0, blocks, captures, converse, joined, read_capture, telemetry
from support import vectors

SCENE = StillScene(
    Scene(
        vbus_v=5.1, ibus_a=1.25, dp_v=0.6, dm_v=0.61, meter_temp_c=33, energy_wh=20, capacity_ah=4.1
    )
)
BY_KEY = {spec.key: spec for spec in SPECS}
REPORTS = [p for p in captures("atorch") if "px100" not in p.stem]


@pytest.mark.parametrize("path", REPORTS, ids=lambda p: p.stem)
def test_quoted_reports(path: Path) -> None:
    codec = AtorchCodec()
    for chunk in read_capture(path).received():
        events = codec.feed(chunk.data, chunk.t_ns)
        expect, block, told = chunk.extra["expect"], joined(events), telemetry(events)[0].values
        assert block.vbus_v()[0] == pytest.approx(expect["vbus_v"])
        assert block.ibus_a()[0] == pytest.approx(expect["ibus_a"])
        assert told["energy_wh"] == pytest.approx(expect["energy_wh"])
        assert told["capacity_ah"] == pytest.approx(expect["capacity_ah"])
        if expect["temp_c"]["meter"] is None:
            assert np.isnan(block.temp_c("meter")[0])
        else:
            assert block.temp_c("meter")[0] == expect["temp_c"]["meter"]
        if "dp_v" in expect:
            assert block.si("dp_uv")[0] == pytest.approx(expect["dp_v"])
            assert block.si("dm_uv")[0] == pytest.approx(expect["dm_v"])


def test_every_real_report_of_the_research_folder() -> None:
    decoded = mains = 0
    for vector in vectors("atorch"):
        frame, expect = bytes.fromhex(vector["hex"]), vector["decoded"]
        if len(frame) != 36 or frame[:3] != b"\xff\x55\x01":
            continue
        events = AtorchCodec().feed(frame, T0)
        if frame[3] == 1:
            mains += 1
            assert not blocks(events)
            continue
        block = joined(events)
        assert block.vbus_v()[0] == pytest.approx(expect["voltage_V"])
        assert block.ibus_a()[0] == pytest.approx(expect["current_A"])
        checked = frame[-1] == checksum(frame)
        assert block.quality[0] == (Quality.NONE if checked else Quality.UNCHECKED)
        decoded += 1
    assert decoded >= 35
    assert mains >= 2


@pytest.mark.parametrize("key", ["atorch", "ud18", "ud24", "j7-c"])
@pytest.mark.parametrize("oddity", ["", *AtorchEmulator.ODDITIES])
def test_listening(key: str, oddity: str) -> None:
    spec: MeterSpec = BY_KEY[key]
    sent: list[bytes] = []
    events = converse(
        spec.codec(), spec.emulator(SCENE, oddity=oddity), for_s=20, step_ms=20, sent=sent
    )
    block = joined(events)
    assert not sent
    assert len(block) >= 14
    assert block.vbus_v() == pytest.approx(5.1)
    assert block.ibus_a() == pytest.approx(1.25)
    temps = block.temp_c("meter")
    if oddity == "no_sensor" or (key == "ud18" and not oddity):
        assert np.isnan(temps).all()
    else:
        assert temps == pytest.approx(33)
    if oddity == "no_checksum" or (key == "j7-c" and not oddity):
        assert (block.quality[3:] & Quality.UNCHECKED).any()


@pytest.mark.parametrize("key", ["dl24", "px100"])
@pytest.mark.parametrize("oddity", ["", *AtorchEmulator.ODDITIES])
def test_asking_while_reports_come_unasked(key: str, oddity: str) -> None:
    spec = BY_KEY[key]
    sent: list[bytes] = []
    events = converse(
        spec.codec(), spec.emulator(SCENE, oddity=oddity), for_s=20, step_ms=10, sent=sent
    )
    block = joined(events)
    assert set(sent) <= set(PX_REQUESTS)
    assert set(spec.allowed_sends) == set(PX_REQUESTS)
    if key == "px100" and oddity == "silent_px":
        assert not len(block)
        return
    assert len(block) >= 10
    assert block.vbus_v() == pytest.approx(5.1)
    assert block.ibus_a() == pytest.approx(1.25)
    assert block.temp_c("meter")[~np.isnan(block.temp_c("meter"))] == pytest.approx(33)
    if oddity not in ("silent_px", "late_px"):
        assert telemetry(events)[-1].values
        energies = [t.values["energy_wh"] for t in telemetry(events) if "energy_wh" in t.values]
        assert energies[-1] == pytest.approx(20)


def test_a_reply_to_nothing_is_no_value() -> None:
    path = next(p for p in captures("atorch") if "px100" in p.stem)
    chunks = read_capture(path).received()
    for codec in (AtorchCodec(), polling_codec()):
        (event,) = codec.feed(chunks[0].data, T0)
        assert isinstance(event, Rejected)
    codec = polling_codec()
    told = []
    for chunk, request in zip(chunks[:2], (ASK_VOLTS, ASK_AMPS), strict=True):
        assert codec.next(chunk.t_ns) == Send(request)
        told += codec.feed(chunk.data, chunk.t_ns)
    assert told == []  # the row waits for its third reading


def test_a_late_reply_is_not_taken_for_another_quantity() -> None:
    """The answer to "volts" that comes after 500 ms would read as amperes."""
    codec = polling_codec()
    assert codec.next(T0) == Send(ASK_VOLTS)
    quiet = codec.next(T0 + 400 * MS)
    assert isinstance(quiet, Wait)
    assert quiet.until_ns >= T0 + 1200 * MS
    (event,) = codec.feed(bytes.fromhex("cacb00136ececf"), T0 + 500 * MS)
    assert isinstance(event, Rejected)
    assert codec.next(quiet.until_ns) == Send(ASK_VOLTS)


def report(volts: float = 5.0, *, good: bool = True, last: int | None = None) -> bytes:
    emulator = of_kind("usb")(StillScene(Scene(vbus_v=volts, ibus_a=1.0, meter_temp_c=30)))
    emulator.receive(b"", 0)
    action = emulator.next(50 * MS)
    assert isinstance(action, Send)
    frame = bytearray(action.data)
    if not good:
        frame[-1] ^= 0x5A
    if last is not None:
        frame[-1] = last
    return bytes(frame)


def test_a_learned_checksum_is_enforced_and_can_be_unlearned() -> None:
    codec = AtorchCodec()
    for i in range(3):
        assert len(blocks(codec.feed(report(), T0 + i))) == 1
    assert not blocks(codec.feed(report(good=False), T0 + 4))
    assert len(blocks(codec.feed(report(), T0 + 5))) == 1
    told = [len(blocks(codec.feed(report(last=i), T0 + 6 + i))) for i in range(1, 9)]
    assert told[:4] == [0, 0, 0, 0]
    assert sum(told) >= 3  # five misfits in a row: this line carries no checksum


def test_without_a_checksum_a_lone_jump_is_no_value() -> None:
    codec = AtorchCodec()
    seen = []
    for i, volts in enumerate((5.0, 5.0, 19.0, 5.0, 5.0, 12.0, 12.0)):
        for block in blocks(codec.feed(report(volts, last=i), T0 + i)):
            assert block.quality[0] & Quality.UNCHECKED
            seen += list(block.vbus_v())
    assert seen == [5.0, 5.0, 5.0, 5.0, 12.0, 12.0]


def test_only_reading_requests_exist() -> None:
    assert all(r[:2] == b"\xb1\xb2" and r[2] in range(0x10, 0x1A) for r in PX_REQUESTS)
    assert all(not BY_KEY[k].allowed_sends for k in ("atorch", "ud18", "ud24", "j7-c"))
