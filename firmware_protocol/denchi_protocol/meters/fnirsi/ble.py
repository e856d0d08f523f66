"""FNIRSI host side over Bluetooth LE: segments ``AA type length payload crc``.

Facts and their sources: README.md beside this file.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

from denchi_protocol.checksum import CRC16_XMODEM
from denchi_protocol.codec import (
    Action,
    Closing,
    DeviceInfo,
    Done,
    Event,
    Frames,
    Rejected,
    Send,
    Telemetry,
    Wait,
)
from denchi_protocol.fields import as_frames, check_run, counts, unsigned
from denchi_protocol.framing import MORE, Framer, Junk, Verdict
from denchi_protocol.meters.fnirsi.codec import IBUS_A, VBUS_V
from denchi_protocol.samples import Int32s, Int64s, SampleBlock

MS: Final = 1_000_000
HEAD: Final = 0xAA
OVERHEAD: Final = 4
INFO, POWER, HEAT, LINES, COARSE, COUNTERS = 0x03, 0x04, 0x05, 0x06, 0x07, 0x08
LENGTHS: Final = {INFO: 14, POWER: 12, HEAT: 7, LINES: 6, COARSE: 4, COUNTERS: 17}

IDENTIFY: Final = bytes.fromhex("aa8100f4")
START: Final = bytes.fromhex("aa8200a7")
STOP: Final = bytes.fromhex("aa840001")

START_PAUSE_NS: Final = 250 * MS
SILENT_NS: Final = 2000 * MS
"""There is no keep-alive; after this silence 82 is sent again."""
DRAIN_NS: Final = 300 * MS
DRAIN_AT_MOST_NS: Final = 2000 * MS

# One sample is gathered from the segments of a cycle; in a run they stand in this order, each whole
# or, where the cycle had none, zero.
_PLACES: Final = {
    kind: (at, LENGTHS[kind] + OVERHEAD)
    for kind, at in ((POWER, 0), (HEAT, 16), (LINES, 27), (COARSE, 37))
}
CYCLE: Final = 45


def _rule(view: bytes) -> Verdict:
    if len(view) < 3:
        return MORE
    if LENGTHS.get(view[1]) != view[2]:
        return 1, "unknown segment"
    total = OVERHEAD + view[2]
    if len(view) < total:
        return MORE
    if CRC16_XMODEM.of(view[: total - 1]) & 0xFF != view[total - 1]:
        return total, "wrong checksum"
    return total, ""


class FnirsiBleCodec:
    """One connection to a meter of the FNB58 / FNB48 family by Bluetooth LE."""

    def __init__(self) -> None:
        self._start = [IDENTIFY, START]
        self._framer = Framer(_rule, bytes([HEAD]), longest=OVERHEAD + max(LENGTHS.values()))
        self._cycle: dict[int, bytes] = {}
        self._ready_ns: int | None = None
        self._heard_ns = 0
        self._last_ns: int | None = None
        self._closing_ns: int | None = None

    def next(self, now_ns: int) -> Action:
        """Info and start, with a pause between; start again after two seconds of silence."""
        if self._ready_ns is not None and now_ns < self._ready_ns:
            return Wait(self._ready_ns)
        if self._start:
            return self._send(self._start.pop(0), now_ns)
        if now_ns >= self._heard_ns + SILENT_NS:
            return self._send(START, now_ns)
        return Wait(self._heard_ns + SILENT_NS)

    def _send(self, data: bytes, now_ns: int) -> Send:
        self._ready_ns = now_ns + START_PAUSE_NS
        self._heard_ns = max(self._heard_ns, now_ns)
        return Send(data)

    def close(self, now_ns: int) -> Closing:
        """Stop, then read until it is quiet."""
        if self._ready_ns is None:
            return Done()
        if self._closing_ns is None:
            self._closing_ns = now_ns
            self._heard_ns = max(self._heard_ns, now_ns)
            return Send(STOP)
        until = min(self._heard_ns + DRAIN_NS, self._closing_ns + DRAIN_AT_MOST_NS)
        return Done() if now_ns >= until else Wait(until)

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take the bytes of notifications; each cycle of segments becomes one sample."""
        if data:
            self._heard_ns = max(self._heard_ns, t_ns)
        events: list[Event] = []
        for piece in self._framer.feed(data):
            if isinstance(piece, Junk):
                events.append(Rejected(t_ns, piece.reason, piece.data))
            elif piece[1] == INFO:
                events.append(_info(piece, t_ns))
            elif piece[1] == COUNTERS:
                events.append(_counters(piece, t_ns))
            else:
                if piece[1] in self._cycle:
                    events += self.finish(t_ns)
                self._cycle[piece[1]] = piece
                if piece[1] == HEAT and (POWER in self._cycle or COARSE in self._cycle):
                    # The last of a cycle in the captures; waiting for more would cost 100 ms.
                    events += self.finish(t_ns)
        return events

    def finish(self, t_ns: int) -> list[Event]:
        """The sample that is still being gathered, at the end of a recording."""
        if not self._cycle:
            return []
        frame = bytearray(CYCLE)
        for kind, segment in self._cycle.items():
            at, length = _PLACES[kind]
            frame[at : at + length] = segment
        self._cycle = {}
        if self._last_ns is not None:
            t_ns = max(t_ns, self._last_ns + 1)
        self._last_ns = t_ns
        return [self.decode_run(as_frames(bytes(frame)), np.array([t_ns], np.int64))]

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode cycles (n, 45): segments 04, 05, 06, 07 as on the wire, zero where there was none.

        V and A of 07 (mV, mA) count only where 04 (0.1 mV, 0.1 mA) is absent.
        """
        check_run(frames, t_ns)
        has = {kind: frames[:, at] == HEAD for kind, (at, _) in _PLACES.items()}
        columns: dict[str, Int32s] = {}
        if (has[POWER] | has[COARSE]).any():
            any_power = has[POWER] | has[COARSE]
            for name, fine, coarse, limit in (
                ("vbus_uv", 3, 40, VBUS_V),
                ("ibus_ua", 7, 42, IBUS_A),
            ):
                value = np.where(
                    has[POWER],
                    unsigned(frames, fine, 4, little=True) * 100,
                    unsigned(frames, coarse, 2, little=True) * 1000,
                )
                columns[name] = counts(value, any_power & (value <= limit[1] * 1e6))
        if has[LINES].any():
            columns["dp_uv"] = counts(unsigned(frames, 30, 2, little=True) * 1000, has[LINES])
            columns["dm_uv"] = counts(unsigned(frames, 32, 2, little=True) * 1000, has[LINES])
        if has[HEAT].any():
            sign = np.where(frames[:, 23] > 0, 100, -100)
            columns["temp_mc.meter"] = counts(
                unsigned(frames, 24, 2, little=True) * sign, has[HEAT]
            )
        return SampleBlock(t_ns, columns)


def _info(segment: bytes, t_ns: int) -> DeviceInfo:
    model, firmware, serial, boots, groups, group = struct.unpack_from("<HHIIBB", segment, 3)
    return DeviceInfo(
        t_ns,
        maker="FNIRSI",
        model=f"FNB{model}" if model in (48, 58) else f"model {model}",
        serial=f"{serial:06d}",
        firmware=f"{firmware / 100:.2f}",
        fields={"boot_count": boots, "groups": groups, "group": group},
    )


def _counters(segment: bytes, t_ns: int) -> Telemetry:
    group, energy, charge, record_s, powered_s = struct.unpack_from("<BIIII", segment, 3)
    return Telemetry(
        t_ns,
        {
            "energy_wh": energy / 100_000,
            "capacity_ah": charge / 100_000,
            "record_s": float(record_s),
            "power_on_s": float(powered_s),
            "group": float(group),
        },
        raw=segment,
    )
