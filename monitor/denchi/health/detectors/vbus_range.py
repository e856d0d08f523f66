"""VBUS against what was promised: too low at the meter, or too high.

Limits are of the voltage at the *source*; a meter at the end of a cable sees less, and that is first
of all the cable (science.md §8.9). So the near limit only tells (info); the far one is a caution. Where the load has
moved enough for a regression, its intercept is the voltage without cable and contacts: one that is too low is the
source's own, and a caution at the near limit already. So is a drop that would take more ohms than cable and contacts may have.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from denchi.health.base import OWN, Context, Detector, Episode, Hold, Second, measured, text
from denchi.model import Finding, Severity

LOW_S: Final = 10.0
BAD_S: Final = 20.0
HIGH_S: Final = 8.0
OWN_S: Final = 60.0
OWN_MARGIN_FRAC: Final = 0.002
"""What the gain of an ordinary meter may move the intercept by."""
DROP_FRAC: Final = 0.98
"""Sources stand at their nominal voltage or above; a little under it is forgiven."""
DROP_OHM: Final = 0.30
"""A cable may take 0.5 V and its ground 0.25 V at 3 A (Type-C, from memory): 0.25 ohm."""
DROP_LEAST_A: Final = 0.5
BAD_5V: Final = 4.4
HIGH_5V: Final = 5.6
TRANSITION_S: Final = 3
"""Not judged this long after a new contract: sources need up to 0.7 s, loads follow."""


class VbusRange(Detector):
    """``vbus_low`` and ``vbus_high``."""

    code = "vbus_low"
    family = "voltage"

    def __init__(self) -> None:
        self._low, self._bad, self._high = Hold(LOW_S), Hold(BAD_S), Hold(HIGH_S)
        self._own, self._ohms = Hold(OWN_S), Hold(OWN_S)
        self._low_episode, self._high_episode = Episode(60.0), Episode(60.0)
        self._contract_ns = 0

    def second(self, s: Second, ctx: Context) -> Iterable[Finding]:
        """Judge one second against the contract."""
        contract = ctx.contract
        if s.pack or ctx.input_side or contract is None or contract.voltage_v is None:
            return ()
        if contract.since_ns != self._contract_ns:
            self._contract_ns = contract.since_ns
            for hold in (self._low, self._bad, self._high, self._own, self._ohms):
                hold.held_s = 0.0
        nominal = contract.voltage_v
        settling = (
            s.t_ns < max(contract.settled_ns, contract.since_ns) + TRANSITION_S * 1_000_000_000
        )
        # Dark is a drop-out or an unplugged unit, judged elsewhere; charging through is not the unit's output.
        if s.v != s.v or settling or s.v_low < 2.5 or ctx.charging:
            return ()
        if contract.limited and not s.i < 0.9 * (contract.current_a or 0.0):
            # A current limit (PPS) makes the voltage fall by design.
            return ()
        low_v = 4.75 if nominal == 5.0 else nominal * ctx.limits.vbus_low_frac
        bad_v = BAD_5V if nominal == 5.0 else nominal * ctx.limits.vbus_bad_frac
        high_v = max(nominal * ctx.limits.vbus_high_frac, HIGH_5V if nominal == 5.0 else 0.0)
        found: list[Finding] = []
        low, bad = self._low.step(s.v < low_v, s.t_ns), self._bad.step(s.v < bad_v, s.t_ns)
        source_v = ctx.source_v + 2 * ctx.source_sigma_v + OWN_MARGIN_FRAC * nominal
        own = self._own.step(s.v < low_v and source_v < low_v, s.t_ns)
        ohm = (DROP_FRAC * nominal - s.v) / s.i if s.i > DROP_LEAST_A else 0.0
        ohms = self._ohms.step(s.v < low_v and ohm > DROP_OHM, s.t_ns)
        if bad and self._low_episode.raises(Severity.CAUTION):
            found.append(self._finding(s, nominal, bad_v, Severity.CAUTION, self._bad.since_ns))
        elif own and self._low_episode.raises(Severity.CAUTION):
            found.append(self._source_low(s, ctx, nominal, low_v))
        elif ohms and self._low_episode.raises(Severity.CAUTION):
            found.append(self._finding(s, nominal, low_v, Severity.CAUTION, self._ohms.since_ns))
        elif low and self._low_episode.raises(Severity.INFO):
            found.append(self._finding(s, nominal, low_v, Severity.INFO, self._low.since_ns))
        self._low_episode.ends(s.v > low_v, s.t_ns)
        if self._high.step(s.v > high_v, s.t_ns) and self._high_episode.raises(Severity.CAUTION):
            found.append(self._too_high(s, nominal, high_v))
        self._high_episode.ends(s.v < high_v, s.t_ns)
        return found

    def _finding(
        self, s: Second, nominal: float, limit: float, severity: Severity, onset_ns: int
    ) -> Finding:
        return Finding(
            code="vbus_low",
            family="voltage",
            severity=severity,
            onset_ns=onset_ns,
            t_ns=s.t_ns,
            message=text(
                "VBUS is {volts:.2f} V at {amps:.2f} A on a {nominal:.0f} V contract (limit {limit:.2f} V at the meter).",
                volts=s.v,
                amps=s.i,
                nominal=nominal,
                limit=limit,
            ),
            advice=text(
                "Try a short, thick cable first, and the meter directly at the unit: below the limit behind a cable is first of all the cable."
            ),
            measured=measured(voltage=(s.v, "V"), current=(s.i, "A")),
            limit=f"{limit:.2f} V",
            source="4.75 to 5.5 V: USB 5 V at the source (by secondary sources; the standard was not read)"
            if nominal == 5.0
            else OWN,
            place="vbus",
        )

    def _source_low(self, s: Second, ctx: Context, nominal: float, limit: float) -> Finding:
        return Finding(
            code="vbus_low",
            family="voltage",
            severity=Severity.CAUTION,
            onset_ns=self._own.since_ns,
            t_ns=s.t_ns,
            message=text(
                "VBUS is {volts:.2f} V at {amps:.2f} A on a {nominal:.0f} V contract. Without the drop of cable and contacts it is still only {source:.2f} V: the source itself is low.",
                volts=s.v,
                amps=s.i,
                nominal=nominal,
                source=ctx.source_v,
            ),
            advice=text(
                "A cable does not explain it. Compare with another meter or another port; if it is the same, the unit's converter gives too little."
            ),
            measured=measured(
                voltage=(s.v, "V"),
                current=(s.i, "A"),
                source=(ctx.source_v, "V"),
                source_sigma=(ctx.source_sigma_v, "V"),
            ),
            limit=f"{limit:.2f} V without load",
            source=OWN,
            place="vbus",
        )

    def _too_high(self, s: Second, nominal: float, limit: float) -> Finding:
        return Finding(
            code="vbus_high",
            family="voltage",
            severity=Severity.CAUTION,
            onset_ns=self._high.since_ns,
            t_ns=s.t_ns,
            message=text(
                "VBUS is {volts:.2f} V on a {nominal:.0f} V contract: more than was promised.",
                volts=s.v,
                nominal=nominal,
            ),
            advice=text(
                "Take the load off: it may be damaged. Do not use this output until another meter has been asked."
            ),
            measured=measured(voltage=(s.v, "V"), current=(s.i, "A")),
            limit=f"{limit:.2f} V",
            source=OWN,
            place="vbus",
        )

    def open_codes(self) -> Iterable[tuple[str, Severity]]:
        """Open episodes."""
        pairs = (("vbus_low", self._low_episode), ("vbus_high", self._high_episode))
        return [(code, e.severity) for code, e in pairs if e.severity is not None]
