"""FNIRSI host side over Bluetooth LE: segments ``AA type length payload crc``.

Facts and their sources: README.md beside this file.
"""

from __future__ import annotations

import struct
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
    Rejected,
    Send,
    Telemetry,
    Wait,
)
from denchi_protocol.fields import as_frames, check_run
from denchi_protocol.framing import FIRST_LOOK, MORE, Framer, Junk, Mixed, Verdict
from denchi_protocol.meters.fnirsi.codec import IBUS_A, VBUS_V
from denchi_protocol.runs import ArrivalClock, Mark, News, Part, changes, woven
from denchi_protocol.samples import Int64s, SampleBlock
from denchi_protocol.table import Part as Bytes
from denchi_protocol.table import Table, Value, value

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
_BITS: Final = {kind: 1 << i for i, kind in enumerate(_PLACES)}
_VOLTS, _AMPS = round(VBUS_V[1] * 1e6), round(IBUS_A[1] * 1e6)


@lru_cache(maxsize=16)
def table(bits: int) -> Table:
    """Fields of a cycle that holds the segments of ``bits``."""
    has = {kind: bool(bits & bit) for kind, bit in _BITS.items()}
    fields: list[Value] = []
    if has[POWER]:
        fields += [
            value("vbus_uv", 3, "<I", 100, most=_VOLTS),
            value("ibus_ua", 7, "<I", 100, most=_AMPS),
        ]
    elif has[COARSE]:
        fields += [
            value("vbus_uv", 40, "<H", 1000, most=_VOLTS),
            value("ibus_ua", 42, "<H", 1000, most=_AMPS),
        ]
    if has[LINES]:
        fields += [value("dp_uv", 30, "<H", 1000), value("dm_uv", 32, "<H", 1000)]
    if has[HEAT]:
        fields.append(value("temp_mc.meter", 24, "<H", 100, minus=(Bytes(23, "B"), 0)))
    return Table(CYCLE, *fields)


_LENGTHS: Final = np.zeros(256, np.uint8)
for _kind, _length in LENGTHS.items():
    _LENGTHS[_kind] = _length


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


def _size(data: bytes, at: int) -> int:
    return OVERHEAD + data[at + 2] if data[at] == HEAD and at + 2 < len(data) else 0


def _rows(rows: Frames) -> NDArray[np.bool_]:
    good: NDArray[np.bool_] = (
        (rows[:, 0] == HEAD)
        & (_LENGTHS[rows[:, 1]] == rows[:, 2])
        & (rows[:, 2] == rows.shape[1] - OVERHEAD)
        & (CRC16_XMODEM.of_rows(rows[:, :-1]) & 0xFF == rows[:, -1])
    )
    return good


