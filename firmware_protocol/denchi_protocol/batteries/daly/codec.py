"""Daly A5 host side: asks 94 for the counts, then state, cells, temperatures and failures.

Layout and sources: README.md beside this file. Six read requests; the commands that switch or set
something are never built here.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from denchi_protocol.batteries.daly.flags import flag_names, soc_warning
from denchi_protocol.checksum import sum8
from denchi_protocol.codec import Action, Closing, Done, Event, Frames, Rejected, Telemetry
from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.fields import as_frames, check_run, counts, unsigned
from denchi_protocol.framing import MORE, Framer, Junk, Verdict
from denchi_protocol.polling import Poller
from denchi_protocol.samples import Int32s, Int64s, SampleBlock

START: Final = 0xA5
HOST, BOARD = 0x40, 0x01
LENGTH: Final = 13
PACK, STATE, COUNTS, CELLS, TEMPERATURES, FAILURES = 0x90, 0x93, 0x94, 0x95, 0x96, 0x98
KNOWN: Final = range(0x90, 0x99)
MAX_CELLS: Final = 48
MAX_PROBES: Final = 16
ZERO_CURRENT: Final = 30_000


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


class DalyCodec:
    """One connection to a board that speaks A5."""

    def __init__(self) -> None:
        self._framer = Framer(_rule, bytes([START]), longest=LENGTH)
        self._poller = Poller(self._requests, period_ms=1000, resend_ms=400, pause_ms=40, tries=2)
        self._cells = 0
        self._probes = 0
        self._parts: list[bytes] = []
        self._amps_raw: int | None = None
        self._sign_flag: tuple[str, ...] = ()
        self._rounds = 0

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
        for piece in self._framer.feed(data):
            if isinstance(piece, Junk):
                events.append(Rejected(t_ns, piece.reason, piece.data))
            elif piece[2] in (CELLS, TEMPERATURES):
                events += self._part(piece, t_ns)
            else:
                self._done(piece[2], t_ns)
                events += self._reply(piece, t_ns)
        return events

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
        columns: dict[str, Int32s] = {}
        if command == PACK:
            columns["pack_uv"] = counts(unsigned(frames, 4, 2) * 100_000)
            columns["pack_ua"] = counts((unsigned(frames, 8, 2) - ZERO_CURRENT) * 100_000)
        elif command == CELLS:
            for cell in range(min(self._cells, frames.shape[1] // LENGTH * 3)):
                at = cell // 3 * LENGTH + 5 + cell % 3 * 2
                columns[f"cell_uv.{cell + 1}"] = counts(unsigned(frames, at, 2) * 1000)
        elif command == TEMPERATURES:
            for probe in range(min(self._probes, frames.shape[1] // LENGTH * 7)):
                raw = unsigned(frames, probe // 7 * LENGTH + 5 + probe % 7, 1)
                there = (raw != 0) & (raw != 255)
                columns[f"temp_mc.cell.{probe + 1}"] = counts((raw - 40) * 1000, there)
        else:
            raise LocalProtocolError(f"command {command:02x} carries no samples")
        return SampleBlock(t_ns, columns)

    def _done(self, command: int, t_ns: int) -> None:
        asked = self._poller.in_flight
        if asked is not None and asked[2] == command:
            self._poller.answered(t_ns)

    def _part(self, frame: bytes, t_ns: int) -> list[Event]:
        """One frame of a reply of several; the last one makes the block."""
        needed = -(-self._cells // 3) if frame[2] == CELLS else -(-self._probes // 7)
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
        return [self.decode_run(as_frames(whole), np.array([t_ns], np.int64))]

    def _reply(self, frame: bytes, t_ns: int) -> list[Event]:
        command, data = frame[2], frame[4:12]
        if command == PACK:
            self._amps_raw = int.from_bytes(data[4:6], "big") - ZERO_CURRENT
            block = self.decode_run(as_frames(frame), np.array([t_ns], np.int64))
            soc_pct = int.from_bytes(data[6:8], "big") / 10
            return [block, Telemetry(t_ns, {"soc_pct": soc_pct}, None, frame)]
        if command == COUNTS:
            if data[0] > MAX_CELLS or data[1] > MAX_PROBES:
                return [Rejected(t_ns, "more cells or probes than a board can have", frame)]
            self._cells, self._probes = data[0], data[1]
            cycles = int.from_bytes(data[5:7], "big")
            return [Telemetry(t_ns, {"cycles": float(cycles)}, None, frame)]
        if command == STATE:
            return [self._state(frame, data, t_ns)]
        if command == FAILURES:
            values = {"soc_warning": float(soc_warning(data)), "fault_number": float(data[7])}
            return [Telemetry(t_ns, values, flag_names(data) + self._sign_flag, frame)]
        return []

    def _state(self, frame: bytes, data: bytes, t_ns: int) -> Telemetry:
        values = {
            "charging_state": float(data[0]),
            "charge_fet": float(data[1]),
            "discharge_fet": float(data[2]),
            "remaining_ah": int.from_bytes(data[4:8], "big") / 1000,
        }
        amps = self._amps_raw
        against = amps is not None and (
            (data[0] == 1 and amps >= 10) or (data[0] == 2 and amps <= -10)
        )
        self._sign_flag = ("current_sign_contradicts_state",) if against else ()
        return Telemetry(t_ns, values, None, frame)
