"""Daly D2 host side: 62 registers in one request, decoded with the counts that stand in them.

Layout and sources: README.md beside this file. Two read requests; nothing is ever written.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from denchi_protocol.batteries.daly.flags import flag_names, soc_warning
from denchi_protocol.checksum import CRC16_MODBUS
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
from denchi_protocol.fields import as_frames, check_run, counts, unsigned
from denchi_protocol.framing import MORE, Framer, Junk, Verdict
from denchi_protocol.polling import Poller
from denchi_protocol.samples import Int32s, Int64s, SampleBlock

READ_STATE: Final = bytes.fromhex("d2030000003ed7b9")
READ_NAMES: Final = bytes.fromhex("d20300a900208791")
STATE_BYTES, NAMES_BYTES = 124, 64
OVERHEAD: Final = 5
MAX_CELLS, MAX_PROBES = 32, 8
ZERO_CURRENT: Final = 30_000


def _rule(view: bytes) -> Verdict:
    if len(view) > 1 and view[1] != 0x03:
        return 1, "no reply header"
    if len(view) < 3:
        return MORE
    if view[2] not in (STATE_BYTES, NAMES_BYTES):
        return 1, "no length of ours"
    total = OVERHEAD + view[2]
    if len(view) < total:
        return MORE
    if CRC16_MODBUS.of(view[: total - 2]) != int.from_bytes(view[total - 2 : total], "little"):
        return total, "wrong checksum"
    return total, ""


class DalyD2Codec:
    """One connection to a board that speaks D2, by UART or BLE."""

    def __init__(self) -> None:
        self._framer = Framer(_rule, b"\xd2", longest=OVERHEAD + STATE_BYTES)
        self._poller = Poller(self._requests, period_ms=1000, resend_ms=500, pause_ms=20, tries=2)
        self._name_rounds = 3
        self._expired = 0

    def _requests(self) -> list[bytes]:
        if self._name_rounds > 0:
            self._name_rounds -= 1
            return [READ_STATE, READ_NAMES]
        return [READ_STATE]

    def next(self, now_ns: int) -> Action:
        """Ask the next registers, or wait."""
        return self._poller.next(now_ns)

    def close(self, now_ns: int) -> Closing:
        """Nothing to stop: the board only ever answers."""
        return Done()

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; every whole reply becomes its events."""
        pieces = []
        if self._poller.expired != self._expired:
            # A reply that stopped half-way must not swallow the next one.
            self._expired = self._poller.expired
            pieces = self._framer.flush()
        events: list[Event] = []
        for piece in pieces + self._framer.feed(data):
            if isinstance(piece, Junk):
                events.append(Rejected(t_ns, piece.reason, piece.data))
            else:
                events += self._reply(piece, t_ns)
        return events

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode checked state replies (n, 129).

        Cells and probes beyond a reply's own counts are missing there. Sign of ``pack_ua``:
        positive = charging, as the board has it. Raises ``LocalProtocolError`` for other frames.
        """
        check_run(frames, t_ns)
        if frames.shape[1] != OVERHEAD + STATE_BYTES or (frames[:, 2] != STATE_BYTES).any():
            raise LocalProtocolError("a run holds replies of 62 registers")
        cells = np.minimum(_at(frames, 98), MAX_CELLS)
        probes = np.minimum(_at(frames, 100), MAX_PROBES)
        columns: dict[str, Int32s] = {
            "pack_uv": counts(_at(frames, 80) * 100_000),
            "pack_ua": counts((_at(frames, 82) - ZERO_CURRENT) * 100_000),
        }
        for cell in range(int(cells.max())):
            raw = _at(frames, 2 * cell)
            columns[f"cell_uv.{cell + 1}"] = counts(raw * 1000, cell < cells)
        for probe in range(int(probes.max())):
            raw = _at(frames, 64 + 2 * probe)
            there: NDArray[np.bool_] = (probe < probes) & (raw != 0) & (raw < 255)
            columns[f"temp_mc.cell.{probe + 1}"] = counts((raw - 40) * 1000, there)
        return SampleBlock(t_ns, columns)

    def _reply(self, frame: bytes, t_ns: int) -> list[Event]:
        asked = self._poller.in_flight
        if asked is not None and 2 * asked[5] == frame[2]:
            self._poller.answered(t_ns)
        if frame[2] == NAMES_BYTES:
            self._name_rounds = 0
            software, hardware = (_text(frame[at : at + 16]) for at in (3, 19))
            return [DeviceInfo(t_ns, maker="Daly", firmware=software, hardware=hardware)]
        block = self.decode_run(as_frames(frame), np.array([t_ns], np.int64))
        return [block, _telemetry(frame[3:-2], t_ns, frame)]


def _at(frames: Frames, offset: int) -> Int64s:
    return unsigned(frames, 3 + offset, 2)


def _text(raw: bytes) -> str:
    return raw.decode("ascii", "replace").strip("\0 ")


def _telemetry(data: bytes, t_ns: int, frame: bytes) -> Telemetry:
    def u16(at: int) -> float:
        return float(int.from_bytes(data[at : at + 2], "big"))

    # Registers 3A to 3D: the low byte comes first in the order of the bits.
    report = bytes(data[at] for at in (117, 116, 119, 118, 121, 120, 123, 122))
    values = {
        "soc_pct": u16(84) / 10,
        "remaining_ah": u16(96) / 10,
        "cycles": u16(102),
        "balancing": u16(104),
        "charge_fet": u16(106),
        "discharge_fet": u16(108),
        "soc_warning": float(soc_warning(report)),
        "fault_number": float(report[7]),
    }
    return Telemetry(t_ns, values, flag_names(report), frame)
