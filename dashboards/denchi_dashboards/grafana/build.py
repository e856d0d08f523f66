# ruff: noqa: S608  the queries are constants of this file
"""Writes the dashboards: each panel once, with its query in Flux and in InfluxQL.

No colour here means well: the base is blue, amber and red are caution and danger. A number is the newest of
the last 15 seconds or it is "no data": an old value is never shown as a present one. Gaps stay gaps.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

Language = Literal["flux", "influxql"]
LANGUAGES: Final[tuple[Language, ...]] = ("flux", "influxql")
SOURCE: Final = {"type": "influxdb", "uid": "denchi"}
FRESH: Final = "15s"

# What every query of a bench filters by; variables are Grafana's.
_PLACE_FLUX: Final = "r.station =~ /^${station:regex}$/ and r.bench =~ /^${bench:regex}$/"
_PLACE_QL: Final = '"station" =~ /^$station$/ AND "bench" =~ /^$bench$/'
_UNIT_FLUX: Final = "r.unit =~ /^${unit:regex}$/"
_UNIT_QL: Final = '"unit" =~ /^$unit$/'
_FLEET_FLUX: Final = "r.station =~ /^${station:regex}$/"
_FLEET_QL: Final = '"station" =~ /^$station$/'


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: what it is, where it stands (24 columns), and its query in both languages."""

    title: str
    kind: Literal["timeseries", "stat", "table", "barchart"]
    place: tuple[int, int, int, int]
    flux: str
    influxql: str
    unit: str = "none"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard."""

    name: str
    title: str
    variables: tuple[str, ...]
    panels: tuple[Panel, ...]
    since: str
    refresh: str


def _from(measurement: str, where: str, *, start: str = "v.timeRangeStart") -> str:
    stop = ", stop: v.timeRangeStop" if start == "v.timeRangeStart" else ""
    return (
        f"from(bucket: v.defaultBucket)\n  |> range(start: {start}{stop})\n"
        f'  |> filter(fn: (r) => r._measurement == "{measurement}")\n  |> filter(fn: (r) => {where})\n'
    )


def _fields(names: Sequence[str]) -> str:
    told = " or ".join(f'r._field == "{n}"' for n in names)
    return f"  |> filter(fn: (r) => {told})\n"


def _curve(title: str, place: tuple[int, int, int, int], names: Sequence[str], unit: str) -> Panel:
    """Means over the plot's interval, with holes where there is no sample."""
    flux = (
        _from("denchi_sample", _PLACE_FLUX)
        + _fields(names)
        + "  |> aggregateWindow(every: v.windowPeriod, fn: mean, createEmpty: true)"
    )
    columns = ", ".join(f'mean("{n}") AS "{n}"' for n in names)
    ql = (
        f'SELECT {columns} FROM "denchi_sample" WHERE {_PLACE_QL} AND $timeFilter'
        ' GROUP BY time($__interval), "bench", "role" fill(null)'
    )
    return Panel(title, "timeseries", place, flux, ql, unit)


def _newest(title: str, place: tuple[int, int, int, int], name: str, unit: str) -> Panel:
    flux = _from("denchi_sample", _PLACE_FLUX, start=f"-{FRESH}") + _fields([name]) + "  |> last()"
    ql = (
        f'SELECT last("{name}") FROM "denchi_sample" WHERE {_PLACE_QL} AND time > now() - {FRESH}'
        ' GROUP BY "bench", "role"'
    )
    note = f"The newest of the last {FRESH}; older is no data."
    return Panel(title, "stat", place, flux, ql, unit, note)


def _table(
    title: str,
    place: tuple[int, int, int, int],
    measurement: str,
    where: tuple[str, str],
    fields: Sequence[str],
    tags: Sequence[str],
) -> Panel:
    """Records, newest first."""
    columns = ", ".join(f'"{n}"' for n in ["_time", *tags, *fields])
    flux = (
        _from(measurement, where[0])
        + _fields(fields)
        + '  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")\n'
        f"  |> keep(columns: [{columns}])\n"
        '  |> group()\n  |> sort(columns: ["_time"], desc: true)\n  |> limit(n: 200)'
    )
    wanted = ", ".join(f'"{n}"' for n in [*tags, *fields])
    ql = (
        f'SELECT {wanted} FROM "{measurement}" WHERE {where[1]} AND $timeFilter'
        " ORDER BY time DESC LIMIT 200"
    )
    return Panel(title, "table", place, flux, ql)


