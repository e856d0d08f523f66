"""Rows out of a damaged SQLite file page by page, where its trees can no longer be walked.

A table's leaf pages hold whole rows; only the pages above them say where they are. So every page that
looks like a table leaf is read by itself (file format: sqlite.org/fileformat2.html, §1.6 and §2.1),
and a row is taken for a table by the number and kinds of its columns. Blobs pass their own checksum
afterwards. Pages on the free list are left out: what was deleted stays deleted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

LEAF: Final = 0x0D
_SIZES: Final = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)
MAX_PAYLOAD: Final = 64 << 20

SHAPES: Final[dict[str, tuple[str, ...]]] = {
    # i integer or null, t text, T text or null, b blob; the first column of an id table is null on disk
    "segment": ("n", "i", "i", "i", "i", "b"),
    "rollup": ("i", "i", "i", "b"),
    "session": ("t", "t", "i", "i", "t", "t", "t", "t", "t", "t", "t", "i", "T", "t"),
    "instrument": ("n", "t", "t", "t", "t", "t", "t", "t", "t", "t", "i", "i", "i", "i"),
    "gap": ("n", "t", "i", "i", "i", "t", "i"),
    "finding": ("t", "t", "i", "i", "t"),
    "pd": ("n", "t", "i", "t", "b", "i"),
    "event": ("n", "T", "i", "t", "t"),
    "unit": ("t", "t", "i", "i"),
    "unit_record": ("n", "t", "t", "i", "t"),
}
"""Kinds of the columns that version 1 had; later versions only added integers behind them."""


def _varint(page: bytes, at: int) -> tuple[int, int]:
    value = 0
    for i in range(9):
        byte = page[at + i]
        if i == 8:
            return (value << 8) | byte, at + 9
        value = (value << 7) | (byte & 0x7F)
        if not byte & 0x80:
            return value, at + i + 1
    raise IndexError


class Pages:
    """The file as pages."""

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()
        head = self._data[:100]
        size = struct.unpack(">H", head[16:18])[0] if head[:15] == b"SQLite format 3" else 4096
        self.size = 65536 if size == 1 else size
        if self.size < 512 or self.size & (self.size - 1):
            self.size = 4096
        reserved = head[20] if head[:15] == b"SQLite format 3" else 0
        self.usable = self.size - (reserved if reserved < 64 else 0)
        self.count = len(self._data) // self.size

    def page(self, number: int) -> bytes:
        """Page by its number from 1."""
        return self._data[(number - 1) * self.size : number * self.size]

    def free(self) -> set[int]:
        """Pages on the free list, as far as it can be followed."""
        found: set[int] = set()
        number = struct.unpack(">I", self._data[32:36])[0] if len(self._data) > 100 else 0
        while 0 < number <= self.count and number not in found:
            found.add(number)
            page = self.page(number)
            number, n = struct.unpack(">II", page[:8])
            if n > self.size // 4:
                break
            found.update(struct.unpack(f">{n}I", page[8 : 8 + 4 * n]))
        return found


def rows(path: Path, wanted: set[str]) -> Iterator[tuple[str, int, list[Any]]]:
    """(table, rowid, values) of every whole row on a table leaf that fits a wanted table's shape."""
    pages = Pages(path)
    free = pages.free()
    for number in range(1, pages.count + 1):
        if number in free:
            continue
        page = pages.page(number)
        start = 100 if number == 1 else 0
        if page[start] != LEAF:
            continue
        cells = struct.unpack(">H", page[start + 3 : start + 5])[0]
        if 8 + start + 2 * cells > len(page):
            continue
        pointers = struct.unpack(f">{cells}H", page[start + 8 : start + 8 + 2 * cells])
        for pointer in pointers:
            try:
                rowid, values = _cell(pages, page, pointer)
            except (IndexError, struct.error, UnicodeDecodeError, ValueError):
                continue
            table = fits(values, wanted)
            if table is not None:
                yield table, rowid, values


def _cell(pages: Pages, page: bytes, at: int) -> tuple[int, list[Any]]:
    length, at = _varint(page, at)
    rowid, at = _varint(page, at)
    if length > MAX_PAYLOAD:
        raise ValueError("payload too long")
    payload = _payload(pages, page, at, length)
    return rowid, _record(payload)


def _payload(pages: Pages, page: bytes, at: int, length: int) -> bytes:
    usable = pages.usable
    largest = usable - 35
    if length <= largest:
        return page[at : at + length]
    smallest = (usable - 12) * 32 // 255 - 23
    local = smallest + (length - smallest) % (usable - 4)
    if local > largest:
        local = smallest
    parts, held = [page[at : at + local]], local
    (number,) = struct.unpack(">I", page[at + local : at + local + 4])
    while held < length:
        if not 0 < number <= pages.count:
            raise ValueError("overflow page out of range")
        overflow = pages.page(number)
        (number,) = struct.unpack(">I", overflow[:4])
        part = overflow[4 : 4 + min(usable - 4, length - held)]
        parts.append(part)
        held += len(part)
    return b"".join(parts)


def _record(payload: bytes) -> list[Any]:
    head, at = _varint(payload, 0)
    kinds = []
    while at < head:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    at = head
    values: list[Any] = []
    for kind in kinds:
        size = _SIZES[kind] if kind < 10 else (kind - 12) // 2
        raw = payload[at : at + size]
        if len(raw) != size:
            raise ValueError("record cut short")
        at += size
        values.append(_value(kind, raw))
    return values


def _value(kind: int, raw: bytes) -> Any:
    if kind == 0:
        return None
    if kind in (8, 9):
        return kind - 8
    if kind <= 6:
        return int.from_bytes(raw, "big", signed=True)
    if kind == 7:
        return struct.unpack(">d", raw)[0]
    return raw.decode("utf-8") if kind % 2 else raw


def fits(values: list[Any], wanted: set[str]) -> str | None:
    """The table whose shape a row has; None for none or more than one."""
    found = [t for t in wanted if t in SHAPES and _fits(values, SHAPES[t])]
    return found[0] if len(found) == 1 else None


def _fits(values: list[Any], shape: tuple[str, ...]) -> bool:
    if not len(shape) <= len(values) <= len(shape) + 4:
        return False
    if any(v is not None and not isinstance(v, int) for v in values[len(shape) :]):
        return False
    return all(_is(v, kind) for v, kind in zip(values, shape, strict=False))


def _is(found: Any, kind: str) -> bool:
    if kind == "n":
        return found is None
    if kind == "i":
        return found is None or isinstance(found, int)
    if kind == "b":
        return isinstance(found, bytes)
    return isinstance(found, str) or (kind == "T" and found is None)
