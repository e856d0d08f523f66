"""The live view of one bench: the last value of each channel with its age. Nothing is interpolated.

Fed on the meters' threads, so that what is shown waits for no detector; a lock of its own is held for
microseconds.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from denchi.clock import NS
from denchi.ingest import stale_after_s
from denchi_protocol.samples import MISSING, SampleBlock, channel


@dataclass(slots=True)
class _Last:
    value: float
    t_ns: int
    rate_hz: float | None


class LiveView:
    """Last values by role and channel; thinned columns for listeners."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], _Last] = {}
        self._next_out: dict[str, int] = {}
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Forget everything (a new session)."""
        with self._lock:
            self._last = {}
            self._next_out = {}

    def feed(self, role: str, block: SampleBlock, rate_hz: float | None) -> None:
        """Take a gated block."""
        fresh: dict[tuple[str, str], _Last] = {}
        for name, column in block.columns.items():
            i = len(column) - 1
            if column[i] == MISSING:
                where = np.flatnonzero(column != MISSING)
                if not len(where):
                    continue
                i = int(where[-1])
            value = float(column[i]) / channel(name).per_si
            fresh[role, name] = _Last(value, int(block.t_ns[i]), rate_hz)
        volts, amps = fresh.get((role, "vbus_uv")), fresh.get((role, "ibus_ua"))
        if volts is not None and amps is not None:
            if volts.t_ns == amps.t_ns:  # as ever: both of the newest sample
                fresh[role, "power_w"] = _Last(volts.value * amps.value, volts.t_ns, rate_hz)
            else:
                power = block.power_w()
                where = np.flatnonzero(~np.isnan(power))
                if len(where):
                    i = int(where[-1])
                    fresh[role, "power_w"] = _Last(float(power[i]), int(block.t_ns[i]), rate_hz)
        with self._lock:
            self._last.update(fresh)

    def thinned(self, role: str, block: SampleBlock, max_hz: float = 20.0) -> dict[str, Any] | None:
        """A ``block`` message with at most ``max_hz`` samples a second, None when none is due."""
        step = int(NS / max_hz)
        due = self._next_out.get(role, 0)
        kept: list[int] = []
        for i, t in enumerate(block.t_ns.tolist()) if len(block) <= 64 else _strided(block, step):
            if t >= due:
                kept.append(i)
                due = t + step
        if not kept:
            return None
        self._next_out[role] = due
        rows = block[np.asarray(kept, np.intp)]
        columns = {name: _json(rows.si(name)) for name in rows.columns}
        return {"type": "block", "role": role, "t_ns": rows.t_ns.tolist(), "columns": columns}

    def state(self, now_ns: int) -> dict[str, Any]:
        """The ``live`` object of docs/api.md."""
        channels: dict[str, Any] = {}
        newest = 0
        stale_all = True
        with self._lock:
            known = list(self._last.items())
        for (role, name), last in known:
            age = max(0.0, (now_ns - last.t_ns) / NS)
            stale = age > stale_after_s(last.rate_hz)
            if role == "meter":
                stale_all = stale_all and stale
            newest = max(newest, last.t_ns)
            place, unit = (
                ("vbus", "W") if name == "power_w" else (channel(name).place, channel(name).si_unit)
            )
            key = name if name not in channels else f"{role}:{name}"
            channels[key] = {
                "value": round(last.value, 6),
                "unit": unit,
                "place": place,
                "role": role,
                "age_s": round(age, 3),
                "stale": stale,
            }
        return {
            "t_ns": newest or None,
            "age_s": round((now_ns - newest) / NS, 3) if newest else None,
            "stale": stale_all,
            "channels": channels,
        }


def _strided(block: SampleBlock, step: int) -> list[tuple[int, int]]:
    bins, first = np.unique(block.t_ns // step, return_index=True)
    del bins
    return [(int(i), int(block.t_ns[i])) for i in first]


def _json(values: Any) -> list[float | None]:
    return [None if v != v else round(v, 6) for v in values.tolist()]
