"""Samples and sessions for tests of the journal and the outputs. All of it is made up."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from denchi.model import Session, Unit
from denchi.store.journal import Journal
from denchi.store.reader import JournalReader
from denchi_protocol.samples import SampleBlock

T0 = 1_750_000_000_000_000_000
NS = 1_000_000_000


def fnirsi_like(
    n: int, start_ns: int = T0, *, rate_hz: float = 100.0, seed: int = 0
) -> SampleBlock:
    """Samples with the resolution and noise of an FNB58: 10 uV, 10 uA, D+/D- in mV, 0.1 degC, USB jitter."""
    rng = np.random.default_rng(seed)
    step = int(NS / rate_hz)
    jitter = rng.integers(-3, 4, n) * 100_000 if step > 1_000_000 else np.zeros(n, np.int64)
    t = start_ns + np.arange(n, dtype=np.int64) * step + jitter
    slow = np.cumsum(rng.normal(0, 1e-5, n))
    return SampleBlock.from_si(
        t,
        {
            "vbus_uv": np.round(5.05 + slow + rng.normal(0, 4e-4, n), 5),
            "ibus_ua": np.round(1.5 + rng.normal(0, 5e-4, n), 5),
            "dp_uv": np.round(2.70 + rng.normal(0, 1e-3, n), 3),
            "dm_uv": np.round(2.68 + rng.normal(0, 1e-3, n), 3),
            "temp_mc.meter": np.round(31 + np.linspace(0, 0.5, n) + rng.normal(0, 0.04, n), 1),
        },
    )


def numbered(first: int, n: int, *, step_ns: int = 10_000_000) -> SampleBlock:
    """Samples whose voltage counts up in uV, so that each one can be told from every other."""
    numbers = np.arange(first, first + n, dtype=np.int64)
    return SampleBlock(
        T0 + numbers * step_ns,
        {"vbus_uv": numbers.astype(np.int32), "ibus_ua": np.full(n, 1_000_000, np.int32)},
    )


def noisy(first: int, n: int) -> SampleBlock:
    """The same with incompressible company, so that it fills as many pages as real data and more."""
    rng = np.random.default_rng(first)
    block = numbered(first, n)
    noise = {name: rng.integers(0, 10**6, n).astype(np.int32) for name in ("dp_uv", "dm_uv")}
    return block.replace(columns={**block.columns, **noise})


def begin(journal: Journal, name: str = "s1", *, origin: str = "meter", serial: str = "X1") -> int:
    """A session with one instrument."""
    journal.begin_session(
        Session(
            name,
            origin,  # type: ignore[arg-type]
            T0,
            bench="b1",
            meter="fnb58",
            unit=Unit(brand="Brand", model="Model", serial=serial),
        )
    )
    return journal.add_instrument(name, "meter", key="fnb58", model="FNB58")


def numbers(reader: JournalReader, instrument: int) -> list[int]:
    """The counted-up voltages that a reader finds."""
    found: list[int] = []
    for block in reader.blocks(instrument):
        found += block.columns["vbus_uv"].tolist()
    return found


def in_steps(total: int, step: int) -> Iterator[tuple[int, int]]:
    """(first, n) pieces of 0..total."""
    for first in range(0, total, step):
        yield first, min(step, total - first)
