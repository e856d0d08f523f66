"""Framer: cuts a byte stream into frames by a family's rule, and resynchronises.

The result depends on the bytes only, never on how they were chunked: bytes between frames are
gathered and told in pieces of 64, or before the next frame, whichever comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from denchi_protocol.buffer import ReceiveBuffer
from denchi_protocol.codec import Frames

JUNK_PIECE: Final = 64
WORTH_IT: Final = 4
"""Fewer frames are cheaper one by one."""
WORTH_WALKING: Final = 16
"""The same where they differ in length: each length is judged by itself."""
FIRST_LOOK: Final = 32
"""So many frames are judged at first, then eight times as many: a short run must not cost a long look."""
MOST_SIZES: Final = 16
"""Frames in a round of a device that answers several requests in turn."""
LOOK_BYTES: Final = 1 << 18
"""At most about so much at once: intermediate arrays of more would leave the processor's cache."""


@dataclass(frozen=True, slots=True)
class Junk:
    """Bytes that are no frame, and why."""

    data: bytes
    reason: str


Verdict: TypeAlias = tuple[int, str]
"""``(n, "")``: a whole frame of n bytes; ``(0, "")``: more bytes are needed; ``(n, reason)``: the first
n bytes looked like a frame and are not one (only the first byte is given up, a frame may begin inside)."""

MORE: Final[Verdict] = (0, "")
NOT_A_START: Final = "no frame begins here"

Rule: TypeAlias = Callable[[bytes], Verdict]
"""Looks at the held bytes from a possible start on."""
Check: TypeAlias = Callable[[Frames], NDArray[np.bool_]]
"""Says of each row (n, length) whether it is a whole frame, (n,)."""


