"""A physical power bank and its faults: it drives emulated meters, the demo and the evaluation.

Pure: no I/O, no clock; every run is determined by its parameters and its seed. What the model is
and where it ends stands in README.md beside this file. Nothing of it was measured on a real bank.
"""

from __future__ import annotations

from denchi.simulation.named import SCENARIOS, parameters
from denchi.simulation.params import SessionParams
from denchi.simulation.recording import MeterParams, Recording
from denchi.simulation.recording import record as _record
from denchi.simulation.scene import BankScene
from denchi_protocol.codec import SceneSource

__all__ = ["record", "scenario", "scenarios"]


def scenarios() -> dict[str, str]:
    """Names of the scenarios, each with a sentence."""
    return {name: named.text for name, named in SCENARIOS.items()}


def scenario(name: str, seed: int, start_ns: int) -> SceneSource:
    """The scene behind an emulated meter that is switched on at ``start_ns``.

    Raises ``KeyError`` for a name that ``scenarios`` does not list.
    """
    return BankScene(parameters(name, seed), seed, start_ns)


def record(
    what: str | SessionParams,
    seed: int,
    hours: float,
    hz: float = 10.0,
    *,
    meter: MeterParams | None = None,
    start_ns: int = 0,
) -> Recording:
    """A whole session at once, with the truth: of a named scenario or of parameters.

    ``hz`` is the rate of a plain good meter; ``meter`` names another one (``hz`` is then unused).
    """
    params = parameters(what, seed) if isinstance(what, str) else what
    return _record(params, seed, hours, meter or MeterParams(rate_hz=hz), start_ns=start_ns)
