from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denchi.locator import Locator
from denchi.transports.sysfs import SysfsTransport
from denchi_protocol.batteries import power_supply, sbs
from denchi_protocol.batteries.power_supply import REQUESTS
from denchi_protocol.batteries.power_supply.codec import PowerSupplyCodec
from denchi_protocol.batteries.power_supply.emulator import PowerSupplyEmulator
from denchi_protocol.batteries.sbs.codec import SbsCodec
from denchi_protocol.batteries.sbs.emulator import SbsEmulator, round_of_words, transaction
from denchi_protocol.checksum import CRC8_SMBUS
from denchi_protocol.codec import DeviceInfo, Event, Rejected, Scene, Send, StillScene
from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.samples import SampleBlock, same
from protocol.wire import MS, T0, blocks, captures, converse, joined, read_capture, telemetry

SCENE = Scene(pack_v=7.4, pack_a=1.5, cells_v=(3.7, 3.701), cell_temps_c=(22.4,), capacity_ah=1.25)
STILL = StillScene(SCENE)
BY_KEY = {spec.key: spec for spec in (*power_supply.SPECS, *sbs.SPECS)}
CHARGING = StillScene(Scene(pack_v=8.2, pack_a=-2.0, cell_temps_c=(-3.5,)))


def check(events: list[Event], expect: dict[str, Any]) -> None:
    got = joined(events)
    for name, channel in (("pack_v", "pack_uv"), ("pack_a", "pack_ua")):
        if name in expect:
            assert got.si(channel)[-1] == pytest.approx(expect[name])
    for n, value in enumerate(expect.get("temp_c", {}).get("cell", ())):
        assert got.temp_c(f"cell.{n + 1}")[-1] == pytest.approx(value)
    for n, value in expect.get("cells_v", {}).items():
        assert got.si(f"cell_uv.{n}")[-1] == pytest.approx(value)
    for name, value in expect.get("telemetry", {}).items():
        assert telemetry(events)[-1].values[name] == pytest.approx(value)
    if "flags" in expect:
        assert telemetry(events)[-1].flags == tuple(expect["flags"])


@pytest.mark.parametrize("family", ["sbs", "power_supply"])
def test_captures(family: str) -> None:
    for path in captures(family):
        capture = read_capture(path)
        codec = BY_KEY[capture.header.meter].codec()
        for chunk in capture.received():
            events = codec.feed(chunk.data, T0 + chunk.t_ns)
            assert not any(isinstance(e, Rejected) for e in events)
            expect = chunk.extra.get("expect", {})
            check(events, expect)
            if "device" in expect:
                (info,) = (e for e in events if isinstance(e, DeviceInfo))
                assert expect["device"].items() <= info.fields.items()
            if path.stem in ("ucsi_contract_is_no_measurement", "typec_partner", "usb_pd_offers"):
                assert not blocks(events)


@pytest.mark.parametrize("make", [PowerSupplyCodec, SbsCodec])
@pytest.mark.parametrize("oddity", ["", *PowerSupplyEmulator.ODDITIES])
@pytest.mark.parametrize("chunk", [0, 3])
def test_against_the_emulator(make: type, oddity: str, chunk: int) -> None:
    sent: list[bytes] = []
    emulator = SbsEmulator(STILL, now_ns=T0, oddity=oddity)
    events = converse(make(), emulator, for_s=8, sent=sent, chunk=chunk)
    assert set(sent) <= set(REQUESTS)
    assert 7 <= len(sent) <= 9
    assert not any(isinstance(e, Rejected) for e in events)
    assert sum(isinstance(e, DeviceInfo) for e in events) == 1
    block = joined(events)
    if oddity in ("ucsi", "pps"):
        assert not len(block)
        assert all(
            set(t.values) <= {"contract_v", "contract_a", "online"} for t in telemetry(events)
        )
        assert telemetry(events)[-1].values["contract_a"] == 3.0
        return
    assert len(block) == (4 if oddity == "vanishes" else 8)
    assert set(block.si("pack_uv")) == {7.4}
    assert block.temp_c("cell.1") == pytest.approx(22.4)
    amps = block.si("pack_ua")
    if oddity == "idle_unsigned":
        assert np.isnan(amps).all()
    elif oddity == "busy":
        assert np.isnan(amps).sum() == 2
        assert np.nanmax(amps) == -1.5
    else:
        assert set(amps) == {-1.5}  # discharging, whether the driver has a sign or not
    told = telemetry(events)[-1]
    assert told.flags == (("health_overheat",) if oddity == "overheat" else ())
    if oddity == "energy_only":
        assert told.values["full_wh"] == pytest.approx(33.3)
        assert "full_ah" not in told.values
    elif oddity != "vanishes":
        assert told.values["remaining_ah"] == pytest.approx(8.75)


