"""Smart Battery, as a kernel supply (attribute lines) or as SMBus words; README.md beside this file."""

from __future__ import annotations

import numpy as np

from denchi_protocol.batteries.power_supply.codec import PowerSupplyCodec
from denchi_protocol.batteries.sbs.words import LENGTH, SAMPLED, WRITE, Words, rule
from denchi_protocol.codec import Action, Closing, Done, Event, Frames, Rejected
from denchi_protocol.fields import as_frames
from denchi_protocol.framing import Framer, Junk
from denchi_protocol.samples import Int64s, SampleBlock

WORD_START = bytes([WRITE])


class SbsCodec:
    """One pack. What it is fed decides: attribute lines or transactions, not both."""

    def __init__(self) -> None:
        self._supply = PowerSupplyCodec()
        self._words = Words()
        self._framer: Framer | None = None

    def next(self, now_ns: int) -> Action:
        """Ask for the attributes once a second."""
        return self._supply.next(now_ns)

    def close(self, now_ns: int) -> Closing:
        """Nothing to stop."""
        return Done()

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; every whole answer or transaction becomes its events."""
        if self._framer is None:
            at = data.find(WORD_START)
            if at < 0:
                return self._supply.feed(data, t_ns)
            self._framer = Framer(rule, WORD_START, longest=LENGTH)
        events: list[Event] = []
        for piece in self._framer.feed(data):
            if isinstance(piece, Junk):
                events.append(Rejected(t_ns, piece.reason, piece.data))
            elif piece[1] in SAMPLED:
                block = self._words.decode_run(as_frames(piece), np.array([t_ns], np.int64))
                events.append(block)
            else:
                events += self._words.told(piece, t_ns)
        return events

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode transactions (n, 6) of one command, or attribute answers (n, length)."""
        if frames.ndim == 2 and len(frames) and frames[0, 0] == WRITE:
            return self._words.decode_run(frames, t_ns)
        return self._supply.decode_run(frames, t_ns)
