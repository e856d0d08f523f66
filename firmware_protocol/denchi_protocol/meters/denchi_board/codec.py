"""Host side of the denchi board: cuts lines, keeps the columns of the last header, reads runs of lines.

The protocol: README.md beside this file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
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

HASH, DOLLAR, STAR, COMMA, LF, QUESTION = b"#$*,\n?"
_HEX: Final = np.full(256, 255, np.uint8)
_HEX[np.frombuffer(b"0123456789ABCDEF", np.uint8)] = np.arange(16, dtype=np.uint8)
_SLICE: Final = 512
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


def check_rows(rows: Frames) -> NDArray[np.bool_]:
    """Bool (n,): which rows (n, length) are whole lines with the right checksum."""
    good: NDArray[np.bool_] = (
        ((rows[:, 0] == DOLLAR) | (rows[:, 0] == HASH))
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
        self._framer = Framer(_rule, b"#$", longest=LONGEST, rows=check_rows)
        self._clock = DeviceClock()
        self._layout: Layout | None = None
        self._shape: _Shape | None = None
        self._header_line = b""
        """The last header that was read, as it came."""
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
                # The header comes again and again: the same one must not end a run.
                if len(piece) == 1 and piece.tobytes() == self._header_line:
                    continue
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
        shape = self._shape
        if shape is None or not shape.fits(frames).all():
            raise LocalProtocolError("a run holds data lines of the columns of the last header")
        return SampleBlock(t_ns, shape.columns(frames, shape.numbers(frames)))

    def _header(self, line: bytes, t_ns: int) -> list[Event]:
        try:
            layout = parse_header(line[:-TAIL].decode("ascii"))
        except (RemoteProtocolError, UnicodeDecodeError) as error:
            return [Rejected(t_ns, f"no header of ours: {error}"[:80], line)]
        self._header_line = line
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
        good = shape.fits(run)
        marks: list[tuple[int, Event]] = [
            (
                int(i),
                Rejected(t_ns, "values that are not of the header's columns", run[i].tobytes()),
            )
            for i in np.flatnonzero(~good)
        ]
        at = np.flatnonzero(good)
        if not len(at):
            return [mark for _, mark in marks]
        lines = _Lines.of(at, run[at], shape.numbers(run[at]), self._before)
        twice = lines.same()
        marks += [
            (int(i), Rejected(t_ns, "the same line twice", run[i].tobytes())) for i in at[twice]
        ]
        if twice.any():
            lines = lines.where(~twice)
        stamps = np.zeros(0, np.int64)
        if len(lines.rows):
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
        block = SampleBlock.trusted(stamps, shape.columns_of(values), np.zeros(1, np.uint16))
        if not restart and not lost:
            return [block]
        return [MeterGap(last_ns, self._stamp_ns, lost, RESTARTED if restart else LOST), block]

    def _stamped(self, lines: _Lines, t_ns: int, marks: list[tuple[int, Event]]) -> Int64s:
        """Stamps of the lines; restarts and holes in the sequence are added to ``marks``."""
        time_us, time0_us = lines.numbers[:, 1], lines.before[:, 1]
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
        lost = (lines.numbers[:, 0] - lines.before[:, 0] - 1) % SEQUENCES
        lost[restart] = 0
        if self._before is None:
            lost[0] = 0
        for i in np.flatnonzero(restart | (lost > 0)):
            cause = RESTARTED if restart[i] else LOST
            gap = MeterGap(int(was[i]), int(stamped[i]), int(lost[i]), cause)
            marks.append((int(lines.at[i]), gap))
        self._before = (int(lines.numbers[-1, 0]), int(lines.numbers[-1, 1]))
        self._stamp_ns = int(stamped[-1])
        return stamped


@dataclass(frozen=True, slots=True)
class _Lines:
    """Data lines: their places in the run (n,), themselves, their numbers (n, 2 + columns), and the
    sequence and time of the line before each (n, 2)."""

    at: NDArray[np.intp]
    rows: Frames
    numbers: Int64s
    before: Int64s

    @classmethod
    def of(
        cls, at: NDArray[np.intp], rows: Frames, numbers: Int64s, before: tuple[int, int] | None
    ) -> _Lines:
        first = [(-1, -1) if before is None else before]
        return cls(at, rows, numbers, np.concatenate((first, numbers[:-1, :2])))

    def same(self) -> NDArray[np.bool_]:
        """Where sequence and time are those of the line before."""
        equal: NDArray[np.bool_] = np.logical_and.reduce(self.numbers[:, :2] == self.before, axis=1)
        return equal

    def where(self, which: NDArray[np.bool_]) -> _Lines:
        return _Lines(self.at[which], self.rows[which], self.numbers[which], self.before[which])


def _in_order(
    marks: list[tuple[int, Event]], lines: _Lines, stamps: Int64s, shape: _Shape
) -> list[Event]:
    """Blocks and marks in the order of the stream, whatever the reads were."""
    events: list[Event] = []
    columns = shape.columns(lines.rows, lines.numbers)
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
    """Counts of a value as it stands in a line, in the column's unit; MISSING as ``_Shape.columns`` has it."""
    if word[0] == QUESTION:
        return MISSING
    value = int(word)
    value = value * 10**power if power >= 0 else round(value / 10.0**-power)
    return value if -(2**31) < value < 2**31 else MISSING