def test_charging_is_positive() -> None:
    for oddity in ("", "unsigned"):
        events = converse(PowerSupplyCodec(), PowerSupplyEmulator(CHARGING, oddity=oddity))
        assert set(joined(events).si("pack_ua")) == {2.0}
        assert joined(events).temp_c("cell.1") == pytest.approx(-3.5)


def test_a_real_folder_through_the_transport(tmp_path: Path) -> None:
    folder = tmp_path / "BAT0"
    folder.mkdir()
    tree = {
        "type": "Battery",
        "status": "Full",
        "voltage_now": "8400000",
        "current_now": "0",
        "manufacturer": "Maker Of Batteries",
        "uevent": "POWER_SUPPLY_NAME=BAT0\nPOWER_SUPPLY_TYPE=Battery",
    }
    for name, value in tree.items():
        (folder / name).write_text(value + "\n")
    codec, transport = PowerSupplyCodec(), SysfsTransport(Locator("sysfs", "x", path=str(folder)))
    action = codec.next(T0)
    assert isinstance(action, Send)
    transport.write(action.data)
    events = codec.feed(transport.read(0.0), T0)
    assert joined(events).si("pack_uv").tolist() == [8.4]
    assert joined(events).si("pack_ua").tolist() == [0.0]
    (info,) = (e for e in events if isinstance(e, DeviceInfo))
    assert info.maker == "Maker Of Batteries"
    assert not joined(events).measured("temp_mc.cell.1").any()
    assert {p.name: p.read_text().strip() for p in folder.iterdir()} == tree  # nothing was written


@pytest.mark.parametrize(
    "value", ["", "!EAGAIN", "7.4", "7400000 uV", "0x10", "9" * 19, "１２", "nan"]
)
def test_what_is_no_integer_is_no_value(value: str) -> None:
    answer = f"type Battery\nvoltage_now {value}\nusb_type !ENOENT\n".encode()
    assert not blocks(PowerSupplyCodec().feed(answer, T0))


