"""What people connect to a bank: drawn sequences of segments.

A segment stays within what the bank delivers, except ``overload`` patterns, which are not drawn
here: a bank that switches off because too much was asked of it is not a fault of the bank.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, TypeAlias

from denchi.simulation.params import BankParams, Segment

Draw: TypeAlias = Callable[[random.Random, float, float], list[Segment]]


def draw_load(
    rng: random.Random, bank: BankParams, seconds: float, charging: bool, *, glides: bool = True
) -> tuple[Segment, ...]:
    """The load of a session. A charging session has the meter at the input all the time.

    ``glides``: a programmable supply may be drawn too.
    """
    if charging:
        return (Segment(0.0, "charge", 0.0, rng.choice([5.0, 9.0, 9.0, 12.0, 20.0])),)
    watts = bank.limit_w / 1.25
    patterns = _PATTERNS if glides else tuple(p for p in _PATTERNS if p is not _pps)
    return tuple(rng.choice(patterns)(rng, watts, seconds))


def _volts(rng: random.Random, watts: float) -> float:
    return rng.choice([5.0, 5.0, 9.0, 12.0] if watts < 30.0 else [5.0, 9.0, 15.0, 20.0])


def _most_a(watts: float, volts: float) -> float:
    return min(watts / volts, 3.0) * 0.95


def _steady(rng: random.Random, watts: float, seconds: float) -> list[Segment]:
    """One constant current, then perhaps nothing."""
    volts = _volts(rng, watts)
    amps = _most_a(watts, volts) * rng.uniform(0.3, 1.0)
    out = [Segment(0.0, "cc", amps, volts)]
    if rng.random() < 0.5:
        out.append(Segment(seconds * rng.uniform(0.3, 0.8), "off", 0.0, 5.0, plug=False))
    return out


def _stairs(rng: random.Random, watts: float, seconds: float) -> list[Segment]:
    """Another current every few minutes, at one voltage."""
    volts, t_s = _volts(rng, watts), 0.0
    out = []
    while t_s < seconds:
        out.append(Segment(t_s, "cc", _most_a(watts, volts) * rng.uniform(0.05, 1.0), volts))
        t_s += rng.uniform(60.0, 1500.0)
    return out


def _phone(rng: random.Random, watts: float, seconds: float) -> list[Segment]:
    """A phone that fills up: falling power with the screen going on and off; then it is unplugged."""
    volts, t_s, out = rng.choice([5.0, 9.0]), 0.0, []
    top = min(watts, volts * 3.0) * rng.uniform(0.5, 0.9)
    full_s = rng.uniform(3000.0, 7000.0)
    out.append(Segment(0.0, "cp", 2.5, 5.0))
    t_s = rng.uniform(2.0, 8.0)
    while t_s < seconds:
        share = max(0.03, min(1.0, 1.3 - t_s / full_s))
        out.append(
            Segment(t_s, "cp", top * share * rng.uniform(0.85, 1.0) + 0.1, volts, plug=False)
        )
        t_s += rng.uniform(5.0, 240.0)
        if t_s > full_s * 1.5 and rng.random() < 0.1:
            out.append(Segment(t_s, "off", 0.0, 5.0, plug=False))
            break
    return out


def _laptop(rng: random.Random, watts: float, seconds: float) -> list[Segment]:
    """A computer at the highest contract: power up and down within seconds."""
    volts, t_s, out = (20.0 if watts > 30.0 else 12.0), 0.0, []
    top = _most_a(watts, volts) * volts
    while t_s < seconds:
        out.append(Segment(t_s, "cp", top * rng.betavariate(2.0, 2.0), volts, plug=t_s == 0.0))
        t_s += rng.expovariate(1.0 / 40.0) + 1.0
    return out


def _on_off(rng: random.Random, watts: float, seconds: float) -> list[Segment]:
    """Load and rest in turn; at rest the bank switches itself off."""
    volts, t_s, out = rng.choice([5.0, 5.0, 9.0]), 0.0, []
    while t_s < seconds:
        out.append(Segment(t_s, "cc", _most_a(watts, volts) * rng.uniform(0.4, 1.0), volts))
        t_s += rng.uniform(300.0, 3600.0)
        out.append(Segment(t_s, rng.choice(["off", "off", "cc"]), 0.01, 5.0, plug=False))
        t_s += rng.uniform(300.0, 3600.0)
    return out


def _screening(rng: random.Random, watts: float, seconds: float) -> list[Segment]:
    """Rest, load, rest, as a guided test asks for."""
    idle_s, load_s = rng.uniform(300.0, 900.0), rng.uniform(900.0, 2400.0)
    amps = _most_a(watts, 5.0) * rng.uniform(0.6, 1.0)
    return [
        Segment(0.0, "off", 0.0, 5.0),
        Segment(idle_s, "cc", amps, 5.0),
        Segment(idle_s + load_s, "off", 0.0, 5.0, plug=False),
    ]


def _pps(rng: random.Random, watts: float, seconds: float) -> list[Segment]:
    """A programmable supply that follows a phone's battery in steps of 20 mV."""
    volts, out = rng.uniform(7.6, 8.4), [Segment(0.0, "cp", 2.5, 5.0)]
    t_s, amps = 5.0, min(watts / 9.5, 3.0) * rng.uniform(0.5, 0.9)
    while t_s < seconds:
        volts = min(9.0, volts + 0.02 * rng.choice([0, 1, 1, 2, -1]))
        if t_s > 1800.0:
            amps *= 0.995
        out.append(Segment(t_s, "cc", max(amps, 0.15), volts, plug=False))
        t_s += rng.uniform(10.0, 40.0)
    return out


def _small(rng: random.Random, watts: float, seconds: float) -> list[Segment]:
    """A lamp or a fan: little current for hours."""
    return [Segment(0.0, "cc", rng.uniform(0.12, 0.6), 5.0)]


_PATTERNS: Final[tuple[Draw, ...]] = (
    _steady, _steady, _stairs, _phone, _laptop, _on_off, _screening, _pps, _small,
)  # fmt: skip