class _Shape:
    """A layout as arrays: what stands at each place of a data line, and what each digit weighs."""

    def __init__(self, layout: Layout) -> None:
        low = np.full(layout.length, ord("0"), np.uint8)
        span = np.full(layout.length, 9, np.uint8)
        low[-TAIL:], span[-TAIL:] = 0, 255
        fixed = [(0, DOLLAR), (SEQUENCE_AT - 1, COMMA), (TIME_AT - 1, COMMA)]
        fixed += [(ID_AT + i, ord(char)) for i, char in enumerate(layout.id)]
        weights = np.zeros((layout.length, 2 + len(layout.columns)))
        numbers = [(SEQUENCE_AT, 5), (TIME_AT, 12)]
        numbers += [(column.at + 1, column.digits) for column in layout.columns]
        for i, (at, digits) in enumerate(numbers):
            weights[at : at + digits, i] = 10.0 ** np.arange(digits - 1, -1, -1)
        for column in layout.columns:
            fixed.append((column.at - 1, COMMA))
            low[column.at], span[column.at] = 0, 255
        for at, char in fixed:
            low[at], span[at] = char, 0
        self._low, self._span = low, span
        self._weights = weights[SEQUENCE_AT:-TAIL]
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

    def columns_of(self, values: list[int]) -> dict[str, Int32s]:
        """Columns of one line's counts."""
        out = np.array(values, np.int32)
        return {name: out[i : i + 1] for i, name in enumerate(self._channels)}

    def fits(self, rows: Frames) -> NDArray[np.bool_]:
        """Bool (n,): which rows (n, length) have id, commas, signs and digits in their places."""
        if rows.shape[1] != len(self._low):
            return np.zeros(len(rows), np.bool_)
        places, signs = (rows - self._low) <= self._span, _IS_SIGN[rows[:, self._signs]]
        if places.all() and signs.all():
            return np.ones(len(rows), np.bool_)
        good: NDArray[np.bool_] = np.logical_and.reduce(places, axis=1)
        good &= np.logical_and.reduce(signs, axis=1)
        return good

    def numbers(self, rows: Frames) -> Int64s:
        """Sequence, time and the size of each value (n, 2 + columns).

        One matrix product for all digits; exact, since float64 holds integers to 2**53.
        """
        numbers = np.empty((len(rows), self._weights.shape[1]), np.int64)
        # In slices that stay in the processor's cache, as checksum.py has it.
        for first in range(0, len(rows), _SLICE):
            figures = rows[first : first + _SLICE, SEQUENCE_AT:-TAIL] & np.uint8(15)
            numbers[first : first + _SLICE] = figures.astype(np.float64) @ self._weights
        return numbers

    def columns(self, rows: Frames, numbers: Int64s) -> dict[str, Int32s]:
        """Columns of the values; MISSING where the board says so or a column cannot hold it."""
        signs = rows[:, self._signs]
        sizes = np.where(signs == ord("-"), -numbers[:, 2:], numbers[:, 2:])
        there = signs != ord("?")
        out: dict[str, Int32s] = {}
        for i, column in enumerate(self._columns):
            if column.channel is None:
                continue
            value = sizes[:, i]
            if column.power >= 0:
                value = value * 10**column.power
            else:
                value = np.rint(value / 10.0**-column.power).astype(np.int64)
            out[column.channel] = counts(value, there[:, i])
        return out
