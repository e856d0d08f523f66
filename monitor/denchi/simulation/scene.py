"""A simulated bank as the SceneSource behind an emulated meter.

The physics runs ahead in its fixed steps; between two steps temperatures are interpolated and the
electrical values held, so that a collapse stays sharp. Noise comes from a table indexed by time,
so that the same instant gives the same reading whoever asks how often.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from denchi.simulation.bank import STEP_S, Bank
from denchi.simulation.params import SessionParams
from denchi.simulation.pd import Conversation
from denchi_protocol.codec import PdMessage, Scene

NS: Final = 1_000_000_000
STEP_NS: Final = round(STEP_S * NS)
_TABLE: Final = 4096
_KEPT_S: Final = 120
SUPPLIES: Final = ((5.0, 3.0), (9.0, 3.0), (12.0, 2.25), (15.0, 1.8), (20.0, 1.35))
"""What the simulated source offers."""


class BankScene:
    """A ``SceneSource``: a ``Bank`` that lives from ``start_ns`` on.

    ``cell``: also show pack and cell values, for emulated batteries that talk.
    """

    def __init__(
        self,
        params: SessionParams,
        seed: int,
        start_ns: int,
        *,
        volt_noise_v: float = 0.002,
        amp_noise_a: float = 0.001,
        temp_noise_c: float = 0.03,
        speaks_pd: bool = True,
    ) -> None:
        self._bank = Bank(params, seed)
        self._start_ns = start_ns
        rng = random.Random(seed)  # noqa: S311 (a simulation, no secret)
        self._noise = [max(-3.0, min(3.0, rng.gauss(0.0, 1.0))) for _ in range(_TABLE)]
        self._sigma = (volt_noise_v, amp_noise_a, temp_noise_c)
        self._talk = Conversation(SUPPLIES) if speaks_pd else None
        self._said: list[PdMessage] = []
        self._contract_v = 0.0
        # The meter is plugged between a bank and a load that already run.
        self._to(start_ns + 1)

    def at(self, now_ns: int) -> Scene:
        """What a meter between bank and load would measure at ``now_ns``."""
        self._to(now_ns)
        new, old = self._bank.now, self._bank.before
        share = min(max((now_ns - self._start_ns) / NS - old.t_s, 0.0) / STEP_S, 1.0)
        volt, amp, warm = self._sigma
        # A multiplicative hash: neighbouring milliseconds must not read neighbouring entries.
        i = (now_ns // 1_000_000 * 2_654_435_761 >> 8) % (_TABLE - 4)
        noise = self._noise
        vbus_v = max(0.0, new.vbus_v + volt * noise[i])
        ibus_a = new.ibus_a + amp * noise[i + 1] if new.ibus_a else 0.0
        lit = 1.0 if new.vbus_v > 2.0 else 0.0
        return Scene(
            vbus_v=vbus_v,
            ibus_a=ibus_a,
            dp_v=0.6 * lit,
            dm_v=0.6 * lit,
            cc1_v=1.65 * lit,
            cc2_v=0.0,
            meter_temp_c=old.meter_c + (new.meter_c - old.meter_c) * share,
            case_temp_c=old.probe_c + (new.probe_c - old.probe_c) * share + warm * noise[i + 2],
            ambient_temp_c=old.ambient_c + (new.ambient_c - old.ambient_c) * share,
            pack_v=new.cell_v,
            pack_a=-new.vbus_v * new.ibus_a / max(new.cell_v, 2.5),
            cells_v=(new.cell_v,),
            cell_temps_c=(new.core_c, new.fault_cell_c),
            energy_wh=new.energy_wh,
            capacity_ah=new.charge_ah,
        )

    def dial(self, amps: float | None) -> None:
        """Set the load by hand (0: nothing plugged), as an operator of a screening does."""
        self._bank.dial(amps)

    def pd_between(self, after_ns: int, until_ns: int) -> Sequence[PdMessage]:
        """PD messages with after_ns < t_ns <= until_ns; those of the last two minutes are known."""
        self._to(until_ns)
        return [m for m in self._said if after_ns < m.t_ns <= until_ns]

    def _to(self, now_ns: int) -> None:
        due_s = (now_ns - self._start_ns) / NS
        bank = self._bank
        while bank.t_s < due_s:
            on_before = bank.now.vbus_v > 2.0
            bank.advance()
            if self._talk is not None and bank.now.vbus_v > 2.0:
                self._converse(self._talk, not on_before)

    def _converse(self, talk: Conversation, attach: bool) -> None:
        """New contract on attach, after a collapse, and when the sink asks for another voltage."""
        volts = self._bank.segment.volts
        if volts == self._contract_v and not attach:
            return
        self._contract_v = volts
        now_ns = self._start_ns + round(self._bank.t_s * NS)
        old_ns = now_ns - _KEPT_S * NS
        self._said = [m for m in self._said if m.t_ns > old_ns]
        # The messages begin a moment after the voltage appears, and none lies in the past.
        self._said += talk.contract(now_ns + 450_000_000, volts, attach=attach)
