"""The physics: one session stepped in fixed quarters of a second.

State is a few floats; a step is pure Python on purpose (a bank is a chain of decisions, not an
array), about 15 us. The grid is fixed, so that the same seed gives the same session however
it is asked for.

Cells: E = OCV - slow part, behind a resistance; all in parallel with the short's conductance. The
converter draws P / V, so the node voltage solves G V^2 - S V + P = 0 with G = sum 1/R + 1/R_short and
S = sum E/R. Heat: faulty cell, other cells, case, each a lumped node.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Final

from denchi.simulation import cell
from denchi.simulation.params import Segment, SessionParams
from denchi.simulation.room import surround

STEP_S: Final = 0.25
_CELL_J_GK: Final = 0.95
_SLEW_V_S: Final = 48.0
"""How fast the regulated voltage moves to a new contract."""
_DECAY_TAU_S: Final = 0.18
"""VBUS without a source: the output capacitor and what is left of the load."""


@dataclass(slots=True)
class Instant:
    """What is true at the end of a step. SI units, degC; current positive out of the bank."""

    t_s: float = 0.0
    vbus_v: float = 0.0
    ibus_a: float = 0.0
    case_c: float = 24.0
    probe_c: float = 24.0
    ambient_c: float = 24.0
    meter_c: float = 24.0
    fault_cell_c: float = 24.0
    core_c: float = 24.0
    cell_v: float = 4.0
    soc: float = 1.0
    on: bool = True
    energy_wh: float = 0.0
    charge_ah: float = 0.0


class Bank:
    """One session's physics. ``advance`` steps once; ``now`` and ``before`` are the last two instants."""

    def __init__(self, params: SessionParams, seed: int, step_s: float = STEP_S) -> None:
        self.params = params
        self._dialled: Segment | None = None
        self._step_s = step_s
        self._slew_v = _SLEW_V_S * step_s
        self._decay = math.exp(-step_s / _DECAY_TAU_S)
        self._rng = random.Random(seed ^ 0x5EED)  # noqa: S311 (a simulation, no secret)
        bank, room = params.bank, params.surroundings
        self._others = max(1, bank.cells - 1)
        self.t_s = 0.0
        self._soc_f = self._soc_o = bank.start_soc
        self._slow_f = self._slow_o = 0.0
        start_c = room.ambient_c if params.start_case_c is None else params.start_case_c
        core_c = start_c if params.start_core_c is None else params.start_core_c
        self._cell_c = self._core_c = core_c
        self._case_c = self._probe_c = start_c
        self._meter_c = room.ambient_c + params.probe.meter_offset_k
        self._left = [1.0, 1.0]
        cell_j_k = bank.core_j_k / (self._others + 1)
        self._cell_j_k, self._others_j_k = cell_j_k, cell_j_k * self._others
        self._cell_g = cell_j_k / _CELL_J_GK
        self._node_v = cell.ocv_v(bank.start_soc)
        self._set_v = params.segments[0].volts
        self._vbus_v = self._ibus_a = 0.0
        self._source = 0.0
        """Power at the converter's output."""
        self._wh = self._ah = 0.0
        self._low_s = 0.0
        self._off = ""
        self._off_until_s = math.inf
        self._charged = self._paused = False
        self._segment_i = -1
        self._segment = params.segments[0]
        self._reset_s = self._first_reset()
        self.run_away_s: float | None = None
        self.now = self.before = Instant()
        self._note(room.ambient_c)
        self.before = self.now

    @property
    def segment(self) -> Segment:
        """What is connected now."""
        return self._segment

    # -- what is asked of it -----------------------------------------------------------------

    def advance(self) -> Instant:
        """Step once by one step and return the new instant."""
        segment = self._follow_load()
        air_c, loss_w_k, body_w_k, body_w, sun_w, inside_w, contact = surround(
            self.params, self.t_s, self._case_c
        )
        short_s = self._short_s()
        if segment.mode == "charge":
            draw_w = self._charging(segment, short_s)
            lost_w = inside_w + draw_w
        else:
            lost_w = inside_w + self._discharging(segment, short_s)
        self._heat(
            air_c, loss_w_k, body_w_k, body_w, lost_w * self._converter_heat() + sun_w, short_s
        )
        self._thermometers(air_c, contact, lost_w)
        self.t_s += self._step_s
        self._wh += self._vbus_v * self._ibus_a * self._step_s / 3600.0
        self._ah += self._ibus_a * self._step_s / 3600.0
        self._note(air_c)
        return self.now

    def _note(self, air_c: float) -> None:
        self.before = self.now
        self.now = Instant(
            self.t_s, self._vbus_v, self._ibus_a, self._case_c, self._probe_c, air_c, self._meter_c,
            self._cell_c, self._core_c, self._node_v,
            (self._soc_f + self._others * self._soc_o) / (self._others + 1),
            not self._off, self._wh, self._ah,
        )  # fmt: skip

    # -- load, room, fault -------------------------------------------------------------------

    def dial(self, amps: float | None) -> None:
        """Take the load into one's own hand: 0 unplugged, None: as the session says again."""
        if amps is None:
            self._dialled = None
            return
        self._dialled = Segment(self.t_s, "cc" if amps else "off", amps, 5.0)
        if self._off == "idle":
            self._off = ""

    def _follow_load(self) -> Segment:
        if self._dialled is not None:
            self._segment = self._dialled
            return self._segment
        segments = self.params.segments
        i = self._segment_i
        while i + 1 < len(segments) and segments[i + 1].start_s <= self.t_s:
            i += 1
            if segments[i].plug and self._off == "idle":
                self._off = ""
            self._low_s = 0.0
        if i != self._segment_i:
            self._segment_i, self._segment = max(i, 0), segments[max(i, 0)]
            self._charged = False
        return self._segment

    def _grown(self) -> float:
        """How much of the fault is there: 0 before its onset, 1 after its ramp."""
        fault = self.params.fault
        since = self.t_s - fault.onset_s
        if fault.kind == "none" or since < 0.0:
            return 0.0
        return 1.0 if since >= fault.ramp_s else since / fault.ramp_s

    def _short_s(self) -> float:
        """Conductance across the cells in siemens."""
        fault = self.params.fault
        if fault.kind in ("soft_short", "hard_short"):
            return self._grown() / fault.size
        if fault.kind == "self_discharge":
            return self._grown() * fault.size / 3.7
        return 0.0

    def _converter_heat(self) -> float:
        if self.params.fault.kind == "hot_converter":
            return 1.0 + (self.params.fault.size - 1.0) * self._grown()
        return 1.0

    # -- electrical --------------------------------------------------------------------------

    def _network(self, short_s: float) -> tuple[float, float, float, float, float, float]:
        """EMF and resistance of the faulty cell and of the others, then S and G (module's head)."""
        bank, kind = self.params.bank, self.params.fault.kind
        factor_f = factor_o = 1.0
        if kind == "high_resistance_cell":
            factor_f += (self.params.fault.size - 1.0) * self._grown()
        elif kind == "dead_cell":
            factor_f += 1e6 * self._grown()
        r_f = bank.cell_ohm * factor_f * cell.resistance_factor(self._soc_f, self._cell_c)
        r_o = bank.cell_ohm * factor_o * cell.resistance_factor(self._soc_o, self._core_c)
        r_o /= self._others
        e_f = cell.ocv_v(self._soc_f) - self._slow_f
        e_o = cell.ocv_v(self._soc_o) - self._slow_o
        return e_f, r_f, e_o, r_o, e_f / r_f + e_o / r_o, 1.0 / r_f + 1.0 / r_o + short_s

    def _discharging(self, segment: Segment, short_s: float) -> float:
        """Serve the load; returns the converter's loss in W."""
        bank = self.params.bank
        self._output(segment)
        source_w = self._source
        loss_w = 0.0
        if not self._off:
            into_a = source_w / max(self._node_v, 2.5)
            loss_w = (
                bank.converter_fixed_w
                + bank.converter_frac * source_w
                + bank.converter_ohm * into_a * into_a
            )
        power_w = source_w + loss_w * self._converter_heat() + bank.standby_a * self._node_v
        e_f, r_f, e_o, r_o, s, g = self._network(short_s)
        root = s * s - 4.0 * g * power_w
        node_v = (s + math.sqrt(root)) / (2.0 * g) if root > 0.0 else s / (2.0 * g)
        self._cells(node_v, e_f, r_f, e_o, r_o)
        if node_v < bank.uvlo_v and not self._off:
            self._off, self._off_until_s = "empty", self.t_s + 8.0
        return loss_w

    def _output(self, segment: Segment) -> None:
        """What stands at the meter in this step."""
        bank = self.params.bank
        self._recover(segment)
        wanted = segment.volts * (1.0 + bank.set_error)
        self._set_v += min(max(wanted - self._set_v, -self._slew_v), self._slew_v)
        self._resets()
        if self._off:
            self._vbus_v = self._vbus_v * self._decay if self._vbus_v > 0.01 else 0.0
            self._ibus_a = self._source = 0.0
            return
        extra_ohm, missing = self._sag()
        set_v = self._set_v * (1.0 - missing)
        path_ohm = bank.regulation_ohm + self.params.cable_ohm + extra_ohm
        amps = 0.0
        if segment.mode == "cc":
            amps = segment.value
        elif segment.mode == "cp":
            root = set_v * set_v - 4.0 * path_ohm * segment.value
            volts = (set_v + math.sqrt(root)) / 2.0 if root > 0.0 else set_v / 2.0
            amps = segment.value / volts
        if amps > bank.limit_a or amps * set_v > bank.limit_w:
            self._off, self._off_until_s = "hiccup", self.t_s + bank.hiccup_s
        self._vbus_v = max(0.0, set_v - path_ohm * amps)
        self._ibus_a = amps
        self._source = (self._vbus_v + self.params.cable_ohm * amps) * amps
        self._low_s = self._low_s + self._step_s if amps < bank.auto_off_a else 0.0
        if self._low_s >= bank.auto_off_s:
            self._off, self._off_until_s = "idle", math.inf

    def _recover(self, segment: Segment) -> None:
        if self._off in ("hiccup", "reset") and self.t_s >= self._off_until_s:
            self._off = ""
        elif self._off == "empty" and self.t_s >= self._off_until_s:
            self._off_until_s = self.t_s + 8.0
            if self._node_v >= self.params.bank.recover_v:
                self._off = ""

    def _sag(self) -> tuple[float, float]:
        """Ohms and the fraction of the voltage that the fault takes."""
        fault = self.params.fault
        if fault.kind == "sag_static":
            return 0.0, fault.size * self._grown()
        if fault.kind == "sag_growing":
            return max(0.0, self.t_s - fault.onset_s) / 3600.0 * fault.size, 0.0
        return 0.0, 0.0

    def _first_reset(self) -> float:
        fault = self.params.fault
        if fault.kind != "resets":
            return math.inf
        if fault.times_s:
            return fault.times_s[0]
        return fault.onset_s + self._rng.expovariate(1.0 / fault.size)

    def _resets(self) -> None:
        fault = self.params.fault
        if self.t_s < self._reset_s or self._off or self._ibus_a < fault.load_a:
            return
        self._off, self._off_until_s = "reset", self.t_s + fault.off_s
        later = [t for t in fault.times_s if t > self.t_s]
        if fault.times_s:
            self._reset_s = later[0] if later else math.inf
        else:
            self._reset_s = self.t_s + fault.off_s + self._rng.expovariate(1.0 / fault.size)

    def _charging(self, segment: Segment, short_s: float) -> float:
        """Take from the charger what the cells take; returns the charger's loss in W."""
        bank, fault = self.params.bank, self.params.fault
        self._off = ""
        e_f, r_f, e_o, r_o, s, g = self._network(short_s)
        # JEITA: half the current below 10 degC, none below 0 and from 50 down to 45.
        coldest, hottest = min(self._cell_c, self._core_c), max(self._cell_c, self._core_c)
        self._paused = hottest > (45.0 if self._paused else 50.0) or coldest < 0.0
        allowed = 0.0 if self._paused else 0.5 if coldest < 10.0 else 1.0
        most_a = bank.charge_a * allowed
        most_w = min(bank.charge_w, bank.charge_input_a * segment.volts)
        most_a = min(most_a, most_w * bank.charge_efficiency / max(self._node_v, 2.5))
        amps = min(most_a, max(0.0, g * bank.charge_v - s))
        taper_lost = fault.kind == "charge_no_taper" and self.t_s >= fault.onset_s
        if taper_lost and allowed:
            amps = max(amps, min(most_a, fault.size * bank.charge_a))
        elif self._charged or (amps < bank.taper_stop * bank.charge_a and allowed):
            self._charged = cell.ocv_v(self._soc_o) > bank.charge_v - 0.12
            amps = 0.0 if self._charged else amps
        node_v = (s + amps) / g
        self._cells(node_v, e_f, r_f, e_o, r_o)
        taken_w = amps * node_v
        input_w = taken_w / bank.charge_efficiency + bank.idle_input_a * segment.volts
        self._ibus_a = -input_w / segment.volts
        self._vbus_v = segment.volts + self.params.cable_ohm * self._ibus_a
        return input_w - taken_w

    def _cells(self, node_v: float, e_f: float, r_f: float, e_o: float, r_o: float) -> None:
        """Currents of the cells at the node's voltage, and what they do to charge and slow part."""
        bank = self.params.bank
        self._node_v = node_v
        self._a_f, self._a_o = (e_f - node_v) / r_f, (e_o - node_v) / r_o
        self._r_f, self._r_o = r_f, r_o
        each_ah = bank.capacity_ah / (self._others + 1)
        taken_f, taken_o = _taken(self._soc_f, self._a_f), _taken(self._soc_o, self._a_o)
        self._soc_f -= self._a_f * taken_f * self._step_s / 3600.0 / each_ah
        self._soc_o -= self._a_o * taken_o * self._step_s / 3600.0 / (each_ah * self._others)
        self._over_f = -self._a_f * (1.0 - taken_f) * node_v
        self._over_o = -self._a_o * (1.0 - taken_o) * node_v
        k = self._step_s / bank.slow_tau_s
        self._slow_f += k * (self._a_f * bank.slow_ohm - self._slow_f)
        self._slow_o += k * (self._a_o * bank.slow_ohm / self._others - self._slow_o)

    # -- heat --------------------------------------------------------------------------------

    def _heat(
        self,
        air_c: float,
        loss_w_k: float,
        body_w_k: float,
        body_w: float,
        case_w: float,
        short_s: float,
    ) -> None:
        bank = self.params.bank
        share = 1.0 / (self._others + 1)
        to_case_f = bank.core_case_w_k * share * (self._cell_c - self._case_c)
        to_case_o = bank.core_case_w_k * (1.0 - share) * (self._core_c - self._case_c)
        between = bank.cell_cell_w_k * (self._cell_c - self._core_c)
        # Reversible heat changes its sign over the charge; here only: warms below 40 %, cools above.
        entropic_v = bank.entropic_v if self._soc_o < 0.4 else -bank.entropic_v * 0.5
        heat_f = self._a_f * (self._a_f * self._r_f + self._slow_f + entropic_v)
        heat_o = self._a_o * (self._a_o * self._r_o + self._slow_o + entropic_v)
        heat_f += short_s * self._node_v * self._node_v + self._over_f + self._decomposing()
        heat_o += self._over_o
        self._cell_c += self._step_s * (heat_f - to_case_f - between) / self._cell_j_k
        self._core_c += self._step_s * (heat_o - to_case_o + between) / self._others_j_k
        from_room = loss_w_k * (air_c - self._case_c) + body_w - body_w_k * self._case_c
        self._case_c += self._step_s * (case_w + to_case_f + to_case_o + from_room) / bank.case_j_k

    def _decomposing(self) -> float:
        """Heat of decomposition in W of the faulty cell; nothing to speak of below 80 degC."""
        temp_c = self._cell_c
        if temp_c < 70.0:
            return 0.0
        if temp_c >= cell.RUNAWAY_C and self.run_away_s is None:
            self.run_away_s = self.t_s
        watts = 0.0
        for i, reaction in enumerate((cell.SEI, cell.RUNAWAY)):
            used = self._left[i] * min(1.0, cell.reaction_rate(reaction, temp_c) * self._step_s)
            # Nobody needs the flame: what a second brings is bounded, so that the steps stay stable.
            used = min(used, 0.02)
            self._left[i] -= used
            watts += used * reaction[2] * self._cell_g / self._step_s
        return watts

    def _thermometers(self, air_c: float, contact: float, lost_w: float) -> None:
        probe = self.params.probe
        place_c = self._case_c + probe.fault_cell_share * (self._cell_c - self._case_c)
        place_c += probe.converter_k_w * lost_w * self._converter_heat()
        aim_c = contact * place_c + (1.0 - contact) * air_c
        self._probe_c += self._step_s / max(probe.lag_s, 2 * self._step_s) * (aim_c - self._probe_c)
        warm_c = air_c + probe.meter_offset_k + probe.meter_k_a2 * self._ibus_a * self._ibus_a
        self._meter_c += self._step_s / probe.meter_tau_s * (warm_c - self._meter_c)


def _taken(soc: float, amps: float) -> float:
    """Share of a charging current that is stored: above full it goes into side reactions, as heat."""
    if amps >= 0.0 or soc <= 1.02:
        return 1.0
    return max(0.0, 1.0 - (soc - 1.02) / 0.15)
