from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denchi_protocol import checksum
from denchi_protocol.checksum import Crc

PUBLISHED = {
    "CRC8_FNIRSI": 0x4B,
    "CRC8_SMBUS": 0xF4,
    "CRC16_XMODEM": 0x31C3,
    "CRC16_MODBUS": 0x4B37,
    "CRC32": 0xCBF43926,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_check_values(name: str) -> None:
    crc: Crc = getattr(checksum, name)
    assert crc.of(b"123456789") == PUBLISHED[name]
    rows = np.frombuffer(b"123456789" * 3, np.uint8).reshape(3, 9)
    assert crc.of_rows(rows).tolist() == [PUBLISHED[name]] * 3


@pytest.mark.parametrize("name", PUBLISHED)
@settings(deadline=None)
@given(data=st.data())
def test_rows_agree_with_single_frames(name: str, data: st.DataObject) -> None:
    crc: Crc = getattr(checksum, name)
    length = data.draw(st.integers(0, 40))
    frames = data.draw(st.lists(st.binary(min_size=length, max_size=length), max_size=6))
    rows = np.frombuffer(b"".join(frames), np.uint8).reshape(len(frames), length)
    assert crc.of_rows(rows).tolist() == [crc.of(frame) for frame in frames]


@pytest.mark.parametrize("name", ["CRC8_FNIRSI", "CRC8_SMBUS", "CRC16_MODBUS"])
@given(frame=st.binary(max_size=70))
def test_two_bytes_at_a_time_say_what_one_at_a_time_says(name: str, frame: bytes) -> None:
    crc: Crc = getattr(checksum, name)
    assert crc.of.__func__ is Crc.by_pairs  # type: ignore[attr-defined]
    assert crc.by_pairs(frame) == crc.by_table(frame)


def test_a_long_run_is_cut_without_a_seam() -> None:
    rows = np.random.default_rng(1).integers(0, 256, (1500, 12), np.uint8)
    got = checksum.CRC32.of_rows(rows)
    assert got.tolist() == [checksum.CRC32.of(row.tobytes()) for row in rows]
