"""Grafana dashboards as provisioned JSON, one file a dashboard and query language (Flux, InfluxQL).

The files are written by ``python -m denchi_dashboards.grafana.build``; a test keeps them in step, and another
sends every query in them to a real server that holds what the code wrote.
"""

from __future__ import annotations

from importlib.resources import files as _resources


def files() -> dict[str, str]:
    """{file name: JSON} of every dashboard (entry point ``denchi.provisioning``)."""
    folder = _resources(__package__)
    return {
        entry.name: entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda e: e.name)
        if entry.name.endswith(".json")
    }
