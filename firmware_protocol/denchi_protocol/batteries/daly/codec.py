"""Daly A5 host side: asks 94 for the counts, then state, cells, temperatures and failures.

Layout and sources: README.md beside this file. Six read requests; the commands that switch or set
something are never built here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from denchi_protocol.batteries.daly.flags import flag_names, soc_warning
from denchi_protocol.checksum import sum8, sum8_rows
from denchi_protocol.codec import Action, Closing, Done, Event, Frames, Rejected, Telemetry
from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.fields import as_frames, check_run
from denchi_protocol.framing import FIRST_LOOK, MORE, WORTH_IT, Framer, Junk, Verdict
from denchi_protocol.polling import Poller
from denchi_protocol.runs import ArrivalClock, Mark, Part, woven
from denchi_protocol.samples import Int64s, SampleBlock
from denchi_protocol.table import Part as Bytes
from denchi_protocol.table import Table, Value, value

START: Final = 0xA5
HOST, BOARD = 0x40, 0x01
LENGTH: Final = 13
PACK, STATE, COUNTS, CELLS, TEMPERATURES, FAILURES = 0x90, 0x93, 0x94, 0x95, 0x96, 0x98
KNOWN: Final = range(0x90, 0x99)
MAX_CELLS: Final = 48
MAX_PROBES: Final = 16
ZERO_CURRENT: Final = 30_000
NOTHING: Final = slice(0, 0)
STATES: Final = {STATE: slice(4, 7), COUNTS: slice(4, 6), FAILURES: slice(4, 12)}
"""Bytes whose change is told at once; counters are told once an arrival."""
PACK_TABLE: Final = Table(
    LENGTH,
    value("pack_uv", 4, ">H", 100_000),
    value("pack_ua", 8, ">H", 100_000, add=-ZERO_CURRENT),
)


@lru_cache(maxsize=128)
def cells_table(cells: int) -> Table:
    """Fields of a reply to 95: its frames, of three cells each, one after the other."""
    return Table(
        -(-cells // 3) * LENGTH,
        *(
            value(f"cell_uv.{cell + 1}", cell // 3 * LENGTH + 5 + cell % 3 * 2, ">H", 1000)
            for cell in range(cells)
        ),
    )


@lru_cache(maxsize=128)
def probes_table(probes: int) -> Table:
    """Fields of a reply to 96: its frames, of seven probes each, one after the other."""
    return Table(-(-probes // 7) * LENGTH, *(_probe(probe) for probe in range(probes)))


def _probe(probe: int) -> Value:
    at = Bytes(probe // 7 * LENGTH + 5 + probe % 7, "B")
    return Value(f"temp_mc.cell.{probe + 1}", (at,), 1000, add=-40, none=(0, 255))


def request(command: int) -> bytes:
    """A read request: eight zeros as data."""
    head = bytes((START, HOST, command, 8)) + bytes(8)
    return head + bytes((sum8(head),))


REQUESTS: Final = tuple(
    request(command) for command in (PACK, STATE, COUNTS, CELLS, TEMPERATURES, FAILURES)
)


def _rule(view: bytes) -> Verdict:
    for at, good in ((1, (BOARD,)), (2, KNOWN), (3, (8,))):
        if len(view) > at and view[at] not in good:
            # Our own request comes back on a two-wire bus: it is no reply.
            return 1, "no reply header"
    if len(view) < LENGTH:
        return MORE
    if sum8(view[: LENGTH - 1]) != view[LENGTH - 1]:
        return LENGTH, "wrong checksum"
    return LENGTH, ""


def _rows(rows: Frames) -> NDArray[np.bool_]:
    good: NDArray[np.bool_] = (
        (rows[:, 0] == START)
        & (rows[:, 1] == BOARD)
        & (rows[:, 2] >= KNOWN.start)
        & (rows[:, 2] < KNOWN.stop)
        & (rows[:, 3] == 8)
        & (sum8_rows(rows[:, :-1]) == rows[:, -1])
    )
    return good


class DalyCodec:
    """One connection to a board that speaks A5."""

    def __init__(self) -> None:
        self._framer = Framer(_rule, bytes([START]), longest=LENGTH, rows=_rows)
        self._poller = Poller(self._requests, period_ms=1000, resend_ms=400, pause_ms=40, tries=2)
        self._cells = 0
        self._probes = 0
        self._parts: list[bytes] = []
        self._amps_raw: int | None = None
        self._sign_flag: tuple[str, ...] = ()
        self._rounds = 0
        self._clock = ArrivalClock()
        self._told: dict[int, tuple[int, bytes]] = {}
        """What each command's frame last told, and when it came."""
        self._left: dict[int, bytes] = {}
        """The last frame of each command that has not told."""

    def _requests(self) -> list[bytes]:
        self._rounds += 1
        asked = [COUNTS] if not self._cells or self._rounds % 30 == 1 else []
        asked += [PACK, STATE]
        asked += [CELLS] if self._cells else []
        asked += [TEMPERATURES] if self._probes else []
        asked += [FAILURES]
        return [request(command) for command in asked]

    def next(self, now_ns: int) -> Action:
        """Ask the next command, or wait."""
        return self._poller.next(now_ns)

    def close(self, now_ns: int) -> Closing:
        """Nothing to stop: the board only ever answers."""
        return Done()

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; every whole reply becomes its events."""
        events: list[Event] = []
        for piece in self._framer.feed_runs(data):
            if isinstance(piece, Junk):
                events.append(Rejected(t_ns, piece.reason, piece.data))
                continue
            at = again = 0
            while at < len(piece):
                if at >= again:
                    if steady := self._steady(piece[at:], t_ns, events):
                        at += steady
                        continue
                    again = at + (1 if self._parts else FIRST_LOOK)  # no second try at each frame
                events += self._frame(piece[at].tobytes(), t_ns)
                at += 1
        return events

    def _frame(self, frame: bytes, t_ns: int) -> list[Event]:
        if frame[2] in (CELLS, TEMPERATURES):
            return self._part(frame, t_ns)
        self._done(frame[2], t_ns)
        return self._reply(frame, t_ns)

    def _steady(self, rows: Frames, t_ns: int, events: list[Event]) -> int:
        """Frames whose replies of several frames are whole, with known counts, are read at once: how many."""
        if len(rows) < WORTH_IT or self._parts or not self._cells:
            return 0
        command = rows[:, 2]
        counted = np.flatnonzero(command == COUNTS)
        same = (rows[counted, 4] == self._cells) & (rows[counted, 5] == self._probes)
        if not same.all():
            rows = rows[: int(counted[np.argmin(same)])]
            command = rows[:, 2]
        ends: dict[int, NDArray[np.intp]] = {}
        for kind, needed in ((CELLS, -(-self._cells // 3)), (TEMPERATURES, -(-self._probes // 7))):
            ends[kind], whole = _replies(rows, command == kind, needed)
            if whole < len(rows):
                rows, command = rows[:whole], command[:whole]
        if len(rows) < WORTH_IT:
            return 0
        self._woven(rows, {k: e[e < len(rows)] for k, e in ends.items()}, t_ns, events)
        return len(rows)

    def _woven(
        self, rows: Frames, ends: dict[int, NDArray[np.intp]], t_ns: int, events: list[Event]
    ) -> None:
        command = rows[:, 2]
        asked = self._poller.in_flight
        if asked is not None and (command == asked[2]).any():
            self._poller.answered(t_ns)
        ends = ends | {PACK: np.flatnonzero(command == PACK)}
        sampled = np.sort(np.concatenate(list(ends.values())))
        stamps = np.zeros(len(rows), np.int64)
        if len(sampled):
            stamps[sampled] = self._clock.stamps(len(sampled), t_ns)
        parts: list[Part] = []
        for kind, last in ends.items():
            if len(last):
                first = self._needed(kind) - 1
                frames = np.concatenate([rows[last - k] for k in range(first, -1, -1)], axis=1)
                parts.append((last, self.decode_run(frames, stamps[last])))
        marks = self._marks(rows, ends[PACK], t_ns)
        events += woven(parts, marks) if parts else [event for _, event in marks]

    def _marks(self, rows: Frames, packs: NDArray[np.intp], t_ns: int) -> list[Mark]:
        """What frames tell beside samples; those that say what the one before of their command said do not."""
        command = rows[:, 2]
        beside = (command != CELLS) & (command != TEMPERATURES)
        even = not self._contradicted(rows, packs)
        if even:
            for kind in set(command[beside].tolist()):
                at = np.flatnonzero(command == kind)
                told = rows[at][:, STATES.get(kind, NOTHING)]
                beside[at[1:-1]] = (told[1:-1] != told[:-2]).any(axis=1)
            self._amps_raw = None  # none of the signs is wrong
        marks: list[Mark] = []
        for i in np.flatnonzero(beside).tolist():
            marks += [(i, event) for event in self._beside(rows[i].tobytes(), t_ns)]
        if even:
            if len(packs):
                last = rows[packs[-1], 8:10]
                self._amps_raw = (int(last[0]) << 8 | int(last[1])) - ZERO_CURRENT
            self._sign_flag = ()
        return marks

    def _contradicted(self, rows: Frames, packs: NDArray[np.intp]) -> bool:
        """Whether any current contradicts the state told after it, or one did before."""
        states = np.flatnonzero(rows[:, 2] == STATE)
        if self._sign_flag or (self._amps_raw is not None and not len(packs)):
            return True
        if not len(states) or not len(packs):
            return False
        amps = (rows[packs, 8].astype(np.int64) << 8 | rows[packs, 9]) - ZERO_CURRENT
        before = np.searchsorted(packs, states) - 1
        first = 0 if self._amps_raw is None else self._amps_raw
        known = np.where(before < 0, first, amps[before])
        state = rows[states, 4]
        wrong = (state == 1) & (known >= 10) | (state == 2) & (known <= -10)
        return bool(wrong.any())

    def _needed(self, command: int) -> int:
        """Frames of a reply."""
        if command == CELLS:
            return -(-self._cells // 3)
        return -(-self._probes // 7) if command == TEMPERATURES else 1

    def finish(self, t_ns: int) -> list[Event]:
        """The counters that have not been told, at the end of a recording."""
        left, self._left = self._left, {}
        return [event for frame in left.values() for event in self._telling(frame, t_ns)]

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode checked replies of one command (n, 13 x frames a reply).

        A reply of several frames (95, 96) is one row: its frames one after the other. Sign of
        ``pack_ua``: positive = discharging, as most boards have it.
        Raises ``LocalProtocolError`` for a mixed run or a command without samples.
        """
        check_run(frames, t_ns)
        command = int(frames[0, 2])
        if frames.shape[1] % LENGTH or (frames[:, 2::LENGTH] != command).any():
            raise LocalProtocolError("a run holds replies of one command")
        if command == PACK:
            return PACK_TABLE.block(frames, t_ns)
        if command == CELLS:
            return cells_table(min(self._cells, frames.shape[1] // LENGTH * 3)).block(frames, t_ns)
        if command == TEMPERATURES:
            return probes_table(min(self._probes, frames.shape[1] // LENGTH * 7)).block(
                frames, t_ns
            )
        raise LocalProtocolError(f"command {command:02x} carries no samples")

    def _done(self, command: int, t_ns: int) -> None:
        asked = self._poller.in_flight
        if asked is not None and asked[2] == command:
            self._poller.answered(t_ns)

    def _part(self, frame: bytes, t_ns: int) -> list[Event]:
        """One frame of a reply of several; the last one makes the block."""
        needed = self._needed(frame[2])
        number = frame[4]
        if number == 1:
            self._parts = []
        elif number > needed:
            return []  # some boards always send sixteen
        if not needed:
            return [Rejected(t_ns, "cells or probes before their number", frame)]
        self._parts.append(frame)
        if number != len(self._parts) or self._parts[0][2] != frame[2]:
            self._parts = []
            return [Rejected(t_ns, "a frame of the reply is missing", frame)]
        if number < needed:
            return []
        whole, self._parts = b"".join(self._parts), []
        self._done(frame[2], t_ns)
        return [self.decode_run(as_frames(whole), self._clock.stamps(1, t_ns))]

    def _reply(self, frame: bytes, t_ns: int) -> list[Event]:
        beside = self._beside(frame, t_ns)
        if frame[2] != PACK:
            return beside
        return [self.decode_run(as_frames(frame), self._clock.stamps(1, t_ns)), *beside]

    def _beside(self, frame: bytes, t_ns: int) -> list[Event]:
        """What a frame tells beside samples: the first of an arrival, and states and flags that change."""
        command, data = frame[2], frame[4:12]
        if command == PACK:
            self._amps_raw = int.from_bytes(data[4:6], "big") - ZERO_CURRENT
        elif command == STATE:
            self._contradict(data)
        told = frame[STATES.get(command, NOTHING)]
        if command == FAILURES:
            told += b"".join(flag.encode() for flag in self._sign_flag)
        self._left.pop(command, None)
        if self._told.get(command) == (t_ns, told):
            self._left[command] = frame
            return []
        self._told[command] = t_ns, told
        return self._telling(frame, t_ns)

    def _telling(self, frame: bytes, t_ns: int) -> list[Event]:
        command, data = frame[2], frame[4:12]
        if command == PACK:
            soc_pct = int.from_bytes(data[6:8], "big") / 10
            return [Telemetry(t_ns, {"soc_pct": soc_pct}, None, frame)]
        if command == COUNTS:
            if data[0] > MAX_CELLS or data[1] > MAX_PROBES:
                return [Rejected(t_ns, "more cells or probes than a board can have", frame)]
            self._cells, self._probes = data[0], data[1]
            cycles = int.from_bytes(data[5:7], "big")
            return [Telemetry(t_ns, {"cycles": float(cycles)}, None, frame)]
        if command == STATE:
            return [_state(frame, data, t_ns)]
        if command == FAILURES:
            values = {"soc_warning": float(soc_warning(data)), "fault_number": float(data[7])}
            return [Telemetry(t_ns, values, flag_names(data) + self._sign_flag, frame)]
        return []

    def _contradict(self, data: bytes) -> None:
        """Whether the sign of the current contradicts the state that the board tells."""
        amps = self._amps_raw
        against = amps is not None and (
            (data[0] == 1 and amps >= 10) or (data[0] == 2 and amps <= -10)
        )
        self._sign_flag = ("current_sign_contradicts_state",) if against else ()


def _state(frame: bytes, data: bytes, t_ns: int) -> Telemetry:
    values = {
        "charging_state": float(data[0]),
        "charge_fet": float(data[1]),
        "discharge_fet": float(data[2]),
        "remaining_ah": int.from_bytes(data[4:8], "big") / 1000,
    }
    return Telemetry(t_ns, values, None, frame)


def _replies(rows: Frames, here: NDArray[np.bool_], needed: int) -> tuple[NDArray[np.intp], int]:
    """Where replies of ``needed`` frames behind each other end, and up to which row all are whole."""
    at = np.flatnonzero(here)
    if not len(at):
        return at, len(rows)
    if not needed:
        return at[:0], int(at[0])
    number = rows[at, 4]
    at, number = at[number <= needed], number[number <= needed]  # some boards always send sixteen
    whole = len(at) // needed * needed
    places, wanted = at[:whole].reshape(-1, needed), np.arange(needed)
    good = (number[:whole].reshape(-1, needed) == wanted + 1) & (places == places[:, :1] + wanted)
    right = good.all(axis=1)
    count = len(right) if right.all() else int(np.argmin(right))
    end = len(rows) if count * needed == len(at) else int(at[count * needed])
    return places[:count, -1], end
