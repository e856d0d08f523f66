"""What every detector keeps: the second it is shown, the context, episodes, the Detector itself.

A detector is one small file with its limits' sources. It is shown every second of the session in
order, keeps its own state, and returns findings. It never sees block edges. ``Second`` values are
NaN where nothing was measured or what was measured is stale: comparisons with NaN are false, so a
missing value can neither raise nor clear anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from denchi.health.contract import Contract
from denchi.health.profiles import Limits
from denchi.i18n import Text
from denchi.model import Family, Finding, Gap, Measured, SessionMeta, Severity
from denchi_protocol.codec import PdMessage, Telemetry

NS: Final = 1_000_000_000
NAN: Final = math.nan
OWN: Final = "denchi's own limit, docs/health.md"
"""Source of a limit that no standard states."""


class Second:
    """One second of the session, joined from the bench's instruments by time. SI units, NaN = not known.

    ``t_ns`` is its end: the moment at which a live run knows it. ``fresh``: the main instrument had a
    sample in it; without one, figures are its last (of a slow meter) until they are stale.
    """

    __slots__ = (
        "ambient",
        "case",
        "case_fresh",
        "cell_temp",
        "cells",
        "dark",
        "fresh",
        "i",
        "i_high",
        "i_low",
        "k",
        "meter",
        "n",
        "p",
        "pack",
        "pd",
        "t_ns",
        "unchecked",
        "v",
        "v_high",
        "v_low",
    )  # fmt: skip

    def __init__(self, k: int, t_ns: int) -> None:
        self.k, self.t_ns = k, t_ns
        self.n = self.dark = self.unchecked = 0
        self.fresh = self.case_fresh = False
        self.pack = False
        """Voltage and current are a cell's or pack's, not VBUS."""
        self.v = self.v_low = self.v_high = NAN
        self.i = self.i_low = self.i_high = self.p = NAN
        self.case = self.ambient = self.meter = self.pd = self.cell_temp = NAN
        self.cells: Sequence[float] = ()


@dataclass(slots=True)
class Context:
    """What detectors may know of the session beside the second they are shown."""

    limits: Limits
    meta: SessionMeta
    start_ns: int
    contract: Contract | None = None
    places: frozenset[str] = frozenset()
    answers: dict[str, bool] = field(default_factory=dict)
    wh_out: float = 0.0
    wh_in: float = 0.0
    ah_out: float = 0.0
    ah_in: float = 0.0
    idle_s: float = 0.0
    """Seconds with less than 0.15 W either way, in a row."""
    load_s: float = 0.0
    """Seconds with more than that, in a row."""
    since_gap_s: float = 0.0
    """Seconds since the session's start or the main instrument's last gap."""
    charging: bool = False
    active: dict[str, Severity] = field(default_factory=dict)
    """Episodes that are open, by code: what other detectors say now (of the second before)."""
    figures: dict[str, float] = field(default_factory=dict)
    """What the session measured of the unit, for its history: ``energy_wh`` ``ohm`` ``rise_k_w``."""
    emptied: bool = False
    """The unit was discharged until it switched itself off under load."""
    emptied_now: bool = False
    """The same, since the last charge."""
    excess_k: float = NAN
    """Heat that load and surroundings do not explain, as kelvin of the case, when known."""
    source_v: float = NAN
    """Voltage of the source without load, by regression of voltage on current within the contract."""
    source_sigma_v: float = NAN
    """Its standard deviation: a single current tells little of it."""

    @property
    def loaded(self) -> bool:
        """Whether the unit is working now."""
        return self.load_s > 0

    @property
    def input_side(self) -> bool:
        """The meter sits at the unit's input: its voltage is the charger's."""
        return self.meta.meter_position == "input"

    @property
    def cell_side(self) -> bool:
        """The voltage is a cell's or pack's: no VBUS rule applies."""
        return self.meta.meter_position == "cell"

    @property
    def rated_ah(self) -> float | None:
        """Rated charge of the cells in Ah, printed or from the printed energy at 3.7 V."""
        if self.meta.rated_mah:
            return self.meta.rated_mah / 1000
        return self.meta.rated_wh / 3.7 if self.meta.rated_wh else None

    def ask(self, key: str) -> bool | None:
        """The answer to a question, None when there is none."""
        return self.answers.get(key, self.meta.answers.get(key))


class Hold:
    """A condition that counts once it has held for ``seconds`` of its own time; NaN neither holds nor breaks.

    ``step(True)`` adds a second, ``step(False)`` begins anew, ``step(None)`` (not known) leaves it as it is.
    """

    __slots__ = ("held_s", "seconds", "since_ns")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.held_s = 0.0
        self.since_ns = 0

    def step(self, on: bool | None, t_ns: int) -> bool:
        """Whether the condition has held long enough."""
        if on is None:
            return False
        if not on:
            self.held_s = 0.0
            return False
        if not self.held_s:
            self.since_ns = t_ns - NS
        self.held_s += 1.0
        return self.held_s >= self.seconds


def over(value: float, limit: float) -> bool | None:
    """``value > limit``, None when the value is not known."""
    return None if value != value else value > limit


def under(value: float, limit: float) -> bool | None:
    """``value < limit``, None when the value is not known."""
    return None if value != value else value < limit


class Episode:
    """One finding an episode and severity: raise, escalate, end after ``clear_s`` below the clear line."""

    __slots__ = ("_clear", "severity")

    def __init__(self, clear_s: float = 60.0) -> None:
        self.severity: Severity | None = None
        self._clear = Hold(clear_s)

    def raises(self, severity: Severity | None) -> bool:
        """Whether this severity is new to the episode (opens or escalates it)."""
        if severity is None or (self.severity is not None and severity <= self.severity):
            return False
        self.severity = severity
        self._clear.held_s = 0.0
        return True

    def ends(self, clear: bool | None, t_ns: int) -> bool:
        """Whether an open episode ends now."""
        if self.severity is None or not self._clear.step(clear, t_ns):
            return False
        self.severity = None
        self._clear.held_s = 0.0
        return True


class Detector:
    """A detector: override what you need; everything else says nothing.

    ``code`` of its findings and ``family`` are class attributes; one instance a session.
    """

    code: str = ""
    family: Family = "data"

    def second(self, s: Second, ctx: Context) -> Iterable[Finding]:
        """Look at one second."""
        return ()

    def temperatures(
        self, place: str, t_ns: Sequence[int], values_c: Sequence[float], ctx: Context
    ) -> Iterable[Finding]:
        """Look at every sample of a temperature of the unit, in a second that comes near a limit."""
        return ()

    def gap(self, gap: Gap, ctx: Context) -> Iterable[Finding]:
        """The main instrument was away."""
        return ()

    def pd(self, message: PdMessage, ctx: Context) -> Iterable[Finding]:
        """A USB Power Delivery message."""
        return ()

    def telemetry(self, telemetry: Telemetry, ctx: Context) -> Iterable[Finding]:
        """What a battery says of itself."""
        return ()

    def answer(self, question: str, value: bool, t_ns: int, ctx: Context) -> Iterable[Finding]:
        """A question was answered."""
        return ()

    def finish(self, t_ns: int, ctx: Context) -> Iterable[Finding]:
        """The session ends."""
        return ()

    def open_codes(self) -> Iterable[tuple[str, Severity]]:
        """Episodes that are open now."""
        return ()


def text(msgid: str, **params: str | float | int) -> Text:
    """A sentence of this room."""
    return Text(msgid, params, domain="health")


def measured(**figures: tuple[float, str]) -> dict[str, Measured]:
    """Evidence: ``measured(case=(41.3, "degC"))``; what is not known is left out."""
    return {
        name: Measured(round(value, 4), unit)
        for name, (value, unit) in figures.items()
        if math.isfinite(value)
    }
