"""Linux folders: the powerz driver, thermometers, discovery by stable path, the place a role gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denchi.daemon.pipeline import SessionPipe, placed
from denchi.drivers import discovery
from denchi.errors import DeviceGone
from denchi.ingest import Gate
from denchi.locator import Locator
from denchi.transports.sysfs import SysfsTransport
from denchi_protocol.codec import Rejected, Scene, StillScene
from denchi_protocol.meters.hwmon import SPECS
from denchi_protocol.meters.hwmon.codec import PowerzHwmonCodec
from denchi_protocol.meters.hwmon.emulator import HwmonEmulator
from denchi_protocol.samples import SampleBlock
from protocol.loop import MS, T0, S, drive, hang_up, values
from protocol.wire import blocks, captures, joined, read_capture

BY_KEY = {spec.key: spec for spec in SPECS}
SCENE = Scene(
    vbus_v=9.0125, ibus_a=-1.2345, cc1_v=1.65, cc2_v=0.003, dp_v=0.6, dm_v=2.7,
    meter_temp_c=-7.5, case_temp_c=31.25,
)  # fmt: skip
TRUE = {
    "vbus_uv": 9.0125, "ibus_ua": -1.2345, "cc1_uv": 1.65, "cc2_uv": 0.003, "dp_uv": 0.6,
    "dm_uv": 2.7, "temp_mc.meter": -7.5,
}  # fmt: skip


@pytest.mark.parametrize("path", captures("hwmon"), ids=lambda p: p.stem)
def test_the_captures(path):
    capture = read_capture(path)
    names = {"vbus_v": "vbus_uv", "ibus_a": "ibus_ua"} | {
        f"{n}_v": f"{n}_uv" for n in ("cc1", "cc2", "dp", "dm")
    }
    codec = BY_KEY[capture.header.meter].codec()
    for chunk in capture.received():
        block, expect = joined(codec.feed(chunk.data, T0 + chunk.t_ns)), dict(chunk.extra["expect"])
        assert len(block) == 1
        for place, temp in expect.pop("temp_c").items():
            got = block.temp_c(place)[0]
            assert np.isnan(got) if temp is None else got == temp
        for key, want in expect.items():
            got = block.si(names[key])[0]
            assert np.isnan(got) if want is None else got == pytest.approx(want, abs=1e-9)


@pytest.mark.parametrize("oddity", ["", "eio", "no_temperature"])
def test_powerz_against_the_emulator(oddity):
    spec = BY_KEY["powerz-hwmon"]
    codec, emulator = (
        spec.codec(),
        spec.emulator(StillScene(SCENE), now_ns=T0, oddity=oddity),
    )
    talk = drive(codec, emulator, for_ns=10 * S)
    block = talk.block
    assert len(block) >= 95
    for name, true in TRUE.items():
        told = values(block, name)
        if name == "temp_mc.meter" and oddity == "no_temperature":
            assert not len(told)
            continue
        assert len(told)
        assert np.abs(told - true).max() < 1.001e-3
    if oddity == "eio":
        assert not block.measured("vbus_uv").all()
        assert not block.measured("ibus_ua").all()
    assert set(talk.requests) == set(spec.allowed_sends)
    assert not talk.of(Rejected)
    hang_up(codec, emulator, now_ns=talk.now_ns)


@pytest.mark.parametrize("celsius", [-40.0, -0.5, 0.0, 24.75, 99.5])
def test_powerz_temperatures_of_both_signs(celsius):
    emulator = HwmonEmulator(StillScene(Scene(vbus_v=5.0, ibus_a=0.0, meter_temp_c=celsius)))
    block = drive(PowerzHwmonCodec(), emulator, for_ns=S).block
    assert set(values(block, "temp_mc.meter")) == {celsius}


@pytest.mark.parametrize("oddity", ["", "eio", "power_on", "unplugged", "raw_only"])
@pytest.mark.parametrize("key", ["hwmon", "iio", "w1"])
def test_thermometers_behind_the_ingest_gate(key, oddity):
    spec = BY_KEY[key]
    codec = spec.codec()
    talk = drive(codec, spec.emulator(StillScene(SCENE), now_ns=T0, oddity=oddity), for_ns=60 * S)
    assert set(talk.requests) == set(spec.allowed_sends)
    gate, counted = Gate.of(spec), []
    for block in blocks(talk.events):
        gated = gate.feed(block)
        if gated.block is not None:
            counted.append(gated.block)
    told = values(SampleBlock.concat(counted), "temp_mc.ambient") if counted else np.zeros(0)
    if oddity == "unplugged":
        assert not len(told)
    else:
        assert len(told) >= 10
        assert set(told) == {31.25}


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_chunking_gives_the_same(data):
    answer = b"in1_input 1650\nin0_input 9012\ncurr1_input -1234\n"
    stream, codec, events, at = answer * 3, PowerzHwmonCodec(), [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, 60))
        events += codec.feed(stream[at : at + size], T0)
        at += size
    block = joined(events)
    assert block.columns["vbus_uv"].tolist() == [9_012_000] * 3
    assert block.columns["ibus_ua"].tolist() == [-1_234_000] * 3
    assert block.columns["cc1_uv"].tolist() == [1_650_000] * 3
    assert (np.diff(block.t_ns) > 0).all()


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=700))
def test_garbage_becomes_no_value(junk):
    for spec in SPECS:
        assert not blocks(spec.codec().feed(junk + b"\n", T0))


@pytest.mark.parametrize(
    "text",
    ["", "nan", "1e9999", "12 34", "5000mV", "--5", "９０００", "99999999999999999999"],
)
def test_what_is_no_number_is_missing(text):
    for spec in SPECS:
        for request in spec.allowed_sends:
            names = request.decode().split()
            answer = "".join(f"{name} {text}\n" for name in names).encode()
            assert not any(
                b.measured(n).any()
                for b in blocks(spec.codec().feed(answer, T0))
                for n in b.columns
            )


def tree(root: Path, number: int, name: str, place: str = "1-2.3") -> Path:
    """A folder as the kernel makes it, under the class by a link."""
    real = root / "devices" / "usb1" / place / f"{place}:1.0" / "hwmon" / f"hwmon{number}"
    real.mkdir(parents=True)
    (real / "name").write_text(f"{name}\n")
    (real / "in0_input").write_text("5012\n")
    (real / "curr1_input").write_text("-750\n")
    link = root / "class" / "hwmon" / f"hwmon{number}"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(real)
    return real


def test_found_by_a_path_that_outlives_a_replug(tmp_path):
    real = tree(tmp_path, 3, "powerz")
    tree(tmp_path, 1, "coretemp", "9-9")
    (found,) = discovery._kernel(tmp_path, set())
    assert found.spec_key == "powerz-hwmon"
    assert not found.ambiguous
    assert found.locator.path.endswith("1-2.3:1.0/hwmon/hwmon*")
    transport = SysfsTransport(found.locator)
    transport.write(b"in0_input\ncurr1_input\n")
    block = joined(PowerzHwmonCodec().feed(transport.read(0.0), T0))
    assert block.vbus_v()[0] == 5.012
    assert block.ibus_a()[0] == -0.75
    real.rename(real.with_name("hwmon7"))  # plugged in again: another number
    with pytest.raises(DeviceGone):
        transport.write(b"in0_input\n")
    again = SysfsTransport(found.locator)
    again.write(b"in0_input\n")
    assert again.read(0.0) == b"in0_input 5012\n"


def test_a_meter_that_usb_reaches_is_not_taken_a_second_time(tmp_path):
    tree(tmp_path, 3, "powerz")
    (found,) = discovery._kernel(tmp_path, {"1-2.3"})
    assert found.ambiguous
    (found,) = discovery._kernel(tmp_path, {"1-2"})
    assert not found.ambiguous


def test_a_folder_that_is_not_there():
    with pytest.raises(DeviceGone):
        SysfsTransport(Locator("sysfs", "w1", path="/nowhere/w1/28-*"))


class Listening:
    """Takes what health would."""

    def __init__(self) -> None:
        self.fed: list[tuple[str, SampleBlock]] = []

    def feed(self, role: str, block: SampleBlock) -> list:
        self.fed.append((role, block))
        return []

    def gap(self, role: str, gap: object) -> list:
        return []


@pytest.mark.parametrize("role", ["case", "ambient"])
def test_the_role_says_where_a_thermometer_is(role):
    spec, engine = BY_KEY["w1"], Listening()
    pipe = SessionPipe(None, engine, None)
    pipe.add(role, Gate.of(spec), {}, place=role)
    for k in range(8):
        events = spec.codec().feed(b"temperature 31250\n", T0 + k * 2000 * MS)
        for taken in pipe.take(role, events):
            pipe.judge(taken)
    assert engine.fed
    for told, block in engine.fed:
        assert told == role
        assert set(block.columns) == {f"temp_mc.{role}"}
        assert set(block.temp_c(role)) == {31.25}


def test_a_block_without_a_temperature_stays_as_it_is():
    block = SampleBlock.from_si([1], {"vbus_uv": [5.0]})
    assert placed(block, "case") is block
