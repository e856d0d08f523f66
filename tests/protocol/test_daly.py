from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denchi_protocol.batteries.daly import SPECS
from denchi_protocol.batteries.daly.codec import REQUESTS, DalyCodec
from denchi_protocol.batteries.daly.codec_d2 import READ_NAMES, READ_STATE, DalyD2Codec
from denchi_protocol.batteries.daly.emulator import DalyEmulator
from denchi_protocol.batteries.daly.emulator_d2 import DalyD2Emulator
from denchi_protocol.checksum import CRC16_MODBUS
from denchi_protocol.codec import DeviceInfo, Event, Rejected, Scene, StillScene
from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.samples import SampleBlock, same
from protocol.wire import MS, T0, blocks, captures, converse, joined, read_capture, telemetry
from support import vectors

SCENE = StillScene(
    Scene(
        pack_v=15.6,
        pack_a=2.9,
        cells_v=(3.9, 3.901, 3.899, 3.9),
        cell_temps_c=(22.0, 91.0, -5.0),
        capacity_ah=1.25,
    )
)


def reply(command: int, data: str) -> bytes:
    head = bytes((0xA5, 0x01, command, 8)) + bytes.fromhex(data)
    assert len(head) == 12
    return head + bytes((sum(head) % 256,))


def d2(data: bytes) -> bytes:
    head = bytes((0xD2, 0x03, len(data))) + data
    return head + CRC16_MODBUS.of(head).to_bytes(2, "little")


def check(events: list[Event], expect: dict[str, Any]) -> None:
    for name in ("pack_v", "pack_a"):
        if name in expect:
            channel = {"pack_v": "pack_uv", "pack_a": "pack_ua"}[name]
            assert joined(events).si(channel)[-1] == pytest.approx(expect[name])
    for stem, values in (
        ("cell_uv", expect.get("cells_v")),
        ("temp_mc.cell", expect.get("temp_c", {}).get("cell")),
    ):
        if values is not None:
            block = joined(events)
            names = block.numbered(stem)
            assert [block.si(name)[-1] for name in names] == pytest.approx(values)
    told = telemetry(events)
    for name, value in expect.get("telemetry", {}).items():
        (seen,) = {t.values[name] for t in told if name in t.values}
        assert seen == pytest.approx(value)
    if "flags" in expect:
        assert [t.flags for t in told if t.flags is not None] == [tuple(expect["flags"])]
    if "device" in expect:
        (info,) = (e for e in events if isinstance(e, DeviceInfo))
        for name, value in expect["device"].items():
            assert getattr(info, name) == value


def test_real_replies() -> None:
    seen = 0
    for path in captures("daly"):
        capture = read_capture(path)
        codec = DalyCodec() if capture.header.meter == "daly" else DalyD2Codec()
        for chunk in capture.received():
            events = codec.feed(chunk.data, T0 + chunk.t_ns)
            assert not any(isinstance(e, Rejected) for e in events)
            check(events, chunk.extra.get("expect", {}))
            seen += 1
    assert seen == 15


def test_requests_are_the_published_ones() -> None:
    published = {v["hex"] for v in vectors("sbs_bms") if v["device"].startswith("Daly BMS (UART)")}
    assert {r.hex() for r in REQUESTS} <= published
    assert {r[2] for r in REQUESTS}.isdisjoint({0x00, 0x21, 0xD9, 0xDA})
    for request in (READ_STATE, READ_NAMES):
        assert CRC16_MODBUS.of(request[:6]) == int.from_bytes(request[6:], "little")
        assert request[:2] == b"\xd2\x03"


