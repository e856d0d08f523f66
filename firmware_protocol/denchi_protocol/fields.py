"""Fields of equal-length frames, read for a whole run at once.

Every reader takes ``frames`` (n, length) uint8 and an offset and returns (n,) int64, so that scaling
to the integer units of a column cannot overflow; ``counts`` makes the int32 column of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from denchi_protocol.codec import Frames
from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.samples import MISSING, Int32s, Int64s


def as_frames(data: bytes) -> Frames:
    """One frame as a run of one."""
    return np.frombuffer(data, np.uint8)[None, :]


def check_run(frames: Frames, t_ns: Int64s) -> None:
    """Raise ``LocalProtocolError`` unless ``frames`` is (n >= 1, length) with one stamp each."""
    if frames.ndim != 2 or not len(frames) or len(t_ns) != len(frames):
        raise LocalProtocolError(f"a run is (n, length) frames with n stamps, not {frames.shape}")


_WORDS = (2, 4, 8)
"""Sizes that are read as they stand."""


def unsigned(frames: Frames, at: int, size: int, *, little: bool = False) -> Int64s:
    """Unsigned integer of ``size`` bytes (big-endian unless ``little``)."""
    if size in _WORDS:
        word = np.ascontiguousarray(frames[:, at : at + size]).view(
            f"{'<' if little else '>'}u{size}"
        )
        return word[:, 0].astype(np.int64)
    order = range(at + size - 1, at - 1, -1) if little else range(at, at + size)
    value = np.zeros(len(frames), np.int64)
    for i in order:
        value = (value << 8) | frames[:, i]
    return value


def signed(frames: Frames, at: int, size: int, *, little: bool = False) -> Int64s:
    """Two's complement integer of ``size`` bytes."""
    value = unsigned(frames, at, size, little=little)
    half = 1 << (8 * size - 1)
    wrapped: Int64s = (value ^ half) - half
    return wrapped


def counts(values: Int64s, where: NDArray[np.bool_] | None = None) -> Int32s:
    """Int32 column of integer counts; MISSING where ``where`` is False or int32 cannot hold it."""
    fits = np.abs(values) < 2**31
    if where is not None:
        fits &= where
    column: Int32s = np.where(fits, values, MISSING).astype(np.int32)
    return column


def split_where(frames: Frames, which: NDArray[np.bool_]) -> list[Frames]:
    """The run (n >= 1, length) cut wherever ``which`` (n,) changes."""
    if len(frames) == 1 or bool((which == which[0]).all()):
        return [frames]
    return np.split(frames, np.flatnonzero(np.diff(which.astype(np.int8))) + 1)
