"""JBD host side: asks registers 03 (state), 04 (cells) and 05 (name), decodes their replies.

Layout, checksum rule and their sources: README.md beside this file. Reads only; a write (DD 5A)
can switch the pack off and is never built here.
"""

from __future__ import annotations

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
    Telemetry,
)
from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.fields import as_frames, check_run, counts, signed, unsigned
from denchi_protocol.framing import MORE, Framer, Junk, Verdict
from denchi_protocol.polling import Poller
from denchi_protocol.samples import MAX_CELLS, Int32s, Int64s, SampleBlock

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


class JbdCodec:
    """One connection to a JBD board, by UART or BLE."""

    def __init__(self) -> None:
        self._framer = Framer(_rule, bytes([START]), longest=OVERHEAD + max(LONGEST.values()))
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
        if self._poller.expired != self._expired:
            # A reply that stopped half-way must not swallow the next one.
            self._expired = self._poller.expired
            pieces = self._framer.flush() + self._framer.feed(data)
        else:
            pieces = self._framer.feed(data)
        events: list[Event] = []
        for piece in pieces:
            if isinstance(piece, Junk):
                events.append(Rejected(t_ns, piece.reason, piece.data))
            else:
                events += self._reply(piece, t_ns)
        return events

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
        block = self.decode_run(as_frames(frame), np.array([t_ns], np.int64))
        if block.columns:
            events.append(block)
        if frame[1] == BASIC:
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
        columns: dict[str, Int32s] = {}
        if register == CELLS:
            for cell in range(min(length // 2, MAX_CELLS)):
                columns[f"cell_uv.{cell + 1}"] = counts(unsigned(frames, 4 + 2 * cell, 2) * 1000)
        elif register == BASIC:
            columns["pack_uv"] = counts(unsigned(frames, 4, 2) * 10_000)
            columns["pack_ua"] = counts(signed(frames, 6, 2) * 10_000)
            for probe in range(int(frames[:, 26].min())):
                raw = unsigned(frames, 27 + 2 * probe, 2)
                # 0 is 0 K: no sensor answers so.
                columns[f"temp_mc.cell.{probe + 1}"] = counts((raw - KELVIN_TENTHS) * 100, raw != 0)
        else:
            raise LocalProtocolError(f"register {register:02x} carries no samples")
        return SampleBlock(t_ns, columns)


def _fits(frame: bytes) -> bool:
    if frame[1] == CELLS:
        return frame[3] % 2 == 0
    return frame[3] >= 23 and 23 + 2 * frame[26] <= frame[3] and frame[26] <= MAX_CELLS


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
