"""Declared fields: one frame by ``struct`` and a run by arrays say the same, whatever stands there."""

from __future__ import annotations

import importlib
import pkgutil
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import denchi_protocol
from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.samples import MISSING, Quality
from denchi_protocol.table import FEW, Part, Real, Table, Value, value


def declared() -> dict[str, Table]:
    """Every table that a family has declared in its module."""
    found = {}
    for info in pkgutil.walk_packages(denchi_protocol.__path__, "denchi_protocol."):
        if "codec" not in info.name and "ble" not in info.name:
            continue
        for name, thing in vars(importlib.import_module(info.name)).items():
            tables = thing.items() if isinstance(thing, dict) else [("", thing)]
            found |= {f"{info.name}.{name}{k}": t for k, t in tables if isinstance(t, Table)}
    return found


TABLES = declared()
CODES = ("B", "b", "<h", "<H", "<i", "<I", ">h", ">H", ">i", ">I")
LENGTH = 24


def test_the_families_have_tables():
    assert len(TABLES) >= 8


@st.composite
def values(draw: st.DrawFn, name: str) -> Value:
    parts = st.builds(
        Part,
        st.integers(0, LENGTH - 4),
        st.sampled_from(CODES),
        st.sampled_from((1, 1, 2, 240, 256)),
    )
    return Value(
        name,
        tuple(draw(st.lists(parts, min_size=1, max_size=3))),
        draw(st.sampled_from((1, 10, 100, 1000, 10_000, 100_000))),
        add=draw(st.sampled_from((0, 0, -2731, -30_000))),
        none=draw(st.sampled_from(((), (0,), (0, 255)))),
        none_flag=draw(st.sampled_from((Quality.NONE, Quality.FAULT_CODE))),
        minus=draw(st.one_of(st.none(), st.tuples(parts, st.integers(0, 1)))),
        divide=draw(st.sampled_from((1, 1, 128))),
        most=draw(st.sampled_from((None, None, 1_000_000))),
    )


def reals(name: str) -> st.SearchStrategy[Real]:
    return st.builds(
        Real,
        st.just(name),
        st.integers(0, LENGTH - 4),
        st.sampled_from(("<f", ">f")),
        st.sampled_from(((), (25.0,), (0.0, 1.0))),
        st.sampled_from((-1e6, -40.0, 0.0)),
    )


FLOATS = st.lists(
    st.tuples(
        st.floats(width=32)
        | st.sampled_from((25.0, -40.0, -40.5, 5.0000005, 2147.4836, 2147.5, 1e6, -1e6, 0.0)),
        st.sampled_from(("<f", ">f")),
    ).map(lambda x: struct.pack(x[1], x[0])),
    max_size=60,
).map(b"".join)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    names = draw(st.lists(st.sampled_from(("vbus_uv", "ibus_ua", "temp_mc.meter", "cell_uv.7")), min_size=1, unique=True))  # fmt: skip
    return Table(LENGTH, *(draw(values(name) | reals(name)) for name in names), flag=draw(st.sampled_from((Quality.NONE, Quality.UNCHECKED))))  # fmt: skip


def both(table: Table, frames: np.ndarray) -> None:
    few, flags = table.few(frames)
    many, quality = table.many(frames)
    assert list(few) == list(many) == list(table.names)
    for name in table.names:
        assert few[name].dtype == many[name].dtype == np.int32
        assert few[name].tolist() == many[name].tolist(), name
    assert flags.tolist() == quality.tolist()
    assert flags.dtype == quality.dtype == np.uint16


def frames_of(data: bytes, length: int) -> np.ndarray:
    """Frames of these bytes, repeated; zeros, ones and the extremes of integers come often."""
    n = max(1, len(data) // length)
    return np.frombuffer(data.ljust(n * length, b"\xff")[: n * length], np.uint8).reshape(n, length)


BYTES = st.lists(
    st.sampled_from((b"\0", b"\x01", b"\x7f", b"\x80", b"\xff", b"\xaa\x0f", b"\x12\x34\x56")),
    max_size=400,
).map(b"".join)


@given(tables(), BYTES | FLOATS)
@settings(max_examples=400, deadline=None)
def test_both_ways_of_any_table_agree(table, data):
    both(table, frames_of(data, LENGTH))


@pytest.mark.parametrize("name", sorted(TABLES))
@given(data=st.one_of(BYTES, st.binary(max_size=1000)))
@settings(max_examples=30, deadline=None)
def test_both_ways_of_a_familys_table_agree(name, data):
    table = TABLES[name]
    both(table, frames_of(data, table.length))


@pytest.mark.parametrize(
    ("read", "counted"),
    [
        (5.125, 5_125_000),
        (-0.25, -250_000),
        (25.0, MISSING),
        (-40.5, MISSING),
        (float("nan"), MISSING),
        (float("inf"), MISSING),
        (1e6, MISSING),
        (2148.0, MISSING),
    ],
)
def test_a_float_is_rounded_once_or_is_no_measurement(read, counted):
    table = Table(4, Real("vbus_uv", 0, "<f", none=(25.0,), least=-40.0))
    frames = np.frombuffer(struct.pack("<f", read) * (FEW + 2), np.uint8).reshape(-1, 4)
    for way in (table.few, table.many):
        assert way(frames)[0]["vbus_uv"].tolist() == [counted] * (FEW + 2)


@pytest.mark.parametrize(
    "make", [lambda: value("vbus_uv", 0, "<f"), lambda: Real("vbus_uv", 0, "<I")]
)
def test_a_code_of_the_other_kind_is_refused(make):
    with pytest.raises(LocalProtocolError, match="no field"):
        Table(8, make())


def test_a_block_is_the_same_for_few_and_many():
    table = Table(4, value("vbus_uv", 0, "<i", 10))
    for n in (1, FEW, FEW + 1):
        frames = np.arange(4 * n, dtype=np.uint8).reshape(n, 4)
        block = table.block(frames, np.arange(n, dtype=np.int64))
        want = [int.from_bytes(row.tobytes(), "little") * 10 for row in frames]
        want = [v if v < 2**31 else MISSING for v in want]
        assert block.columns["vbus_uv"].tolist() == want


def test_frames_that_are_part_of_wider_rows():
    """A payload inside a reply is no copy: its rows do not follow each other in memory."""
    wide = np.random.default_rng(1).integers(0, 256, (9, 40)).astype(np.uint8)
    table = Table(LENGTH, value("vbus_uv", 2, "<H", 1000), value("ibus_ua", 5, ">i"))
    both(table, wide[:, 8 : 8 + LENGTH])
    both(table, wide[::2, 3 : 3 + LENGTH])


@pytest.mark.parametrize(
    ("at", "code", "name"),
    [(-1, "B", "vbus_uv"), (21, "<i", "vbus_uv"), (0, "H", "vbus_uv"), (0, "<f", "vbus_uv"), (0, "B", "volts")],
)  # fmt: skip
def test_a_wrong_declaration_is_told(at, code, name):
    with pytest.raises(LocalProtocolError):
        Table(LENGTH, value(name, at, code))


def test_frames_too_short_for_the_table_are_told():
    with pytest.raises(LocalProtocolError, match="bytes"):
        Table(8, value("vbus_uv", 4, "<i")).block(np.zeros((1, 7), np.uint8), np.zeros(1, np.int64))
