"""Playback: a capture's chunks through a codec, which is told what was asked as well as what came.

Some replies do not name their request (PX100), so a codec that is only fed could not tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from denchi_protocol.capture import Chunk
from denchi_protocol.codec import Codec, Event, Send

_TURNS: Final = 16
"""How many sends or waits a codec may be away from a recorded request; a round has fewer."""


def asked(codec: Codec, request: bytes, t_ns: int) -> bool:
    """Bring ``codec`` to the point where it has sent ``request``; False when it never sends that.

    A capture of our own is in step at once. In one of another program's the codec's waits are passed
    over, so its time may run ahead of the capture's; only differences are ever used.
    """
    hook = getattr(codec, "asked", None)
    if callable(hook):  # replies of this family do not name their request
        hook(request, t_ns)
        return True
    now = t_ns
    for _ in range(_TURNS):
        action = codec.next(now)
        if isinstance(action, Send):
            if action.data == request:
                return True
        else:
            now = max(now + 1, action.until_ns)
    return False


def events(codec: Codec, chunks: Iterable[Chunk]) -> Iterator[list[Event]]:
    """Events of each received chunk, in order; at the end what was still being gathered, if anything."""
    last_ns = 0
    in_step = True
    for chunk in chunks:
        last_ns = chunk.t_ns
        if chunk.direction == "rx":
            yield codec.feed(chunk.data, chunk.t_ns)
        elif in_step:
            # Once it is plain that the recording program asks otherwise, its requests say nothing.
            in_step = asked(codec, chunk.data, chunk.t_ns)
    if rest := finish(codec, last_ns):
        yield rest


def finish(codec: Codec, t_ns: int) -> list[Event]:
    """What a codec still gathers at the end of a recording (a cycle of several frames)."""
    gathered = getattr(codec, "finish", None)
    return list(gathered(t_ns)) if callable(gathered) else []