class Framer:
    """Feeds bytes to ``rule``; ``starts`` are the byte values a frame can begin with.

    ``rows(rows)`` judges a run: for each row (n, length), whether ``rule`` would accept it; it is asked
    only for rows as long as one that ``rule`` has accepted, or as long as ``size`` says. Without it
    every frame is judged alone. ``size(data, at)``, for families whose frames differ in length: how
    long a frame that begins at ``at`` would be, 0 where none can (``at`` is a place inside ``data``).
    ``heading(frame)``, for families that say now and then what their frames hold: whether this one does.
    ``rows`` accepts none of these. Where the last of them comes again it is passed over: it ends no run.
    """

    def __init__(
        self,
        rule: Rule,
        starts: bytes,
        *,
        longest: int = 512,
        limit: int = 8192,
        rows: Check | None = None,
        size: Callable[[bytes, int], int] | None = None,
        heading: Callable[[bytes], bool] | None = None,
    ) -> None:
        self._rule = rule
        self._starts = frozenset(starts)
        self._longest = longest
        self._buffer = ReceiveBuffer(limit)
        self._junk = bytearray()
        self._told = 0  # bytes ahead already shown by a "looked like a frame" rejection
        self._rows = rows
        self._walk = size
        self._is_heading = heading
        self._size = 0  # of the last frame that was looked at alone and is no heading
        self._heading = b""  # the last one

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes | Junk]:
        """Take bytes; return whole frames and junk in the order of the stream."""
        out: list[bytes | Junk] = []
        # Fed in slices so that the bound never drops what could be decoded at once.
        for at in range(0, len(data), 4096):
            self._buffer.append(data[at : at + 4096])
            self._cut(out)
        return out

    def feed_runs(self, data: bytes) -> list[Frames | Junk]:
        """Take bytes; return runs of equal-length frames (n, length) and junk in the order of the stream.

        Where nothing is held, runs are read in place: a large piece is never copied or kept.
        """
        data = bytes(data)
        assert self._walk is None, "frames of several lengths come by feed_mixed"
        return [p.frames(data) if isinstance(p, _Span) else p for p in self._pieces(data) if not isinstance(p, _Walk)]  # fmt: skip

    def feed_mixed(self, data: bytes) -> list[Mixed | Junk]:
        """The same for frames of several lengths: what stands between two pieces of junk is one piece."""
        data = bytes(data)
        out: list[Mixed | Junk] = []
        held: list[_Span | _Walk] = []
        for piece in self._pieces(data):
            if isinstance(piece, Junk):
                if held:
                    out.append(Mixed.of(data, held))
                    held = []
                out.append(piece)
            elif isinstance(piece, _Span) and piece.own is not None:
                # It began in an earlier read, so it is the first of this one.
                out.append(Mixed.of(piece.own, [_Span(0, piece.size, piece.size)]))
            else:
                held.append(piece)
        if held:
            out.append(Mixed.of(data, held))
        return out

    def flush(self) -> list[bytes | Junk]:
        """Give up an unfinished frame (the reply did not come in time)."""
        out: list[bytes | Junk] = []
        if len(self._buffer):
            self._give_up(len(self._buffer), out)
        self._tell(out)
        return out

    def _cut(
        self, out: list[bytes | Junk], *, once: bool = False, verdict: Verdict | None = None
    ) -> None:
        """Cut what is held; ``verdict``: the rule's on it, where that has been asked already."""
        while len(self._buffer):
            view = self._buffer.peek(self._longest)
            start = 0
            if view[0] not in self._starts:
                start = next((i for i, b in enumerate(view) if b in self._starts), len(view))
            if start:
                self._give_up(start, out)
                continue
            length, reason = self._rule(view) if verdict is None else verdict
            verdict = None
            if length == 0:
                if len(view) < self._longest:
                    return
                length, reason = 1, "longer than any frame"
            if not reason:
                self._tell(out)
                self._told = max(0, self._told - length)
                out.append(self._buffer.take(length))
                if once:
                    return
                continue
            if self._told == 0:
                self._tell(out)
                out.append(Junk(view[:length], reason))
                self._told = length
            self._give_up(1, out)

    def _give_up(self, count: int, out: list[bytes | Junk]) -> None:
        gone = self._buffer.take(count)
        known = min(self._told, count)
        self._told -= known
        self._junk += gone[known:]
        while len(self._junk) >= JUNK_PIECE:
            out.append(Junk(bytes(self._junk[:JUNK_PIECE]), NOT_A_START))
            del self._junk[:JUNK_PIECE]

    def _tell(self, out: list[bytes | Junk]) -> None:
        if self._junk:
            out.append(Junk(bytes(self._junk), NOT_A_START))
            self._junk.clear()

    # -- runs --------------------------------------------------------------------------------

    def _pieces(self, data: bytes) -> list[Junk | _Span | _Walk]:
        out: list[Junk | _Span | _Walk] = []
        at = 0
        while at < len(data):
            verdict: Verdict | None = None
            if not self._told and not len(self._buffer):
                if found := self._in_place(data, at, out):
                    at = found
                    continue
                if data[at] in self._starts:
                    verdict = self._rule(data[at : at + self._longest])
                    if verdict[0] and not verdict[1]:
                        self._tell_all(out)
                        at = self._alone(data, at, verdict[0], out)
                        continue
            taken = data[at : at + self._longest]
            self._buffer.append(taken)
            at += len(taken)
            at -= self._one_by_one(out, data, at, verdict)
        return out

    def _alone(self, data: bytes, at: int, size: int, out: list[Junk | _Span | _Walk]) -> int:
        """Take the frame of ``size`` bytes that stands at ``at``; returns where it ends."""
        if self._is_new(data[at : at + size]):
            _add(out, _Span(at, at + size, size))
        return at + size

    def _is_new(self, frame: bytes) -> bool:
        """Note a frame that was looked at alone; whether it is more than the heading again."""
        if self._is_heading is None or not self._is_heading(frame):
            self._size = len(frame)
            return True
        before, self._heading = self._heading, frame
        return frame != before

    def _one_by_one(
        self, out: list[Junk | _Span | _Walk], data: bytes, fresh: int, verdict: Verdict | None
    ) -> int:
        """Cut what is held; what stands behind a frame and came in this read is given back: how much."""
        while before := len(self._buffer):
            found: list[bytes | Junk] = []
            self._cut(found, once=True, verdict=verdict)
            verdict = None
            for piece in found:
                if isinstance(piece, Junk):
                    out.append(piece)
                    continue
                back, size = len(self._buffer), len(piece)
                end = fresh - back
                if end < size:  # it began in an earlier read
                    if self._is_new(piece):
                        out.append(_Span(-1, -1, size, np.frombuffer(piece, np.uint8)))
                else:
                    self._alone(data, end - size, size, out)
                if end >= 0 and not self._told:
                    self._buffer.clear()
                    return back
            if len(self._buffer) == before:
                break
        return 0

    def _in_place(self, data: bytes, at: int, out: list[Junk | _Span | _Walk]) -> int:
        """Take whole frames that stand at ``at`` and are judged together; returns where they end, 0 where
        that is not worth it or there are none."""
        size = self._size
        least = WORTH_IT if self._walk is None else WORTH_WALKING
        if self._rows is None or not size or (len(data) - at) // size < least:
            return 0
        step, longest = FIRST_LOOK, max(FIRST_LOOK, LOOK_BYTES // size)
        if self._walk is not None:
            walks: list[_Walk] = []
            while looked := self._walked(data, at, step, walks[-1] if walks else None):
                whole = self._whole(data, looked)
                if len(whole.starts):
                    walks.append(whole)
                if whole is not looked:
                    break
                at, step = looked.end, min(step * 8, longest)
            if not walks:
                return 0
            self._tell_all(out)
            out += walks
            return walks[-1].end
        start, last = at, out[-1] if out else None
        if isinstance(last, _Span) and last.end == at and last.size == size and last.own is None:
            start = last.start
        run = _Run(data, start, at, size, self._heading)
        while len(rows := run.look(step)):
            good = self._rows(rows)
            if not good.all():
                run.look(int(np.argmin(good)))
                run.take()
                break
            run.take()
            step = min(step * 8, longest)
        if run.end == at:
            return 0
        if start < at:
            out.pop()
        self._tell_all(out)
        out.append(run.span())
        return run.end

    def _walked(self, data: bytes, at: int, most: int, before: _Walk | None) -> _Walk | None:
        """Up to ``most`` frames: as those before went round, or by what their headers say of their length."""
        walk, end = self._walk, len(data)
        assert walk is not None
        if before is not None and len(cycle := before.cycle()):
            rounds = min(most // len(cycle), (end - at) // int(cycle.sum()))
            if rounds:
                lengths = np.tile(cycle, rounds)
                return _Walk(at + np.cumsum(lengths) - lengths, lengths)
        starts: list[int] = []
        sizes: list[int] = []
        while len(starts) < most and at < end and (size := walk(data, at)) and at + size <= end:
            starts.append(at)
            sizes.append(size)
            at += size
        return _Walk(np.array(starts, np.intp), np.array(sizes, np.intp)) if starts else None

    def _whole(self, data: bytes, looked: _Walk) -> _Walk:
        """What of it stands before the first that is no frame."""
        assert self._rows is not None
        mixed, worst = Mixed.of(data, [looked]), len(looked.starts)
        for size in set(looked.sizes.tolist()):
            which = np.flatnonzero(mixed.sizes == size)
            good = self._rows(mixed.frames(which))
            if not good.all():
                worst = min(worst, int(which[np.argmin(good)]))
        if worst == len(looked.starts):
            return looked
        return _Walk(looked.starts[:worst], looked.sizes[:worst])

    def _tell_all(self, out: list[Junk | _Span | _Walk]) -> None:
        if self._junk:
            told: list[bytes | Junk] = []
            self._tell(told)
            out += [piece for piece in told if isinstance(piece, Junk)]


class _Span(NamedTuple):
    """Where frames of one length stand in what was read; ``own``: themselves, where they do not stand there so.

    ``start`` is -1 where they began in an earlier read.
    """

    start: int
    end: int
    size: int
    own: NDArray[np.uint8] | None = None

    def walk(self) -> _Walk:
        starts = np.arange(self.start, self.end, self.size, dtype=np.intp)
        return _Walk(starts, np.full(len(starts), self.size, np.intp))

    def frames(self, data: bytes) -> Frames:
        if self.own is not None:
            return self.own.reshape(-1, self.size)
        count = (self.end - self.start) // self.size
        return np.frombuffer(data, np.uint8, count * self.size, self.start).reshape(
            count, self.size
        )


class _Run:
    """Frames of one length from ``start`` on, taken up to ``at``; ``heading`` between two of them is passed over.

    They are read where they stand; once a heading stood between them they are gathered.
    """

    def __init__(self, data: bytes, start: int, at: int, size: int, heading: bytes) -> None:
        self._data, self._size, self._heading = data, size, heading
        self._whole = np.frombuffer(data, np.uint8)
        self._start, self._bytes = start, at - start
        self.end = self._seen = at
        self._looked = 0
        self._room: NDArray[np.uint8] | None = None

    def look(self, most: int) -> Frames:
        """Where up to ``most`` further frames (n, length) would stand; ``take`` takes them."""
        size, heading, at = self._size, self._heading, self.end
        parts: list[tuple[int, int]] = []
        while most > 0:
            end = min(at + most * size, len(self._data))
            there = self._data.find(heading, at, end + len(heading)) if heading else -1
            count = ((end if there < 0 else there) - at) // size
            if not count:
                break
            parts.append((at, at + count * size))
            at, most = at + count * size, most - count
            if at == there:
                at += len(heading)
        self._seen, self._looked = at, sum(end - start for start, end in parts)
        begun = self._start + self._bytes
        if self._room is None:
            if not parts or (len(parts) == 1 and parts[0][0] == begun):
                return self._whole[begun : begun + self._looked].reshape(-1, size)
            self._room = np.empty(len(self._data) - self._start, np.uint8)
            self._room[: self._bytes] = self._whole[self._start : begun]
        filled = self._bytes
        for start, end in parts:
            self._room[filled : filled + end - start] = self._whole[start:end]
            filled += end - start
        return self._room[self._bytes : filled].reshape(-1, size)

    def take(self) -> None:
        """What was looked at last belongs to the run."""
        self.end = self._seen
        self._bytes += self._looked
        self._looked = 0

    def span(self) -> _Span:
        """The frames taken."""
        own = None if self._room is None else self._room[: self._bytes]
        return _Span(self._start, self.end, self._size, own)


class _Walk(NamedTuple):
    """Where frames of several lengths stand in what was read, one behind the other."""

    starts: NDArray[np.intp]
    sizes: NDArray[np.intp]

    @property
    def end(self) -> int:
        return int(self.starts[-1] + self.sizes[-1])

    def cycle(self) -> NDArray[np.intp]:
        """The lengths that go round, in the order in which they would go on; empty where none do."""
        for k in range(1, min(MOST_SIZES, len(self.sizes) // 2) + 1):
            if not (self.sizes[k:] != self.sizes[:-k]).any():
                return self.sizes[-k:]
        return self.sizes[:0]


class Mixed(NamedTuple):
    """Whole frames of several lengths: where each begins in ``data`` (bytes,), and how long it is."""

    data: NDArray[np.uint8]
    starts: NDArray[np.intp]
    sizes: NDArray[np.intp]

    @classmethod
    def of(cls, data: bytes | NDArray[np.uint8], pieces: Sequence[_Span | _Walk]) -> Mixed:
        """The frames of ``pieces``, which stand in ``data``."""
        whole = np.frombuffer(data, np.uint8)
        alone = [(p.start, p.size) for p in pieces if isinstance(p, _Span) and p.end - p.start == p.size]  # fmt: skip
        if len(alone) == len(
            pieces
        ):  # what a live read brings: a frame, or a few of different lengths
            starts, sizes = np.array(alone, np.intp).T
            return cls(whole, starts, sizes)
        walks = [piece if isinstance(piece, _Walk) else piece.walk() for piece in pieces]
        if len(walks) == 1:
            return cls(whole, *walks[0])
        starts, sizes = (np.concatenate(each) for each in zip(*walks, strict=True))
        return cls(whole, starts, sizes)

    def __len__(self) -> int:
        return len(self.starts)

    def byte(self, at: int) -> NDArray[np.uint8]:
        """The byte at place ``at`` of each frame, (n,)."""
        return self.data[self.starts + at]

    def frame(self, number: int) -> bytes:
        """One frame."""
        start = int(self.starts[number])
        return self.data[start : start + int(self.sizes[number])].tobytes()

    def frames(self, which: NDArray[np.intp]) -> Frames:
        """Frames ``which`` (m >= 1,), all of one length, as a run (m, length)."""
        size = int(self.sizes[which[0]])
        return np.lib.stride_tricks.sliding_window_view(self.data, size)[self.starts[which]]


def _add(out: list[Junk | _Span | _Walk], span: _Span | _Walk) -> None:
    """Append a span, or lengthen the one that ends where it begins."""
    last = out[-1] if out else None
    if (
        isinstance(last, _Span)
        and isinstance(span, _Span)
        and last.end == span.start
        and last.size == span.size
        and last.own is None
        and span.own is None
    ):
        out[-1] = _Span(last.start, span.end, span.size)
    else:
        out.append(span)
