from __future__ import annotations

import numpy as np
import pytest

from denchi_protocol.checksum import CRC16_MODBUS
from denchi_protocol.codec import DeviceInfo, Rejected, Scene, Send, StillScene, Wait
from denchi_protocol.meters.rdtech_tc import SPECS
from denchi_protocol.meters.rdtech_tc.codec import KEY, TcCodec, ble_codec
from denchi_protocol.meters.rdtech_tc.emulator import TcEmulator
from protocol.wire import MS, T0, blocks, captures, converse, joined, read_capture, telemetry

SCENE = StillScene(
    Scene(vbus_v=9.0123, ibus_a=1.23456, dp_v=0.6, dm_v=0.61, meter_temp_c=-7, energy_wh=1.5)
)


def real() -> bytes:
    (path,) = captures("rdtech_tc")
    return read_capture(path).received()[0].data


def encrypted(plain: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    return Cipher(algorithms.AES(KEY), modes.ECB()).encryptor().update(plain)


def test_the_real_frame() -> None:
    (path,) = captures("rdtech_tc")
    chunk = read_capture(path).received()[0]
    events = TcCodec().feed(chunk.data, T0)
    expect, block = chunk.extra["expect"], joined(events)
    assert block.vbus_v()[0] == pytest.approx(expect["vbus_v"])
    assert block.ibus_a()[0] == pytest.approx(expect["ibus_a"])
    assert block.temp_c("meter")[0] == expect["temp_c"]["meter"]
    assert block.si("dp_uv")[0] == pytest.approx(expect["dp_v"])
    assert block.si("dm_uv")[0] == pytest.approx(expect["dm_v"])
    assert telemetry(events)[0].values["energy_wh"] == expect["energy_wh"]
    assert telemetry(events)[0].values["resistance_ohm"] == 259.3
    (info,) = (e for e in events if isinstance(e, DeviceInfo))
    assert (info.model, info.firmware, info.serial) == ("TC66", "1.18", "48724")


def test_every_block_must_fit() -> None:
    """A broken CRC, and a valid CRC on a block of the wrong name, are both no value."""
    plain = bytearray(TcCodec()._aes.update(real()))
    for at in (48, 64 + 28, 128 + 10, 60, 124, 188):
        bad = bytearray(plain)
        bad[at] ^= 1
        assert not blocks(TcCodec().feed(encrypted(bytes(bad)), T0))
    bad = bytearray(plain)
    bad[64:68] = b"pac9"
    bad[124:126] = CRC16_MODBUS.of(bytes(bad[64:124])).to_bytes(2, "little")
    assert not blocks(TcCodec().feed(encrypted(bytes(bad)), T0))


@pytest.mark.parametrize("skip", [1, 7, 16, 100, 191])
def test_back_in_step_within_two_frames(skip: int) -> None:
    codec = TcCodec()
    codec.feed(real()[skip:], T0)
    assert len(blocks(codec.feed(real() * 2, T0))) >= 1
    assert len(blocks(codec.feed(real(), T0))) == 1


@pytest.mark.parametrize("oddity", ["", *TcEmulator.ODDITIES])
def test_against_the_emulator(oddity: str) -> None:
    sent: list[bytes] = []
    events = converse(TcCodec(), TcEmulator(SCENE, oddity=oddity), for_s=5, sent=sent)
    block = joined(events)
    assert len(block) >= (45 if not oddity else 20)
    assert block.vbus_v() == pytest.approx(9.0123)
    assert block.ibus_a() == pytest.approx(1.23456)
    assert block.temp_c("meter") == pytest.approx(-7)
    assert set(sent) == {b"getva"}
    if oddity in ("bad_crc", "lost_bytes", "first_frame"):
        assert any(isinstance(e, Rejected) for e in events)


def test_one_request_in_flight_and_asked_again_after_200_ms() -> None:
    codec = TcCodec()
    assert codec.next(T0) == Send(b"getva")
    assert codec.next(T0 + 199 * MS) == Wait(T0 + 200 * MS)
    assert codec.next(T0 + 200 * MS) == Send(b"getva")


def test_the_radio_is_asked_in_its_own_words() -> None:
    sent: list[bytes] = []
    events = converse(ble_codec(), TcEmulator(SCENE), sent=sent, chunk=20)
    assert len(joined(events)) >= 8
    assert set(sent) == {b"bgetva\r\n"}
    (spec,) = (s for s in SPECS if s.key == "tc66c-ble")
    assert spec.allowed_sends == (b"bgetva\r\n",)


def test_a_run_is_decoded_like_its_frames() -> None:
    codec = TcCodec()
    emulator = TcEmulator(SCENE)
    emulator.receive(b"getva", 0)
    other = emulator.next(15 * MS)
    assert isinstance(other, Send)
    rows = np.stack([np.frombuffer(f, np.uint8) for f in (real(), other.data, real())])
    block = codec.decode_run(rows, np.arange(3, dtype=np.int64))
    assert block.vbus_v() == pytest.approx([5.1609, 9.0123, 5.1609])
    assert block.temp_c("meter") == pytest.approx([27, -7, 27])
