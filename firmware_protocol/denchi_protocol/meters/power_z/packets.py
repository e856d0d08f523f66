"""POWER-Z replies: header, chained packets, their gates. Facts and sources: README.md beside this file.

There is no checksum and no start mark, so what is taken for a reply has to be one through and
through: known attributes of known sizes, a supply of about 3.3 V, averages that fit each other,
PD events without a remainder.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denchi_protocol.codec import Frames
from denchi_protocol.framing import MORE, Verdict

PUT_DATA: Final = 0x41
ACCEPT, REJECT, NOT_READABLE = 0x05, 0x06, 0x27
CONTROL: Final = frozenset((ACCEPT, REJECT, NOT_READABLE))
STARTS: Final = bytes((PUT_DATA, ACCEPT, REJECT, NOT_READABLE))

ADC, QUEUE, SETTINGS, PD = 0x01, 0x02, 0x08, 0x10
ADC_SIZES: Final = (44, 40)
QUEUE_SIZE: Final = 20
SETTINGS_SIZE: Final = 180
PD_STATUS: Final = 12
LONGEST: Final = 4 + (4 + 44) + (4 + 63 * QUEUE_SIZE) + (4 + 1023)

CONNECTION: Final = 0x45
PD_FLAG: Final = 0x80
SOPS: Final = ("SOP", "SOP'", "SOP''", "SOP'_Debug", "SOP''_Debug")


class Packet(NamedTuple):
    """One logical packet of a reply: attribute and payload."""

    att: int
    payload: bytes


class PdEvent(NamedTuple):
    """One event of a PD packet: a message (``wire``) or a connection (``code``), at device time ms."""

    ms: int
    ms_bits: int
    code: int
    sop: str
    wire: bytes


def _extended(view: bytes, at: int) -> tuple[int, bool, int]:
    """Attribute, whether another follows, payload length (-1: not one that is known)."""
    (word,) = struct.unpack_from("<I", view, at)
    att, chunk, size = word & 0x7FFF, word >> 16 & 0x3F, word >> 22
    known = (
        (att == ADC and size in ADC_SIZES and chunk == 0)
        or (att == QUEUE and size == QUEUE_SIZE and chunk > 0)
        or (att == SETTINGS and size == SETTINGS_SIZE)
        or (att == PD and size >= PD_STATUS)
    )
    length = size * chunk if att == QUEUE else size
    return att, bool(word & 0x8000), length if known else -1


def rule(view: bytes) -> Verdict:
    """Framer rule: one whole reply."""
    if len(view) < 4:
        return MORE
    if view[0] in CONTROL:
        return (4, "") if view[2] == 0 and view[3] == 0 else (1, "no reply header")
    if view[2] >> 6 == 0 and view[3] == 0:
        return 4, ""  # a reply without objects
    at, more = 4, True
    while more:
        if len(view) < at + 4:
            return MORE
        att, more, length = _extended(view, at)
        if length < 0:
            return 1, "unknown packet"
        at += 4
        if len(view) < at + length:
            return MORE
        if reason := _doubt(att, view[at : at + length]):
            return at + length, reason
        at += length
    return at, ""


def _word(att: int, size: int, *, count: int = 0, more: bool = False) -> bytes:
    return struct.pack("<I", att | more << 15 | count << 16 | size << 22)


ADC_REPLIES: Final = {
    8 + size + (4 + PD_STATUS if pd else 0): (
        size,
        _word(ADC, size, more=pd),
        _word(PD, PD_STATUS) if pd else b"",
    )
    for size in ADC_SIZES
    for pd in (False, True)
}
"""Length of a reply of one ADC packet, and where asked for one PD packet without events: its size, both headers."""
_ADC_CHECKED: Final = np.dtype(
    {
        "names": ["v", "a", "raw_v", "raw_a", "supply"],
        "formats": ["<i4", "<i4", "<i4", "<i4", "<u2"],
        "offsets": [8, 12, 16, 20, 34],
        "itemsize": min(ADC_SIZES),
    }
)


def adc_size(rows: Frames) -> int:
    """Bytes of the ADC packet of replies (n, length) that ``rule`` found whole; 0 when one is no plain ADC reply."""
    size, first, second = ADC_REPLIES.get(rows.shape[1], (0, b"", b""))
    if not size:
        return 0
    if len(rows) == 1:
        reply = rows.tobytes()
        same = reply[4:8] == first and reply[8 + size : 12 + size] == second
        return size if same and reply[0] == PUT_DATA else 0
    return size if _headed(rows, size, first, second).all() else 0


def _headed(rows: Frames, size: int, first: bytes, second: bytes) -> NDArray[np.bool_]:
    good: NDArray[np.bool_] = (rows[:, 0] == PUT_DATA) & ((rows[:, 2] > 63) | (rows[:, 3] != 0))
    for at, word in ((4, first), (8 + size, second)):
        if word:
            wanted = np.frombuffer(word, np.uint8)
            good &= np.logical_and.reduce(rows[:, at : at + 4] == wanted, axis=1)
    return good


def _check_adc(rows: Frames) -> NDArray[np.bool_]:
    size, first, second = ADC_REPLIES[rows.shape[1]]
    inside = rows[:, 8 : 8 + _ADC_CHECKED.itemsize].view(_ADC_CHECKED)[:, 0]
    good = _headed(rows, size, first, second)
    good &= (inside["supply"] >= 25_000) & (inside["supply"] <= 42_000)
    for name in ("v", "a"):
        smooth = inside[name].astype(np.int64)
        good &= np.abs(smooth - inside["raw_" + name]) <= 50_000 + np.abs(smooth) // 20
    return good


def check_rows(rows: Frames) -> NDArray[np.bool_]:
    """Replies of one AdcQueue packet, as a stream has them, or plain ADC replies; others are judged alone."""
    if rows.shape[1] in ADC_REPLIES:
        return _check_adc(rows)
    return check_queue(rows)


def headed_queue(rows: Frames) -> NDArray[np.bool_]:
    """Which rows (n, length) have the header of a reply of one AdcQueue packet of that length."""
    count, rest = divmod(rows.shape[1] - 8, QUEUE_SIZE)
    if rest or not 0 < count < 64:
        return np.zeros(len(rows), np.bool_)
    header = np.frombuffer(struct.pack("<I", QUEUE | count << 16 | QUEUE_SIZE << 22), np.uint8)
    good: NDArray[np.bool_] = (
        (rows[:, 0] == PUT_DATA)
        & ((rows[:, 2] > 63) | (rows[:, 3] != 0))
        & np.logical_and.reduce(rows[:, 4:8] == header, axis=1)
    )
    return good


def check_queue(rows: Frames) -> NDArray[np.bool_]:
    """Replies of one AdcQueue packet."""
    good = headed_queue(rows)
    if not good.any():
        return good
    volts = queue_samples(rows).view(SAMPLE)["v"][..., 0]
    if max(int(volts.max()), -int(volts.min())) >= 80_000_000:
        good &= (np.abs(volts.astype(np.int64)) < 80_000_000).all(axis=1)
    return good


SAMPLE: Final = np.dtype(
    [("seq", "<u2"), ("", "<u2"), ("v", "<i4"), ("a", "<i4"),
     ("cc1", "<u2"), ("cc2", "<u2"), ("dp", "<u2"), ("dm", "<u2")]
)  # fmt: skip


def queue_samples(rows: Frames) -> Frames:
    """The samples (n, count, 20) of replies (n >= 1, length) that hold one AdcQueue packet, uncopied."""
    return rows[:, 8:].reshape(len(rows), -1, QUEUE_SIZE)


def _doubt(att: int, payload: bytes) -> str:
    """What speaks against a packet being one, empty when nothing does."""
    if att == ADC:
        return _doubt_adc(payload)
    if att == QUEUE:
        volts = [v for _, _, v, *_ in struct.iter_unpack("<HHiiHHHH", payload)]
        return "" if all(abs(v) < 80_000_000 for v in volts) else "values that cannot be"
    if att == PD and pd_events(payload) is None:
        return "PD events that cannot be"
    return ""


def _doubt_adc(payload: bytes) -> str:
    smooth_v, smooth_a, raw_v, raw_a = struct.unpack_from("<4i", payload, 8)
    (supply,) = struct.unpack_from("<H", payload, 34)
    if not 25_000 <= supply <= 42_000:
        return "supply voltage that cannot be"
    # The same quantity with and without calibration: 0.1 mV and 2.3 mA apart in the captures.
    if abs(smooth_v - raw_v) > 50_000 + abs(smooth_v) // 20:
        return "voltages that do not fit each other"
    if abs(smooth_a - raw_a) > 50_000 + abs(smooth_a) // 20:
        return "currents that do not fit each other"
    return ""


def packets(reply: bytes) -> Iterator[Packet]:
    """The packets of a reply that ``rule`` has found whole."""
    at, more = 4, len(reply) > 4
    while more:
        att, more, length = _extended(reply, at)
        yield Packet(att, reply[at + 4 : at + 4 + length])
        at += 4 + length


def pd_events(payload: bytes) -> list[PdEvent] | None:
    """Events after the status of a PD packet; None when they do not fill it exactly."""
    events: list[PdEvent] = []
    at = PD_STATUS
    while at < len(payload):
        flag = payload[at]
        if flag == CONNECTION:
            if at + 6 > len(payload) or payload[at + 4] != 0:
                return None
            ms = int.from_bytes(payload[at + 1 : at + 4], "little")
            events.append(PdEvent(ms, 24, payload[at + 5], "", b""))
            at += 6
            continue
        length = (flag & 0x3F) - 5
        end = at + 6 + length
        if not flag & PD_FLAG or length < 0 or end > len(payload) or payload[at + 5] >= len(SOPS):
            return None
        ms = int.from_bytes(payload[at + 1 : at + 5], "little")
        events.append(PdEvent(ms, 32, 0, SOPS[payload[at + 5]], payload[at + 6 : end]))
        at = end
    return events
