"""Host side of the denchi board: cuts lines, keeps the columns of the last header, reads runs of lines.

The protocol: README.md beside this file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from denchi_protocol.checksum import CRC16_XMODEM
from denchi_protocol.codec import (
    Action,
    Closing,
    DeviceInfo,
    Done,
    Event,
    Frames,
    MeterGap,
    Rejected,
    Send,
    Wait,
)
from denchi_protocol.devclock import DeviceClock
from denchi_protocol.errors import LocalProtocolError, RemoteProtocolError
from denchi_protocol.fields import check_run, counts, split_where
from denchi_protocol.framing import MORE, Framer, Junk, Verdict
from denchi_protocol.meters.denchi_board.layout import (
    ID_AT,
    SEQUENCE_AT,
    TAIL,
    TIME_AT,
    Column,
    Layout,
    parse_header,
)
from denchi_protocol.polling import MS
from denchi_protocol.samples import MISSING, Int32s, Int64s, SampleBlock

ASK_HEADER: Final = b"?\n"
LONGEST: Final = 512
SEQUENCES: Final = 10**5
TIMES_US: Final = 10**12
RESTARTED: Final = "the board restarted"
LOST: Final = "lines missing in the sequence"

HASH, DOLLAR, STAR, COMMA, LF, QUESTION, MINUS = b"#$*,\n?-"
_HEX: Final = np.full(256, 255, np.uint8)
_HEX[np.frombuffer(b"0123456789ABCDEF", np.uint8)] = np.arange(16, dtype=np.uint8)
_SLICE: Final = 2048
_ALL: Final = 2**64 - 1
_JOINED: Final = tuple(
    (np.uint64(10**digits << bits | 1), np.uint64(bits), np.uint64(keep))
    for digits, bits, keep in (
        (1, 8, 0x00FF00FF00FF00FF),
        (2, 16, 0x0000FFFF0000FFFF),
        (4, 32, _ALL),
    )
)
"""Factor, shift and mask that join neighbouring numbers of 8, 16 and 32 bits, the first the higher."""
_IS_SIGN: Final = np.isin(np.arange(256), np.frombuffer(b"+-?", np.uint8))


def _rule(view: bytes) -> Verdict:
    end = view.find(b"\n") + 1
    if end == 0:
        return MORE
    line = view[:end]
    if end < TAIL + 1 or line[-2:] != b"\r\n" or line[-TAIL] != STAR:
        return end, "no line of the protocol"
    body, check = line[:-TAIL], line[-TAIL + 1 : -2]
    if check != b"%04X" % CRC16_XMODEM.of(body):
        return end, "wrong checksum"
    return end, ""


def _is_header(line: bytes) -> bool:
    """Whether a whole line is a header that can be read: the same one again says nothing."""
    return line[0] == HASH and not isinstance(_header_of(line), RemoteProtocolError)


@lru_cache(maxsize=4)
def _header_of(line: bytes) -> Layout | RemoteProtocolError:
    """What a header line says, or why it cannot be read."""
    try:
        return parse_header(line[:-TAIL].decode("ascii"))
    except UnicodeDecodeError as error:
        return RemoteProtocolError(str(error))
    except RemoteProtocolError as error:
        return error


def check_rows(rows: Frames) -> NDArray[np.bool_]:
    """Bool (n,): which rows (n, length) are whole data lines with the right checksum."""
    good: NDArray[np.bool_] = (
        (rows[:, 0] == DOLLAR)
        & (rows[:, -TAIL] == STAR)
        & (rows[:, -2] == 13)
        & (rows[:, -1] == LF)
    )
    # Whole at once is ten times faster than row by row, and a run is nearly always whole.
    if np.count_nonzero(rows == LF) != len(rows):
        good &= np.logical_and.reduce(rows[:, :-1] != LF, axis=1)
    digits = _HEX[rows[:, -TAIL + 1 : -2]]
    good &= np.logical_and.reduce(digits < 16, axis=1)
    value = digits.astype(np.uint32) @ np.array([4096, 256, 16, 1], np.uint32)
    good &= value == CRC16_XMODEM.of_rows(rows[:, :-TAIL])
    return good


class BoardCodec:
    """One connection to a board."""

    def __init__(self) -> None:
        self._framer = Framer(_rule, b"#$", longest=LONGEST, rows=check_rows, heading=_is_header)
        self._clock = DeviceClock()
        self._layout: Layout | None = None
        self._shape: _Shape | None = None
        self._early = False
        """Lines before the header have been told."""
        self._ask_ns: int | None = None
        self._before: tuple[int, int] | None = None
        """Sequence and time (us, as sent) of the last line."""
        self._wraps_us = 0
        self._stamp_ns = 0

    def next(self, now_ns: int) -> Action:
        """Ask for the header until it is there; then only listen."""
        if self._layout is not None:
            return Wait(now_ns + 1000 * MS)
        if self._ask_ns is not None and now_ns < self._ask_ns:
            return Wait(self._ask_ns)
        self._ask_ns = now_ns + 500 * MS
        return Send(ASK_HEADER)

    def close(self, now_ns: int) -> Closing:
        """Nothing to stop: a board has no command."""
        return Done()

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; runs of data lines become blocks on the board's own clock."""
        events: list[Event] = []
        held: list[Frames] = []
        for piece in self._framer.feed_runs(data):
            if isinstance(piece, Junk):
                self._frames(held, t_ns, events)
                events.append(Rejected(t_ns, piece.reason, piece.data))
                continue
            if held and held[0].shape[1] != piece.shape[1]:
                self._frames(held, t_ns, events)
            held.append(piece)
        self._frames(held, t_ns, events)
        return events

    def _frames(self, held: list[Frames], t_ns: int, events: list[Event]) -> None:
        """Read what has gathered, lines of one length, and hold no more of it."""
        if not held:
            return
        rows = held[0] if len(held) == 1 else np.concatenate(held)
        held.clear()
        for run in split_where(rows, rows[:, 0] == DOLLAR):
            if run[0, 0] == DOLLAR:
                events += self._lines(run, t_ns)
            else:
                for line in run:
                    events += self._header(line.tobytes(), t_ns)

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode checked data lines (n, length) with the columns of the last header.

        ``ibus_ua`` has the board's sign. Raises ``LocalProtocolError`` before a header, or for lines
        that are not of its columns.
        """
        check_run(frames, t_ns)
        if self._shape is not None:
            good, _, counted = self._shape.read(frames)
            if good.all():
                return SampleBlock(t_ns, self._shape.columns_of(counted))
        raise LocalProtocolError("a run holds data lines of the columns of the last header")

    def _header(self, line: bytes, t_ns: int) -> list[Event]:
        layout = _header_of(line)
        if isinstance(layout, RemoteProtocolError):
            return [Rejected(t_ns, f"no header of ours: {layout}"[:80], line)]
        if layout == self._layout:
            return []
        self._layout, self._shape = layout, _Shape(layout)
        fields: dict[str, str | int | float] = {
            "protocol": 1,
            "rate_hz": layout.hz,
            "columns": ",".join(column.named for column in layout.columns),
        }
        if layout.unknown:
            fields["columns_not_read"] = ",".join(layout.unknown)
        words = layout.words
        return [
            DeviceInfo(
                t_ns,
                model="denchi board",
                serial=words.get("sn"),
                firmware=words.get("fw"),
                hardware=words.get("hw"),
                fields=fields,
            )
        ]

    def _lines(self, run: Frames, t_ns: int) -> list[Event]:
        """Data lines of one length: what cannot be read or came twice is told, the rest is stamped."""
        shape = self._shape
        if shape is None:
            told, self._early = self._early, True
            reason = "values before their header"
            return [] if told else [Rejected(t_ns, reason, run[0].tobytes())]
        if len(run) == 1:
            return self._line(run.tobytes(), t_ns, shape)
        good, moments, counted = shape.read(run)
        marks: list[tuple[int, Event]] = []
        at = np.arange(len(run))
        if not good.all():
            reason = "values that are not of the header's columns"
            marks += [(int(i), Rejected(t_ns, reason, run[i].tobytes())) for i in at[~good]]
            at = at[good]
            if not len(at):
                return [mark for _, mark in marks]
            moments, counted = moments[:, at], counted[:, at]
        lines = _Lines.of(at, moments, counted, self._before)
        twice = lines.same()
        if twice.any():
            marks += [
                (int(i), Rejected(t_ns, "the same line twice", run[i].tobytes())) for i in at[twice]
            ]
            lines = lines.where(~twice)
        stamps = np.zeros(0, np.int64)
        if len(lines.at):
            stamps = self._stamped(lines, t_ns, marks)
        return _in_order(marks, lines, stamps, shape)

    def _line(self, line: bytes, t_ns: int, shape: _Shape) -> list[Event]:
        """The same for one line, without arrays: this is what happens at every sample."""
        read = shape.one(line)
        if read is None:
            return [Rejected(t_ns, "values that are not of the header's columns", line)]
        now, values = read
        before, last_ns = self._before, self._stamp_ns
        if now == before:
            return [Rejected(t_ns, "the same line twice", line)]
        lost, restart = 0, False
        if before is not None:
            wrapped = before[1] > TIMES_US // 10 * 9 and now[1] < TIMES_US // 10
            restart = now[1] < before[1] and not wrapped
            self._wraps_us = 0 if restart else self._wraps_us + wrapped * TIMES_US
            lost = 0 if restart else (now[0] - before[0] - 1) % SEQUENCES
        stamps = self._clock.stamps(np.array([(now[1] + self._wraps_us) * 1000], np.int64), t_ns)
        self._before, self._stamp_ns = now, int(stamps[0])
        columns = shape.columns_of(np.array(values, np.int32)[:, None])
        block = SampleBlock.trusted(stamps, columns, np.zeros(1, np.uint16))
        if not restart and not lost:
            return [block]
        return [MeterGap(last_ns, self._stamp_ns, lost, RESTARTED if restart else LOST), block]

    def _stamped(self, lines: _Lines, t_ns: int, marks: list[tuple[int, Event]]) -> Int64s:
        """Stamps of the lines; restarts and holes in the sequence are added to ``marks``."""
        time_us, time0_us = lines.moments[1], lines.before[1]
        wrapped = (time0_us > TIMES_US // 10 * 9) & (time_us < TIMES_US // 10)
        restart = (time_us < time0_us) & ~wrapped
        bounds = [0, *(int(cut) for cut in np.flatnonzero(restart) if cut), len(restart)]
        stamps = []
        for start, end in pairwise(bounds):
            self._wraps_us = 0 if restart[start] else self._wraps_us
            rounds = self._wraps_us + np.cumsum(wrapped[start:end]) * TIMES_US
            self._wraps_us = int(rounds[-1])
            stamps.append(self._clock.stamps((time_us[start:end] + rounds) * 1000, t_ns))
        stamped: Int64s = np.concatenate(stamps)
        was = np.concatenate(([self._stamp_ns], stamped[:-1]))
        lost = (lines.moments[0] - lines.before[0] - 1) % SEQUENCES
        lost[restart] = 0
        if self._before is None:
            lost[0] = 0
        for i in np.flatnonzero(restart | (lost > 0)):
            cause = RESTARTED if restart[i] else LOST
            gap = MeterGap(int(was[i]), int(stamped[i]), int(lost[i]), cause)
            marks.append((int(lines.at[i]), gap))
        self._before = (int(lines.moments[0, -1]), int(lines.moments[1, -1]))
        self._stamp_ns = int(stamped[-1])
        return stamped


@dataclass(frozen=True, slots=True)
class _Lines:
    """Data lines: their places in the run (n,), sequence and time of each and of the line before each
    (2, n), the counts of its channels (channels, n)."""

    at: NDArray[np.intp]
    moments: Int64s
    before: Int64s
    counted: Int32s

    @classmethod
    def of(
        cls, at: NDArray[np.intp], moments: Int64s, counted: Int32s, before: tuple[int, int] | None
    ) -> _Lines:
        earlier = np.empty_like(moments)
        earlier[:, 0] = (-1, -1) if before is None else before
        earlier[:, 1:] = moments[:, :-1]
        return cls(at, moments, earlier, counted)

    def same(self) -> NDArray[np.bool_]:
        """Where sequence and time are those of the line before."""
        equal: NDArray[np.bool_] = self.moments[0] == self.before[0]
        equal &= self.moments[1] == self.before[1]
        return equal

    def where(self, which: NDArray[np.bool_]) -> _Lines:
        return _Lines(
            self.at[which], self.moments[:, which], self.before[:, which], self.counted[:, which]
        )


def _in_order(
    marks: list[tuple[int, Event]], lines: _Lines, stamps: Int64s, shape: _Shape
) -> list[Event]:
    """Blocks and marks in the order of the stream, whatever the reads were."""
    events: list[Event] = []
    columns = shape.columns_of(lines.counted)
    begun = 0
    for place, mark in [*sorted(marks, key=lambda one: one[0]), (None, None)]:
        end = len(stamps) if place is None else int(np.searchsorted(lines.at, place))
        if end > begun:
            part = {name: column[begun:end] for name, column in columns.items()}
            events.append(SampleBlock(stamps[begun:end], part))
            begun = end
        if mark is not None:
            events.append(mark)
    return events


def _counted(word: bytes, power: int) -> int:
    """Counts of a value as it stands in a line, in the column's unit; MISSING as ``_counts_of`` has it."""
    if word[0] == QUESTION:
        return MISSING
    value = int(word)
    value = value * 10**power if power >= 0 else round(value / 10.0**-power)
    return value if -(2**31) < value < 2**31 else MISSING


