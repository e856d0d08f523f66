"""Named scenarios for the demo and for emulated meters. The seed varies what nobody looks at."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from denchi.simulation.params import (
    BankParams,
    Fault,
    Influence,
    Segment,
    SessionParams,
    Surroundings,
)

HOURS: Final = 12


def _cycle(*steps: tuple[float, str, float, float]) -> tuple[Segment, ...]:
    """Repeat (seconds, mode, value, volts) for half a day."""
    out: list[Segment] = []
    t_s = 0.0
    while t_s < HOURS * 3600.0:
        for seconds, mode, value, volts in steps:
            out.append(Segment(t_s, mode, value, volts))  # type: ignore[arg-type]
            t_s += seconds
    return tuple(out)


def _desk(rng: random.Random) -> SessionParams:
    """A 10 Ah bank on a desk, every number a little different by seed."""
    bank = BankParams(
        capacity_ah=rng.uniform(9.4, 10.2),
        cell_ohm=rng.uniform(0.04, 0.06),
        loss_w_k=rng.uniform(0.15, 0.19),
        set_error=rng.uniform(0.008, 0.02),
        regulation_ohm=rng.uniform(-0.01, 0.02),
    )
    room = Surroundings(ambient_c=rng.uniform(22.0, 25.0))
    load = _cycle(
        (20.0, "cc", 2.0, 5.0), (25.0, "cc", 1.0, 5.0), (75.0, "cc", 2.4, 5.0),
        (120.0, "cc", 1.6, 9.0), (360.0, "cc", 2.0, 5.0),
    )  # fmt: skip
    return SessionParams(bank=bank, surroundings=room, segments=load)


def _demo(rng: random.Random) -> SessionParams:
    first = rng.uniform(6.0, 7.5)
    times = (first, first + rng.uniform(4.5, 6.0), 1500.0, 1620.0)
    fault = Fault("resets", size=1.0, off_s=1.5, load_a=0.3, times_s=times)
    return replace(_desk(rng), fault=fault)


def _healthy(rng: random.Random) -> SessionParams:
    return _desk(rng)


def _short(rng: random.Random) -> SessionParams:
    """Ten minutes of load, then rest, again and again; the short comes after two minutes."""
    desk = _desk(rng)
    load = _cycle((600.0, "cc", 2.0, 5.0), (1800.0, "off", 0.0, 5.0))
    fault = Fault("soft_short", onset_s=120.0, size=rng.uniform(4.0, 9.0), ramp_s=60.0)
    return replace(desk, segments=load, fault=fault)


def _hard_short(rng: random.Random) -> SessionParams:
    fault = Fault("hard_short", onset_s=90.0, size=rng.uniform(0.25, 0.5), ramp_s=30.0)
    return replace(_desk(rng), fault=fault)


def _hot(rng: random.Random) -> SessionParams:
    """Found warm: a cell has been shorted for a while when the meter is connected."""
    desk = _desk(rng)
    return replace(
        desk,
        fault=Fault("hard_short", onset_s=0.0, size=rng.uniform(0.55, 0.65), ramp_s=1.0),
        start_core_c=66.0,
        start_case_c=46.0,
        segments=_cycle((3600.0, "cc", 2.0, 5.0)),
    )


def _sag(rng: random.Random) -> SessionParams:
    """Below 4.4 V at 5 V under every load, and still a 5 V unit to whoever has no PD messages."""
    load = _cycle((20.0, "cc", 2.0, 5.0), (25.0, "cc", 1.2, 5.0), (75.0, "cc", 2.4, 5.0))
    fault = Fault("sag_static", size=rng.uniform(0.125, 0.135), ramp_s=5.0)
    return replace(_desk(rng), fault=fault, segments=load)


def _resets(rng: random.Random) -> SessionParams:
    fault = Fault("resets", onset_s=20.0, size=rng.uniform(60.0, 120.0), off_s=2.0)
    return replace(_desk(rng), fault=fault)


def _charging(rng: random.Random) -> SessionParams:
    desk = _desk(rng)
    bank = replace(desk.bank, start_soc=0.75)
    return replace(desk, bank=bank, segments=(Segment(0.0, "charge", 0.0, 9.0),))


def _charge_no_taper(rng: random.Random) -> SessionParams:
    return replace(
        _charging(rng), fault=Fault("charge_no_taper", size=rng.uniform(0.4, 0.55), ramp_s=1.0)
    )


def _sun(rng: random.Random) -> SessionParams:
    sun = Influence("sun", 120.0, HOURS * 3600.0, rng.uniform(1.5, 2.5), tau_s=120.0)
    desk = _desk(rng)
    return replace(desk, surroundings=replace(desk.surroundings, influences=(sun,)))


@dataclass(frozen=True, slots=True)
class Named:
    """A scenario by name."""

    text: str
    make: Callable[[random.Random], SessionParams]


SCENARIOS: Final[dict[str, Named]] = {
    "demo": Named(
        "A 10 Ah bank under a changing load whose output collapses twice and comes back.", _demo
    ),
    "healthy": Named("A sound 10 Ah bank under a changing load.", _healthy),
    "healthy-sun": Named("A sound bank in the sun: warm for a reason outside of it.", _sun),
    "healthy-charge": Named(
        "A sound bank being charged at 9 V, the meter at its input.", _charging
    ),
    "short": Named(
        "A soft internal short of some ohms from the second minute on, under load and at rest.",
        _short,
    ),
    "hard-short": Named(
        "A hard internal short in the second minute that goes on to thermal runaway.", _hard_short
    ),
    "hot": Named("A bank that is found warm and passes 60 °C within two minutes.", _hot),
    "sag": Named("A bank whose voltage stands about 13 % too low.", _sag),
    "resets": Named("A bank whose output collapses every minute or two under load.", _resets),
    "charge-no-taper": Named(
        "Charging whose current does not fall at the end, the meter at the input.", _charge_no_taper
    ),
}


def parameters(name: str, seed: int) -> SessionParams:
    """The parameters of a named scenario. Raises ``KeyError`` for a name that there is not."""
    return SCENARIOS[name].make(random.Random(f"{name}:{seed}"))  # noqa: S311
