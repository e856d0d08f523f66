"""A disk that fills up (a small tmpfs; RLIMIT_FSIZE): measuring goes on, it is said, it recovers."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from denchi.store.journal import Journal
from denchi.store.reader import JournalReader
from denchi.store.retention import Policy
from denchi.store.writer import Limits
from faults.figures import record
from store.helpers import begin, noisy, numbered, numbers


@contextlib.contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A tmpfs of that size; skips where it cannot be mounted."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def fill(path: Path) -> None:
    """Fill the disk to the last byte."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(65536))
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x")


@pytest.mark.faults
def test_full_disk_and_recovery(tmp_path: Path) -> None:
    limits = Limits(commit_ms=20, seal_s=0.3, reserve_bytes=1 << 20)
    with (
        small_disk(tmp_path / "disk", 24) as disk,
        Journal.open(disk / "d", limits=limits) as journal,
    ):
        instrument = begin(journal)
        emitted = 0

        def sample(seconds: float) -> None:
            nonlocal emitted
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                journal.append(instrument, noisy(emitted, 10))
                emitted += 10
                time.sleep(0.005)

        sample(1)
        assert journal.state().degraded is None
        fill(disk / "ballast")
        begun = time.monotonic()
        said = None
        while said is None and time.monotonic() - begun < 10:
            sample(0.05)
            if journal.state().degraded == "disk_full":
                said = time.monotonic() - begun
        sample(6)
        assert journal.state().degraded == "disk_full"
        with journal.reader() as reader:
            journal.flush(0.2)
            while_full = numbers(reader, instrument)
        assert while_full[-1] >= emitted - 200, "measuring went on"
        (disk / "ballast").unlink()
        begun = time.monotonic()
        while journal.state().degraded and time.monotonic() - begun < 20:
            sample(0.05)
        recovered = time.monotonic() - begun
        assert journal.state().degraded is None
        assert journal.flush()
        lost = journal.state().lost_samples
        with journal.reader() as reader:
            found = numbers(reader, instrument)
            gaps = sum(g.gap.lost for g in reader.gaps("s1"))
    assert found == sorted(set(found))
    assert len(found) + lost == emitted
    assert gaps == lost
    kept = said is not None and said < 5 and recovered < 20
    record(
        "disk full",
        "keeps measuring, says so within 5 s, recovers by itself",
        f"said after {said:.1f} s, {emitted} samples emitted, {lost} lost (counted and marked),"
        f" recovered {recovered:.1f} s after there was room, no restart",
        kept,
    )
    assert kept


@pytest.mark.faults
def test_start_on_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        fill(disk / "ballast")
        with Journal.open(disk, limits=Limits(commit_ms=20, seal_s=0.3)) as journal:
            assert journal.state().degraded in ("disk_full", "io_error")
            instrument = begin(journal)
            for k in range(20):
                journal.append(instrument, numbered(k * 10, 10))
                time.sleep(0.01)
            (disk / "ballast").unlink()
            until = time.monotonic() + 15
            while (journal.state().degraded or journal.state().memory_samples) and (
                time.monotonic() < until
            ):
                time.sleep(0.05)
            assert journal.state().degraded is None
            assert journal.flush()
        with JournalReader(disk) as reader:
            (found,) = reader.instruments("s1")
            assert numbers(reader, found.id) == list(range(200))


