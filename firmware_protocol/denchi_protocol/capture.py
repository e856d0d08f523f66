"""Capture files: what went over a wire, as JSON lines a person can read in a diff.

First line: ``{"denchi_capture": 1, "meter": KEY, "firmware": ..., "provenance": ..., "synthetic": bool}``.
Then one line a chunk: ``{"t_ns": 123, "dir": "rx", "hex": "aa04..."}``; ``rx`` came from the device,
``tx`` went to it. Extra keys (``note``, ``expect``) are kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TextIO

from denchi_protocol.errors import CaptureError

FORMAT = 1


@dataclass(frozen=True, slots=True)
class CaptureHeader:
    """Where a capture comes from. ``provenance`` names the source; ``synthetic`` says it is made up."""

    meter: str
    provenance: str
    firmware: str = ""
    synthetic: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """The header line."""
        head = {
            "denchi_capture": FORMAT,
            "meter": self.meter,
            "firmware": self.firmware,
            "provenance": self.provenance,
            "synthetic": self.synthetic,
        }
        return json.dumps(head | dict(self.extra), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Chunk:
    """One read or write: ``t_ns``, direction and bytes, with any further keys of its line."""

    t_ns: int
    direction: Literal["rx", "tx"]
    data: bytes
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """The chunk's line."""
        line = {"t_ns": self.t_ns, "dir": self.direction, "hex": self.data.hex()}
        return json.dumps(line | dict(self.extra), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Capture:
    """A whole capture in memory."""

    header: CaptureHeader
    chunks: tuple[Chunk, ...]

    def received(self) -> list[Chunk]:
        """Only what came from the device."""
        return [chunk for chunk in self.chunks if chunk.direction == "rx"]

    def dump(self) -> str:
        """The file's text."""
        return "\n".join([self.header.to_json(), *(c.to_json() for c in self.chunks)]) + "\n"


def _object(text: str, line: int) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CaptureError(f"not JSON ({error})", line=line) from None
    if not isinstance(value, dict):
        raise CaptureError("expected a JSON object", line=line)
    return value


def read_header(text: str) -> CaptureHeader:
    """Parse the first line of a capture. Raises ``CaptureError`` when it is not one."""
    head = _object(text, 1)
    if head.pop("denchi_capture", None) != FORMAT:
        raise CaptureError(f"not a denchi capture of format {FORMAT}", line=1)
    try:
        return CaptureHeader(
            meter=str(head.pop("meter")),
            provenance=str(head.pop("provenance")),
            firmware=str(head.pop("firmware", "")),
            synthetic=bool(head.pop("synthetic", False)),
            extra=head,
        )
    except KeyError as missing:
        raise CaptureError(f"header lacks {missing}", line=1) from None


def read_chunks(lines: Iterable[str]) -> Iterator[Chunk]:
    """Parse the lines after the header. An incomplete last line is left out (a kill may cut it)."""
    held: tuple[str, int] | None = None
    for number, text in enumerate(lines, 2):
        if held is not None:
            yield _chunk(*held)
            held = None
        if text.strip():
            held = (text, number)
    if held is not None:
        if held[0].endswith("\n"):
            yield _chunk(*held)
        else:
            try:
                last = _chunk(*held)
            except CaptureError:
                return
            yield last


def _chunk(text: str, line: int) -> Chunk:
    value = _object(text, line)
    try:
        t_ns, direction, data = (
            int(value.pop("t_ns")),
            value.pop("dir"),
            bytes.fromhex(value.pop("hex")),
        )
    except KeyError as missing:
        raise CaptureError(f"lacks {missing}", line=line) from None
    except (TypeError, ValueError) as error:
        raise CaptureError(str(error), line=line) from None
    if direction not in ("rx", "tx"):
        raise CaptureError(f"dir is {direction!r}, expected rx or tx", line=line)
    return Chunk(t_ns, direction, data, value)


def read(stream: TextIO) -> Capture:
    """Read a whole capture. Raises ``CaptureError`` with the line number."""
    first = stream.readline()
    if not first.strip():
        raise CaptureError("empty file, expected a capture header", line=1)
    return Capture(read_header(first), tuple(read_chunks(stream)))
