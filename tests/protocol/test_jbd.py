from __future__ import annotations

import numpy as np
import pytest

from denchi_protocol.batteries.jbd import SPECS
from denchi_protocol.batteries.jbd.codec import READ_BASIC, READ_CELLS, READ_NAME, JbdCodec
from denchi_protocol.batteries.jbd.emulator import JbdEmulator
from denchi_protocol.codec import DeviceInfo, Rejected, Scene, Send, StillScene, Wait
from protocol.wire import MS, T0, blocks, captures, converse, joined, read_capture, telemetry
from support import vectors

SCENE = StillScene(
    Scene(
        pack_v=15.6,
        pack_a=2.87,
        cells_v=(3.9, 3.901, 3.899, 3.9),
        cell_temps_c=(22.4, -5.3),
        capacity_ah=1.25,
    )
)


def test_real_replies() -> None:
    (path,) = captures("jbd")
    for chunk in read_capture(path).received():
        events = JbdCodec().feed(chunk.data, T0)
        expect = chunk.extra["expect"]
        block = joined(events)
        if "cells_v" in expect:
            assert [block.si(f"cell_uv.{i + 1}")[0] for i in range(4)] == pytest.approx(
                expect["cells_v"]
            )
        elif "device" in expect:
            (info,) = (e for e in events if isinstance(e, DeviceInfo))
            assert info.model == expect["device"]["model"]
        else:
            assert block.si("pack_uv")[0] == pytest.approx(expect["pack_v"])
            assert block.si("pack_ua")[0] == pytest.approx(expect["pack_a"])
            temps = [block.si(name)[0] for name in block.numbered("temp_mc.cell")]
            assert temps == pytest.approx(expect["temp_c"]["cell"])
            (told,) = telemetry(events)
            assert told.flags == ()
            for name, value in expect["telemetry"].items():
                assert told.values[name] == pytest.approx(value)


def test_requests_are_the_published_ones() -> None:
    host = [v["hex"] for v in vectors("sbs_bms") if v["decoded"].get("direction") == "host->bms"]
    for request in (READ_BASIC, READ_CELLS, READ_NAME):
        assert request.hex() in host


def test_against_the_emulator() -> None:
    sent: list[bytes] = []
    events = converse(JbdCodec(), JbdEmulator(SCENE), for_s=6, sent=sent)
    block = joined(events)
    assert np.nanmax(np.abs(block.si("pack_uv") - 15.6)) < 1e-9
    assert np.nanmax(np.abs(block.si("pack_ua") + 2.87)) < 1e-9  # charging is positive there
    assert SPECS[0].positive == "charge"
    assert np.nanmax(np.abs(block.si("temp_mc.cell.2") + 5.3)) < 1e-9
    assert telemetry(events)[-1].values["remaining_ah"] == pytest.approx(8.75)
    assert sum(isinstance(e, DeviceInfo) for e in events) == 1
    assert set(sent) == {READ_BASIC, READ_CELLS, READ_NAME}
    assert sent.count(READ_NAME) == 1


@pytest.mark.parametrize("oddity", JbdEmulator.ODDITIES)
def test_oddities_do_not_invent(oddity: str) -> None:
    events = converse(JbdCodec(), JbdEmulator(SCENE, oddity=oddity), for_s=12)
    got = blocks(events)
    assert len(got) > 8
    block = joined(events)
    for name, value in (("pack_uv", 15.6), ("pack_ua", -2.87), ("temp_mc.cell.1", 22.4)):
        seen = block.si(name)
        assert seen[~np.isnan(seen)] == pytest.approx(value)
    if oddity == "hot":
        assert telemetry(events)[-1].flags == ("discharge_over_temperature",)
    if oddity == "lost_bytes":
        assert any(isinstance(e, Rejected) for e in events)


def test_a_sleeping_board_is_asked_again_and_a_dead_one_does_not_block() -> None:
    codec = JbdCodec()
    first = codec.next(T0)
    assert isinstance(first, Send)
    assert isinstance(codec.next(T0), Wait)
    again = codec.next(T0 + 400 * MS)
    assert again == first
    asked = set()
    for step in range(100):
        action = codec.next(T0 + (401 + 100 * step) * MS)
        if isinstance(action, Send):
            asked.add(action.data)
    assert asked == {READ_BASIC, READ_CELLS, READ_NAME}


def test_a_wrong_checksum_is_no_value() -> None:
    frame = bytearray.fromhex(
        "dd03001d0618fee101f201f4002a2c7c00000000000080640304030b8b0b8a0b84f88477"
    )
    for at in range(2, len(frame) - 1):
        bad = bytearray(frame)
        bad[at] ^= 0x10
        assert not blocks(JbdCodec().feed(bytes(bad), T0))
    codec = JbdCodec()
    codec.feed(bytes(frame[:20]), T0)
    assert len(blocks(codec.feed(bytes(frame) * 3, T0))) >= 2


def test_a_reply_whose_lengths_disagree_is_rejected() -> None:
    payload = bytes(22) + bytes([9])  # nine probes announced, none there
    body = bytes([0, len(payload)]) + payload
    frame = b"\xdd\x03" + body + (0x10000 - sum(body)).to_bytes(2, "big") + b"\x77"
    (event,) = JbdCodec().feed(frame, T0)
    assert isinstance(event, Rejected)


def test_a_missing_probe_is_missing() -> None:
    payload = bytes(22) + bytes([2]) + (2731 - 15).to_bytes(2, "big") + bytes(2)
    body = bytes([0, len(payload)]) + payload
    frame = b"\xdd\x03" + body + (0x10000 - sum(body)).to_bytes(2, "big") + b"\x77"
    block = joined(JbdCodec().feed(frame, T0))
    assert block.temp_c("cell.1")[0] == pytest.approx(-1.5)
    assert np.isnan(block.temp_c("cell.2")[0])
