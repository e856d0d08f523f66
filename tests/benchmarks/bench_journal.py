"""The journal: durable appends, bytes a sample, bytes written; against plain sqlite3 rows."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.table import Row, versus, wall
from denchi.model import Session
from denchi.store.journal import Journal
from denchi_protocol.samples import SampleBlock

T0 = 1_750_000_000_000_000_000
BLOCK = 1000


def noisy(n: int, start_ns: int = T0, period_ns: int = 10_000_000, seed: int = 1) -> SampleBlock:
    """FNIRSI-like samples: five columns with the noise and steps of a real meter."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    volts = np.rint((5.1 - 0.02 * np.sin(t / 5000) + rng.normal(0, 0.0004, n)) * 1e5) * 10
    amps = np.rint((1.5 + 0.3 * (t // 20_000 % 2) + rng.normal(0, 0.0008, n)) * 1e5) * 10
    columns = {
        "vbus_uv": volts.astype(np.int32),
        "ibus_ua": amps.astype(np.int32),
        "dp_uv": (np.rint(rng.normal(600, 1.5, n)) * 1000).astype(np.int32),
        "dm_uv": (np.rint(rng.normal(600, 1.5, n)) * 1000).astype(np.int32),
        "temp_mc.meter": (np.rint(300 + t / 20_000 + rng.normal(0, 1, n)) * 100).astype(np.int32),
    }
    return SampleBlock(start_ns + t.astype(np.int64) * period_ns, columns)


def _fill(where: Path, block: SampleBlock) -> None:
    journal = Journal.open(where, reserve_mb=0)
    journal.begin_session(Session("s", "recording", int(block.t_ns[0])))
    number = journal.add_instrument("s", "meter", key="fnb58")
    for part in block.split(BLOCK):
        journal.append(number, part, wait=True)
    journal.flush(60)
    journal.close()


def _rows(where: Path, block: SampleBlock) -> None:
    con = sqlite3.connect(where / "rows.db")
    con.execute("PRAGMA journal_mode=WAL")
    con.execute("PRAGMA synchronous=FULL")
    con.execute(
        "CREATE TABLE s(t INTEGER, v INTEGER, i INTEGER, dp INTEGER, dm INTEGER, temp INTEGER)"
    )
    for part in block.split(BLOCK):
        rows = zip(part.t_ns.tolist(), *(c.tolist() for c in part.columns.values()), strict=True)
        con.executemany("INSERT INTO s VALUES (?,?,?,?,?,?)", rows)
        con.commit()
    con.close()


def run(*, quick: bool) -> list[Row]:
    """Appends per second with everything on disk at the end, and what it takes there."""
    n = 200_000 if quick else 2_000_000
    block = noisy(n)

    def in_folder(work):
        def once() -> None:
            with tempfile.TemporaryDirectory() as folder:
                work(Path(folder), block)

        return once

    ours, theirs, ratio = versus(
        in_folder(_fill), in_folder(_rows), rounds=1 if quick else 3, clock=wall
    )
    rows = [
        Row(
            f"journal, durable appends of blocks of {BLOCK}",
            f"{n / ours / 1e6:.2f} million samples/s",
            "≥ 1 million/s",
            n / ours >= 1e6,
            f"{ratio:.1f} × plain sqlite3 rows ({n / theirs / 1e6:.2f} million/s)",
        )
    ]
    with tempfile.TemporaryDirectory() as folder:
        _fill(Path(folder), block)
        size = sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file())
        rows.append(_sealed(Path(folder), n, size))
    return rows


def _sealed(folder: Path, n: int, size: int) -> Row:
    from denchi.store import schema

    con = sqlite3.connect(folder / schema.FILE)
    (held,) = con.execute("SELECT sum(length(data)) FROM segment").fetchone()
    con.close()
    return Row(
        "journal, bytes a sample in sealed segments (V, I, D±, one temperature, time)",
        f"{held / n:.2f}",
        "≤ 4",
        held / n <= 4,
        f"whole directory {size / n:.2f} with roll-ups; plain rows see the line above",
    )


if __name__ == "__main__":
    began = time.perf_counter()
    print(run(quick=True), time.perf_counter() - began)
