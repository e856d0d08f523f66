"""Whole sessions at once: the physics, then a meter's view of it, and the truth beside it.

The physics runs in steps of half a second; what the meter makes of it (sampling, noise, steps,
offsets, gaps, glitches, sensor fault codes) is numpy over the whole session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from denchi.simulation.bank import Bank
from denchi.simulation.params import SessionParams
from denchi_protocol.samples import SampleBlock

Floats: TypeAlias = NDArray[np.float64]
NS: Final = 1_000_000_000
BATCH_STEP_S: Final = 0.5
AFTER_RUNAWAY_S: Final = 30.0
"""A session ends this long after runaway: what burns is not measured any more."""
_FIELDS: Final = (
    "t_s", "vbus_v", "ibus_a", "case_c", "probe_c", "ambient_c", "meter_c", "fault_cell_c", "cell_v", "soc",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MeterParams:
    """An instrument: how often it reads and how badly."""

    rate_hz: float = 10.0
    jitter_s: float = 0.002
    volt_noise_v: float = 0.001
    volt_step_v: float = 0.0001
    volt_gain: float = 1.0
    amp_noise_a: float = 0.0005
    amp_step_a: float = 0.0001
    amp_gain: float = 1.0
    amp_offset_a: float = 0.0
    probe_noise_c: float = 0.05
    probe_step_c: float = 0.1
    probe_offset_c: float = 0.0
    meter_step_c: float = 0.1
    ambient_probe: bool = False
    ambient_offset_c: float = 0.0
    gaps: tuple[tuple[float, float], ...] = ()
    """Stretches (start_s, end_s) without a sample."""
    glitches_h: float = 0.0
    """Single samples an hour with a wild voltage or current."""
    fault_codes_h: float = 0.0
    """Readings an hour of the probe with a fault code (85.0 or -127)."""
    checked: bool = True
    """The family has a checksum (the gate then lets steps pass)."""


@dataclass(frozen=True, slots=True)
class Track:
    """The physics of a session in columns (name -> float64 (n,)), on the fixed grid."""

    columns: Mapping[str, Floats]
    run_away_s: float | None

    def __getitem__(self, name: str) -> Floats:
        return self.columns[name]

    def first_s(self, where: NDArray[np.bool_]) -> float | None:
        """The first instant at which ``where`` holds."""
        i = int(np.argmax(where))
        return float(self["t_s"][i]) if len(where) and where[i] else None


@dataclass(frozen=True, slots=True)
class Truth:
    """What really happened. Times in seconds from the session's start."""

    kind: str
    onset_s: float | None
    trace_s: float | None
    """Since when the fault shows at the sensors fitted, by comparison with the same session
    without the fault; None: it leaves no trace."""
    trace_blind_s: float | None
    """The same without a case probe."""
    traces: tuple[str, ...]
    """``heat`` ``voltage`` ``dropout`` ``early_cut`` ``charge``."""
    case_60_s: float | None
    run_away_s: float | None
    really_hot: bool
    """The true case passed a limit for touch and cells (52 degC; 45 while charging)."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One session as a meter saw it. Current has the meter's own sign: at the input, into the unit."""

    block: SampleBlock
    truth: Truth
    seconds: float
    position: str
    track: Track = field(repr=False, compare=False)


def run(params: SessionParams, seed: int, seconds: float) -> Track:
    """The physics of ``seconds`` (less where a cell runs away)."""
    bank = Bank(params, seed, BATCH_STEP_S)
    rows: list[tuple[float, ...]] = []
    keep = rows.append
    until_s = seconds
    while bank.t_s < until_s:
        i = bank.advance()
        keep((
            i.t_s, i.vbus_v, i.ibus_a, i.case_c, i.probe_c, i.ambient_c, i.meter_c, i.fault_cell_c, i.cell_v, i.soc,
        ))  # fmt: skip
        if bank.run_away_s is not None:
            until_s = min(seconds, bank.run_away_s + AFTER_RUNAWAY_S)
    table = np.array(rows, np.float64).T
    return Track(dict(zip(_FIELDS, table, strict=True)), bank.run_away_s)