@pytest.mark.faults
def test_the_cap_is_kept(tmp_path: Path) -> None:
    """Raw goes oldest first, delivered before undelivered; what was pinned stays; roll-ups stay."""
    cap = 3_000_000
    limits = Limits(
        commit_ms=10, seal_s=0.02, reserve_bytes=0, policy=Policy(None, cap), tail_first_bytes=65536
    )
    with Journal.open(tmp_path, limits=limits) as journal:
        pinned = begin(journal, "pinned")
        journal.pin_session("pinned")
        journal.append(pinned, noisy(0, 3000))
        instrument = begin(journal, "s2")
        highest = 0
        for k in range(300):
            journal.append(instrument, noisy(k * 3000, 3000))
            if k % 10 == 0:
                journal.flush()
                journal._writer._next_sweep = 0
                journal._writer._next_house = 0
                journal.flush()
                highest = max(highest, journal.state().bytes)
        journal.flush()
        with journal.reader() as reader:
            left = numbers(reader, instrument)
            assert numbers(reader, pinned) == list(range(3000))
            assert left[-1] == 299 * 3000 + 2999
            assert left == list(range(left[0], left[-1] + 1)), "the oldest went, and only they"
            assert left[0] > 0
            series = reader.series("s2", points=100)
            count = int(series.rollup.bands["vbus_uv"].count.sum())
            assert count > len(left), "roll-ups of what is gone are still there"
    record(
        "journal's cap",
        "kept to a segment and the open tail",
        f"cap {cap / 1e6:.1f} MB, data directory at most {highest / 1e6:.1f} MB (tail and WAL included)",
        highest < cap + 8_000_000,
    )


FSIZE = textwrap.dedent(
    """
    import resource, sys, time
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from store.helpers import begin, noisy, numbers
    from denchi.store.journal import Journal
    from denchi.store.writer import Limits
    journal = Journal.open(Path(sys.argv[2]), limits=Limits(commit_ms=10, seal_s=0.1, reserve_bytes=0))
    i = begin(journal); journal.append(i, noisy(0, 1000)); journal.flush()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    n, said = 1000, None
    for k in range(400):
        journal.append(i, noisy(n, 1000)); n += 1000; time.sleep(0.005)
        said = said or journal.state().degraded
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    until = time.monotonic() + 20
    while not journal.flush(1) and time.monotonic() < until: pass
    with journal.reader() as reader: found = numbers(reader, i)
    assert found == sorted(set(found))
    assert len(found) + journal.state().lost_samples == n, (len(found), journal.state(), n)
    journal.close()
    print(said, journal.state().lost_samples, n)
    """
)


@pytest.mark.faults
def test_a_limit_on_file_size(tmp_path: Path) -> None:
    tests = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", FSIZE, tests, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    assert done.returncode == 0, done.stderr
    said, _lost, _n = done.stdout.split()
    assert said in ("disk_full", "io_error")


@pytest.mark.faults
def test_power_cut(tmp_path: Path) -> None:
    """What a power cut leaves, simulated by copies of the files taken at random moments while sampling.

    This shows that what was synced is found again whatever else had reached the files; that a torn write
    at the tail's end costs only itself is shown byte by byte in tests/store/test_tail.py. It is no proof
    for a disk that does not honour a flush.
    """
    import random
    import shutil

    rng = random.Random(2)
    limits = Limits(commit_ms=10, seal_s=0.2, reserve_bytes=0, tail_first_bytes=1 << 18)
    worst = 0
    cuts = int(os.environ.get("DENCHI_CUTS", "25"))
    with Journal.open(tmp_path / "live", limits=limits) as journal:
        instrument = begin(journal)
        journal.flush()
        n = 0
        for cut in range(cuts):
            for _ in range(rng.randrange(5, 40)):
                journal.append(instrument, numbered(n, 10))
                n += 10
                time.sleep(0.002)
            journal.flush()
            synced = n
            journal.append(instrument, numbered(n, 10))
            n += 10
            copy = tmp_path / f"cut{cut}"
            copy.mkdir()
            for name in ("tail-0.bin", "tail-1.bin", "denchi.db-wal", "denchi.db"):
                # The tail first, then the WAL, then the database: each is at least as new as the
                # one before it, as on a disk that keeps the order of synced writes.
                source = tmp_path / "live" / name
                if source.exists():
                    shutil.copyfile(source, copy / name)
            with JournalReader(copy) as reader:
                found = numbers(reader, instrument)
            assert found == list(range(len(found)))
            worst = max(worst, synced - len(found))
            with Journal.open(copy, limits=limits) as again, again.reader() as reader:
                assert again.state().degraded is None
                assert numbers(reader, instrument) == found
            shutil.rmtree(copy)
    record(
        "power cut (simulated by copies)",
        "nothing that was synced is lost, the journal opens",
        f"{cuts} cuts: {max(0, worst)} synced samples missing, every copy opened whole",
        worst <= 0,
    )
    assert worst <= 0
