"""JBD host side: asks registers 03 (state), 04 (cells) and 05 (name), decodes their replies.

Layout, checksum rule and their sources: README.md beside this file. Reads only; a write (DD 5A)
can switch the pack off and is never built here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from denchi_protocol.codec import (
    Action,
    Closing,
    DeviceInfo,
    Done,
    Event,
    Frames,
    Rejected,
    Telemetry,
)
from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.fields import as_frames, check_run
from denchi_protocol.framing import MORE, Framer, Junk, Mixed, Verdict
from denchi_protocol.polling import Poller
from denchi_protocol.runs import ArrivalClock, Mark, News, Part, woven
from denchi_protocol.samples import MAX_CELLS, Int64s, SampleBlock
from denchi_protocol.table import Table, value

READ_BASIC: Final = bytes.fromhex("dda50300fffd77")
READ_CELLS: Final = bytes.fromhex("dda50400fffc77")
READ_NAME: Final = bytes.fromhex("dda50500fffb77")

START: Final = 0xDD
END: Final = 0x77
OK, ERROR = 0x00, 0x80
BASIC, CELLS, NAME = 0x03, 0x04, 0x05
OVERHEAD: Final = 7
"""DD reg status len ... sum sum 77."""
LONGEST: Final = {BASIC: 96, CELLS: 2 * 32, NAME: 64}
"""Longest payload accepted a register: 32 cells; 23 bytes, 8 probes and a newer board's extras."""

FLAGS: Final = (
    "cell_over_voltage",
    "cell_under_voltage",
    "pack_over_voltage",
    "pack_under_voltage",
    "charge_over_temperature",
    "charge_under_temperature",
    "discharge_over_temperature",
    "discharge_under_temperature",
    "charge_over_current",
    "discharge_over_current",
    "short_circuit",
    "ic_error",
    "fet_locked",
)
"""Protection bits of register 03, bit 0 first."""

KELVIN_TENTHS: Final = 2731
PROTECTION: Final = slice(20, 22)
LEAST_BASIC: Final = 23


