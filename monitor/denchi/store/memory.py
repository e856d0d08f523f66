"""Frames that are not sealed yet, and the count of what had to be given up."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from denchi.store.tail import Frame
from denchi_protocol.samples import SampleBlock

NS = 1_000_000_000
Op = Callable[[sqlite3.Connection], None]


@dataclass(slots=True)
class _Loss:
    start_ns: int
    end_ns: int
    lost: int


class Memory:
    """The open frames of all instruments, oldest first; some of them only here (``durable`` False).

    ``ring_s``: how long frames that are only here are kept at full rate; ``ring_samples``: how many at most.
    """

    def __init__(self, ring_s: float, ring_samples: int) -> None:
        self.lock = threading.Lock()
        self.open: dict[int, list[Frame]] = {}
        self.lost = 0
        self.samples = 0
        """Samples that are only in memory."""
        self._ring_ns = int(ring_s * NS)
        self._ring_samples = ring_samples
        self._only_here: dict[int, set[int]] = {}
        self._thinned: dict[int, int] = {}
        self._losses: dict[tuple[int, str], _Loss] = {}
        self._retry: list[Op] = []

    def add(self, frame: Frame, *, durable: bool) -> None:
        """Take a frame that comes after all others of its instrument."""
        with self.lock:
            self.open.setdefault(frame.instrument, []).append(frame)
            if not durable:
                self._only_here.setdefault(frame.instrument, set()).add(frame.seq)
                self.samples += len(frame.block)

    def doubt(self, frames: Sequence[Frame]) -> None:
        """Frames that were taken for durable are not: those that are still open are only here."""
        with self.lock:
            for frame in frames:
                if frame in self.open.get(frame.instrument, ()):
                    self._only_here.setdefault(frame.instrument, set()).add(frame.seq)
                    self.samples += len(frame.block)

    def only_here(self, instrument: int) -> bool:
        """Whether frames of an instrument are only in memory: later ones must not overtake them."""
        return instrument in self._only_here

    def frames(self, instrument: int) -> list[Frame]:
        """The open frames of one instrument."""
        with self.lock:
            return list(self.open.get(instrument, ()))

    def snapshot(self) -> list[Frame]:
        """All open frames, by ``seq``."""
        with self.lock:
            found = [frame for frames in self.open.values() for frame in frames]
        return sorted(found, key=lambda frame: frame.seq)

    def open_samples(self) -> int:
        """Samples not sealed yet."""
        with self.lock:
            return sum(len(f.block) for frames in self.open.values() for f in frames)

    def sealed(self, instrument: int, frames: list[Frame]) -> None:
        """Forget frames that the database now holds."""
        if not frames:
            return
        upto = frames[-1].seq
        with self.lock:
            kept = [f for f in self.open.get(instrument, ()) if f.seq > upto]
            if kept:
                self.open[instrument] = kept
            else:
                self.open.pop(instrument, None)
            here = self._only_here.get(instrument, set())
            for frame in frames:
                if frame.seq in here:
                    here.discard(frame.seq)
                    self.samples -= len(frame.block)
            if not here:
                self._only_here.pop(instrument, None)
                self._thinned.pop(instrument, None)

    def lose(self, instrument: int, block: SampleBlock, cause: str) -> None:
        """Count samples that are given up."""
        if not len(block):
            return
        start, end, n = int(block.t_ns[0]), int(block.t_ns[-1]), len(block)
        with self.lock:
            self._count(instrument, cause, start, end, n)

    def _count(self, instrument: int, cause: str, start: int, end: int, n: int) -> None:
        self.lost += n
        loss = self._losses.get((instrument, cause))
        if loss is None:
            self._losses[instrument, cause] = _Loss(start, end, n)
        else:
            loss.start_ns, loss.end_ns = min(loss.start_ns, start), max(loss.end_ns, end)
            loss.lost += n

    def bound(self, cause: str) -> None:
        """Keep what is only in memory within its limits: thin the old, then drop the oldest."""
        with self.lock:
            for instrument, here in self._only_here.items():
                self._thin(instrument, here, cause)
            while self.samples > self._ring_samples:
                instrument = max(self._only_here, key=lambda i: len(self._only_here[i]))
                self._drop_first(instrument, cause)

    def _thin(self, instrument: int, here: set[int], cause: str) -> None:
        frames = self.open[instrument]
        newest = int(frames[-1].block.t_ns[-1])
        done = self._thinned.get(instrument, -1)
        for i, frame in enumerate(frames):
            if int(frame.block.t_ns[-1]) > newest - self._ring_ns:
                break
            if frame.seq <= done or frame.seq not in here:
                continue
            seconds = frame.block.t_ns // NS
            last = frames[i - 1].block.t_ns[-1] // NS if i else -1
            keep = np.diff(seconds, prepend=last) != 0
            thin = frame.block[keep]
            gone = len(frame.block) - len(thin)
            if gone:
                t = frame.block.t_ns
                self._count(instrument, cause, int(t[0]), int(t[-1]), gone)
                self.samples -= gone
                frames[i] = Frame(frame.seq, instrument, thin)
            self._thinned[instrument] = frame.seq

    def _drop_first(self, instrument: int, cause: str) -> None:
        here = self._only_here[instrument]
        first = min(here)
        frames = self.open[instrument]
        i = next(i for i, frame in enumerate(frames) if frame.seq == first)
        block = frames.pop(i).block
        here.discard(first)
        if not here:
            del self._only_here[instrument]
        if not frames:
            del self.open[instrument]
        self.samples -= len(block)
        if len(block):
            t = block.t_ns
            self._count(instrument, cause, int(t[0]), int(t[-1]), len(block))

    def has_losses(self) -> bool:
        """Whether losses are counted that are not handed out as gaps yet."""
        with self.lock:
            return bool(self._losses or self._retry)

    def take_gaps(self) -> list[Op]:
        """The losses so far as operations that write them as gaps."""
        from denchi.store.records import loss

        with self.lock:
            losses, self._losses = self._losses, {}
            retry, self._retry = self._retry, []
        return retry + [
            loss(instrument, cause, found.start_ns, found.end_ns, found.lost)
            for (instrument, cause), found in losses.items()
        ]

    def give_back(self, gaps: list[Op]) -> None:
        """Keep operations whose transaction failed for the next one."""
        with self.lock:
            self._retry = gaps + self._retry
