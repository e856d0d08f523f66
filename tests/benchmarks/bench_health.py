"""Ingest and health: a recorded day at 100 samples/s, the same day at 1, and live blocks of 100 ms."""

from __future__ import annotations

import numpy as np

from benchmarks.table import Row, seconds
from denchi.health import profiles
from denchi.health.engine import HealthEngine
from denchi.ingest import Gate
from denchi.model import SessionMeta
from denchi_protocol.samples import SampleBlock

T0 = 1_750_000_000_000_000_000
CHUNK = 65_536


def day(hz: float, hours: float, seed: int = 1) -> SampleBlock:
    """A day's use: loads that come and go, a case that warms and cools, a meter's own heat."""
    rng = np.random.default_rng(seed)
    n = int(hours * 3600 * hz)
    t = np.arange(n) / hz
    amps = 1.0 + 0.8 * ((t // 1800) % 2) + rng.normal(0, 0.002, n)
    volts = 5.15 - 0.06 * amps + rng.normal(0, 0.002, n)
    case = 27 + 3 * np.sin(t / 7000) + rng.normal(0, 0.1, n)
    return SampleBlock.from_si(
        T0 + (t * 1e4).astype(np.int64) * 100_000,
        {
            "vbus_uv": volts,
            "ibus_ua": amps,
            "dp_uv": np.full(n, 0.6),
            "dm_uv": np.full(n, 0.6),
            "temp_mc.case": case,
            "temp_mc.meter": case + 5,
        },
    )


def engine(rate_hz: float) -> HealthEngine:
    return HealthEngine(
        profiles.load("watch"),
        SessionMeta(rated_mah=10_000),
        start_ns=T0,
        temperature_places=frozenset({"case", "meter"}),
        rate_hz=rate_hz,
    )


def through(blocks: list[SampleBlock], rate_hz: float, *, gate: bool = True) -> HealthEngine:
    """All blocks through gate and health."""
    judge, door = engine(rate_hz), Gate(settle=False, rate_hz=rate_hz)
    for block in blocks:
        passed = door.feed(block).block if gate else block
        if passed is not None:
            judge.feed("meter", passed)
    return judge


def _live(hz: float, duration_s: int) -> float:
    """Microseconds of CPU a second of signal, all detectors, blocks of 100 ms."""
    blocks = list(day(hz, duration_s / 3600).split(max(1, int(hz / 10))))
    through(blocks[:200], hz, gate=False)
    return seconds(lambda: through(blocks, hz, gate=False)) / duration_s * 1e6


def run(*, quick: bool) -> list[Row]:
    """CPU seconds on one core; growth with the length shown."""
    hours = 2.4 if quick else 24.0
    rows: list[Row] = []
    whole = list(day(100, hours).split(CHUNK))
    through(whole[:1], 100)
    took = seconds(lambda: through(whole, 100))
    part = seconds(lambda: through(whole[: len(whole) // 4], 100))
    slow = list(day(1, hours).split(CHUNK))
    took_slow = seconds(lambda: through(slow, 1))
    scale = 24.0 / hours
    rows.append(
        Row(
            "a recorded day at 100 samples/s (8.64 million) through ingest and health",
            f"{took * scale:.1f} s of CPU" + (" (scaled)" if quick else ""),
            "≤ 20 s",
            took * scale <= 20,
            f"a quarter of it takes {part / took * 100:.0f} %; the same day at 1 sample/s {took_slow * scale:.1f} s",
        )
    )
    for hz, limit in ((100, 200), (1000, 1000)):
        duration = 60 if quick else (600 if hz == 100 else 120)
        cost = _live(hz, duration)
        rows.append(
            Row(
                f"all detectors, live blocks of 100 ms, {hz} samples/s",
                f"{cost:.0f} µs of CPU a second of signal",
                f"≤ {limit} µs",
                cost <= limit,
            )
        )
    return rows
