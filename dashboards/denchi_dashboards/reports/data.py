"""What a report says, as plain data: the JSON report is this, the HTML page is drawn from it."""

from __future__ import annotations

from typing import Any, Final, Protocol

from denchi import __version__
from denchi.clock import SYSTEM, iso
from denchi.text import clean

PLOTTED: Final = ("vbus_uv", "ibus_ua", "power_w")
POINTS: Final = 600
CANNOT_TELL: Final = (
    "A soft internal short behind a converter moves the output voltage by less than a millivolt: only heat, energy or a look inside shows it.",
    "A fault can begin at any moment after a test. This is what was observed in this test, and nothing more.",
    "The temperature inside the cells was not measured unless the battery itself told it; a case thermometer lags and is diluted.",
    "Whether a unit is recalled is decided by model and serial number, never by a measurement.",
    "This is no statement of conformity with any standard; limits are reference marks.",
)
"""Follows the list of things a meter-only tool must not claim (docs/health.md)."""


class Reader(Protocol):
    """The API's reading side."""

    def get(self, path: str, **params: Any) -> Any:
        """GET a route."""
        ...


def collect(reader: Reader, session_id: str) -> dict[str, Any]:
    """Everything a report of this session says (docs/api.md shapes; SI units; null = not measured)."""
    base = f"/v1/sessions/{session_id}"
    session = reader.get(base)
    findings = reader.get(f"{base}/findings")["findings"]
    gaps = reader.get(f"{base}/gaps")["gaps"]
    pd = reader.get(f"{base}/pd", limit=200)
    told = reader.get(f"{base}/pd/summary").get("pd")
    instruments = session["instruments"]
    plots = []
    for instrument in instruments:
        wanted = [c for c in instrument.get("channels") or () if c.startswith("temp_mc")]
        wanted = [*PLOTTED, *wanted] if instrument["role"] in ("meter", "battery") else wanted
        if wanted:
            plots.append(_series(reader, base, instrument["role"], wanted))
    started, ended = session["started_ns"], session.get("ended_ns")
    covered = (ended or started) - started
    missing = sum((g["end_ns"] or ended or g["start_ns"]) - g["start_ns"] for g in gaps)
    return {
        "denchi_report": 1,
        "version": __version__,
        "written": iso(SYSTEM.wall_ns()),
        "session": {
            k: session[k]
            for k in ("id", "origin", "started", "ended", "bench", "profile", "operator")
        },
        "simulated": session["origin"] == "simulated",
        "unit": session["unit_label"],
        "unit_label": session["unit"],
        "meta": session["meta"],
        "instruments": instruments,
        "verdict": session["verdict_report"],
        "recall": session["recall"],
        "screening": session["screening"],
        "findings": findings,
        "completeness": {
            "samples": session["samples"],
            "gaps": gaps,
            "duration_s": round(covered / 1e9, 1),
            "gap_s": round(missing / 1e9, 1),
            "gap_percent": round(100 * missing / covered, 2) if covered else None,
        },
        "plots": [p for p in plots if p["t_ns"]],
        "pd": {
            "messages": told["messages"] if told else len(pd["messages"]),
            "told": told,
            "types": _types(pd["messages"]),
            "capabilities": _caps(pd["messages"]),
        },
        "cannot_tell": list(CANNOT_TELL),
    }


def _series(reader: Reader, base: str, role: str, channels: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = reader.get(
        f"{base}/series", role=role, channels=",".join(channels), points=POINTS
    )
    return {"role": role} | found


def _types(messages: list[dict[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for message in messages:
        name = clean(message.get("type", "?"), 40)
        counts[name] = counts.get(name, 0) + 1
    return counts


def _caps(messages: list[dict[str, Any]]) -> dict[str, Any] | None:
    for message in reversed(messages):
        if message.get("type") in ("Source_Capabilities", "EPR_Source_Capabilities"):
            fields = message.get("fields")
            if isinstance(fields, dict) and "pdos" in fields:  # not a first chunk of a list
                return fields
    return None