def record(
    params: SessionParams,
    seed: int,
    hours: float,
    meter: MeterParams | None = None,
    *,
    start_ns: int = 0,
) -> Recording:
    """A session of ``hours`` as ``meter`` reports it, with the truth.

    A session with a fault is run a second time without it: the difference decides whether the
    fault leaves a trace, so that no detector's idea of a trace goes into the truth.
    """
    meter = meter or MeterParams()
    track = run(params, seed, hours * 3600.0)
    truth = judge(params, seed, track)
    position = "input" if any(s.mode == "charge" for s in params.segments) else "output"
    block = view(track, meter, seed, start_ns=start_ns, turned=position == "input")
    return Recording(block, truth, float(track["t_s"][-1]), position, track)


# -- the truth ---------------------------------------------------------------------------------


def judge(params: SessionParams, seed: int, track: Track) -> Truth:
    """Compare a session with the same one without its fault."""
    charging = any(s.mode == "charge" for s in params.segments)
    hot = bool(np.max(track["case_c"]) > (45.0 if charging else 52.0))
    case_60_s = track.first_s(track["case_c"] >= 60.0)
    if params.fault.kind == "none":
        return Truth("none", None, None, None, (), case_60_s, track.run_away_s, hot)
    found = traces(track, run(_without_fault(params), seed, float(track["t_s"][-1])), params)
    seen = {name: t for name, t in found.items() if t is not None}
    blind = [t for name, t in seen.items() if name != "heat"]
    return Truth(
        params.fault.kind,
        params.fault.onset_s,
        min(seen.values(), default=None),
        min(blind, default=None),
        tuple(sorted(seen)),
        case_60_s,
        track.run_away_s,
        hot,
    )


def _without_fault(params: SessionParams) -> SessionParams:
    from dataclasses import replace

    from denchi.simulation.params import Fault

    return replace(params, fault=Fault())


def traces(track: Track, sound: Track, params: SessionParams) -> dict[str, float | None]:
    """Since when each kind of trace stands at the meter, or None.

    heat: the probe 4 K warmer for 3 min. voltage: 3 % of the contract away for 40 s at the same
    current. dropout: the second collapse below 2.5 V that the sound bank does not have.
    early_cut: a session that starts full ends for good with less than 60 % of 3.7 V times the
    true capacity delivered, which the sound bank passes. charge: 25 min of input current a quarter of its peak above the sound
    bank's.
    """
    n = min(len(track["t_s"]), len(sound["t_s"]))
    t_s = track["t_s"][:n]
    v, v0 = track["vbus_v"][:n], sound["vbus_v"][:n]
    i, i0 = track["ibus_a"][:n], sound["ibus_a"][:n]
    charging = bool((i < -0.05).any())
    warm = track["probe_c"][:n] - sound["probe_c"][:n] >= 4.0
    both = (v > 2.5) & (v0 > 2.5) & (np.abs(i) > 0.05) & (np.abs(i - i0) < 0.1 * np.abs(i0) + 0.05)
    off = (np.abs(v - v0) > 0.03 * v0) & both & (not charging)
    # A collapse: from a voltage under load to none, where the sound bank goes on.
    falls = 1 + np.flatnonzero((v[1:] < 2.5) & (v[:-1] > 2.5) & (i[:-1] > 0.15) & (v0[1:] > 2.5))
    peak = max(float(-i.min()), 1e-9)
    more = (-(i - i0) > 0.25 * peak) & charging
    return {
        "heat": _lasting(t_s, warm, 180.0),
        "voltage": _lasting(t_s, off, 40.0),
        "dropout": float(t_s[falls[1]]) if len(falls) > 1 and not charging else None,
        "early_cut": None if charging else _early_cut(track, sound, params, n),
        "charge": _lasting(t_s, more, 1500.0),
    }


def _lasting(t_s: Floats, where: NDArray[np.bool_], seconds: float) -> float | None:
    """The start of the first run of ``where`` that lasts."""
    edges = np.flatnonzero(np.diff(np.r_[False, where, False].astype(np.int8)))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if (end - start) * BATCH_STEP_S >= seconds:
            return float(t_s[start])
    return None


