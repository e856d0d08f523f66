"""Silence: a live session hears nothing from its meter any more (DESIGN.md §7, stale data)."""

from __future__ import annotations

from denchi.health.base import measured, text
from denchi.model import Finding, Severity


def silent(last_ns: int, now_ns: int, age_s: float, limit_s: float) -> Finding:
    """The finding; family ``data``: it says nothing about the unit, and no verdict rests on it."""
    return Finding(
        code="no_data",
        family="data",
        severity=Severity.CAUTION,
        onset_ns=last_ns,
        t_ns=now_ns,
        message=text(
            "No data from the meter for {age:.0f} s: nothing is being watched.", age=age_s
        ),
        advice=text(
            "Look at the meter, its cable and the unit. denchi goes on by itself when data come."
        ),
        measured=measured(age=(age_s, "s")),
        limit=f"{limit_s:.0f} s",
        source="DESIGN: ten sample periods, at least 10 s",
    )
