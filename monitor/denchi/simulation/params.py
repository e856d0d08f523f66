"""What a simulated session consists of: bank, fault, surroundings, probe and load. Plain numbers.

Every default is a round middle value from handbooks and the research page, not a measurement of a
power bank; ``population`` draws the spread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

FaultKind: TypeAlias = Literal[
    "none", "soft_short", "hard_short", "high_resistance_cell", "dead_cell", "hot_converter",
    "sag_static", "sag_growing", "resets", "self_discharge", "charge_no_taper",
]  # fmt: skip

FAULT_KINDS: Final[tuple[FaultKind, ...]] = (
    "soft_short", "hard_short", "high_resistance_cell", "dead_cell", "hot_converter",
    "sag_static", "sag_growing", "resets", "self_discharge", "charge_no_taper",
)  # fmt: skip

InfluenceKind: TypeAlias = Literal[
    "ambient", "sun", "cover", "hand", "laptop", "pass_through", "probe_off"
]


@dataclass(frozen=True, slots=True)
class BankParams:
    """A power bank: parallel cells, one converter, a plastic or metal case."""

    capacity_ah: float = 10.0
    """True capacity of all cells together."""
    cells: int = 2
    """Cells in parallel, at least 2; one of them can be the faulty one."""
    cell_ohm: float = 0.05
    """Ohmic resistance of one cell at 25 degC and half charge."""
    slow_ohm: float = 0.025
    """Resistance of one cell's slow (diffusion) part."""
    slow_tau_s: float = 40.0
    start_soc: float = 0.95
    core_j_k: float = 176.0
    """Heat capacity of all cells."""
    case_j_k: float = 40.0
    """Heat capacity of case and board."""
    core_case_w_k: float = 1.2
    cell_cell_w_k: float = 0.8
    """Conductance between the faulty cell and its neighbours."""
    loss_w_k: float = 0.17
    """Case to air in still air (hA), bare."""
    converter_fixed_w: float = 0.08
    converter_frac: float = 0.06
    converter_ohm: float = 0.02
    """Loss = fixed + frac * P + ohm * (P / V_cell)^2."""
    standby_a: float = 0.0001
    regulation_ohm: float = 0.01
    """Slope of the regulated voltage; negative = the bank compensates for the cable."""
    set_error: float = 0.01
    """The regulated voltage stands this much above nominal (fraction)."""
    limit_a: float = 3.3
    limit_w: float = 30.0
    hiccup_s: float = 2.0
    uvlo_v: float = 3.0
    recover_v: float = 3.35
    """Cell voltage at which a bank that switched off at UVLO would try again (some never do)."""
    auto_off_a: float = 0.06
    auto_off_s: float = 30.0
    charge_a: float = 4.0
    """Charging current into the cells in the constant-current phase."""
    charge_v: float = 4.2
    charge_efficiency: float = 0.9
    taper_stop: float = 0.05
    """Charging ends below this fraction of ``charge_a``."""
    charge_w: float = 18.0
    """Most the charger takes from its input, and at most ``charge_input_a``."""
    charge_input_a: float = 3.0
    idle_input_a: float = 0.015
    entropic_v: float = 0.02


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, from ``onset_s`` on, grown in over ``ramp_s``.

    ``size`` by kind: shorts: ohm; high_resistance_cell: factor on one cell's resistance;
    hot_converter: factor on converter loss; sag_static: volts missing as a fraction; sag_growing:
    ohm an hour; resets: mean seconds between two; self_discharge: ampere;
    charge_no_taper: current that is left over in CV, as a fraction of the charging current.
    """

    kind: FaultKind = "none"
    onset_s: float = 0.0
    size: float = 0.0
    ramp_s: float = 60.0
    off_s: float = 1.5
    """resets: how long the output stays away."""
    load_a: float = 0.3
    """resets: happen only above this current."""
    times_s: tuple[float, ...] = ()
    """resets: these instants instead of random ones."""


@dataclass(frozen=True, slots=True)
class Influence:
    """Something in the surroundings from ``start_s`` to ``end_s``.

    ``value`` by kind: ambient: K added (grown in over ``tau_s``); sun: W on the case; cover: factor
    on the loss to air; hand / laptop: W/K to a body at ``body_c``; pass_through: W of charging loss
    inside; probe_off: contact that is left.
    """

    kind: InfluenceKind
    start_s: float
    end_s: float
    value: float
    body_c: float = 33.0
    tau_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The room and what happens in it."""

    ambient_c: float = 24.0
    drift_k_h: float = 0.0
    influences: tuple[Influence, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """The case probe and the meter's own thermometer."""

    contact: float = 0.92
    """Share of the case's temperature in what the probe takes on; the rest is air."""
    lag_s: float = 30.0
    converter_k_w: float = 0.0
    """K a watt of converter loss: a probe over the converter."""
    fault_cell_share: float = 0.1
    """How much of the step from case to the faulty cell the place of the probe shows."""
    meter_offset_k: float = 5.0
    meter_k_a2: float = 0.8
    meter_tau_s: float = 200.0


@dataclass(frozen=True, slots=True)
class Segment:
    """What is connected from ``start_s`` on.

    ``mode``: ``cc`` (``value`` A), ``cp`` (``value`` W), ``off`` (nothing), ``charge`` (a charger at
    the input, ``volts`` its contract). ``plug``: something is plugged in at that instant, which
    wakes a bank that had switched itself off.
    """

    start_s: float
    mode: Literal["cc", "cp", "off", "charge"]
    value: float = 0.0
    volts: float = 5.0
    plug: bool = True


@dataclass(frozen=True, slots=True)
class SessionParams:
    """A whole session before any meter looked at it."""

    bank: BankParams = field(default_factory=BankParams)
    fault: Fault = field(default_factory=Fault)
    surroundings: Surroundings = field(default_factory=Surroundings)
    probe: Probe = field(default_factory=Probe)
    segments: tuple[Segment, ...] = (Segment(0.0, "cc", 2.0),)
    cable_ohm: float = 0.05
    """Between the bank's socket and the meter."""
    start_core_c: float | None = None
    start_case_c: float | None = None
    """None: in balance with the room."""
