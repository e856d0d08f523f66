"""Framer: cuts a byte stream into frames by a family's rule, and resynchronises.

The result depends on the bytes only, never on how they were chunked: bytes between frames are
gathered and told in pieces of 64, or before the next frame, whichever comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from denchi_protocol.buffer import MAX_HELD, ReceiveBuffer
from denchi_protocol.codec import Frames

JUNK_PIECE: Final = 64
WORTH_IT: Final = 4
"""Fewer frames are cheaper one by one."""
FIRST_LOOK: Final = 32
"""So many frames are judged at first, then eight times as many: a short run must not cost a long look."""


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


class Framer:
    """Feeds bytes to ``rule``; ``starts`` are the byte values a frame can begin with."""

    def __init__(self, rule: Rule, starts: bytes, *, longest: int = 512, limit: int = 8192) -> None:
        self._rule = rule
        self._starts = frozenset(starts)
        self._longest = longest
        self._buffer = ReceiveBuffer(limit)
        self._junk = bytearray()
        self._told = 0  # bytes ahead already shown by a "looked like a frame" rejection

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

    def flush(self) -> list[bytes | Junk]:
        """Give up an unfinished frame (the reply did not come in time)."""
        out: list[bytes | Junk] = []
        if len(self._buffer):
            self._give_up(len(self._buffer), out)
        self._tell(out)
        return out

    def _cut(self, out: list[bytes | Junk], *, once: bool = False) -> None:
        while len(self._buffer):
            view = self._buffer.peek(self._longest)
            start = 0
            if view[0] not in self._starts:
                start = next((i for i, b in enumerate(view) if b in self._starts), len(view))
            if start:
                self._give_up(start, out)
                continue
            length, reason = self._rule(view)
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


class RunFramer(Framer):
    """A ``Framer`` that hands runs of equal-length frames on as (n, length) arrays.

    ``check_rows(rows)`` says for each row whether ``rule`` would accept it; it is asked only for rows
    as long as one that the rule has just accepted.
    """

    def __init__(
        self,
        rule: Rule,
        check_rows: Callable[[Frames], NDArray[np.bool_]],
        starts: bytes,
        *,
        longest: int,
    ) -> None:
        super().__init__(rule, starts, longest=longest, limit=MAX_HELD)
        self._check_rows = check_rows
        self._size = 0  # of the last frame that was looked at alone
        self._last = b""  # itself
        self._other = b""  # the one before it of another length

    def feed_runs(self, data: bytes) -> list[Frames | Junk]:
        """Take bytes; return runs of frames and junk in the order of the stream.

        Where nothing is held, runs are read in place: a large piece is never copied or kept.
        """
        data = bytes(data)
        out: list[Frames | Junk | _Span] = []
        at = 0
        while at < len(data):
            if not len(self._buffer) and (spans := self._in_place(data, at)):
                self._tell_all(out)
                for span in spans:
                    _add(out, span)
                at = spans[-1].end
                continue
            taken = data[at : at + self._longest]
            self._buffer.append(taken)
            at += len(taken)
            at -= self._one_by_one(out, at)
        return [p.rows(data) if isinstance(p, _Span) else p for p in out]

    def _one_by_one(self, out: list[Frames | Junk | _Span], fresh: int) -> int:
        """Cut what is held; what stands behind a frame and came in this read is given back: how much."""
        while before := len(self._buffer):
            found: list[bytes | Junk] = []
            self._cut(found, once=True)
            for piece in found:
                if isinstance(piece, Junk):
                    out.append(piece)
                    continue
                if self._size not in (0, len(piece)):
                    self._other = self._last
                self._size, self._last, back = len(piece), piece, len(self._buffer)
                end = fresh - back
                if end < self._size:  # it began in an earlier read
                    out.append(np.frombuffer(piece, np.uint8)[None, :])
                else:
                    _add(out, _Span(end - self._size, end, self._size))
                if end >= 0 and not self._told:
                    self._buffer.clear()
                    return back
            if len(self._buffer) == before:
                break
        return 0

    def _in_place(self, data: bytes, at: int) -> list[_Span]:
        """Whole frames that stand at ``at``: as long as the last one, or the same bytes as another before."""
        size = self._size
        if not size or (len(data) - at) // size < WORTH_IT or self._told:
            return []
        spans: list[_Span] = []
        step = FIRST_LOOK
        while looked := self._ahead(data, at, step):
            runs = [s for s in looked if s.size == size]
            parts = [s.rows(data) for s in runs]
            good = self._check_rows(parts[0] if len(parts) == 1 else np.concatenate(parts))
            if not good.all():
                return spans + _first(looked, size, int(np.argmin(good)))
            spans += looked
            at, step = looked[-1].end, step * 8
        return spans

    def _ahead(self, data: bytes, at: int, most: int) -> list[_Span]:
        """Where up to ``most`` frames would stand; a frame that only repeats is passed over by its bytes."""
        size, other = self._size, self._other
        spans: list[_Span] = []
        while most > 0:
            there = data.find(other, at) if other else -1
            count = min(most, ((len(data) if there < 0 else there) - at) // size)
            if count == 0:
                break
            spans.append(_Span(at, at + count * size, size))
            at, most = at + count * size, most - count
            if at == there:
                spans.append(_Span(at, at + len(other), len(other)))
                at += len(other)
        return spans

    def _tell_all(self, out: list[Frames | Junk | _Span]) -> None:
        told: list[bytes | Junk] = []
        self._tell(told)
        out += [piece for piece in told if isinstance(piece, Junk)]


@dataclass(frozen=True, slots=True)
class _Span:
    """Where frames of one length stand in what was read."""

    start: int
    end: int
    size: int

    def rows(self, data: bytes) -> Frames:
        count = (self.end - self.start) // self.size
        return np.frombuffer(data, np.uint8, count * self.size, self.start).reshape(
            count, self.size
        )


def _first(spans: list[_Span], size: int, count: int) -> list[_Span]:
    """The spans up to ``count`` frames of ``size``."""
    out: list[_Span] = []
    for span in spans:
        if count == 0:
            break
        end = min(span.end, span.start + count * size) if span.size == size else span.end
        out.append(_Span(span.start, end, span.size))
        count -= (end - span.start) // size if span.size == size else 0
    return out


def _add(out: list[Frames | Junk | _Span], span: _Span) -> None:
    """Append a span, or lengthen the one that ends where it begins."""
    last = out[-1] if out else None
    if isinstance(last, _Span) and last.end == span.start and last.size == span.size:
        out[-1] = _Span(last.start, span.end, span.size)
    else:
        out.append(span)
