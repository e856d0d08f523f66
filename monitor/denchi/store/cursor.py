"""How far an output has been delivered: spans of time for each instrument, and a place in the log.

An instrument's stamps strictly increase, so a span of time names its samples exactly, before and
after they are sealed. Usually there is one span an instrument, from its first sample on; while an
outage is being made good there are two: what was delivered before it, and the live end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

START_NS: Final = -(2**63)
Span = tuple[int, int]
"""Delivered: from_ns <= t < to_ns."""


def add_span(spans: Iterable[Span], new: Span) -> tuple[Span, ...]:
    """The union, joined where spans touch."""
    joined: list[Span] = []
    for start, end in sorted([*spans, new]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return tuple(joined)


def missing(spans: Iterable[Span], from_ns: int, to_ns: int) -> list[Span]:
    """The parts of [from_ns, to_ns) that are in no span, in order."""
    holes: list[Span] = []
    at = from_ns
    for start, end in sorted(spans):
        if start >= to_ns:
            break
        if start > at:
            holes.append((at, start))
        at = max(at, end)
    if at < to_ns:
        holes.append((at, to_ns))
    return holes


@dataclass(frozen=True, slots=True)
class Cursor:
    """An output's position. ``log``: last record delivered; ``done``: instruments delivered whole."""

    log: int = 0
    spans: Mapping[int, tuple[Span, ...]] = field(default_factory=dict)
    done: frozenset[int] = frozenset()
    below: int = 0
    """Every instrument with a smaller id is delivered whole."""
    labels: Mapping[int, tuple[tuple[int, str], ...]] = field(default_factory=dict)
    """What an output called an instrument's unit, from which stamp on: a retry must repeat it."""

    def has(self, instrument: int, from_ns: int, to_ns: int) -> bool:
        """Whether all samples with from_ns <= t <= to_ns of the instrument are delivered."""
        if instrument in self.done or instrument < self.below:
            return True
        return not missing(self.spans.get(instrument, ()), from_ns, to_ns + 1)

    def finished(self, instrument: int) -> bool:
        """Whether nothing more can come from this instrument."""
        return instrument in self.done or instrument < self.below

    def delivered(self, spans: Iterable[tuple[int, Span]], log: int | None = None) -> Cursor:
        """The cursor after delivering spans of instruments, and records up to ``log``."""
        all_spans = dict(self.spans)
        for instrument, span in spans:
            all_spans[instrument] = add_span(all_spans.get(instrument, ()), span)
        place = self.log if log is None else max(self.log, log)
        return replace(self, log=place, spans=all_spans)

    def finish(self, instruments: Iterable[int], *, below: int = 0) -> Cursor:
        """The cursor with ended instruments put away, so that it stays small for years."""
        done = self.done | frozenset(instruments)
        below = max(self.below, below)
        while below in done:
            below += 1
        done = frozenset(i for i in done if i >= below)
        spans = {i: s for i, s in self.spans.items() if i not in done and i >= below}
        return replace(self, spans=spans, done=done, below=below)

    def with_labels(self, labels: Mapping[int, tuple[tuple[int, str], ...]]) -> Cursor:
        """The cursor with other labels."""
        return replace(self, labels=labels)

    def to_json(self) -> dict[str, Any]:
        """As stored."""
        return {
            "log": self.log,
            "spans": {str(i): [list(s) for s in spans] for i, spans in self.spans.items()},
            "done": sorted(self.done),
            "below": self.below,
            "labels": {str(i): [list(x) for x in known] for i, known in self.labels.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Cursor:
        """From what was stored; nothing stored means nothing delivered."""
        return cls(
            int(data.get("log", 0)),
            {
                int(i): tuple((int(a), int(b)) for a, b in spans)
                for i, spans in data.get("spans", {}).items()
            },
            frozenset(int(i) for i in data.get("done", ())),
            int(data.get("below", 0)),
            {
                int(i): tuple((int(t), str(label)) for t, label in known)
                for i, known in data.get("labels", {}).items()
            },
        )