def _counts_of(column: Column, signs: NDArray[np.uint8], sizes: Int64s) -> Int32s:
    """Counts (n,) of a column, in its unit; MISSING where the board says so or they do not fit."""
    if column.power >= 0:
        value = sizes * 10**column.power
    else:
        value = np.rint(sizes / 10.0**-column.power).astype(np.int64)
    value[signs == MINUS] *= -1
    return counts(value, signs != QUESTION)


class _Shape:
    """A layout as arrays: what may stand at each place of a data line, and where its numbers are."""

    def __init__(self, layout: Layout) -> None:
        low = np.full(layout.length, ord("0"), np.uint8)
        span = np.full(layout.length, 9, np.uint8)
        low[-TAIL:], span[-TAIL:] = 0, 255
        fixed = [(0, DOLLAR), (SEQUENCE_AT - 1, COMMA), (TIME_AT - 1, COMMA)]
        fixed += [(ID_AT + i, ord(char)) for i, char in enumerate(layout.id)]
        ends = [(SEQUENCE_AT + 5, 5), (TIME_AT + 12, 12)]
        ends += [(column.at + 1 + column.digits, column.digits) for column in layout.columns]
        long = [i for i, (_, digits) in enumerate(ends) if digits > 8]
        # What stands before the last eight digits of a number is read as a number of its own.
        words = ends + [(ends[i][0] - 8, ends[i][1] - 8) for i in long]
        for column in layout.columns:
            fixed.append((column.at - 1, COMMA))
            low[column.at], span[column.at] = 0, 255
        for at, char in fixed:
            low[at], span[at] = char, 0
        self._low, self._span = low[None, :], span[None, :]
        self._count, self._long = len(ends), long
        self._words = np.dtype(
            {
                "names": [f"w{i}" for i in range(len(words))],
                "formats": ["<u8"] * len(words),
                "offsets": [end - 8 for end, _ in words],
                "itemsize": layout.length,
            }
        )
        # Of eight bytes those of the number, its last digit is the highest.
        self._keep = np.array([~0 << 8 * (8 - min(d, 8)) & _ALL for _, d in words], np.uint64)[:, None]  # fmt: skip
        self._columns = layout.columns
        self._channels = {c.channel: None for c in layout.columns if c.channel is not None}
        values = b"".join(rb",([+?-]\d{%d})" % column.digits for column in layout.columns)
        head = rb"\$%s,(\d{5}),(\d{12})" % re.escape(layout.id.encode("ascii"))
        self._line = re.compile(head + values + rb".{%d}" % TAIL, re.DOTALL)
        self._signs = [column.at for column in layout.columns]

    def one(self, line: bytes) -> tuple[tuple[int, int], list[int]] | None:
        """Sequence and time, and the counts of each channel, of one line; None where it does not fit."""
        found = self._line.fullmatch(line)
        if found is None:
            return None
        sequence, time_us, *words = found.groups()
        values: dict[str, int] = {}
        for column, word in zip(self._columns, words, strict=True):
            if column.channel is not None:
                values[column.channel] = _counted(word, column.power)
        return (int(sequence), int(time_us)), list(values.values())

    def columns_of(self, counted: Int32s) -> dict[str, Int32s]:
        """Columns of counts (channels, n)."""
        return dict(zip(self._channels, counted, strict=True))

    def read(self, rows: Frames) -> tuple[NDArray[np.bool_], Int64s, Int32s]:
        """Bool (n,): which rows (n, length) have id, commas, signs and digits in their places; and of
        these sequence and time (2, n), and the counts of the channels (channels, n)."""
        n = len(rows)
        moments, counted = np.zeros((2, n), np.int64), np.zeros((len(self._channels), n), np.int32)
        if rows.shape[1] != self._words.itemsize:
            return np.zeros(n, np.bool_), moments, counted
        good = np.ones(n, np.bool_)
        low, span = self._low, self._span
        if n >= _SLICE:  # as long as what they meet: a step over all of it, not one a line
            low, span = np.tile(low, (_SLICE, 1)), np.tile(span, (_SLICE, 1))
        # In slices that stay in the processor's cache.
        for first in range(0, n, _SLICE):
            part = slice(first, first + _SLICE)
            lines = rows[part]
            figures = lines - low[: len(lines)]
            places, signs = figures <= span[: len(lines)], _IS_SIGN[lines[:, self._signs]]
            if not (places.all() and signs.all()):
                good[part] = np.logical_and.reduce(places, axis=1)
                good[part] &= np.logical_and.reduce(signs, axis=1)
            numbers = self._numbers(figures)
            moments[:, part] = numbers[:2]
            at = 0
            for column, value in zip(self._columns, numbers[2:], strict=True):
                if column.channel is not None:
                    counted[at, part] = _counts_of(column, lines[:, column.at], value)
                    at += 1
        return good, moments, counted

    def _numbers(self, figures: Frames) -> Int64s:
        """The numbers (2 + columns, n) of rows (n, length) that hold digits as 0 to 9.

        Eight digits at a time, each product joins neighbours: single digits, pairs, fours.
        """
        fields = figures.view(self._words)[:, 0]
        words = np.empty((len(self._keep), len(figures)), np.uint64)
        for i, word in enumerate(words):
            word[:] = fields[f"w{i}"]
        words &= self._keep
        for factor, shift, keep in _JOINED:
            words *= factor
            words >>= shift
            words &= keep
        whole: Int64s = words.view(np.int64)  # at most 99,999,999
        for high, number in zip(whole[self._count :], self._long, strict=True):
            whole[number] += high * 10**8
        return whole[: self._count]
