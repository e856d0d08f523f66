from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denchi.locator import Locator
from denchi.transports.sysfs import SysfsTransport
from denchi_protocol.batteries.power_supply import SPECS
from denchi_protocol.batteries.power_supply.emulator_typec import (
    CapabilitiesEmulator,
    PartnerEmulator,
)
from denchi_protocol.batteries.power_supply.typec import (
    CAPABILITIES,
    PARTNER,
    CapabilitiesCodec,
    PartnerCodec,
)
from denchi_protocol.codec import DeviceInfo, Event, Scene, Send, StillScene
from protocol.wire import T0, blocks, converse, telemetry

STILL = StillScene(Scene())
BY_KEY = {spec.key: spec for spec in SPECS}
OFFERED = {
    "pdo1_v": 5.0,
    "pdo1_max_a": 3.0,
    "pdo2_v": 9.0,
    "pdo2_max_a": 3.0,
    "pdo3_v": 15.0,
    "pdo3_max_a": 3.0,
    "pdo4_v": 20.0,
    "pdo4_max_a": 3.25,
}
PPS = {"pdo5_min_v": 3.3, "pdo5_max_v": 21.0, "pdo5_max_a": 3.0}


def infos(events: list[Event]) -> list[DeviceInfo]:
    return [e for e in events if isinstance(e, DeviceInfo)]


@pytest.mark.parametrize("oddity", ["", *PartnerEmulator.ODDITIES])
def test_the_partner_is_told_once_and_again_when_it_changes(oddity: str) -> None:
    sent: list[bytes] = []
    emulator = PartnerEmulator(STILL, now_ns=T0, oddity=oddity)
    events = converse(PartnerCodec(), emulator, for_s=45, step_ms=50, sent=sent)
    assert set(sent) == set(BY_KEY["typec-partner"].allowed_sends)
    assert not blocks(events)
    told = [info.fields for info in infos(events)]
    assert len(told) == (2 if oddity == "late" else 1)
    assert told[0]["type"] == "psd"
    known = {"vid": 0x291A, "pid": 0xABCD}
    assert (known.items() <= told[-1].items()) == (oddity != "no_identity")
    if oddity in ("late", "no_identity"):
        assert not {"vid", "pid"} & set(told[0])  # all 0 = not available, no identity


@pytest.mark.parametrize("oddity", ["", *CapabilitiesEmulator.ODDITIES])
@pytest.mark.parametrize("chunk", [0, 11])
def test_the_offers(oddity: str, chunk: int) -> None:
    emulator = CapabilitiesEmulator(STILL, now_ns=T0, oddity=oddity)
    events = converse(CapabilitiesCodec(), emulator, for_s=45, step_ms=50, chunk=chunk)
    assert not blocks(events)
    told = [t.values for t in telemetry(events)]
    assert told == ([OFFERED, OFFERED | PPS] if oddity == "more_later" else [OFFERED | PPS])
    assert infos(events)[-1].fields["pdo5"] == "programmable_supply"


def _tree(folder: Path, names: tuple[str, ...], values: dict[str, str]) -> None:
    for name, value in values.items():
        assert name in names
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(value + "\n")


def test_real_folders_through_the_transport(tmp_path: Path) -> None:
    partner, offers = tmp_path / "port0-partner", tmp_path / "pd1"
    _tree(partner, PARTNER, {"type": "psd", "identity/id_header": "0x1800291a"})
    _tree(
        offers,
        CAPABILITIES,
        {
            "revision": "3.0",
            "source-capabilities/1:fixed_supply/voltage": "5000mV",
            "source-capabilities/1:fixed_supply/maximum_current": "2400mA",
        },
    )
    for folder, codec in ((partner, PartnerCodec()), (offers, CapabilitiesCodec())):
        transport = SysfsTransport(Locator("sysfs", "x", path=str(folder)))
        action = codec.next(T0)
        assert isinstance(action, Send)
        transport.write(action.data)
        events = codec.feed(transport.read(0.0), T0)
        if folder is partner:
            assert infos(events)[0].fields == {"type": "psd", "vid": 0x291A}
        else:
            assert telemetry(events)[0].values == {"pdo1_v": 5.0, "pdo1_max_a": 2.4}


@pytest.mark.parametrize(
    "name", ["../secret", "a/../../secret", "/etc/hostname", "a/b/c/d", ".hidden", "a//b", "-x", ""]
)
def test_the_transport_never_leaves_its_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "one"
    (folder / "a" / "b" / "c").mkdir(parents=True)
    (folder / "a" / "b" / "c" / "d").write_text("deep")
    (folder / ".hidden").write_text("hidden")
    (tmp_path / "secret").write_text("secret")
    transport = SysfsTransport(Locator("sysfs", "x", path=str(folder)))
    transport.write(name.encode() + b"\n")
    assert transport.read(0.0) == b""


@settings(deadline=None)
@given(garbage=st.binary(max_size=1500))
def test_garbage_tells_nothing(garbage: bytes) -> None:
    for codec in (PartnerCodec(), CapabilitiesCodec()):
        events = codec.feed(garbage, T0)
        assert not blocks(events)
        assert not telemetry(events)


def test_facts_have_no_columns() -> None:
    block = PartnerCodec().decode_run(np.zeros((2, 5), np.uint8), np.array([1, 2]))
    assert not block.columns
