from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denchi.store import tail
from denchi.store.journal import Journal
from denchi.store.reader import JournalReader
from denchi.store.tail import Frame, TailFile
from denchi_protocol.samples import same
from store.helpers import begin, numbered, numbers


def _write(path: Path, frames: list[Frame], generation: int = 1) -> None:
    file = TailFile(path)
    file.restart(generation)
    for frame in frames:
        assert file.room(10_000)
        file.write([frame])
        file.sync()
    file.close()


def test_frames_come_back_in_order(tmp_path: Path) -> None:
    frames = [Frame(i, 7, numbered(i * 10, 10)) for i in range(20)]
    _write(tmp_path / "tail-0.bin", frames[:12])
    _write(tmp_path / "tail-1.bin", frames[12:], 2)
    found = tail.read(tmp_path)
    assert [f.seq for f in found] == list(range(20))
    assert all(same(a.block, b.block) for a, b in zip(found, frames, strict=True))


def test_what_is_left_of_an_older_use_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "tail-0.bin"
    _write(path, [Frame(i, 1, numbered(i * 10, 10)) for i in range(30)], 1)
    _write(path, [Frame(100, 1, numbered(5000, 10))], 2)
    assert [f.seq for f in tail.read(tmp_path)] == [100]


@given(st.integers(0, 60_000), st.integers(1, 400), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_damaged_stretch_costs_only_its_frames(
    tmp_path_factory: pytest.TempPathFactory, where: int, length: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("tail")
    frames = [Frame(i, 1, numbered(i * 10, 10)) for i in range(100)]
    path = folder / "tail-0.bin"
    _write(path, frames)
    size = sum(len(tail.encode_frame(f, 1)) for f in frames)
    data = bytearray(path.read_bytes())
    where %= size
    noise = bytes((seed * (i + 7) + i) & 0xFF for i in range(length))
    data[where : where + length] = noise
    path.write_bytes(data)
    found = tail.read(folder)
    per = size // len(frames)
    assert len(found) >= 100 - (length // per + 3)
    for frame in found:
        assert same(frame.block, frames[frame.seq].block)


def test_a_torn_last_write_leaves_the_ones_before(tmp_path: Path) -> None:
    path = tmp_path / "tail-0.bin"
    frames = [Frame(i, 1, numbered(i * 10, 10)) for i in range(5)]
    _write(path, frames)
    encoded = [tail.encode_frame(f, 1) for f in frames]
    whole = sum(len(e) for e in encoded)
    for cut in range(whole - len(encoded[-1]) + 1, whole):
        torn = tmp_path / "torn"
        torn.mkdir(exist_ok=True)
        data = bytearray(path.read_bytes())
        data[cut:whole] = b"\xff" * (whole - cut)
        (torn / "tail-0.bin").write_bytes(data)
        assert len(tail.read(torn)) == 4


def test_space_is_there_before_it_is_needed(tmp_path: Path) -> None:
    file = TailFile(tmp_path / "tail-0.bin", max_bytes=2 << 20)
    assert file.room(100)
    size = (tmp_path / "tail-0.bin").stat().st_size
    assert size >= tail.FIRST_BYTES
    assert not file.room(3 << 20)
    for i in range(50):
        file.write([Frame(i, 1, numbered(i, 1))])
        file.sync()
    assert (tmp_path / "tail-0.bin").stat().st_size == size
    file.close()


def test_a_file_is_synced_before_the_other_one_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half-way writes are not synced; no later sync of the other file would make up for that."""
    dirty: dict[str, bool] = {}
    changes: list[bool] = []
    write, sync, restart = TailFile.write, TailFile.sync, TailFile.restart

    def written(self: TailFile, frames: list[Frame]) -> int:
        dirty[self._path.name] = dirty.get(self._path.name, False) or bool(frames)
        return write(self, frames)

    def synced(self: TailFile) -> None:
        sync(self)
        dirty[self._path.name] = False

    def restarted(self: TailFile, generation: int) -> None:
        changes.append(any(dirty.values()))
        restart(self, generation)

    for name, told in (("write", written), ("sync", synced), ("restart", restarted)):
        monkeypatch.setattr(TailFile, name, told)
    n = 0
    with Journal.open(tmp_path, commit_ms=20, seal_s=0.001) as journal:
        instrument = begin(journal)
        end = time.monotonic() + 30
        while len(changes) < 25 and time.monotonic() < end:
            journal.append(instrument, numbered(n, 5))
            n += 5
            time.sleep(0.004)
    assert len(changes) >= 25
    assert not any(changes)
    with JournalReader(tmp_path) as reader:
        assert numbers(reader, instrument) == list(range(n))


def test_a_torn_look_at_the_two_files_is_taken_again(tmp_path: Path, monkeypatch) -> None:
    """A writer that changes files twice between a reader's two reads leaves a hole; it is looked once more."""
    from denchi.store import reader as readers

    with Journal.open(tmp_path, commit_ms=5, seal_s=600) as journal:
        instrument = begin(journal)
        for first in range(0, 100, 20):
            journal.append(instrument, numbered(first, 20))
            journal.flush()
        real, looks = readers.tail.read, []

        def torn(folder: Path):
            frames = real(folder)
            looks.append(len(frames))
            return frames if len(looks) > 1 else [f for i, f in enumerate(frames) if i != 2]

        monkeypatch.setattr(readers.tail, "read", torn)
        with JournalReader(tmp_path) as reader:
            assert numbers(reader, instrument) == list(range(100))
        assert len(looks) == 2
        # A hole that stays is a damaged frame: what is there is shown.
        monkeypatch.setattr(readers.tail, "read", lambda folder: list(real(folder)[3:]))
        with JournalReader(tmp_path) as reader:
            assert numbers(reader, instrument)[-1] == 99
