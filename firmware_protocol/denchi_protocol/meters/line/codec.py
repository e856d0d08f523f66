"""Generic serial line meter: CSV with a header, JSON objects or ``name:value`` pairs, one sample a line.

What is understood stands in README.md beside this file. Nothing is ever sent.
"""

from __future__ import annotations

from operator import methodcaller
from typing import Final

import numpy as np

from denchi_protocol.codec import (
    Action,
    Closing,
    DeviceInfo,
    Done,
    Event,
    Frames,
    Rejected,
    Wait,
)
from denchi_protocol.devclock import DeviceClock
from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.fields import check_run
from denchi_protocol.framing import FIRST_LOOK
from denchi_protocol.meters.line.columns import (
    Column,
    column,
    header,
    named_values,
    number,
    split,
)
from denchi_protocol.samples import (
    MISSING,
    TIME_STEP_NS,
    Floats,
    Int32s,
    Int64s,
    Quality,
    SampleBlock,
)

MS: Final = 1_000_000
MAX_LINE: Final = 1024
TELL_EVERY: Final = 100
"""So many lines without a header are told as one: a board may print its header now and then."""
REMARKS: Final = ("#", "//")
HALF: Final = "the first line may be a half one"
NO_HEADER: Final = "no header has come: name the columns (...?columns=voltage_v,current_a)"

PLAIN: Final = b"0123456789+-.,\r"
FIRST: Final = tuple(bytes((byte,)) for byte in PLAIN)
MOST_DIGITS: Final = 15
"""A longer number may be none (``columns.number``)."""
MOST_LINES: Final = 4096
COMMAS: Final = methodcaller("count", b",")

Values = dict[str, float]
"""Counts by channel, and ``t`` in ns."""