@pytest.mark.parametrize("oddity", ["", *DalyEmulator.ODDITIES])
@pytest.mark.parametrize("chunk", [0, 5])
def test_a5_against_the_emulator(oddity: str, chunk: int) -> None:
    sent: list[bytes] = []
    events = converse(
        DalyCodec(), DalyEmulator(SCENE, oddity=oddity), for_s=12, sent=sent, chunk=chunk
    )
    block = joined(events)
    assert np.nanmax(np.abs(block.si("pack_uv") - 15.6)) < 1e-9
    amps = -2.9 if oddity == "inverted" else 2.9
    assert np.nanmax(np.abs(block.si("pack_ua") - amps)) < 1e-9
    expect = {"cell_uv": [3.9, 3.901, 3.899, 3.9], "temp_mc.cell": [22.0, 91.0, -5.0]}
    for stem, values in expect.items():
        names = block.numbered(stem)
        assert len(names) == len(values)
        for name, value in zip(names, values, strict=True):
            seen = block.si(name)
            seen = seen[~np.isnan(seen)]
            assert len(seen) >= 4
            assert seen == pytest.approx(value)
    assert (np.diff(block.t_ns) > 0).all()
    flags = {flag for t in telemetry(events) for flag in t.flags or ()}
    raised = {"hot": {"discharge_over_temperature"}, "inverted": {"current_sign_contradicts_state"}}
    assert flags == raised.get(oddity, set())
    assert {t.values["remaining_ah"] for t in telemetry(events) if "remaining_ah" in t.values} == {
        8.75
    }
    assert set(sent) <= set(REQUESTS)
    if oddity in ("echo", "junk"):
        assert any(isinstance(e, Rejected) for e in events)


@pytest.mark.parametrize("oddity", ["", *DalyD2Emulator.ODDITIES])
def test_d2_against_the_emulator(oddity: str) -> None:
    sent: list[bytes] = []
    events = converse(DalyD2Codec(), DalyD2Emulator(SCENE, oddity=oddity), for_s=12, sent=sent)
    block = joined(events)
    assert len(block) >= 8
    assert set(block.si("pack_uv")) == {15.6}
    assert block.si("pack_ua") == pytest.approx(-2.9)  # charging is positive there
    assert [SPECS[0].positive, SPECS[1].positive] == ["discharge", "charge"]
    assert [block.si(n)[0] for n in block.numbered("cell_uv")] == [3.9, 3.901, 3.899, 3.9]
    assert [block.si(n)[0] for n in block.numbered("temp_mc.cell")] == [22.0, 91.0, -5.0]
    flags = {flag for t in telemetry(events) for flag in t.flags or ()}
    assert flags == ({"discharge_over_temperature"} if oddity == "hot" else set())
    infos = [e for e in events if isinstance(e, DeviceInfo)]
    assert len(infos) == (0 if oddity == "nameless" else 1)
    assert set(sent) == {READ_STATE, READ_NAMES}
    if oddity == "nameless":
        assert sent.count(READ_NAMES) == 6  # three rounds of two tries, then never again
    if oddity in ("half", "wrong_crc"):
        assert any(isinstance(e, Rejected) for e in events)


def test_cells_wait_for_their_number_and_a_hole_drops_them() -> None:
    codec = DalyCodec()
    frames = [reply(0x95, f"0{n}0f3c0f3d0f3b20") for n in (1, 2)]
    assert not blocks(codec.feed(b"".join(frames), T0))
    codec.feed(reply(0x94, "0501000002000020"), T0)
    assert not blocks(codec.feed(frames[1], T0))
    assert not blocks(codec.feed(frames[0] + frames[0], T0))
    (block,) = blocks(codec.feed(frames[1], T0))
    assert len(block.numbered("cell_uv")) == 5
    events = codec.feed(reply(0x94, "3101000002000020"), T0)
    assert isinstance(events[0], Rejected)  # 49 cells


def test_no_probe_is_no_temperature() -> None:
    codec = DalyCodec()
    codec.feed(reply(0x94, "0303000002000020"), T0)
    block = joined(codec.feed(reply(0x96, "0100ff4100000000"), T0))
    assert [block.measured(n)[0] for n in block.numbered("temp_mc.cell")] == [False, False, True]
    assert block.temp_c("cell.3")[0] == 25.0


