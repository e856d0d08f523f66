"""Drop-outs and resets under load: the output vanished while it was loaded, and came back by itself.

Not a reset: auto-off at low current (banks stop below 30-100 mA after 10-90 s), a unit unplugged at no load,
a gap in the data, a renegotiation. A meter that lives on VBUS goes dark with it, though: where values are missing for seconds
under load and the load then begins anew from nothing, the output was away too (a lost link leaves the load where it was).
Plugging by hand looks the same, so it takes three. An empty unit often ends in hiccups: its cell recovers without the
load, so it comes back for seconds and goes again, many times in a row. Such a row counts as the end when
much energy is out (30 % of the rating, 10 Wh where none is known) and until the output has held for five minutes.
Other resets count there too, three of them where the output had held for less than two minutes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from denchi.health.base import NS, OWN, Context, Detector, Second, measured, text
from denchi.model import Finding, Severity

BACK_S: Final = 30.0
WINDOW_S: Final = 1200.0
HICCUP_FRAC: Final = 0.3
HICCUP_WH: Final = 10.0
"""The same where the rating is not known."""
USED_WH: Final = 1.0
"""After this much a unit of unknown charge may run empty."""
HICCUP_ON_S: Final = 20.0
HICCUP_ROW: Final = 3
"""So many times in a row on for less than that: the end of the charge."""
HELD_S: Final = 300.0
SURE_S: Final = 120.0
LEAST_DARK: Final = 2
ANEW_FRAC: Final = 0.1
"""A current under this share of the one before, in the first second after missing values ..."""
ANEW_BACK_FRAC: Final = 0.5
ANEW_WITHIN_S: Final = 5
"""... and over this one within so many seconds: the load begins anew. A load that just switched off stays off."""
ANEW_COUNT: Final = 3
RENEGOTIATION_S: Final = 5.0


class Dropout(Detector):
    """``dropout`` (info for one, caution for two in 20 min)."""

    code = "dropout"
    family = "dropout"

    def __init__(self) -> None:
        self._load_a = 0.0
        self._load_v = 0.0
        self._dark_since_ns: int | None = None
        self._dark_samples = 0
        self._dark_s = 0.0
        self._before = (0.0, 0.0)
        self._events: deque[int] = deque()
        self._severity: Severity | None = None
        self._back_ns: int | None = None
        self._row = 0
        self._known: tuple[int, float, float] | None = None
        """End of the last known second, voltage and current in it."""
        self._missing = False
        self._suspect: tuple[int, float, float, float] | None = None
        """(beginning, seconds away, voltage, current) of missing values after which the load was nothing at first."""
        self._anew = False
        """The newest event was seen by a meter that went dark with the output."""

    def second(self, s: Second, ctx: Context) -> Iterable[Finding]:
        """Follow light and dark."""
        if s.pack or ctx.input_side:
            return ()
        if s.v != s.v:
            # Not known: a gap is no drop-out, and what was before it says nothing about after it.
            self._missing = True
            self._dark_since_ns = None
            self._load_a = 0.0
        if not s.fresh or s.v != s.v:
            return ()
        found: list[Finding] = self._begun_anew(s, ctx)
        limit = ctx.limits.dropout_v
        if s.v_low < limit:
            if self._dark_since_ns is None:
                self._dark_since_ns = s.t_ns - NS
                self._dark_samples, self._dark_s = 0, 0.0
                # The load that tripped it may have come in this very second (an overload).
                load_a = max(self._load_a, s.i_high) if s.i_high == s.i_high else self._load_a
                self._before = (self._load_v, load_a)
            self._dark_samples += s.dark
            self._dark_s += s.dark / max(s.n, 1)
        elif self._dark_since_ns is not None:
            found += self._back(s, ctx)
            self._dark_since_ns = None
        if s.v_low >= limit and s.i == s.i:
            self._load_v, self._load_a = s.v, s.i
        return found

    def _begun_anew(self, s: Second, ctx: Context) -> list[Finding]:
        """Values were missing under load; did the output go with the meter?"""
        known, self._known = self._known, (s.t_ns, s.v, s.i)
        missing, self._missing = self._missing, False
        if missing:
            self._suspect = self._after_silence(known, s, ctx)
        if self._suspect is None:
            return []
        since, away_s, volts, amps = self._suspect
        if (s.t_ns - since) / NS - away_s - 1.0 > ANEW_WITHIN_S:
            self._suspect = None
            return []
        if not s.i_high > ANEW_BACK_FRAC * amps:
            return []
        self._suspect = None
        on_s = (since - self._back_ns) / NS if self._back_ns is not None else HELD_S
        self._back_ns, self._anew = s.t_ns, True
        return self._event(since, away_s, on_s, volts, amps, s, ctx)

    def _after_silence(
        self, known: tuple[int, float, float] | None, s: Second, ctx: Context
    ) -> tuple[int, float, float, float] | None:
        """Values were missing for seconds under load, and now hardly any current flows."""
        if known is None or s.v_low < ctx.limits.dropout_v:
            return None
        since, volts, amps = known
        away_s = (s.t_ns - since) / NS - 1.0
        if away_s > BACK_S or not amps > ctx.limits.dropout_load_a:
            return None
        if not s.i_low < ANEW_FRAC * amps:
            return None
        return since, away_s, volts, amps

    def _back(self, s: Second, ctx: Context) -> list[Finding]:
        since = self._dark_since_ns
        assert since is not None
        volts, amps = self._before
        on_s = (since - self._back_ns) / NS if self._back_ns is not None else HELD_S
        self._back_ns = s.t_ns
        away_s = (s.t_ns - NS - since) / NS
        enough = self._dark_samples >= LEAST_DARK or self._dark_s > 1.2
        if amps <= ctx.limits.dropout_load_a or away_s > BACK_S or not enough:
            return []
        contract = ctx.contract
        if (
            contract is not None
            and contract.source == "pd"
            and abs(contract.since_ns - since) < RENEGOTIATION_S * NS
        ):
            return []
        self._anew = False
        return self._event(since, away_s, on_s, volts, amps, s, ctx)

    def _event(
        self,
        since: int,
        away_s: float,
        on_s: float,
        volts: float,
        amps: float,
        s: Second,
        ctx: Context,
    ) -> list[Finding]:
        """Count one disappearance of the output that had been on for ``on_s`` before."""
        if not self._counts(since, on_s, ctx):
            return self._tell(s, Severity.INFO, since, away_s, volts, amps, ctx)
        self._events.append(since)
        while self._events and s.t_ns - self._events[0] > WINDOW_S * NS:
            self._events.popleft()
        if len(self._events) == 1:
            # Nothing else within 20 min: an episode of its own.
            self._severity = None
        # A second one after a quick return may be the beginning of the end: late in the charge, or after
        # some use when nobody knows how full it was.
        late = on_s < (SURE_S if self._late_charge(ctx) else HICCUP_ON_S)
        used = not ctx.meta.started_full and ctx.wh_out > USED_WH
        late &= self._late_charge(ctx) or used
        least = max(3 if late else 2, ANEW_COUNT if self._anew else 0)
        severity = Severity.CAUTION if len(self._events) >= least else Severity.INFO
        return self._tell(s, severity, since, away_s, volts, amps, ctx)

    def _late_charge(self, ctx: Context) -> bool:
        rated = ctx.meta.energy_rated_wh
        return ctx.wh_out > (HICCUP_FRAC * rated if rated else HICCUP_WH)

    def _counts(self, since: int, on_s: float, ctx: Context) -> bool:
        """Whether it is a reset; a row of short returns late in the charge is the end of it."""
        if not self._late_charge(ctx):
            return True
        if on_s >= HELD_S:
            self._row = 0
        elif on_s < HICCUP_ON_S:
            self._row += 1
        elif self._row < HICCUP_ROW:
            self._row = 0
        if self._row >= HICCUP_ROW:
            self._events.clear()
        return on_s >= HICCUP_ON_S and self._row < HICCUP_ROW

    def _tell(
        self,
        s: Second,
        severity: Severity,
        since: int,
        away_s: float,
        volts: float,
        amps: float,
        ctx: Context,
    ) -> list[Finding]:
        if self._severity is not None and severity <= self._severity:
            return []
        self._severity = severity
        return [self._finding(s, severity, since, away_s, volts, amps, ctx)]

    def _finding(
        self,
        s: Second,
        severity: Severity,
        since: int,
        away_s: float,
        volts: float,
        amps: float,
        ctx: Context,
    ) -> Finding:
        count = max(len(self._events), 1)
        msgid = (
            "Under {amps:.2f} A the meter fell silent with the output for {away:.1f} s, and the load began anew."
            if self._anew and count == 1
            else "The output vanished for {away:.1f} s at {amps:.2f} A and came back."
            if count == 1
            else "The output vanished {count} times under load within 20 min (last for {away:.1f} s at {amps:.2f} A)."
        )
        return Finding(
            code=self.code,
            family="dropout",
            severity=severity,
            onset_ns=self._events[0] if self._events else since,
            t_ns=s.t_ns,
            message=text(msgid, count=count, away=max(away_s, self._dark_s), amps=amps),
            advice=text(
                "Plug again and try another cable and load. If it happens again, the unit's protection or a contact inside gives way."
            ),
            measured=measured(
                count=(float(count), ""),
                duration=(max(away_s, self._dark_s), "s"),
                current=(amps, "A"),
                voltage_before=(volts, "V"),
            ),
            limit=f"{ANEW_COUNT if self._anew else 2} in 20 min above {ctx.limits.dropout_load_a:.2f} A",
            source=OWN,
            place="vbus",
        )

    def open_codes(self) -> Iterable[tuple[str, Severity]]:
        """An episode lasts until 20 min were without another."""
        return [(self.code, self._severity)] if self._severity else []
