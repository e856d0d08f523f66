"""The open tail: two preallocated files of checksummed frames, written twice and synced once an interval.

Why files of our own and not rows of SQLite: a commit of SQLite in WAL mode dirties at least the
leaf page and, as it grows, its parent and page 1. Measured with ten samples a commit at 100 ms:
5.4 GB a day (1 KiB pages) to 7.9 GB (4 KiB pages) from `/proc/self/io`, 9-11 GB at the device;
these files: 3.8 GB in both counts, because a commit is one small write into space that is already
there, so the sync has no metadata to write. The same property keeps the tail going on a full disk.

A frame, little-endian::

    "DTF1" | crc32 u32 | length u32 | generation u32 | seq u64 | instrument u32 | block (pack.py, raw)

The checksum covers everything behind it. ``generation`` grows with each change of file: what is left
of an older use behind the last frame has another generation and is not read. ``seq`` counts frames
over the life of the journal; the database remembers for each instrument up to which one it is sealed.
As SQLite does, this relies on a disk that does not harm bytes next to those being written.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from denchi.store import pack
from denchi_protocol.samples import SampleBlock

NAMES: Final = ("tail-0.bin", "tail-1.bin")
FIRST_BYTES: Final = 1 << 20
MAX_BYTES: Final = 16 << 20
_MAGIC: Final = b"DTF1"
_HEAD: Final = struct.Struct("<4sIIIQI")
_FILL: Final = bytes(4096)


@dataclass(frozen=True, slots=True)
class Frame:
    """One instrument's samples of one commit."""

    seq: int
    instrument: int
    block: SampleBlock


def sync(fd: int) -> None:
    """Put what was written on the medium (macOS: through the drive's cache too)."""
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    elif hasattr(os, "fdatasync"):
        os.fdatasync(fd)
    else:
        os.fsync(fd)


def encode_frame(frame: Frame, generation: int) -> bytes:
    """One frame as bytes."""
    body = pack.encode(frame.block, packed=False)
    head = _HEAD.pack(_MAGIC, 0, len(body), generation, frame.seq, frame.instrument)
    rest = head[8:] + body
    return _MAGIC + struct.pack("<I", zlib.crc32(rest)) + rest


def scan(data: bytes) -> Iterator[tuple[int, int, Frame]]:
    """(generation, offset behind it, frame) of every whole frame of the file's newest use, oldest first.

    A damaged frame is skipped by looking for the next one: later ones are still good.
    """
    at, generation, last = 0, -1, -1
    while (at := data.find(_MAGIC, at)) >= 0 and at + _HEAD.size <= len(data):
        _, crc, length, use, seq, instrument = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + length
        if end > len(data) or zlib.crc32(memoryview(data)[at + 8 : end]) != crc:
            at += 1
            continue
        if generation >= 0 and (use != generation or seq <= last):
            return
        try:
            block = pack.decode(bytes(data[at + _HEAD.size : end]))
        except pack.Damaged:
            at = end
            continue
        generation, last, at = use, seq, end
        yield use, end, Frame(seq, instrument, block)


def read(data_dir: Path) -> list[Frame]:
    """Every frame in both files, by ``seq``; those already sealed among them."""
    found: list[Frame] = []
    for name in NAMES:
        try:
            data = (data_dir / name).read_bytes()
        except OSError:
            continue
        found += [frame for _, _, frame in scan(data)]
    return sorted(found, key=lambda frame: frame.seq)


class TailFile:
    """One of the two files, open for writing. Frames go in order; ``restart`` begins a new use."""

    def __init__(
        self, path: Path, *, max_bytes: int = MAX_BYTES, first_bytes: int = FIRST_BYTES
    ) -> None:
        self._path = path
        self._max = max_bytes
        self._first = first_bytes
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        self._size = os.fstat(self._fd).st_size
        self.at = 0
        """Where the next frame goes: behind the last one of the file's newest use."""
        self.generation = 0
        self.frames: list[Frame] = []
        """What the file held when it was opened."""
        for generation, end, frame in scan(os.pread(self._fd, self._size, 0)):
            self.frames.append(frame)
            self.generation, self.at = generation, end
        # Reading leaves large folios in the page cache; a small write into one is then accounted
        # (and on some file systems written) whole. Forget them.
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def restart(self, generation: int) -> None:
        """Begin a new use at the start of the file; the old frames are void once the first is written."""
        self.at, self.generation = 0, generation

    def room(self, nbytes: int) -> bool:
        """Whether ``nbytes`` more fit, growing up to the cap; False also when the disk refuses."""
        need = self.at + nbytes
        if need <= self._size:
            return True
        if need > self._max:
            return False
        try:
            ahead = self._first // 2 if need > self._first else 0
            self._grow(min(self._max, max(self._first, need + ahead)))
        except OSError:
            return False
        return True

    def _grow(self, size: int) -> None:
        # Zeroes really written, a page at a time: a hole would cost metadata at every later sync.
        for at in range(self._size // 4096 * 4096, size, 4096):
            if at >= self._size:
                os.pwrite(self._fd, _FILL, at)
        os.fsync(self._fd)
        self._size = os.fstat(self._fd).st_size

    def write(self, frames: Sequence[Frame]) -> int:
        """Hand frames to the system; returns the bytes. Raises ``OSError``; call ``room`` first.

        From then on only a power cut can lose them, until ``sync``. Without frames it is a trial: a few zero
        bytes where the next frame goes, which that one overwrites.
        """
        data = b"".join(encode_frame(frame, self.generation) for frame in frames)
        if not data:
            os.pwrite(self._fd, _FILL[: max(0, min(16, self._size - self.at))], self.at)
            return 0
        view = memoryview(data)
        done = 0
        while done < len(data):
            done += os.pwrite(self._fd, view[done:], self.at + done)
        self.at += len(data)
        return len(data)

    def sync(self) -> None:
        """Put what was written on the medium. Raises ``OSError``."""
        sync(self._fd)

    def close(self) -> None:
        """Close the handle."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
