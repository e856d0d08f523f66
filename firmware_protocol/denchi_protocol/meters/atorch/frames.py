"""One tokenizer for both frame kinds of an Atorch line, and the learning of its last byte.

A DL24 puts unasked FF 55 reports between a PX100 request and its reply, so one reader must know both
(README.md). Whether the last byte of a report is a checksum depends on model and firmware: it is
learned from the frames.
"""

from __future__ import annotations

from typing import Final

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
        """Whether the last accepted report's checksum fits and the line has shown no misfit."""
        self._fits = self._misfits = 0
        self._mixed = False

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
        self.fitted = fits and not self._mixed
        return len(frame), ""
