from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denchi.store import pack
from denchi_protocol.samples import CHANNELS, MISSING, SampleBlock, same
from store.helpers import fnirsi_like

blocks = st.builds(
    lambda start, steps, quality, columns: SampleBlock(
        start + np.cumsum(np.array(steps, np.int64)),
        {
            name: np.resize(np.array(values, np.int32), len(steps))
            for name, values in columns.items()
        },
        np.resize(np.array(quality, np.uint16), len(steps)),
    ),
    st.integers(-(2**60), 2**60),
    st.lists(
        st.one_of(st.integers(1, 10**6).map(lambda k: k * 100_000), st.integers(1, 10**12)),
        min_size=1,
        max_size=40,
    ),
    st.lists(st.integers(0, 65535), min_size=1, max_size=3),
    st.dictionaries(
        st.sampled_from([*CHANNELS, "cell_uv.1", "cell_uv.64", "temp_mc.cell.7"]),
        st.lists(
            st.one_of(st.just(MISSING), st.integers(-(2**31), 2**31 - 1)), min_size=1, max_size=9
        ),
        min_size=1,
        max_size=5,
    ),
)


@given(blocks, st.booleans())
@settings(max_examples=150, deadline=None)
def test_what_is_packed_comes_back(block: SampleBlock, packed: bool) -> None:
    back = pack.decode(pack.encode(block, packed=packed))
    kept = {n: c for n, c in block.columns.items() if (c != MISSING).any()} or block.columns
    assert same(back, block.replace(columns=kept))


def test_every_channel_of_the_registry_has_a_code_of_its_own() -> None:
    assert set(CHANNELS) <= set(pack.CODES)
    assert len(set(pack.CODES.values())) == len(pack.CODES)


def test_codes_never_change() -> None:
    # A stored journal depends on these numbers: this test is meant to fail when somebody edits one.
    assert pack.CODES["vbus_uv"] == 1
    assert pack.CODES["temp_mc.meter"] == 12
    assert pack.CODES["cell_uv.1"] == 257
    assert pack.CODES["temp_mc.cell.64"] == 576


@given(st.integers(0, 10_000), st.integers(1, 255), st.booleans())
@settings(max_examples=100, deadline=None)
def test_a_changed_byte_is_noticed(where: int, change: int, packed: bool) -> None:
    data = bytearray(pack.encode(fnirsi_like(50), packed=packed))
    data[where % len(data)] ^= change
    with pytest.raises(pack.Damaged):
        pack.decode(bytes(data))


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_garbage_is_only_ever_damaged(data: bytes) -> None:
    with pytest.raises(pack.Damaged):
        pack.decode(data)
