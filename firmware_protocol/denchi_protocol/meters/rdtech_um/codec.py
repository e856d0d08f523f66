"""UM24C / UM25C / UM34C host side: one byte F0 asks, 130 big-endian bytes answer.

Layout, scales and their sources: README.md beside this file. The other one-byte commands change the
meter's screen, groups or limits and are never built here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
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
from denchi_protocol.confirm import Confirm
from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.fields import check_run
from denchi_protocol.framing import MORE, Framer, Junk, Verdict
from denchi_protocol.polling import Poller
from denchi_protocol.runs import ArrivalClock, News, changes, in_order
from denchi_protocol.samples import Int64s, SampleBlock
from denchi_protocol.table import Table, value

ASK: Final = b"\xf0"
LENGTH: Final = 130


@dataclass(frozen=True, slots=True)
class Model:
    """Scales of one model: microvolts and microamperes a count, largest believable counts."""

    name: str
    uv: int
    ua: int
    max_v: float = 36.0
    max_a: float = 6.0


MODELS: Final = {
    0x0963: Model("UM24C", 10_000, 1_000),
    0x09C9: Model("UM25C", 1_000, 100),
    0x0D4C: Model("UM34C", 10_000, 1_000),
}
TABLES: Final = {
    number: Table(
        LENGTH,
        value("vbus_uv", 2, ">H", model.uv),
        value("ibus_ua", 4, ">H", model.ua),
        value("dp_uv", 96, ">H", 10_000),
        value("dm_uv", 98, ">H", 10_000),
        value("temp_mc.meter", 10, ">H", 1000),
    )
    for number, model in MODELS.items()
}
END: Final = b"\xff\xf1"
UM34C: Final = 0x0D4C
# Positions whose XOR is byte 129 of an UM34C (sigrok; single source).
XOR_AT: Final = (
    1, 3, 7, 9, 15, 17, 19, 23, 31, 39, 41, 45, 49, 53, 55, 57, 59, 63, 67, 69, 73, 79, 83, 89, 97, 99,
    109, 111, 113, 119, 121, 127,
)  # fmt: skip
CHARGE_MODES: Final = (
    "unknown", "QC2", "QC3", "APP2.4A", "APP2.1A", "APP1.0A", "APP0.5A", "DCP1.5A", "Samsung",
)  # fmt: skip


def tail_fits(frame: bytes) -> bool:
    """Whether the last bytes are those of the model: FF F1, or the UM34C's XOR."""
    if int.from_bytes(frame[:2], "big") != UM34C:
        return frame[128:130] == END
    value = 0
    for at in XOR_AT:
        value ^= frame[at]
    return value == frame[129]


def _u16(view: bytes, at: int) -> int:
    return int.from_bytes(view[at : at + 2], "big")


def _rule(view: bytes) -> Verdict:
    if len(view) < 2:
        return MORE
    model = MODELS.get(_u16(view, 0))
    if model is None:
        return 1, "no known model id"
    if len(view) < LENGTH:
        return MORE
    # No sum covers the frame, so what must agree inside it has to: both temperature scales, the
    # group number, and what the meter can show at all.
    celsius, fahrenheit = _u16(view, 10), _u16(view, 12)
    if abs(celsius * 9 / 5 + 32 - fahrenheit) > 2:
        return LENGTH, "degrees C and F disagree"
    if _u16(view, 14) > 9:
        return LENGTH, "group above 9"
    if _u16(view, 2) * model.uv > model.max_v * 1e6 or _u16(view, 4) * model.ua > model.max_a * 1e6:
        return LENGTH, "more than the meter can measure"
    return LENGTH, ""


_HEAD: Final = np.dtype(">u2")


def _rows(rows: Frames) -> NDArray[np.bool_]:
    """Replies of the first row's model; another one's are judged alone."""
    head = rows[:, :16].view(_HEAD).astype(np.int32)
    model = MODELS.get(int(head[0, 0]))
    if model is None:
        return np.zeros(len(rows), np.bool_)
    good: NDArray[np.bool_] = (
        (head[:, 0] == head[0, 0])
        # abs(C * 9 / 5 + 32 - F) <= 2, in integers.
        & (np.abs(head[:, 5] * 9 + 160 - head[:, 6] * 5) <= 10)
        & (head[:, 7] <= 9)
        & (head[:, 1] * model.uv <= model.max_v * 1e6)
        & (head[:, 2] * model.ua <= model.max_a * 1e6)
    )
    return good


