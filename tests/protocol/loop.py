"""The driving loop in memory: codec and emulator on one wire, under a clock that only the loop moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from denchi_protocol.codec import Codec, Done, Emulator, Event, Send
from denchi_protocol.samples import SampleBlock

MS = 1_000_000
S = 1_000 * MS
T0 = 1_700_000_000 * S
AT_ONE_INSTANT = 4096


@dataclass
class Talk:
    """What happened on the wire."""

    now_ns: int
    events: list[Event] = field(default_factory=list)
    sent: list[tuple[int, bytes]] = field(default_factory=list)
    got: list[tuple[int, bytes]] = field(default_factory=list)
    done: bool = False

    def of(self, kind: type) -> list:
        """The events of one type."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def block(self) -> SampleBlock:
        """All samples in one block."""
        return SampleBlock.concat(self.of(SampleBlock))

    @property
    def requests(self) -> list[bytes]:
        """What was sent, without times."""
        return [data for _, data in self.sent]


Deliver = Callable[[bytes], list[bytes]]


def drive(
    codec: Codec,
    emulator: Emulator,
    *,
    now_ns: int = T0,
    for_ns: int = 3 * S,
    closing: bool = False,
    deliver: Deliver = lambda data: [data],
) -> Talk:
    """Let them talk for ``for_ns`` (or until Done when closing); ``deliver`` may cut or spoil what arrives."""
    talk = Talk(now_ns)
    end = now_ns + for_ns
    instant, turns = now_ns, 0
    while talk.now_ns < end:
        now = talk.now_ns
        turns = turns + 1 if now == instant else 0
        instant = now
        assert turns < AT_ONE_INSTANT, "no end of sending at one instant"
        action = (codec.close if closing else codec.next)(now)
        if isinstance(action, Done):
            talk.done = True
            return talk
        if isinstance(action, Send):
            talk.sent.append((now, action.data))
            emulator.receive(action.data, now)
            continue
        answer = emulator.next(now)
        if isinstance(answer, Send):
            talk.got.append((now, answer.data))
            for piece in deliver(answer.data):
                talk.events += codec.feed(piece, now)
            continue
        talk.now_ns = max(now + 1, min(action.until_ns, answer.until_ns, end))
    return talk


def hang_up(codec: Codec, emulator: Emulator, *, now_ns: int) -> Talk:
    """Close the codec; it must come to Done."""
    talk = drive(codec, emulator, now_ns=now_ns, for_ns=60 * S, closing=True)
    assert talk.done, "close never came to Done"
    return talk


def values(block: SampleBlock, name: str) -> np.ndarray:
    """The measured values of a channel, SI."""
    series = block.si(name)
    return series[~np.isnan(series)]