@lru_cache(maxsize=128)
def table(register: int, length: int, probes: int) -> Table:
    """Fields of replies of ``length`` data bytes (register 03 with so many probes)."""
    if register == CELLS:
        cells = range(min(length // 2, MAX_CELLS))
        return Table(
            OVERHEAD + length,
            *(value(f"cell_uv.{cell + 1}", 4 + 2 * cell, ">H", 1000) for cell in cells),
        )
    return Table(
        OVERHEAD + length,
        value("pack_uv", 4, ">H", 10_000),
        value("pack_ua", 6, ">h", 10_000),
        # 0 is 0 K: no sensor answers so.
        *(
            value(f"temp_mc.cell.{k + 1}", 27 + 2 * k, ">H", 100, add=-KELVIN_TENTHS, none=(0,))
            for k in range(probes)
        ),
    )


def reply_sum(body: bytes) -> int:
    """Checksum of a reply: 0x10000 minus the sum of status, length and data."""
    return (0x10000 - sum(body)) & 0xFFFF


def _rule(view: bytes) -> Verdict:
    if len(view) < 4:
        return MORE
    register, status, length = view[1], view[2], view[3]
    if register not in LONGEST or status not in (OK, ERROR) or length > LONGEST[register]:
        return 1, "no reply header"
    total = OVERHEAD + length
    if len(view) < total:
        return MORE
    if view[total - 1] != END:
        return total, "no end byte"
    if reply_sum(view[2:-3] if len(view) == total else view[2 : total - 3]) != int.from_bytes(
        view[total - 3 : total - 1], "big"
    ):
        return total, "wrong checksum"
    return total, ""


def _size(data: bytes, at: int) -> int:
    return OVERHEAD + data[at + 3] if data[at] == START and at + 3 < len(data) else 0


def _rows(rows: Frames) -> NDArray[np.bool_]:
    """Whole replies of the two registers with samples; others are judged alone."""
    size = rows.shape[1]
    sums = rows[:, 2:-3].sum(axis=1, dtype=np.uint32) + (rows[:, -3].astype(np.uint32) << 8)
    good: NDArray[np.bool_] = (
        (rows[:, 0] == START)
        & ((rows[:, 1] == BASIC) | (rows[:, 1] == CELLS))
        & (rows[:, 2] == OK)
        & (rows[:, 3] == size - OVERHEAD)
        & (rows[:, -1] == END)
        & ((sums + rows[:, -2]) & 0xFFFF == 0)
        & _all_fit(rows)
    )
    return good


def _all_fit(rows: Frames) -> NDArray[np.bool_]:
    """``_fits`` for rows of one length: it is the length of both registers' replies at once."""
    length = rows.shape[1] - OVERHEAD
    cells: NDArray[np.bool_] = (rows[:, 1] == CELLS) & (
        length % 2 == 0 and length <= LONGEST[CELLS]
    )
    if not LEAST_BASIC <= length <= LONGEST[BASIC]:
        return cells
    probes = rows[:, 26].astype(np.int32)
    fits = (probes * 2 + LEAST_BASIC <= length) & (probes <= MAX_CELLS)
    both: NDArray[np.bool_] = cells | (rows[:, 1] == BASIC) & fits
    return both


class JbdCodec:
    """One connection to a JBD board, by UART or BLE."""

    def __init__(self) -> None:
        longest = OVERHEAD + max(LONGEST.values())
        self._framer = Framer(_rule, bytes([START]), longest=longest, rows=_rows, size=_size)
        self._clock = ArrivalClock()
        self._news = News(PROTECTION)
        self._poller = Poller(self._requests, period_ms=1000, resend_ms=400, pause_ms=20, tries=3)
        self._name_rounds = 3
        self._expired = 0

    def _requests(self) -> list[bytes]:
        if self._name_rounds > 0:
            self._name_rounds -= 1
            return [READ_BASIC, READ_CELLS, READ_NAME]
        return [READ_BASIC, READ_CELLS]

    def next(self, now_ns: int) -> Action:
        """Ask the next register, or wait."""
        return self._poller.next(now_ns)

    def close(self, now_ns: int) -> Closing:
        """Nothing to stop: the board only ever answers."""
        return Done()

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; every whole reply becomes its events."""
        pieces: list[Mixed | Junk] = []
        if self._poller.expired != self._expired:
            # A reply that stopped half-way must not swallow the next one.
            self._expired = self._poller.expired
            pieces += [p for p in self._framer.flush() if isinstance(p, Junk)]
        pieces += self._framer.feed_mixed(data)
        events: list[Event] = []
        for piece in pieces:
            if isinstance(piece, Junk):
                events.append(Rejected(t_ns, piece.reason, piece.data))
            else:
                events += self._replies(piece, t_ns)
        return events

    def _replies(self, replies: Mixed, t_ns: int) -> list[Event]:
        """Replies in their order; those with samples are read register by register."""
        if len(replies) == 1:
            return self._reply(replies.frame(0), t_ns)
        register = replies.byte(1)
        asked = self._poller.in_flight
        if asked is not None and (register == asked[2]).any():
            self._poller.answered(t_ns)
        sampled = (register != NAME) & (replies.byte(2) == OK)
        runs: dict[tuple[int, int], Frames] = {}
        for kind in {
            *zip(register[sampled].tolist(), replies.sizes[sampled].tolist(), strict=True)
        }:
            which = np.flatnonzero(sampled & (register == kind[0]) & (replies.sizes == kind[1]))
            frames = replies.frames(which)
            runs[kind] = frames
            sampled[which[~_all_fit(frames)]] = False
        basics = [frames for kind, frames in runs.items() if kind[0] == BASIC]
        if len(basics) > 1 or any((b[:, 26] != b[0, 26]).any() for b in basics):
            # The number of probes has changed: rare, and the order of what is told depends on it.
            return [e for i in range(len(replies)) for e in self._reply(replies.frame(i), t_ns)]
        return self._woven(replies, sampled, runs, t_ns)

    def _woven(
        self,
        replies: Mixed,
        sampled: NDArray[np.bool_],
        runs: dict[tuple[int, int], Frames],
        t_ns: int,
    ) -> list[Event]:
        register = replies.byte(1)
        stamps = np.zeros(len(replies), np.int64)
        if sampled.any():
            stamps[sampled] = self._clock.stamps(int(sampled.sum()), t_ns)
        parts: list[Part] = []
        marks: list[Mark] = []
        for (kind, size), frames in runs.items():
            here = (register == kind) & (replies.sizes == size) & (replies.byte(2) == OK)
            which = np.flatnonzero(sampled & here)
            rows = frames[sampled[here]]
            if not len(rows):
                continue
            block = self.decode_run(rows, stamps[which])
            if block.columns:
                parts.append((which, block))
            if kind == BASIC:
                for i in self._news.among(rows, t_ns):
                    marks.append((int(which[i]), _telemetry(rows[i].tobytes(), t_ns)))
        for i in np.flatnonzero(~sampled).tolist():
            marks += [(i, event) for event in self._reply(replies.frame(i), t_ns)]
        return woven(parts, marks) if parts else [event for _, event in sorted(marks, key=_number)]

    def finish(self, t_ns: int) -> list[Event]:
        """The state of the last reply, at the end of a recording."""
        return [_telemetry(frame, t_ns) for frame in self._news.left()]

    def _reply(self, frame: bytes, t_ns: int) -> list[Event]:
        asked = self._poller.in_flight
        if asked is not None and asked[2] == frame[1]:
            self._poller.answered(t_ns)
        if frame[2] != OK:
            if frame[1] == NAME:
                self._name_rounds = 0
            return [Rejected(t_ns, "the board answered with an error", frame)]
        if frame[1] == NAME:
            self._name_rounds = 0
            text = frame[4:-3].decode("ascii", "replace").strip("\0 ")
            return [DeviceInfo(t_ns, maker="JBD", model=text, hardware=text)]
        if not _fits(frame):
            return [Rejected(t_ns, "lengths inside the reply disagree", frame)]
        events: list[Event] = []
        probes = frame[26] if frame[1] == BASIC else 0
        of = table(frame[1], frame[3], probes)
        block = of.block(as_frames(frame), self._clock.stamps(1, t_ns))
        if block.columns:
            events.append(block)
        if frame[1] == BASIC and self._news.one(frame, t_ns):
            events.append(_telemetry(frame, t_ns))
        return events

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode checked replies of one register and one length (n, length).

        Sign of ``pack_ua``: positive = charging, as the board has it.
        Raises ``LocalProtocolError`` for a mixed run or a register without samples.
        """
        check_run(frames, t_ns)
        register, length = int(frames[0, 1]), int(frames[0, 3])
        if (frames[:, 1] != register).any() or (frames[:, 3] != length).any():
            raise LocalProtocolError("a run holds replies of one register and one length")
        if register not in (BASIC, CELLS):
            raise LocalProtocolError(f"register {register:02x} carries no samples")
        probes = int(frames[:, 26].min()) if register == BASIC else 0
        return table(register, length, probes).block(frames, t_ns)


def _number(mark: Mark) -> int:
    return mark[0]


def _fits(frame: bytes) -> bool:
    if frame[1] == CELLS:
        return frame[3] % 2 == 0
    least = LEAST_BASIC + 2 * frame[26] if frame[3] >= LEAST_BASIC else 256
    return least <= frame[3] and frame[26] <= MAX_CELLS


def _telemetry(frame: bytes, t_ns: int) -> Telemetry:
    def u16(at: int) -> int:
        return int.from_bytes(frame[4 + at : 6 + at], "big")

    protection, fets = u16(16), frame[24]
    values = {
        "soc_pct": float(frame[23]),
        "remaining_ah": u16(4) / 100,
        "design_ah": u16(6) / 100,
        "cycles": float(u16(8)),
        "charge_fet": float(fets & 1),
        "discharge_fet": float(fets >> 1 & 1),
        "balancing_bits": float(int.from_bytes(frame[16:20], "big")),
    }
    flags = tuple(name for bit, name in enumerate(FLAGS) if protection >> bit & 1)
    flags += tuple(f"unknown_{bit}" for bit in range(len(FLAGS), 16) if protection >> bit & 1)
    return Telemetry(t_ns, values, flags, frame)