class LineCodec:
    """One connection to a board that prints its readings.

    ``columns``: names of the columns, separated by commas, for a board that prints no header; a header
    that comes all the same is taken instead.
    """

    def __init__(self, columns: str = "") -> None:
        self._columns = header(split(columns)) if columns else ()
        if columns and not self._columns:
            raise LocalProtocolError(
                f"columns={columns!r}: none of them is known (such as voltage_v,current_a,temperature_c)"
            )
        self._held = b""
        self._lines = self._headless = 0
        self._header = b""
        """The line of the last header, as it came: a board may print it now and then."""
        self._overlong = False
        self._told: tuple[str, ...] | None = None
        self._clock = DeviceClock()
        self._last_device_ns: int | None = None
        self._last_ns: int | None = None

    def next(self, now_ns: int) -> Action:
        """Only listen."""
        return Wait(now_ns + 1000 * MS)

    def close(self, now_ns: int) -> Closing:
        """Nothing to stop."""
        return Done()

    # -- what arrives ------------------------------------------------------------------------

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; every whole line becomes a sample."""
        events: list[Event] = []
        *lines, self._held = (self._held + data).split(b"\n")
        at = again = 0
        while at < len(lines):
            if at >= again and len(lines) - at >= FIRST_LOOK:
                if count := self._plain(lines[at : at + MOST_LINES], t_ns, events):
                    at += count
                    continue
                again = at + FIRST_LOOK  # no second try at each line
            raw = lines[at]
            at += 1
            if self._overlong or len(raw) > MAX_LINE:
                events.append(Rejected(t_ns, "a line without end", raw))
                self._overlong = False
            else:
                self._line(raw, t_ns, events)
            self._lines += 1
        if len(self._held) > MAX_LINE:
            self._overlong = True
            self._held = self._held[-MAX_LINE:]
        return events

    def _plain(self, lines: list[bytes], t_ns: int, events: list[Event]) -> int:
        """Lines of nothing but plain numbers under the columns that are known: read at once, or none."""
        columns = self._columns
        if not columns or self._lines == 0 or self._overlong or self._told != _names(columns):
            return 0
        stop = next(
            (i for i, line in enumerate(lines) if line[:1] not in FIRST and line != self._header),
            len(lines),
        )
        took, lines = stop, [line for line in lines[:stop] if line != self._header]
        n = len(lines)
        if n < FIRST_LOOK:
            return 0
        text = b",".join(lines)
        if text.translate(None, PLAIN) or set(map(COMMAS, lines)) != {len(columns) - 1}:
            return 0
        cells = text.split(b",")
        if max(map(len, cells)) > MOST_DIGITS:
            return 0
        try:
            values = np.fromiter(map(float, cells), np.float64, len(cells)).reshape(n, -1)
        except ValueError:
            return 0
        scaled: dict[str, Floats] = {}
        for i, c in enumerate(columns):
            if c.channel and c.channel not in scaled:
                scaled[c.channel] = values[:, i] * c.scale
        device = scaled.pop("t", None)
        if device is not None and not self._goes_on(device):
            return 0
        out: dict[str, Int32s] = {}
        for name, counted in scaled.items():
            counted[np.abs(counted) >= 2**31] = MISSING
            out[name] = np.rint(counted).astype(np.int32)
        quality = np.full(n, Quality.UNCHECKED, np.uint16)
        events.append(SampleBlock.trusted(self._stamps(device, n, t_ns), out, quality))
        self._lines += took
        return took

    def _goes_on(self, device: Floats) -> bool:
        """Whether the board's time rises from line to line, and from the line before."""
        last = self._last_device_ns
        rising = bool((np.diff(device) >= 1).all()) and float(np.abs(device).max()) < 2**62
        return rising and last is not None and device[0] >= last + 1

    def _stamps(self, device: Floats | None, n: int, t_ns: int) -> Int64s:
        """Stamps (n,) of lines that arrived together."""
        if device is None:
            first = t_ns if self._last_ns is None else max(t_ns, self._last_ns + TIME_STEP_NS)
            self._last_ns = first + TIME_STEP_NS * (n - 1)
            return np.arange(first, self._last_ns + 1, TIME_STEP_NS, dtype=np.int64)
        now = device.astype(np.int64)
        self._last_device_ns = int(now[-1])
        # As if each had come alone: the stamps of a line do not depend on how reads were cut.
        ramp = TIME_STEP_NS * np.arange(n, dtype=np.int64)
        stamps = np.array(self._clock.each(now.tolist(), t_ns), np.int64)
        if self._last_ns is not None:
            stamps[0] = max(int(stamps[0]), self._last_ns + TIME_STEP_NS)
        rising: Int64s = np.maximum.accumulate(stamps - ramp) + ramp
        self._last_ns = int(rising[-1])
        return rising

    def finish(self, t_ns: int) -> list[Event]:
        """What is held when no more comes: a last line without its end may be a half one."""
        held, self._held = self._held, b""
        return [Rejected(t_ns, "a line without its end", held)] if held.strip() else []

    def _line(self, raw: bytes, t_ns: int, events: list[Event]) -> None:
        try:
            line = raw.decode("ascii").strip()
            if not line or line.startswith(REMARKS):
                return
            before = self._columns
            values = self._values(line, t_ns, events)
            if self._columns is not before:
                self._header = raw
        except ValueError:
            events.append(Rejected(t_ns, "not a line of numbers", raw))
            return
        except _Skipped as why:
            events.append(Rejected(t_ns, str(why), raw))
            return
        if values is not None and any(name != "t" for name in values):
            stamp = np.array([self._stamp(values.pop("t", None), t_ns)], np.int64)
            events.append(_block([values], stamp))

    def _values(self, line: str, t_ns: int, events: list[Event]) -> Values | None:
        named = named_values(line)
        if named is not None:
            columns = [column(name) for name in named]
            self._tell(columns, t_ns, events)
            return _counts(columns, list(named.values()))
        cells = split(line)
        if found := header(cells):
            self._columns = found
            self._tell(found, t_ns, events)
            return None
        if not self._columns:
            for cell in cells:
                number(cell)  # words are "not a line of numbers"
            self._headless += 1
            if self._headless % TELL_EVERY == 1:
                raise _Skipped(NO_HEADER)
            return None
        if self._lines == 0:
            raise _Skipped(HALF)
        if len(cells) != len(self._columns):
            raise _Skipped(f"{len(cells)} cells under {len(self._columns)} columns")
        self._tell(self._columns, t_ns, events)
        return _counts(self._columns, [number(cell) for cell in cells])

    def _tell(
        self, columns: list[Column] | tuple[Column, ...], t_ns: int, events: list[Event]
    ) -> None:
        """Say once which columns are read and which are not."""
        names = _names(columns)
        if names == self._told:
            return
        self._told = names
        read = ",".join(c.named for c in columns if c.channel)
        left = ",".join(c.named for c in columns if not c.channel)
        fields = {"columns": read[:200]} | ({"left_out": left[:200]} if left else {})
        events.append(DeviceInfo(t_ns, fields=fields))

    def _stamp(self, device_ns: float | None, t_ns: int) -> int:
        """The board's own time evens out the arrivals while it goes forward; else the arrival counts."""
        stamp = t_ns
        if device_ns is not None and abs(device_ns) < 2**62:
            now = int(device_ns)
            if self._last_device_ns is not None and now > self._last_device_ns:
                stamp = int(self._clock.stamps(np.array([now], np.int64), t_ns)[0])
            else:
                self._clock = DeviceClock()
                stamp = int(self._clock.stamps(np.array([now], np.int64), t_ns)[0])
            self._last_device_ns = now
        if self._last_ns is not None:
            stamp = max(stamp, self._last_ns + TIME_STEP_NS)
        self._last_ns = stamp
        return stamp

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode whole lines (n, length), each padded with zero bytes; what is no sample is MISSING."""
        check_run(frames, t_ns)
        rows: list[Values] = []
        for row in frames:
            line = row.tobytes().rstrip(b"\0").decode("ascii", "replace").strip()
            try:
                named = named_values(line)
                if named is not None:
                    rows.append(_counts([column(name) for name in named], list(named.values())))
                    continue
                cells = [number(cell) for cell in split(line)]
            except ValueError:
                cells = []
            fits = len(cells) == len(self._columns)
            rows.append(_counts(self._columns, cells) if fits else {})
        return _block([{k: v for k, v in row.items() if k != "t"} for row in rows], t_ns)


def _names(columns: list[Column] | tuple[Column, ...]) -> tuple[str, ...]:
    return tuple(c.named for c in columns)


class _Skipped(Exception):
    """A line that is understood and not taken, with the reason."""


def _counts(columns: list[Column] | tuple[Column, ...], values: list[float | None]) -> Values:
    """Counts by channel; the first of two columns of one channel counts."""
    out: Values = {}
    for c, value in zip(columns, values, strict=True):
        if c.channel:
            out.setdefault(c.channel, MISSING if value is None else value * c.scale)
    if out.get("t") == MISSING:
        del out["t"]
    return out


def _block(rows: list[Values], t_ns: Int64s) -> SampleBlock:
    names = list(dict.fromkeys(name for row in rows for name in row))
    counted = np.array([[_int32(row.get(name)) for name in names] for row in rows], np.int32)
    columns = {name: counted[:, i] for i, name in enumerate(names)}
    quality = np.array((Quality.UNCHECKED,) * len(rows), np.uint16)
    return SampleBlock.trusted(t_ns, columns, quality)


def _int32(value: float | None) -> int:
    return MISSING if value is None or abs(value) >= 2**31 else round(value)
