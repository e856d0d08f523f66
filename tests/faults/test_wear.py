"""Bytes really written to disk, counted by the kernel, and bytes a sample in sealed segments."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from faults.figures import record

SECONDS = float(os.environ.get("DENCHI_WEAR_S", "125"))

CODE = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from store.helpers import T0, NS, begin, fnirsi_like
    from denchi.store.journal import Journal

    folder, commit_ms, seconds = Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])

    def written():
        fields = dict(l.split(": ") for l in open("/proc/self/io").read().splitlines())
        return int(fields["write_bytes"]), int(fields["cancelled_write_bytes"])

    journal = Journal.open(folder, commit_ms=commit_ms, reserve_mb=0)
    instrument = begin(journal)
    data = fnirsi_like(int(seconds * 100) + 2000)
    journal.append(instrument, data[:100]); journal.flush()
    begun, done, start = time.monotonic(), 100, written()
    while time.monotonic() - begun < seconds:
        due = 100 + int((time.monotonic() - begun) * 100)
        if due - done >= 4:   # an FNB58 sends four samples a packet
            journal.append(instrument, data[done:due]); done = due
        time.sleep(0.02)
    span = time.monotonic() - begun
    end = written()
    journal.close()
    last = written()
    print((end[0] - start[0]) / span, (last[0] - end[0]), done)
    """
)


def _measure(folder: Path, commit_ms: int) -> tuple[float, float]:
    """(GB a day while running, bytes a sample in sealed segments)."""
    tests = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", CODE, tests, str(folder), str(commit_ms), str(SECONDS)],
        capture_output=True,
        text=True,
        check=True,
    )
    rate, at_close, _ = map(float, done.stdout.split())
    con = sqlite3.connect(folder / "denchi.db")
    size, n = con.execute("SELECT sum(length(data)), sum(n) FROM segment").fetchone()
    con.close()
    return rate * 86_400 / 1e9 + at_close / 1e9, size / n


@pytest.mark.faults
@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs /proc/self/io (Linux)")
def test_written_to_disk_in_a_day(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with ThreadPoolExecutor(2) as both:  # each counts its own process's bytes
        first = both.submit(_measure, tmp_path / "a", 100)
        second = both.submit(_measure, tmp_path / "b", 1000)
        (at_100, per_sample), (at_1000, _) = first.result(), second.result()
    record(
        "written to disk, one meter at 100 samples/s",
        "≤ 5 GB a day at 100 ms commits, ≤ 1.5 GB at 1 s",
        f"{at_100:.2f} GB and {at_1000:.2f} GB a day (kernel's write_bytes over {SECONDS:.0f} s,"
        " seals, roll-ups, checkpoints included)",
        at_100 <= 5 and at_1000 <= 1.5,
    )
    record(
        "sealed segments",
        "≤ 4 bytes a sample (V, I, D±, one temperature, time)",
        f"{per_sample:.2f} bytes a sample at an FNB58's resolution and noise (synthetic)",
        per_sample <= 4,
    )
    assert at_100 <= 5
    assert at_1000 <= 1.5
    assert per_sample <= 4