class FnirsiBleCodec:
    """One connection to a meter of the FNB58 / FNB48 family by Bluetooth LE."""

    def __init__(self) -> None:
        self._start = [IDENTIFY, START]
        longest = OVERHEAD + max(LENGTHS.values())
        self._framer = Framer(_rule, bytes([HEAD]), longest=longest, rows=_rows, size=_size)
        self._clock = ArrivalClock()
        self._news = News()
        self._cycle: dict[int, bytes] = {}
        self._ready_ns: int | None = None
        self._heard_ns = 0
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
        for piece in self._framer.feed_mixed(data):
            if isinstance(piece, Junk):
                events.append(Rejected(t_ns, piece.reason, piece.data))
                continue
            at = again = 0
            while at < len(piece):
                if at >= again and not self._cycle:
                    if steady := self._steady(piece, at, t_ns, events):
                        at += steady
                        continue
                    again = at + FIRST_LOOK  # no second try at each segment
                events += self._segment(piece.frame(at), t_ns)
                at += 1
        return events

    def _segment(self, segment: bytes, t_ns: int) -> list[Event]:
        kind = segment[1]
        if kind == INFO:
            return [_info(segment, t_ns)]
        if kind == COUNTERS:
            return [_counters(segment, t_ns)] if self._news.one(segment, t_ns) else []
        events = self._sample(t_ns) if kind in self._cycle else []
        self._cycle[kind] = segment
        if kind == HEAT and (POWER in self._cycle or COARSE in self._cycle):
            # The last of a cycle in the captures; waiting for more would cost 100 ms.
            events += self._sample(t_ns)
        return events

    def _steady(self, segments: Mixed, begin: int, t_ns: int, events: list[Event]) -> int:
        """Segments from ``begin`` on whose cycles all end as the captures' do are read at once: how many."""
        if len(segments) - begin < FIRST_LOOK:
            return 0
        kinds = segments.byte(1)[begin:]
        sampled = np.flatnonzero((kinds != INFO) & (kinds != COUNTERS))
        of_cycle = kinds[sampled]
        ends = sampled[of_cycle == HEAT]
        number = np.cumsum(of_cycle == HEAT) - (of_cycle == HEAT)
        whole = number < len(ends)
        bits = np.zeros(len(ends), np.int64)
        for kind, bit in _BITS.items():
            times = np.bincount(number[whole & (of_cycle == kind)], minlength=len(ends))
            bits += np.where(times == 1, bit, np.where(times > 1, 1 << 8, 0))
        good = (bits < 1 << 8) & (bits & (_BITS[POWER] | _BITS[COARSE]) != 0)
        cycles = len(good) if good.all() else int(np.argmin(good))
        if cycles == 0:
            return 0
        count = int(ends[cycles - 1]) + 1
        frames = np.zeros((cycles, CYCLE), np.uint8)
        for kind, (at, length) in _PLACES.items():
            which = np.flatnonzero((of_cycle == kind) & (number < cycles))
            if len(which):
                frames[number[which], at : at + length] = segments.frames(begin + sampled[which])
        stamps = self._clock.stamps(cycles, t_ns)
        parts: list[Part] = []
        for start, end in pairwise(changes(bits[:cycles])):
            run = slice(start, end)
            parts.append((ends[run], self.decode_run(frames[run], stamps[run])))
        events += woven(parts, self._marks(segments, begin, kinds[:count], t_ns))
        return count

    def _marks(
        self, segments: Mixed, begin: int, kinds: NDArray[np.uint8], t_ns: int
    ) -> list[Mark]:
        """What segments tell that belong to no cycle."""
        marks: list[Mark] = []
        for i in np.flatnonzero(kinds == INFO).tolist():
            marks.append((i, _info(segments.frame(begin + i), t_ns)))
        counters = np.flatnonzero(kinds == COUNTERS)
        if len(counters):
            frames = segments.frames(begin + counters)
            for i in self._news.among(frames, t_ns):
                marks.append((int(counters[i]), _counters(frames[i].tobytes(), t_ns)))
        return marks

    def finish(self, t_ns: int) -> list[Event]:
        """The sample that is still being gathered and the last counters, at the end of a recording."""
        told: list[Event] = [_counters(segment, t_ns) for segment in self._news.left()]
        return self._sample(t_ns) + told

    def _sample(self, t_ns: int) -> list[Event]:
        if not self._cycle:
            return []
        frame = bytearray(CYCLE)
        for kind, segment in self._cycle.items():
            at, length = _PLACES[kind]
            frame[at : at + length] = segment
        of = table(sum(_BITS[kind] for kind in self._cycle))
        self._cycle = {}
        return [of.block(as_frames(bytes(frame)), self._clock.stamps(1, t_ns))]

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode cycles (n, 45): segments 04, 05, 06, 07 as on the wire, zero where there was none.

        V and A of 07 (mV, mA) count only where 04 (0.1 mV, 0.1 mA) is absent.
        """
        check_run(frames, t_ns)
        if len(frames) == 1:
            bits = sum(_BITS[kind] for kind, (at, _) in _PLACES.items() if frames[0, at] == HEAD)
            return table(bits).block(frames, t_ns)
        of_rows = np.zeros(len(frames), np.int64)
        for kind, (at, _) in _PLACES.items():
            of_rows += (frames[:, at] == HEAD) * _BITS[kind]
        return SampleBlock.concat(
            [
                table(int(of_rows[start])).block(frames[start:end], t_ns[start:end])
                for start, end in pairwise(changes(of_rows))
            ]
        )


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
