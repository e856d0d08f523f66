"""Draws sessions for the evaluation: wider than what a detector may assume.

What is told about a session (``Told``) may be missing or wrong; what is true stands in the
parameters. Tuning and test seeds never meet (``seeds``). All spreads are choices, not statistics
of real banks.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import Final

from denchi.simulation.cell import ocv_v
from denchi.simulation.loads import draw_load
from denchi.simulation.params import (
    FAULT_KINDS,
    BankParams,
    Fault,
    FaultKind,
    Influence,
    Probe,
    SessionParams,
    Surroundings,
)
from denchi.simulation.recording import MeterParams

TUNE_BASE: Final = 1_000_000
TEST_BASE: Final = 9_000_000
AWKWARD: Final = (
    "sun", "hand", "cover", "laptop", "ambient", "pass_through", "probe_off", "warm_start",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Told:
    """What the user told about the session; None: nothing. It may be wrong."""

    rated_mah: float | None = None
    started_full: bool | None = None
    ambient_c: float | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """One session of the population."""

    seed: int
    hours: float
    params: SessionParams
    meter: MeterParams
    meter_class: str
    told: Told
    awkward: tuple[str, ...]

    @property
    def kind(self) -> FaultKind:
        """The fault, or ``none``."""
        return self.params.fault.kind


def seeds(which: str, count: int, offset: int = 0) -> list[int]:
    """``count`` seeds of the ``tune`` or the ``test`` set; the sets are disjoint up to a million."""
    base = {"tune": TUNE_BASE, "test": TEST_BASE}[which]
    if not 0 <= offset <= offset + count <= 1_000_000:
        raise ValueError(f"seeds {offset}..{offset + count} leave their set")
    return list(range(base + offset, base + offset + count))


def draw(seed: int, *, fault_share: float = 0.5) -> Drawn:
    """The session of a seed."""
    rng = random.Random(f"population:{seed}")  # noqa: S311 (a simulation, no secret)
    hours = rng.uniform(1.0, 6.0)
    kind: FaultKind = rng.choice(FAULT_KINDS) if rng.random() < fault_share else "none"
    charging = kind == "charge_no_taper" or (
        kind in ("none", "soft_short", "hard_short", "high_resistance_cell") and rng.random() < 0.2
    )
    bank = _bank(rng, charging)
    seconds = hours * 3600.0
    # Which voltage a programmable supply promised nobody knows without its messages.
    glides = kind not in ("sag_static", "sag_growing")
    segments = draw_load(rng, bank, seconds, charging, glides=glides)
    awkward = _awkward(rng, 0.5 if kind == "none" else 0.3, charging)
    room = _room(rng, awkward, bank, seconds)
    warm_c = room.ambient_c + rng.uniform(4.0, 12.0) if "warm_start" in awkward else None
    params = SessionParams(
        bank=bank,
        fault=_fault(rng, kind, seconds),
        surroundings=room,
        probe=_probe(rng),
        segments=segments,
        cable_ohm=rng.uniform(0.02, 0.14),
        start_core_c=warm_c,
        start_case_c=warm_c,
    )
    name, meter = _meter(rng, seconds)
    return Drawn(seed, hours, params, meter, name, _told(rng, params), awkward)


def _log(rng: random.Random, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _bank(rng: random.Random, charging: bool) -> BankParams:
    printed_ah = rng.choice([5.0, 10.0, 10.0, 10.0, 20.0, 20.0, 26.8, 30.0])
    ah = printed_ah * rng.uniform(0.75, 1.02)
    cells = max(2, round(printed_ah / rng.choice([2.5, 3.35, 5.0])))
    watts = {5.0: 12.0, 10.0: 22.5, 20.0: 45.0, 26.8: 65.0, 30.0: 65.0}[printed_ah]
    uvlo_v = rng.uniform(2.8, 3.2)
    ohm = (0.35 / ah + 0.015) * rng.uniform(0.5, 1.6)
    # A sound bank delivers what it is built for down to a quarter of its charge.
    ohm = min(ohm, (ocv_v(0.25) - 0.05 - uvlo_v) * 3.3 / watts) * cells
    start = 1.0 if rng.random() < 0.4 else rng.uniform(0.25, 1.0)
    if charging:
        start = rng.uniform(0.1, 0.85)
    bank = BankParams(
        capacity_ah=ah,
        cells=cells,
        cell_ohm=ohm * 0.65,
        slow_ohm=ohm * 0.35,
        slow_tau_s=rng.uniform(20.0, 120.0),
        start_soc=start,
        core_j_k=17.6 * printed_ah * rng.uniform(0.85, 1.2),
        case_j_k=30.0 * rng.uniform(0.6, 2.0) * (printed_ah / 10.0) ** 0.5,
        core_case_w_k=_log(rng, 0.3, 2.2) * (printed_ah / 10.0) ** 0.7,
        cell_cell_w_k=_log(rng, 0.05, 1.2),
        loss_w_k=(0.010 + 0.0002 * 3.7 * printed_ah) * 10.0 * rng.uniform(0.5, 1.5),
        converter_fixed_w=rng.uniform(0.03, 0.2),
        converter_frac=rng.uniform(0.03, 0.09),
        converter_ohm=_log(rng, 0.008, 0.03),
        regulation_ohm=rng.uniform(-0.05, 0.02),
        set_error=rng.uniform(-0.005, 0.04),
        limit_a=3.4 if watts < 50 else 5.2,
        limit_w=watts * 1.25,
        uvlo_v=uvlo_v,
        recover_v=9.9 if rng.random() < 0.85 else rng.uniform(3.2, 3.5),
        auto_off_a=rng.uniform(0.03, 0.1),
        auto_off_s=rng.uniform(10.0, 90.0) if rng.random() < 0.8 else math.inf,
        entropic_v=rng.uniform(-0.02, 0.05),
    )
    return _charger(rng, bank, watts)


def _charger(rng: random.Random, bank: BankParams, watts: float) -> BankParams:
    return replace(
        bank,
        charge_a=bank.capacity_ah * rng.uniform(0.2, 0.6),
        charge_v=rng.uniform(4.17, 4.22),
        charge_efficiency=rng.uniform(0.86, 0.94),
        taper_stop=rng.uniform(0.03, 0.1),
        charge_w=watts * rng.uniform(0.5, 1.0),
        idle_input_a=rng.uniform(0.003, 0.05),
    )


def _fault(rng: random.Random, kind: FaultKind, seconds: float) -> Fault:
    if kind == "none":
        return Fault()
    onset_s = seconds * rng.uniform(0.1, 0.6)
    if kind in ("dead_cell", "high_resistance_cell", "self_discharge", "sag_static") and (
        rng.random() < 0.5
    ):
        onset_s = 0.0
    size = {
        "soft_short": lambda: _log(rng, 2.0, 20.0),
        "hard_short": lambda: _log(rng, 0.2, 2.0),
        "high_resistance_cell": lambda: _log(rng, 3.0, 20.0),
        "dead_cell": lambda: 0.0,
        "hot_converter": lambda: rng.uniform(2.0, 5.0),
        "sag_static": lambda: rng.uniform(0.06, 0.22),
        "sag_growing": lambda: _log(rng, 0.05, 0.8),
        "resets": lambda: _log(rng, 40.0, 1200.0),
        "self_discharge": lambda: _log(rng, 0.01, 0.2),
        "charge_no_taper": lambda: rng.uniform(0.2, 0.7),
    }[kind]()
    return Fault(
        kind,
        onset_s,
        size,
        ramp_s=_log(rng, 5.0, 600.0) if kind != "charge_no_taper" else 1.0,
        off_s=rng.uniform(0.8, 8.0),
        load_a=rng.uniform(0.2, 0.8),
    )


def _awkward(rng: random.Random, share: float, charging: bool) -> tuple[str, ...]:
    if rng.random() >= share:
        return ()
    first = rng.choice([a for a in AWKWARD if not (charging and a == "pass_through")])
    return (first,) if rng.random() < 0.7 else tuple(sorted({first, rng.choice(AWKWARD[:7])}))


def _room(
    rng: random.Random, awkward: tuple[str, ...], bank: BankParams, seconds: float
) -> Surroundings:
    influences: list[Influence] = []
    for name in awkward:
        if name == "warm_start":
            continue
        start_s = seconds * rng.uniform(0.0, 0.7)
        end_s = start_s + _log(rng, 300.0, seconds)
        made = Influence(name, start_s, end_s, 0.0)  # type: ignore[arg-type]
        if name == "sun":
            made = replace(made, value=rng.uniform(0.5, 3.0), tau_s=rng.uniform(10.0, 300.0))
        elif name == "hand":
            made = replace(made, end_s=start_s + rng.uniform(30, 1200), body_c=rng.uniform(30, 35),
                           value=rng.uniform(0.1, 0.5), tau_s=5.0)  # fmt: skip
        elif name == "cover":
            made = replace(made, value=rng.uniform(0.35, 0.8), tau_s=5.0)
        elif name == "laptop":
            made = replace(made, value=rng.uniform(0.05, 0.3), body_c=rng.uniform(33, 43))
        elif name == "ambient":
            made = replace(made, value=rng.uniform(-6, 8), tau_s=rng.uniform(60, 1500))
        elif name == "pass_through":
            made = replace(made, value=rng.uniform(0.4, 2.5), tau_s=20.0)
        elif name == "probe_off":
            made = replace(made, value=rng.uniform(0.0, 0.15),
                           end_s=start_s + rng.uniform(60, 3000))  # fmt: skip
        influences.append(made)
    return Surroundings(rng.triangular(8.0, 34.0, 23.0), rng.uniform(-1.2, 1.2), tuple(influences))


def _probe(rng: random.Random) -> Probe:
    return Probe(
        contact=rng.uniform(0.6, 0.99),
        lag_s=rng.uniform(10.0, 90.0),
        converter_k_w=rng.uniform(0.2, 1.5) if rng.random() < 0.2 else 0.0,
        fault_cell_share=rng.uniform(0.0, 0.4),
        meter_offset_k=rng.uniform(1.5, 9.0),
        meter_k_a2=rng.uniform(0.2, 1.5),
        meter_tau_s=rng.uniform(90.0, 400.0),
    )


_CLASSES: Final = {
    "stream": MeterParams(10.0, 0.003, 0.001, 1e-5, 1.0, 0.0008, 1e-5, 1.0),
    "poll": MeterParams(2.0, 0.02, 0.001, 1e-4, 1.0, 0.0005, 1e-5, 1.0),
    "slow": MeterParams(1.0, 0.05, 0.002, 1e-3, 1.0, 0.001, 1e-4, 1.0, meter_step_c=1.0),
    "cheap": MeterParams(
        1.0, 0.05, 0.008, 0.01, 1.0, 0.008, 0.01, 1.0, meter_step_c=1.0, probe_step_c=0.5
    ),
}


def _meter(rng: random.Random, seconds: float) -> tuple[str, MeterParams]:
    name = rng.choice(["stream", "stream", "poll", "slow", "cheap"])
    base = _CLASSES[name]
    worse = 8.0 if name == "cheap" else 1.0
    gaps = []
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2, 4])):
        start_s = seconds * rng.random()
        gaps.append((start_s, start_s + _log(rng, 2.0, 300.0)))
    return name, replace(
        base,
        rate_hz=rng.choice([4.0, 5.0, 10.0]) if name == "stream" else base.rate_hz,
        volt_gain=1.0 + rng.gauss(0.0, 0.001) * worse / 2.0,
        amp_gain=1.0 + rng.gauss(0.0, 0.002) * worse / 2.0,
        amp_offset_a=rng.gauss(0.0, 0.001) * worse,
        probe_noise_c=_log(rng, 0.02, 0.3),
        probe_step_c=rng.choice([0.0625, 0.1, 0.5, 1.0]),
        probe_offset_c=rng.gauss(0.0, 0.7),
        ambient_probe=rng.random() < 0.25,
        ambient_offset_c=rng.gauss(0.0, 0.5),
        gaps=tuple(gaps),
        glitches_h=rng.choice([0.0, 0.0, 0.3, 2.0]),
        fault_codes_h=rng.choice([0.0, 0.0, 0.5, 3.0]),
        checked=name != "cheap" and rng.random() < 0.7,
    )


def _told(rng: random.Random, params: SessionParams) -> Told:
    printed = round(params.bank.capacity_ah / 0.9) * 1000.0
    mah = rng.choices([printed, None, printed * rng.uniform(1.2, 2.0)], [0.6, 0.28, 0.12])[0]
    full: bool | None = None
    if params.bank.start_soc >= 0.99 and rng.random() < 0.6:
        full = True
    elif params.bank.start_soc < 0.9 and rng.random() < 0.04:
        full = True  # the user is wrong
    air = params.surroundings.ambient_c + rng.gauss(0.0, 1.5) if rng.random() < 0.3 else None
    return Told(mah, full, air)
