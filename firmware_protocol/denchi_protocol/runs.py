"""What every family does with runs of frames: news among them, and events in the order of the stream."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from denchi_protocol.codec import Event, Frames
from denchi_protocol.samples import TIME_STEP_NS, Int64s, SampleBlock

Mark = tuple[int, Event]
"""A frame's number within the run, and what it tells beside its sample."""
Part = tuple[NDArray[np.intp], SampleBlock]
"""Numbers (n,) of frames within the run, and their samples (n,)."""


class ArrivalClock:
    """Stamps of a meter that gives no time: the arrival, and a step more for each that came with it.

    It depends on the bytes and their arrival only, not on how a read was cut.
    """

    def __init__(self) -> None:
        self._last_ns: int | None = None

    def stamps(self, n: int, t_ns: int) -> Int64s:
        """Stamps (n,) of n samples that arrived at ``t_ns``, after all that were given before."""
        if self._last_ns is not None and t_ns <= self._last_ns:
            t_ns = self._last_ns + TIME_STEP_NS
        self._last_ns = t_ns + (n - 1) * TIME_STEP_NS
        if n == 1:
            return np.array((t_ns,), np.int64)
        return np.arange(t_ns, self._last_ns + 1, TIME_STEP_NS, dtype=np.int64)


class News:
    """Which frames tell their counters and states beside their sample.

    The first frame of an arrival does, and every frame whose bytes at ``flags`` differ from those of
    the frame before; what else frames tell that came together is known at the same instant, so only
    the last of it is still due at the end (``left``). A poll's answer tells as often as it is asked
    for; a recording read in one piece does not tell thousands of counters of one instant.
    """

    def __init__(self, *flags: slice) -> None:
        self._flags = flags
        self._t_ns: int | None = None
        self._last = b""
        self._told = True

    def one(self, frame: bytes, t_ns: int) -> bool:
        """Whether ``frame`` has news."""
        last, self._last = self._last, frame
        self._told = t_ns != self._t_ns or any(frame[f] != last[f] for f in self._flags)
        self._t_ns = t_ns
        return self._told

    def among(self, frames: Frames, t_ns: int) -> list[int]:
        """Numbers of the frames (n >= 1, length) that have news."""
        told = [0] if self.one(frames[0].tobytes(), t_ns) else []
        if len(frames) == 1:
            return told
        self._last = frames[-1].tobytes()
        changed = np.zeros(len(frames), np.bool_)
        for flag in self._flags:
            part = frames[:, flag]
            changed[1:] |= np.logical_or.reduce(part[1:] != part[:-1], axis=1)
        self._told = bool(changed[-1])
        return told + np.flatnonzero(changed).tolist()

    def left(self) -> list[bytes]:
        """At the end of a recording: the last frame, where it has not told."""
        told, self._told = self._told, True
        return [] if told else [self._last]


def changes(keys: NDArray[np.generic]) -> list[int]:
    """Where runs of equal keys (n >= 1,) begin, and n at last."""
    if len(keys) == 1:
        return [0, 1]
    return [0, *(np.flatnonzero(keys[1:] != keys[:-1]) + 1).tolist(), len(keys)]


def in_order(block: SampleBlock, marks: Sequence[Mark]) -> list[Event]:
    """The samples of a run, one a frame, with what frames tell behind each; ``marks`` in order."""
    if not marks:
        return [block]
    out: list[Event] = []
    begun, n = 0, len(block)
    for number, event in marks:
        if number + 1 > begun:
            out.append(block if number + 1 - begun == n else block[begun : number + 1])
            begun = number + 1
        out.append(event)
    if begun < n:
        out.append(block[begun:])
    return out


def woven(parts: Sequence[Part], marks: Sequence[Mark]) -> list[Event]:
    """Samples of several kinds and what is told beside them, in the order of their frames.

    Of one frame the samples come first, then its marks as they stand.
    """
    if len(parts) == 1 and not marks:
        return [parts[0][1]]
    numbers = np.concatenate([*(part[0] for part in parts), [number for number, _ in marks]])
    sizes = [len(part[0]) for part in parts]
    kinds = np.repeat(np.arange(len(parts) + len(marks)), [*sizes, *[1] * len(marks)])
    order = np.argsort(numbers, kind="stable")
    told = kinds[order]
    cuts = changes(told)
    runs = told[cuts[:-1]]
    if len(runs) == len(numbers):  # no two samples of a kind behind each other
        flat: list[Event] = [one for _, block in parts for one in block.singles()]
        flat += [event for _, event in marks]
        return [flat[i] for i in order.tolist()]
    begun = [0] * len(parts)
    out: list[Event] = []
    for kind, start, end in zip(runs.tolist(), cuts, cuts[1:], strict=False):
        if kind >= len(parts):
            out.append(marks[kind - len(parts)][1])
            continue
        first = begun[kind]
        begun[kind] = first + end - start
        out.append(parts[kind][1][first : begun[kind]])
    return out