@pytest.mark.parametrize("wh", [False, True])
@pytest.mark.parametrize(("v_scale", "ip_scale"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_words(wh: bool, v_scale: int, ip_scale: int) -> None:
    stream = round_of_words(SCENE, v_scale=v_scale, ip_scale=ip_scale, wh=wh)
    events = SbsCodec().feed(stream, T0)
    block = joined(events)
    assert np.nanmax(block.si("pack_uv")) == pytest.approx(7.4)
    assert np.nanmin(block.si("pack_ua")) == pytest.approx(-1.5)
    assert np.nanmax(block.temp_c("cell.1")) == pytest.approx(22.4)
    assert [np.nanmax(block.si(n)) for n in block.numbered("cell_uv")] == pytest.approx(
        [3.7, 3.701]
    )
    values = {k: v for t in telemetry(events) for k, v in t.values.items()}
    unit, factor = ("wh", 3.7) if wh else ("ah", 1.0)
    for name, ah in (("remaining", 8.75), ("full", 9.0), ("design", 10.0)):
        assert values[f"{name}_{unit}"] == pytest.approx(
            ah * factor, abs=0.51
        )  # one Wh at both scales
    assert values["cycles"] == 42


def test_capacities_wait_for_their_unit() -> None:
    codec = SbsCodec()
    assert not codec.feed(transaction(0x0F, 2500), T0)
    codec.feed(transaction(0x03, 0x8080), T0)
    (told,) = telemetry(codec.feed(transaction(0x0F, 2500), T0))
    assert told.values == {"remaining_wh": 25.0}


def test_words_that_cannot_be() -> None:
    codec = SbsCodec()
    for command, word in ((0x09, 20_001), (0x08, 0), (0x3C, 0)):
        block = joined(codec.feed(transaction(command, word), T0))
        assert not any(block.measured(name).any() for name in block.columns)
    (told,) = telemetry(codec.feed(transaction(0x16, 0xDB40), T0))
    assert told.flags == ("over_charged", "over_temperature")
    # The end of a charge or a discharge is no fault.
    (told,) = telemetry(codec.feed(transaction(0x16, 0x4AF0), T0))
    assert told.flags == ()
    codec.feed(transaction(0x16, 0x1000), T0)
    (told,) = telemetry(codec.feed(transaction(0x03, 0x0080), T0))
    assert told.flags == ("over_temperature", "calibration_required")


def test_a_run_equals_its_words() -> None:
    rng = np.random.default_rng(4)
    codec = SbsCodec()
    for command in (0x08, 0x09, 0x0A, 0x3F):
        words = rng.integers(0, 65536, 200)
        rows = np.stack([np.frombuffer(transaction(command, int(w)), np.uint8) for w in words])
        t_ns = T0 + np.arange(200, dtype=np.int64) * MS
        ones = [codec.decode_run(rows[i : i + 1], t_ns[i : i + 1]) for i in range(200)]
        assert same(codec.decode_run(rows, t_ns), SampleBlock.concat(ones))
    with pytest.raises(LocalProtocolError):
        codec.decode_run(np.frombuffer(transaction(0x16, 0), np.uint8)[None, :], t_ns[:1])


@settings(deadline=None)
@given(data=st.data())
def test_words_in_any_chunking(data: st.DataObject) -> None:
    stream = b"\x16\x17\x00" + round_of_words(SCENE) + b"\x00\x16" + round_of_words(SCENE)
    whole = SbsCodec().feed(stream, T0)
    codec, pieces, at = SbsCodec(), [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, 30))
        pieces += codec.feed(stream[at : at + size], T0)
        at += size
    assert len(blocks(whole)) == 10
    assert all(same(a, b) for a, b in zip(blocks(whole), blocks(pieces), strict=True))
    assert telemetry(whole) == telemetry(pieces)


@settings(deadline=None)
@given(at=st.integers(0, 5), mask=st.integers(1, 255), word=st.integers(0, 65535))
def test_a_wrong_pec_is_no_value(at: int, mask: int, word: int) -> None:
    bad = bytearray(transaction(0x09, word))
    bad[at] ^= mask
    assert CRC8_SMBUS.of(transaction(0x09, word)) == 0  # CRC over its own PEC
    codec = SbsCodec()
    codec.feed(transaction(0x03, 0), T0)
    events = codec.feed(bytes(bad), T0)
    assert not blocks(events)
    assert not telemetry(events)


@settings(deadline=None)
@given(garbage=st.binary(max_size=2000))
def test_garbage_is_no_value(garbage: bytes) -> None:
    assert not blocks(PowerSupplyCodec().feed(garbage, T0))
    codec = PowerSupplyCodec()
    codec.feed(garbage + b"\n", T0)
    assert len(codec._attributes._held) <= 512
    (block,) = blocks(codec.feed(b"type Battery\nvoltage_now 8400000\nusb_type x\n", T0 + MS))
    assert block.si("pack_uv").tolist() == [8.4]
