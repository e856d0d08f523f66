"""One tokenizer for both frame kinds of an Atorch line, and the learning of its last byte.

A DL24 puts unasked FF 55 reports between a PX100 request and its reply, so one reader must know both
(README.md). Whether the last byte of a report is a checksum depends on model and firmware: it is
learned from the frames.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from denchi_protocol.checksum import sum8_rows
from denchi_protocol.codec import Frames
from denchi_protocol.framing import MORE, Verdict

REPORT, REPLY, COMMAND = 0x01, 0x02, 0x11
LENGTHS: Final = {REPORT: 36, REPLY: 8, COMMAND: 10}
AC, DC, USB = 0x01, 0x02, 0x03
PX_LENGTH: Final = 7
LONGEST: Final = 36

LEARN: Final = 3
"""Reports in a row that must fit before the checksum is enforced."""
RELEARN: Final = 8
"""The same on a line that has shown misfits: one byte fits by chance once in 256."""
UNLEARN: Final = 5
"""Misfits in a row after which an enforced checksum is given up."""


_INSIDE: Final = {
    usb: np.dtype(
        {
            "names": ["vh", "vl", "ah", "al", "temp", "min", "sec"],
            "formats": [">u2", "u1", ">u2", "u1", ">u2", "u1", "u1"],
            "offsets": [4, 6, 7, 9, *((21, 25, 26) if usb else (24, 28, 29))],
            "itemsize": 36,
        }
    )
    for usb in (True, False)
}


def checksum(frame: bytes) -> int:
    """Sum of all bytes between FF 55 and the last one, mod 256, XOR 44 hex."""
    return (sum(frame[2:-1]) & 0xFF) ^ 0x44


def _number(view: bytes, at: int, size: int) -> int:
    return int.from_bytes(view[at : at + size], "big")


def plausible(frame: bytes) -> bool:
    """Whether a report could be true at all: its clock, its volts, amperes and degrees."""
    usb = frame[3] == USB
    minutes, seconds = (frame[25], frame[26]) if usb else (frame[28], frame[29])
    volts = _number(frame, 4, 3) / (100 if usb else 10)
    amps = _number(frame, 7, 3) / (100 if usb else 1000)
    temp = _number(frame, 21 if usb else 24, 2)
    return minutes < 60 and seconds < 60 and volts < 500 and amps < 50 and temp < 200


class Tokenizer:
    """The rule for ``Framer``; keeps what was learned of the last byte."""

    STARTS = b"\xff\xca"

    def __init__(self) -> None:
        self.enforced = False
        self.fitted = False
        """Whether the last report that was taken fits its checksum and the line had shown no misfit."""
        self._fits = self._misfits = 0
        self._mixed = False
        self._ahead: list[tuple[int, bool]] = []

    def rule(self, view: bytes) -> Verdict:
        """Judge the bytes at a possible start."""
        if len(view) < 2:
            return MORE
        if view[0] == 0xCA:
            return self._px(view)
        if view[1] != 0x55:
            return 1, "FF without 55"
        if len(view) < 4:
            return MORE
        length = LENGTHS.get(view[2])
        if length is None or (view[2] == REPORT and view[3] not in (AC, DC, USB)):
            return 2, "no known report"
        if len(view) < length:
            return MORE
        return self._judge(view[:length])

    @staticmethod
    def _px(view: bytes) -> Verdict:
        if view[1] != 0xCB:
            return 1, "CA without CB"
        if len(view) < PX_LENGTH:
            return MORE
        if view[5:7] != b"\xce\xcf":
            return PX_LENGTH, "PX100 reply without its end"
        return PX_LENGTH, ""

    def _judge(self, frame: bytes) -> Verdict:
        fits = frame[-1] == checksum(frame)
        if frame[2] != REPORT:
            return (len(frame), "") if fits else (len(frame), "wrong checksum")
        if not plausible(frame):
            return len(frame), "values that cannot be"
        if fits:
            self._fits += 1
            self._misfits = 0
            if self._fits >= (RELEARN if self._mixed else LEARN):
                self.enforced, self._mixed = True, False
        else:
            self._fits = 0
            self._misfits += 1
            if self.enforced and self._misfits < UNLEARN:
                return len(frame), "wrong checksum"
            self.enforced, self._mixed = False, True
        self._note(1, fitted=fits and not self._mixed)
        return len(frame), ""

    def rows(self, rows: Frames) -> NDArray[np.bool_]:
        """Judge reports (n, 36) on a line whose last byte is known to be a checksum; else none at once."""
        if not self.enforced or self._mixed or rows.shape[1] != LENGTHS[REPORT]:
            return np.zeros(len(rows), np.bool_)
        usb = int(rows[0, 3]) == USB
        inside = rows.view(_INSIDE[usb])[:, 0]
        volts, amps = (
            inside[name + "h"].astype(np.int32) << 8 | inside[name + "l"] for name in ("v", "a")
        )
        good: NDArray[np.bool_] = (
            (sum8_rows(rows[:, 2:-1]) ^ np.uint8(0x44) == rows[:, -1])
            & np.logical_and.reduce(rows[:, :4] == np.array((0xFF, 0x55, REPORT, USB if usb else DC), np.uint8), axis=1)
            & (inside["min"] < 60)
            & (inside["sec"] < 60)
            & (volts < (50_000 if usb else 5_000))
            & (amps < (5_000 if usb else 50_000))
            & (inside["temp"] < 200)
        )  # fmt: skip
        count = len(good) if good.all() else int(np.argmin(good))
        if count:
            self._fits += count
            self._misfits = 0
            self._note(count, fitted=True)
        return good

    def _note(self, count: int, *, fitted: bool) -> None:
        if self._ahead and self._ahead[-1][1] == fitted:
            count += self._ahead.pop()[0]
        self._ahead.append((count, fitted))

    def taken(self, most: int) -> int:
        """Set ``fitted`` for the next reports that were judged alike, ``most`` at most: how many."""
        count, self.fitted = self._ahead.pop(0)
        if count > most:
            self._ahead.insert(0, (count - most, self.fitted))
        return min(count, most)