def _bars(
    title: str,
    place: tuple[int, int, int, int],
    measurement: str,
    where: tuple[str, str],
    field: str,
    how: tuple[str, str],
    group: Sequence[str],
    *,
    unit: str = "none",
    every: str = "1d",
) -> Panel:
    """One figure a day and group. ``how``: the pipe of Flux and the call of InfluxQL."""
    tags = ", ".join(f'"{g}"' for g in group)
    flux = (
        _from(measurement, where[0])
        + _fields([field])
        + f"  |> group(columns: [{tags}])\n"
        + f"  |> aggregateWindow(every: {every}, fn: {how[0]}, createEmpty: false)"
    )
    ql = (
        f'SELECT {how[1].format(field)} FROM "{measurement}" WHERE {where[1]} AND $timeFilter'
        f" GROUP BY time({every}), {tags} fill(none)"
    )
    return Panel(title, "barchart", place, flux, ql, unit)


_FINDING: Final = ("level", "message", "place", "limit")
_FINDING_TAGS: Final = ("bench", "unit", "severity", "code")
_BENCH: Final = (_PLACE_FLUX, _PLACE_QL)
_UNIT: Final = (_UNIT_FLUX, _UNIT_QL)
_FLEET: Final = (_FLEET_FLUX, _FLEET_QL)
_ENERGY: Final = (
    "(tables=<-, column) => tables |> integral(unit: 1h, column: column)",
    'integral("{}", 1h) AS "wh"',
)

LIVE: Final = Dashboard(
    "live-bench",
    "denchi: live bench",
    ("station", "bench"),
    (
        _newest("Voltage", (0, 0, 6, 4), "vbus_v", "volt"),
        _newest("Current", (6, 0, 6, 4), "ibus_a", "amp"),
        _newest("Power", (12, 0, 6, 4), "power_w", "watt"),
        _newest("Case temperature", (18, 0, 6, 4), "temp_case_c", "celsius"),
        _curve("Voltage", (0, 4, 12, 8), ["vbus_v"], "volt"),
        _curve("Current", (12, 4, 12, 8), ["ibus_a"], "amp"),
        _curve("Power", (0, 12, 12, 8), ["power_w"], "watt"),
        _curve("Temperatures", (12, 12, 12, 8), ["temp_case_c", "temp_meter_c"], "celsius"),
        _curve("Data lines", (0, 20, 12, 7), ["dp_v", "dm_v"], "volt"),
        _table(
            "Gaps",
            (12, 20, 12, 7),
            "denchi_gap",
            _BENCH,
            ("duration_s", "lost"),
            ("bench", "cause"),
        ),
        _table("Findings", (0, 27, 24, 9), "denchi_finding", _BENCH, _FINDING, _FINDING_TAGS),
    ),
    "now-15m",
    "5s",
)

UNIT: Final = Dashboard(
    "unit-history",
    "denchi: history of a unit",
    ("unit",),
    (
        _table(
            "Sessions",
            (0, 0, 24, 9),
            "denchi_session",
            _UNIT,
            ("verdict", "duration_s", "session"),
            ("bench", "profile"),
        ),
        _bars(
            "Energy out a day (in counts negative)",
            (0, 9, 12, 8),
            "denchi_sample",
            _UNIT,
            "power_w",
            _ENERGY,
            ("unit", "station", "bench", "role"),
            unit="watth",
        ),
        _bars(
            "Hottest case a day",
            (12, 9, 12, 8),
            "denchi_sample",
            _UNIT,
            "temp_case_c",
            ("max", 'max("{}") AS "hottest"'),
            ("unit",),
            unit="celsius",
        ),
        _bars(
            "Lowest voltage a day",
            (0, 17, 12, 8),
            "denchi_sample",
            _UNIT,
            "vbus_v",
            ("min", 'min("{}") AS "lowest"'),
            ("unit",),
            unit="volt",
        ),
        _bars(
            "Findings a day",
            (12, 17, 12, 8),
            "denchi_finding",
            _UNIT,
            "level",
            ("count", 'count("{}") AS "findings"'),
            ("severity",),
        ),
        _table("Findings", (0, 25, 24, 9), "denchi_finding", _UNIT, _FINDING, _FINDING_TAGS),
    ),
    "now-90d",
    "",
)

