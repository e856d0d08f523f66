"""Sample blocks as bytes: raw for the open tail, compressed by column for sealed segments.

Layout, little-endian::

    crc32 u32 | "DB" | version u8 | flags u8 | n u32 | n_columns u16 | t0 i64 | codes u16 * n_columns | body

The checksum covers everything behind it. The body holds the time differences, then (flag) the
quality words, then the columns in the order of the codes. Raw: plain arrays. Packed: each array as
``u32 length`` and a pcodec standalone chunk. Time differences count 100 us (flag ``STEPPED``), the
rounding every live stamp has, or nanoseconds where a foreign stamp is finer.

Codes are frozen: a code once given never changes its meaning, so an old journal reads for ever.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from denchi.errors import StoreError
from denchi_protocol.samples import MISSING, TIME_STEP_NS, SampleBlock

VERSION: Final = 1
_HEAD: Final = struct.Struct("<I2sBBIHq")
_PACKED, _QUALITY, _STEPPED, _WIDE = 1, 2, 4, 8
_MAGIC: Final = b"DB"

CODES: Final[dict[str, int]] = {
    "vbus_uv": 1,
    "ibus_ua": 2,
    "dp_uv": 3,
    "dm_uv": 4,
    "cc1_uv": 5,
    "cc2_uv": 6,
    "pack_uv": 7,
    "pack_ua": 8,
    "temp_mc.case": 9,
    "temp_mc.ambient": 10,
    "temp_mc.pd": 11,
    "temp_mc.meter": 12,
    **{f"cell_uv.{n}": 0x100 + n for n in range(1, 65)},
    **{f"temp_mc.cell.{n}": 0x200 + n for n in range(1, 65)},
}
NAMES: Final[dict[int, str]] = {code: name for name, code in CODES.items()}
MAX_SAMPLES: Final = 65_536
"""Largest segment; longer runs are cut."""


class Damaged(StoreError):
    """Bytes whose checksum or layout is wrong."""


def compress(array: NDArray[Any]) -> bytes:
    """One array as a pcodec chunk with its length in front."""
    from pcodec import ChunkConfig, standalone

    data: bytes = standalone.simple_compress(
        np.require(array, requirements=["C", "A"]), ChunkConfig()
    )
    return struct.pack("<I", len(data)) + data


def decompress(data: bytes, at: int, dtype: Any, n: int) -> tuple[NDArray[Any], int]:
    """The array of ``n`` values at offset ``at`` and the offset behind it. Raises ``Damaged``."""
    from pcodec import standalone

    if not n:
        return np.zeros(0, dtype), at + 4
    try:
        (length,) = struct.unpack_from("<I", data, at)
        array = standalone.simple_decompress(data[at + 4 : at + 4 + length])
    except (struct.error, RuntimeError, TypeError, ValueError) as error:
        raise Damaged(f"a compressed column cannot be read: {error}") from None
    if array is None or len(array) != n or array.dtype != dtype:
        raise Damaged("a compressed column has another length or type than its header says")
    return np.asarray(array), at + 4 + length


def _steps(t_ns: NDArray[np.int64]) -> tuple[NDArray[Any], int]:
    """Time differences in the narrowest form, with the flags that name it."""
    differences = np.diff(t_ns, prepend=t_ns[:1])
    flags = 0
    if not (differences % TIME_STEP_NS).any():
        differences, flags = differences // TIME_STEP_NS, _STEPPED
    if len(differences) and (differences.max() > 0xFFFFFFFF or differences.min() < 0):
        return differences, flags | _WIDE
    return differences.astype(np.uint32), flags


def encode(block: SampleBlock, *, packed: bool) -> bytes:
    """One block as bytes. Columns that are wholly missing are left out."""
    steps, flags = _steps(block.t_ns)
    names = [n for n, c in block.columns.items() if (c != MISSING).any()] or list(block.columns)
    arrays: list[NDArray[Any]] = [steps]
    if block.quality.any():
        flags |= _QUALITY
        arrays.append(block.quality)
    arrays += [block.columns[name] for name in names]
    codes = np.array([CODES[name] for name in names], np.uint16).tobytes()
    if packed:
        flags |= _PACKED
        body = b"".join(compress(a) if len(a) else bytes(4) for a in arrays)
    else:
        body = b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)
    t0 = int(block.t_ns[0]) if len(block) else 0
    head = _HEAD.pack(0, _MAGIC, VERSION, flags, len(block), len(names), t0)[4:]
    rest = head + codes + body
    return struct.pack("<I", zlib.crc32(rest)) + rest


def decode(data: bytes) -> SampleBlock:
    """The block of ``encode``; wholly missing columns stay absent. Raises ``Damaged``."""
    if len(data) < _HEAD.size:
        raise Damaged("a stored block is cut short")
    crc, magic, version, flags, n, n_columns, t0 = _HEAD.unpack_from(data)
    if magic != _MAGIC or crc != zlib.crc32(memoryview(data)[4:]):
        raise Damaged("a stored block fails its checksum")
    if version != VERSION:
        raise Damaged(f"a stored block has version {version}, this program reads {VERSION}")
    at = _HEAD.size + 2 * n_columns
    codes = np.frombuffer(data, np.uint16, n_columns, _HEAD.size)
    kinds: list[Any] = [np.int64 if flags & _WIDE else np.uint32]
    if flags & _QUALITY:
        kinds.append(np.uint16)
    kinds += [np.int32] * n_columns
    arrays: list[NDArray[Any]] = []
    for kind in kinds:
        if flags & _PACKED:
            array, at = decompress(data, at, np.dtype(kind), n)
        else:
            array = np.frombuffer(data, kind, n, at).copy()  # the copy is aligned
            at += array.nbytes
        arrays.append(array)
    steps = arrays[0].astype(np.int64) * (TIME_STEP_NS if flags & _STEPPED else 1)
    if n:
        steps[0] = t0
    quality = arrays[1] if flags & _QUALITY else np.zeros(n, np.uint16)
    columns = arrays[2 if flags & _QUALITY else 1 :]
    names = [NAMES.get(int(code), "") for code in codes]
    if "" in names:
        raise Damaged("a stored block names a channel that this program does not know")
    return SampleBlock(np.cumsum(steps), dict(zip(names, columns, strict=True)), quality)
