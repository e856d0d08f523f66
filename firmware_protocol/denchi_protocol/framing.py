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

    def feed_runs(self, data: bytes) -> list[Frames | Junk]:
        """Take bytes; return runs of frames and junk in the order of the stream."""
        out: list[Frames | Junk] = []
        for at in range(0, len(data), MAX_HELD // 2):
            self._buffer.append(data[at : at + MAX_HELD // 2])
            while len(self._buffer):
                found: list[bytes | Junk] = []
                before = len(self._buffer)
                self._cut(found, once=True)
                for piece in found:
                    out.append(piece if isinstance(piece, Junk) else self._extend(piece))
                if len(self._buffer) == before:
                    break
        return out

    def _extend(self, frame: bytes) -> Frames:
        count = 1 + len(self._buffer) // len(frame)
        if count == 1 or self._told:
            return np.frombuffer(frame, np.uint8)[None, :]
        ahead = self._buffer.peek((count - 1) * len(frame))
        rows = np.frombuffer(frame + ahead, np.uint8).reshape(count, len(frame))
        good = self._check_rows(rows[1:])
        run = 1 + (len(good) if good.all() else int(np.argmin(good)))
        self._buffer.skip((run - 1) * len(frame))
        return rows[:run]