def test_every_bit_has_its_own_name_and_charge_level_is_no_fault() -> None:
    names = []
    for byte in range(7):
        for bit in range(8):
            data = bytearray(8)
            data[byte] = 1 << bit
            (told,) = telemetry(DalyCodec().feed(reply(0x98, data.hex()), T0))
            assert told.flags is not None
            if byte == 2 and bit >= 4:
                assert told.flags == ()
                assert told.values["soc_warning"] == 1 << bit - 4
            else:
                names += told.flags
    assert len(names) == len(set(names)) == 52
    state = bytearray(124)
    state[117] = 1  # register 3A, low byte
    (told,) = telemetry(DalyD2Codec().feed(d2(bytes(state)), T0))
    assert told.flags == ("cell_over_voltage_warning",)


def test_a_run_equals_its_replies() -> None:
    rng = np.random.default_rng(2)
    codec, frames = DalyD2Codec(), []
    for i in range(50):
        data = bytearray(rng.integers(0, 256, 124, np.uint8).tobytes())
        data[98:102] = bytes((0, i % 20, 0, i % 9))
        frames.append(np.frombuffer(d2(bytes(data)), np.uint8))
    t_ns = T0 + np.arange(50, dtype=np.int64) * MS
    whole = codec.decode_run(np.stack(frames), t_ns)
    ones = [codec.decode_run(f[None, :], t_ns[i : i + 1]) for i, f in enumerate(frames)]
    one = SampleBlock.concat(ones)
    assert same(whole, one.replace(columns={n: one.columns[n] for n in whole.columns}))
    with pytest.raises(LocalProtocolError):
        codec.decode_run(np.zeros((2, 69), np.uint8), t_ns[:2])
    with pytest.raises(LocalProtocolError):
        DalyCodec().decode_run(
            np.stack([np.frombuffer(r, np.uint8) for r in REQUESTS[:2]]), t_ns[:2]
        )


STREAMS = {
    "daly": (
        DalyCodec,
        [
            reply(0x94, "0501000002000020"),
            reply(0x90, "009c00007530038d"),
            reply(0x95, "010f3c0f3d0f3b20"),
            reply(0x95, "020f3c0f3d0f3b20"),
            reply(0x96, "0141000000000000"),
            reply(0x98, "0000000000000000"),
        ],
    ),
    "daly-d2": (DalyD2Codec, [d2(bytes(97) + bytes((0, 0, 4, 0, 2)) + bytes(22)), d2(bytes(64))]),
}


@pytest.mark.parametrize("key", STREAMS)
@settings(deadline=None)
@given(data=st.data())
def test_any_chunking_gives_the_same_events(key: str, data: st.DataObject) -> None:
    make, frames = STREAMS[key]
    stream = b"\xa5\xd2\x00" + b"".join(frames) + b"\x01\x02" + b"".join(frames)
    whole = make().feed(stream, T0)
    codec, pieces, at = make(), [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, 40))
        pieces += codec.feed(stream[at : at + size], T0)
        at += size
    assert [type(e) for e in whole] == [type(e) for e in pieces]
    assert all(same(a, b) for a, b in zip(blocks(whole), blocks(pieces), strict=True))
    assert telemetry(whole) == telemetry(pieces)


@pytest.mark.parametrize("key", STREAMS)
@settings(deadline=None)
@given(data=st.data())
def test_one_wrong_bit_is_no_value(key: str, data: st.DataObject) -> None:
    make, frames = STREAMS[key]
    frame = data.draw(st.sampled_from(frames))
    bit = data.draw(st.integers(0, 8 * len(frame) - 1))
    bad = bytearray(frame)
    bad[bit // 8] ^= 1 << bit % 8
    codec = make()
    if key == "daly":
        codec.feed(frames[0], T0)
    events = codec.feed(bytes(bad), T0)
    assert not blocks(events)
    assert not telemetry(events)
    # And a cut frame does not keep the next ones from being read.
    after = codec.feed(frame[: len(frame) // 2] + b"".join(frames) * 2, T0)
    assert blocks(after)


@pytest.mark.parametrize("key", STREAMS)
@settings(deadline=None)
@given(garbage=st.binary(max_size=600))
def test_garbage_is_no_value(key: str, garbage: bytes) -> None:
    codec = STREAMS[key][0]()
    assert not blocks(codec.feed(garbage, T0))
