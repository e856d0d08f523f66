"""Every query of every dashboard against a real server that holds what the code wrote."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from denchi.i18n import Text
from denchi.model import Finding, Gap, Session, Severity, Unit, Verdict
from denchi.outputs.base import Context
from denchi.outputs.delivery import Delivery
from denchi.outputs.influx.output import InfluxConfig, V1Sender, V2Sender
from denchi.store.journal import Journal
from denchi_dashboards.grafana import build, files
from denchi_protocol.samples import SampleBlock
from outputs.helpers import Running
from outputs.servers import influxdb1, influxdb2
from store.helpers import NS, fnirsi_like

BOARDS = {name: json.loads(text) for name, text in files().items()}


def _block() -> SampleBlock:
    """A minute that ends now, with a case temperature; a hole of ten seconds in it."""
    start = time.time_ns() // NS * NS - 59 * NS
    block = fnirsi_like(6000, start)
    case = np.full(6000, 34_500, np.int32)
    block = block.replace(columns={**block.columns, "temp_mc.case": case})
    seconds = (block.t_ns - start) // NS
    return block[(seconds < 20) | (seconds >= 30)]


def _fill(journal: Journal, block: SampleBlock) -> None:
    unit = Unit(brand="Brand", model="Model", serial="X1")
    began = int(block.t_ns[0])
    journal.begin_session(
        Session("s1", "meter", began, bench="b1", meter="fnb58", unit=unit, profile="watch")
    )
    journal.append(journal.add_instrument("s1", "meter", key="fnb58"), block, wait=True)
    t = int(block.t_ns[-1])
    hot = Finding("case_hot", "thermal", Severity.DANGER, t - NS, t, Text("Hot."), Text("Unplug."))
    journal.add_finding("s1", hot)
    journal.add_gap("s1", None, Gap(t - 40 * NS, t - 30 * NS, "unplugged", 1000))
    journal.end_session("s1", t + 1, Verdict.STOP_USING, {})
    assert journal.flush(60)


def _deliver(journal: Journal, folder: Path, n: int, sender: Any) -> None:
    output = Delivery("x", "influxdb", sender.context, sender, prepare=sender.labels.prepare)
    with Running(output) as run:
        run.until(lambda s: s.delivered == n and s.state == "idle")


def _context(journal: Journal, folder: Path) -> Context:
    return Context(
        folder,
        "shop-1",
        journal,
        health=lambda: {"uptime_s": 9.0, "journal_bytes": 4096, "degraded": ""},
    )


def _queries(language: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    for name, board in BOARDS.items():
        if f".{language}." in name:
            for panel in board["panels"]:
                for target in panel["targets"]:
                    yield f"{name}: {panel['title']}", panel, target["query"]


def _ql(query: str) -> str:
    """What Grafana puts in for its variables and macros (InfluxQL)."""
    query = query.replace("$timeFilter", "time >= now() - 1h AND time <= now() + 1h")
    query = query.replace("$__interval", "1s")
    query = re.sub(r"\$(station|bench|unit)\b", ".*", query)
    assert "$" not in query.replace(".*$", "")
    return query


def _flux(query: str) -> str:
    query = query.replace("v.timeRangeStart", "-1h").replace("v.timeRangeStop", "1h")
    query = query.replace("v.windowPeriod", "1s").replace("v.defaultBucket", '"denchi"')
    query = re.sub(r"\$\{(station|bench|unit):regex\}", ".*", query)
    assert "${" not in query
    assert "v." not in re.sub(r"[a-z]v\.", "", query)
    return query


@contextmanager
def _v1(folder: Path, block: SampleBlock) -> Iterator[Any]:
    with influxdb1(folder) as url, Journal.open(folder / "d", reserve_mb=0) as journal:

        def query(q: str) -> list[dict[str, Any]]:
            answer = httpx.post(
                url + "/query",
                params={"q": q, "db": "denchi", "epoch": "ns"},
                timeout=60,
                trust_env=False,
            )
            (result,) = answer.json()["results"]
            assert "error" not in result, (q, result)
            return list(result.get("series", []))

        query("CREATE DATABASE denchi")
        _fill(journal, block)
        config = InfluxConfig(url=url, version=1, database="denchi")
        _deliver(journal, folder, len(block), V1Sender(config, _context(journal, folder / "d")))
        yield query


@pytest.mark.servers
def test_every_influxql_query_finds_what_was_written(tmp_path: Path) -> None:
    block = _block()
    with _v1(tmp_path, block) as query:
        asked = 0
        for where, panel, text in _queries("influxql"):
            told = _ql(text)
            # The newest values are those of the last 15 s: a slow machine may need a little longer.
            rows = query(told.replace("now() - 15s", "now() - 10m"))
            assert rows, f"{where} found nothing: {told}"
            values = [v for row in rows for line in row["values"] for v in line[1:]]
            assert any(v is not None for v in values), where
            # The same query asked for something that nobody writes finds nothing: the test can fail.
            other = re.sub(r'FROM "denchi_\w+"', 'FROM "denchi_nothing"', told)
            assert query(other) == [], where
            asked += 1
            if panel["type"] == "timeseries" and panel["title"] == "Voltage":
                _same_means(dict(rows[0]["values"]), block)
        assert asked == sum(len(d.panels) for d in build.DASHBOARDS)
        for board in (b for n, b in BOARDS.items() if ".influxql." in n):
            for variable in board["templating"]["list"]:
                (found,) = query(variable["query"])
                assert found["values"], variable["name"]
        (energy,) = query(_ql(build.UNIT.panels[1].influxql))
        power, step = block.power_w(), np.diff(block.t_ns) / 3.6e12
        expected = float(((power[1:] + power[:-1]) / 2 * step).sum())
        # The server's integral closes the hole of ten seconds; so does this sum.
        assert sum(v for _, v in energy["values"]) == pytest.approx(expected, rel=1e-3)


def _same_means(found: dict[int, float | None], block: SampleBlock) -> None:
    seconds = block.t_ns // NS
    volts = block.vbus_v()
    expected = {int(s) * NS: float(volts[seconds == s].mean()) for s in np.unique(seconds)}
    known = {t: v for t, v in found.items() if v is not None}
    assert known == pytest.approx(expected, abs=1e-9)
    inside = [t for t in found if min(expected) <= t <= max(expected)]
    assert len(inside) > len(known), "the hole is shown as a hole"


@pytest.mark.servers
def test_every_flux_query_finds_what_was_written(tmp_path: Path) -> None:
    block = _block()
    with influxdb2(tmp_path) as server, Journal.open(tmp_path / "d", reserve_mb=0) as journal:
        _fill(journal, block)
        token = tmp_path / "token"
        token.write_text(server.token)
        config = InfluxConfig(url=server.url, org="shop", bucket="denchi", token_file=token)
        context = _context(journal, tmp_path / "d")
        _deliver(journal, tmp_path, len(block), V2Sender(config, context))
        asked = 0
        for where, panel, text in _queries("flux"):
            told = _flux(text)
            rows = server.flux(told.replace("start: -15s", "start: -10m"))
            assert any(
                r.get("_value") is not None or "message" in r or "verdict" in r or "lost" in r
                for r in rows
            ), f"{where}: {told}"
            other = re.sub(
                r'_measurement == "denchi_\w+"', '_measurement == "denchi_nothing"', told
            )
            assert server.flux(other) == [], where
            asked += 1
            if panel["type"] == "timeseries" and panel["title"] == "Voltage":
                # aggregateWindow stamps the end of a window.
                means = {int(r["_time"].timestamp()) * NS - NS: r["_value"] for r in rows}
                _same_means(means, block)
        assert asked == sum(len(d.panels) for d in build.DASHBOARDS)
        for board in (b for n, b in BOARDS.items() if ".flux." in n):
            for variable in board["templating"]["list"]:
                assert server.flux(_flux(variable["query"])), variable["name"]


def test_the_files_are_those_of_the_builder() -> None:
    assert files() == build.texts(), "run python -m denchi_dashboards.grafana.build"


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_a_dashboard_is_whole_and_nothing_in_it_means_well(name: str) -> None:
    board = BOARDS[name]
    text = json.dumps(board).lower()
    assert not re.search(r"green|\bsafe\b|\bok\b|\bgood\b|healthy", text)
    assert len({p["id"] for p in board["panels"]}) == len(board["panels"])
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["datasource"]["uid"] == "denchi"
        assert panel["fieldConfig"]["defaults"]["noValue"] == "no data"
        if panel["type"] == "timeseries":
            assert panel["fieldConfig"]["defaults"]["custom"]["spanNulls"] is False
        if panel["type"] == "stat":
            assert "15s" in panel["targets"][0]["query"], "an old value is not a present one"
    cells = [
        (x, y)
        for p in board["panels"]
        for x in range(p["gridPos"]["x"], p["gridPos"]["x"] + p["gridPos"]["w"])
        for y in range(p["gridPos"]["y"], p["gridPos"]["y"] + p["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells)), "panels overlap"
