"""A wire between a codec and an emulator, or a capture and a codec; no I/O, time in steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from denchi_protocol import capture
from denchi_protocol.codec import Codec, Done, Emulator, Event, Send, Telemetry
from denchi_protocol.samples import SampleBlock
from support import CAPTURES

MS = 1_000_000
T0 = 1_700_000_000_000_000_000


def converse(
    codec: Codec,
    emulator: Emulator,
    *,
    for_s: float = 5.0,
    step_ms: float = 5.0,
    t0: int = T0,
    chunk: int = 0,
    sent: list[bytes] | None = None,
) -> list[Event]:
    """Let both sides talk for ``for_s`` seconds of argument time; events in order."""
    events: list[Event] = []
    for step in range(int(for_s * 1000 / step_ms)):
        now = t0 + int(step * step_ms * MS)
        for _ in range(8):
            action = codec.next(now)
            if not isinstance(action, Send):
                break
            if sent is not None:
                sent.append(action.data)
            emulator.receive(action.data, now)
        else:
            raise AssertionError("the codec sends without end at one instant")
        for _ in range(4096):
            answer = emulator.next(now)
            if not isinstance(answer, Send):
                break
            data = answer.data
            size = chunk or len(data) or 1
            for at in range(0, len(data), size):
                events += codec.feed(data[at : at + size], now)
        else:
            raise AssertionError("the emulator sends without end at one instant")
    return events


def finish(codec: Codec, emulator: Emulator, now: int, sent: list[bytes]) -> None:
    """Close the codec; what it sends goes to ``sent``."""
    for _ in range(1000):
        action = codec.close(now)
        if isinstance(action, Done):
            return
        if isinstance(action, Send):
            sent.append(action.data)
            emulator.receive(action.data, now)
        else:
            now = max(now + MS, action.until_ns)
    raise AssertionError("close never comes to Done")


def blocks(events: Iterable[Event]) -> list[SampleBlock]:
    """Only the samples."""
    return [event for event in events if isinstance(event, SampleBlock)]


def joined(events: Iterable[Event]) -> SampleBlock:
    """All samples in one block."""
    return SampleBlock.concat(blocks(events))


def telemetry(events: Iterable[Event]) -> list[Telemetry]:
    """Only the telemetry."""
    return [event for event in events if isinstance(event, Telemetry)]


def captures(family: str) -> Sequence[Path]:
    """The family's capture files."""
    return sorted((CAPTURES / family).glob("*.jsonl"))


def read_capture(path: Path) -> capture.Capture:
    """One capture."""
    with path.open(encoding="utf-8") as stream:
        return capture.read(stream)