def _early_cut(track: Track, sound: Track, params: SessionParams, n: int) -> float | None:
    dead = track["vbus_v"][:n] < 2.5
    if not dead[-1] or track["cell_v"][n - 1] > 3.6:
        return None
    last = n - int(np.argmin(dead[::-1])) if not dead.all() else 0
    watts = np.maximum(track["vbus_v"][:n] * track["ibus_a"][:n], 0.0)
    wh = float(watts.sum()) * BATCH_STEP_S / 3600.0
    sound_wh = float(np.maximum(sound["vbus_v"] * sound["ibus_a"], 0.0).sum()) * BATCH_STEP_S / 3600
    rated = 3.7 * params.bank.capacity_ah
    full = params.bank.start_soc >= 0.95
    early = full and wh < 0.6 * rated and sound_wh > wh + 0.1 * rated
    return float(track["t_s"][min(last, n - 1)]) if early else None


# -- the meter ---------------------------------------------------------------------------------


def view(
    track: Track, meter: MeterParams, seed: int, *, start_ns: int = 0, turned: bool = False
) -> SampleBlock:
    """What ``meter`` reports of a track: one block of samples."""
    rng = np.random.default_rng([seed, 0xE7E2])
    grid_s = track["t_s"]
    n = int(grid_s[-1] * meter.rate_hz)
    t_s = np.arange(1, n + 1) / meter.rate_hz + rng.normal(0.0, meter.jitter_s, n).clip(
        -0.3 / meter.rate_hz, 0.3 / meter.rate_hz
    )
    keep = np.ones(n, np.bool_)
    for start, end in meter.gaps:
        keep &= ~((t_s >= start) & (t_s < end))
    t_s = t_s[keep]
    n = len(t_s)
    held = np.clip(np.searchsorted(grid_s, t_s), 0, len(grid_s) - 1)
    volts = track["vbus_v"][held] * meter.volt_gain + rng.normal(0.0, meter.volt_noise_v, n)
    amps = track["ibus_a"][held] * (-1.0 if turned else 1.0) * meter.amp_gain + meter.amp_offset_a
    amps += rng.normal(0.0, meter.amp_noise_a, n)
    case = np.interp(t_s, grid_s, track["probe_c"]) + meter.probe_offset_c
    case += rng.normal(0.0, meter.probe_noise_c, n)
    own = np.interp(t_s, grid_s, track["meter_c"]) + rng.normal(0.0, 0.2 * meter.meter_step_c, n)
    _glitches(rng, meter, t_s, volts, amps)
    values = {
        "vbus_uv": np.maximum(_steps(volts, meter.volt_step_v), 0.0),
        "ibus_ua": _steps(amps, meter.amp_step_a),
        "temp_mc.case": _fault_codes(rng, meter, t_s, _steps(case, meter.probe_step_c)),
        "temp_mc.meter": _steps(own, meter.meter_step_c),
    }
    if meter.ambient_probe:
        air = np.interp(t_s, grid_s, track["ambient_c"]) + meter.ambient_offset_c
        air += rng.normal(0.0, meter.probe_noise_c, n)
        values["temp_mc.ambient"] = _steps(air, meter.probe_step_c)
    return SampleBlock.from_si(start_ns + np.rint(t_s * NS).astype(np.int64), values)


def _steps(values: Floats, step: float) -> Floats:
    return np.asarray(np.rint(values / step) * step, np.float64)


def _glitches(
    rng: np.random.Generator, meter: MeterParams, t_s: Floats, volts: Floats, amps: Floats
) -> None:
    if not len(t_s):
        return
    for _ in range(rng.poisson(meter.glitches_h * t_s[-1] / 3600.0)):
        i = int(rng.integers(len(t_s)))
        if rng.random() < 0.5:
            volts[i] = rng.choice([0.0, volts[i] * 0.5, volts[i] * 1.6 + 2.0])
        else:
            amps[i] = rng.choice([0.0, amps[i] + 2.5])


def _fault_codes(rng: np.random.Generator, meter: MeterParams, t_s: Floats, case: Floats) -> Floats:
    if len(t_s):
        for _ in range(rng.poisson(meter.fault_codes_h * t_s[-1] / 3600.0)):
            i = int(rng.integers(len(t_s)))
            case[i : i + int(rng.integers(1, 4))] = rng.choice([85.0, -127.0])
    return case