class UmCodec:
    """One connection to an UM24C, UM25C or UM34C; the frame says which it is."""

    def __init__(self) -> None:
        self._framer = Framer(
            _rule, bytes(sorted({m >> 8 for m in MODELS})), longest=LENGTH, rows=_rows
        )
        # At most one request in 100 ms (SG); half a second is common and enough for 130 bytes at
        # 9600 baud (135 ms) over a radio.
        self._poller = Poller(lambda: (ASK,), period_ms=500, resend_ms=1000, tries=1)
        self._expired = 0
        self._confirm = Confirm()
        self._known = ""
        self._clock = ArrivalClock()
        self._news = News()

    def next(self, now_ns: int) -> Action:
        """Ask for a reading, or wait for it."""
        return self._poller.next(now_ns)

    def close(self, now_ns: int) -> Closing:
        """Nothing to stop: the meter only ever answers."""
        return Done()

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; every whole reply becomes its events."""
        pieces: list[Frames | Junk] = []
        if self._poller.expired != self._expired:
            self._expired = self._poller.expired
            pieces += [p for p in self._framer.flush() if isinstance(p, Junk)]
        pieces += self._framer.feed_runs(data)
        events: list[Event] = []
        for piece in pieces:
            if isinstance(piece, Junk):
                events.append(Rejected(t_ns, piece.reason, piece.data))
                continue
            self._poller.answered(t_ns)
            model = piece[:, :2].view(_HEAD)[:, 0]
            for start, end in pairwise(changes(model)):
                events += self._replies(piece[start:end], int(model[start]), t_ns)
        return events

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode whole replies of one model (n, 130). Raises ``LocalProtocolError`` for a mixed run."""
        check_run(frames, t_ns)
        number = int(frames[0, 0]) << 8 | int(frames[0, 1])
        if number not in TABLES or (frames[:, :2] != frames[0, :2]).any():
            raise LocalProtocolError("a run holds replies of one known model")
        return TABLES[number].block(frames, t_ns)

    def _replies(self, frames: Frames, model: int, t_ns: int) -> list[Event]:
        events: list[Event] = []
        name = MODELS[model].name
        if name != self._known:
            self._known = name
            events.append(DeviceInfo(t_ns, maker="RuiDeng", model=name))
        block = TABLES[model].block(frames, self._clock.stamps(len(frames), t_ns))
        told = [(i, _counters(frames[i].tobytes(), t_ns)) for i in self._news.among(frames, t_ns)]
        for part in in_order(block, told):
            if isinstance(part, SampleBlock):
                events += self._confirm.pass_on(part, t_ns)
            else:
                events.append(part)
        return events

    def finish(self, t_ns: int) -> list[Event]:
        """The counters of the last reply, at the end of a recording."""
        return [_counters(frame, t_ns) for frame in self._news.left()]


def _counters(frame: bytes, t_ns: int) -> Telemetry:
    group = 16 + 8 * _u16(frame, 14)
    mode = _u16(frame, 100)
    values = {
        "power_w": int.from_bytes(frame[6:10], "big") / 1000,
        "resistance_ohm": int.from_bytes(frame[122:126], "big") / 10,
        "group": float(_u16(frame, 14)),
        "capacity_ah": int.from_bytes(frame[group : group + 4], "big") / 1000,
        "energy_wh": int.from_bytes(frame[group + 4 : group + 8], "big") / 1000,
        "recorded_ah": int.from_bytes(frame[102:106], "big") / 1000,
        "recorded_wh": int.from_bytes(frame[106:110], "big") / 1000,
        "charge_mode": float(mode if mode < len(CHARGE_MODES) else 0),
        "tail_fits": float(tail_fits(frame)),
    }
    return Telemetry(t_ns, values)
