"""A plain yardstick: what fixed thresholds on the same samples would find.

Case above 45 degC for 30 s, case rising by more than 2 K in 2 min, VBUS below 95 % of the nearest
contract for 10 s, VBUS below 2.5 V after more than 0.15 A. One alarm of a kind a session, all of
them cautions. No gate, no model: this is what a spreadsheet does.
"""

from __future__ import annotations

import numpy as np

from denchi.simulation.evaluation import Found
from denchi_protocol.samples import SampleBlock

CONTRACTS_V = np.array([5.0, 9.0, 12.0, 15.0, 20.0])


def found(block: SampleBlock, start_ns: int, *, probe: bool) -> tuple[Found, ...]:
    """Alarms of the fixed thresholds."""
    t_s = (block.t_ns - start_ns) / 1e9
    grid_s = np.arange(1.0, t_s[-1])
    at = np.clip(np.searchsorted(t_s, grid_s), 0, len(t_s) - 1)
    volts, amps = block.si("vbus_uv")[at], block.si("ibus_ua")[at]
    out: list[Found] = []

    def alarm(where: np.ndarray, seconds: int, family: str, code: str) -> None:
        run = np.convolve(where, np.ones(seconds), "valid") >= seconds
        if run.any():
            out.append(Found(float(grid_s[int(np.argmax(run)) + seconds - 1]), 2, family, code))

    if probe:
        case = block.si("temp_mc.case")[at]
        case = np.where((case == 85.0) | (case < -50), np.nan, case)
        alarm(case > 45.0, 30, "thermal", "fixed_hot")
        rise = np.zeros(len(case), bool)
        rise[120:] = case[120:] - case[:-120] > 2.0
        alarm(rise, 30, "thermal", "fixed_rise")
    nominal = CONTRACTS_V[np.argmin(np.abs(volts[:, None] - CONTRACTS_V), axis=1)]
    alarm(
        (volts < 0.95 * nominal) & (volts > 2.5) & (np.abs(amps) > 0.1), 10, "voltage", "fixed_low"
    )
    fell = np.zeros(len(volts), bool)
    fell[1:] = (volts[1:] < 2.5) & (volts[:-1] > 2.5) & (np.abs(amps[:-1]) > 0.15)
    alarm(fell, 1, "dropout", "fixed_drop")
    return tuple(out)
