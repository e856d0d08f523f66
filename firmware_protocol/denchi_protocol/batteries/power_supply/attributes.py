"""Talking to a folder of kernel attributes: names go out, one a line; ``name value`` lines come back.

An attribute that cannot be read answers ``name !ERRNO``: it has no value now.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from denchi_protocol.codec import Action, Rejected
from denchi_protocol.polling import Poller

MAX_LINE: Final = 512
_LINE: Final = re.compile(r"([A-Za-z0-9_:/-]{1,96}) (.*)\Z")
_WHOLE: Final = re.compile(r"([+-]?\d{1,18})\Z", re.ASCII)
_LEADING: Final = re.compile(r"([+-]?\d{1,18})[A-Za-z]*\Z", re.ASCII)

Answer = Mapping[str, str]
"""Attribute values by name; what could not be read is not in it."""


def whole(answer: Answer, name: str) -> int | None:
    """Integer attribute; None when it has no value or is no number."""
    found = _WHOLE.match(answer.get(name, ""))
    return int(found[1]) if found else None


def leading(answer: Answer, name: str) -> int | None:
    """Integer attribute that carries its unit (``5000mV``)."""
    found = _LEADING.match(answer.get(name, ""))
    return int(found[1]) if found else None


def parse(data: bytes) -> dict[str, str]:
    """Values of whole answer lines; lines that are none, and errors, are left out."""
    values: dict[str, str] = {}
    for line in data.decode("utf-8", "replace").split("\n"):
        found = _LINE.match(line.rstrip("\r"))
        if found and not found[2].startswith("!"):
            values[found[1]] = found[2].strip()
    return values


class Attributes:
    """Asks for the names of a plan, round after round, and gathers the lines of each answer.

    ``last``: the name that every plan ends with; its line ends an answer, with or without a request (a
    capture has none).
    """

    def __init__(self, plan: Callable[[], Sequence[str]], *, last: str, period_ms: float) -> None:
        self._plan = plan
        self._last = last.encode("ascii")
        self._poller = Poller(self._requests, period_ms=period_ms, resend_ms=1000, tries=1)
        self._held = b""
        self._lines: list[bytes] = []

    def _requests(self) -> list[bytes]:
        self._held, self._lines = b"", []
        names = self._plan()
        return ["\n".join([*names, ""]).encode("ascii")] if names else []

    def next(self, now_ns: int) -> Action:
        """Ask, or wait."""
        return self._poller.next(now_ns)

    def feed(self, data: bytes, t_ns: int) -> list[bytes | Rejected]:
        """Take bytes; whole answers (their lines, as they came) and what was no line, in order."""
        out: list[bytes | Rejected] = []
        for line in self._cut(data):
            if not _LINE.match(line.decode("utf-8", "replace").strip()):
                out.append(Rejected(t_ns, "no attribute line", line))
                continue
            self._lines.append(line)
            if line.split(b" ")[0] == self._last:
                self._poller.answered(t_ns)
                out.append(b"\n".join([*self._lines, b""]))
                self._lines = []
        del self._lines[:-256]
        return out

    def _cut(self, data: bytes) -> list[bytes]:
        """Whole lines; of a line without end, pieces as long as the longest (whatever the reads were)."""
        held, lines = self._held + data, []
        at = 0
        while True:
            end = held.find(b"\n", at, at + MAX_LINE + 1)
            if end >= 0:
                lines.append(held[at:end])
                at = end + 1
            elif len(held) - at > MAX_LINE:
                lines.append(held[at : at + MAX_LINE])
                at += MAX_LINE
            else:
                break
        self._held = held[at:]
        return lines