FLEET: Final = Dashboard(
    "fleet",
    "denchi: fleet of stations",
    ("station",),
    (
        Panel(
            "Newest sample of each bench",
            "table",
            (0, 0, 24, 9),
            _from("denchi_sample", _FLEET_FLUX)
            + _fields(["power_w"])
            + '  |> last()\n  |> group()\n  |> keep(columns: ["_time", "station", "bench", "meter", "unit",'
            ' "role", "_value"])\n  |> sort(columns: ["_time"], desc: true)',
            f'SELECT last("power_w") AS "power_w" FROM "denchi_sample" WHERE {_FLEET_QL} AND $timeFilter'
            ' GROUP BY "station", "bench", "meter", "unit", "role"',
            note="The time says how old it is; a bench that is not in the list sent nothing.",
        ),
        _bars(
            "Findings an hour",
            (0, 9, 12, 8),
            "denchi_finding",
            _FLEET,
            "level",
            ("count", 'count("{}") AS "findings"'),
            ("station", "severity"),
            every="1h",
        ),
        _bars(
            "Samples lost an hour",
            (12, 9, 12, 8),
            "denchi_gap",
            _FLEET,
            "lost",
            ("sum", 'sum("{}") AS "lost"'),
            ("station", "cause"),
            every="1h",
        ),
        _bars(
            "Sessions a day by worst verdict (4 = stop using)",
            (0, 17, 12, 8),
            "denchi_session",
            _FLEET,
            "verdict_level",
            ("max", 'max("{}") AS "worst"'),
            ("station",),
        ),
        _bars(
            "Journal on disk",
            (12, 17, 12, 8),
            "denchi_daemon",
            _FLEET,
            "journal_bytes",
            ("max", 'max("{}") AS "bytes"'),
            ("station",),
            unit="bytes",
            every="1h",
        ),
        _table(
            "Findings",
            (0, 25, 24, 9),
            "denchi_finding",
            _FLEET,
            _FINDING,
            ("station", *_FINDING_TAGS),
        ),
    ),
    "now-24h",
    "1m",
)

DASHBOARDS: Final = (LIVE, UNIT, FLEET)


def _variable(name: str, language: Language) -> dict[str, Any]:
    if language == "flux":
        query = (
            'import "influxdata/influxdb/schema"\nschema.tagValues(bucket: v.defaultBucket, tag: '
            f'"{name}", predicate: (r) => r._measurement == "denchi_sample", start: -90d)'
        )
    else:
        query = f'SHOW TAG VALUES FROM "denchi_sample" WITH KEY = "{name}"'
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": SOURCE,
        "query": query,
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
        "sort": 1,
    }


def _panel(number: int, panel: Panel, language: Language) -> dict[str, Any]:
    x, y, w, h = panel.place
    target: dict[str, Any] = {"refId": "A", "datasource": SOURCE}
    if language == "flux":
        target["query"] = panel.flux
    else:
        table = panel.kind == "table"
        target |= {"rawQuery": True, "query": panel.influxql}
        target["resultFormat"] = "table" if table else "time_series"
    steps = [{"color": "blue", "value": None}]
    overrides = []
    if panel.kind == "table":
        overrides = [_coloured("severity"), _coloured("verdict")]
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "noValue": "no data",
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if panel.kind == "timeseries":
        defaults["custom"] = {"spanNulls": False, "lineWidth": 1, "fillOpacity": 0}
    return {
        "id": number,
        "title": panel.title,
        "description": panel.note,
        "type": panel.kind,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": w, "h": h},
        "targets": [target],
        "fieldConfig": {"defaults": defaults, "overrides": overrides},
    }


def _coloured(column: str) -> dict[str, Any]:
    colours = {"danger": "red", "stop_using": "red", "caution": "orange"}
    options = {word: {"color": colour} for word, colour in colours.items()}
    return {
        "matcher": {"id": "byName", "options": column},
        "properties": [
            {"id": "mappings", "value": [{"type": "value", "options": options}]},
            {"id": "custom.cellOptions", "value": {"type": "color-text"}},
        ],
    }


def render(dashboard: Dashboard, language: Language) -> dict[str, Any]:
    """A dashboard as Grafana's JSON."""
    return {
        "uid": f"denchi-{dashboard.name}-{language}",
        "title": f"{dashboard.title} ({'Flux' if language == 'flux' else 'InfluxQL'})",
        "tags": ["denchi"],
        "schemaVersion": 39,
        "editable": True,
        "time": {"from": dashboard.since, "to": "now"},
        "refresh": dashboard.refresh,
        "templating": {"list": [_variable(name, language) for name in dashboard.variables]},
        "panels": [_panel(n, panel, language) for n, panel in enumerate(dashboard.panels, 1)],
    }


def texts() -> dict[str, str]:
    """{file name: JSON} as it should stand in this folder."""
    return {
        f"{d.name}.{language}.json": json.dumps(render(d, language), indent=1) + "\n"
        for d in DASHBOARDS
        for language in LANGUAGES
    }


if __name__ == "__main__":
    for name, text in texts().items():
        Path(__file__).with_name(name).write_text(text, encoding="utf-8")
