"""The InfluxDB output against real servers: data read back and compared sample by sample."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from denchi.i18n import Text
from denchi.model import Finding, Gap, Measured, Severity, Verdict
from denchi.store.journal import Journal
from denchi.store.writer import Limits
from denchi_protocol.samples import SampleBlock
from faults.figures import record
from outputs.helpers import Running, influx
from outputs.servers import (
    influxdb1,
    influxdb2,
    victoria,
    victoria_points,
)
from store.helpers import NS, T0, begin, fnirsi_like

pytestmark = pytest.mark.servers


def _recent(n: int, rate_hz: float = 100.0) -> SampleBlock:
    """Samples that end now: a bucket with retention takes them."""
    start = time.time_ns() // NS * NS - int(n / rate_hz * NS)
    return fnirsi_like(n, start, rate_hz=rate_hz)


def _fill(journal: Journal, block: SampleBlock, name: str = "s1", **kwargs: str) -> int:
    instrument = begin(journal, name, **kwargs)
    for piece in block.split(997):
        journal.append(instrument, piece, wait=True)
    assert journal.flush(20)
    return instrument


def _same(found: dict[int, float], block: SampleBlock, channel: str, unit_ns: int = 1) -> None:
    expected = dict(zip((block.t_ns // unit_ns).tolist(), block.si(channel).tolist(), strict=True))
    assert len(found) == len(expected)
    assert found == expected


def test_influxdb2_sample_by_sample(tmp_path: Path) -> None:
    block = _recent(20_000)
    with influxdb2(tmp_path) as server, Journal.open(tmp_path / "d") as journal:
        _fill(journal, block)
        finding = Finding(
            "case_hot",
            "thermal",
            Severity.DANGER,
            T0,
            int(block.t_ns[-1]),
            Text('At {t} degC, "hot"\\.', {"t": 71}),
            Text("Unplug."),
            {"temp": Measured(71.5, "degC")},
            "60",
            "src",
            "case",
        )
        journal.add_finding("s1", finding)
        journal.add_gap("s1", None, Gap(int(block.t_ns[5]), int(block.t_ns[6]), "unplugged", 3))
        journal.add_event("s1", int(block.t_ns[7]), "recall", {"status": "affected", "level": 4})
        journal.end_session("s1", int(block.t_ns[-1]) + 1, Verdict.STOP_USING, {})
        journal.flush()
        token = tmp_path / "token"
        token.write_text(server.write_token("denchi") + "\n")
        output = influx(
            journal, tmp_path / "d", url=server.url, org="shop", bucket="denchi", token_file=token
        )
        assert output.check() is None
        with Running(output) as run:
            run.until(lambda s: s.delivered >= 20_000 and s.backlog_samples == 0)
            time.sleep(1.5)
        rows = server.flux(
            'from(bucket:"denchi") |> range(start:-1h, stop:1h) |> filter(fn:(r)=>r._measurement=="denchi_sample")'
            ' |> keep(columns:["_time","_field","_value","station","bench","meter","unit","role"])'
        )
        by_field: dict[str, dict[int, float]] = {}
        for row in rows:
            ns = int(np.datetime64(row["_time"].replace(tzinfo=None), "us").astype(np.int64)) * 1000
            by_field.setdefault(row["_field"], {})[ns] = row["_value"]
        _same(by_field["vbus_v"], block, "vbus_uv")
        _same(by_field["ibus_a"], block, "ibus_ua")
        _same(by_field["temp_meter_c"], block, "temp_mc.meter")
        assert {r["unit"] for r in rows} != {"Brand Model X1"}, "the serial is not in clear"
        assert all(r["unit"].startswith("Brand Model #") for r in rows)
        found = {
            m: server.flux(
                f'from(bucket:"denchi") |> range(start:-100y, stop:1h) |> filter(fn:(r)=>r._measurement=="{m}")'
            )
            for m in ("denchi_finding", "denchi_gap", "denchi_session", "denchi_recall")
        }
        told = {r["_field"]: r["_value"] for r in found["denchi_finding"]}
        assert told["message"] == 'At 71 degC, "hot"\\.'
        assert told["measured_temp"] == 71.5
        assert {r["_field"]: r["_value"] for r in found["denchi_gap"]}["lost"] == 3
        assert {r["_field"]: r["_value"] for r in found["denchi_session"]}[
            "verdict"
        ] == "stop_using"
        assert {r["_field"]: r["_value"] for r in found["denchi_recall"]}["status"] == "affected"


def test_influxdb2_says_what_to_fix_and_keeps_the_data(tmp_path: Path) -> None:
    with influxdb2(tmp_path) as server, Journal.open(tmp_path / "d") as journal:
        _fill(journal, _recent(500))
        good = {"url": server.url, "org": "shop", "bucket": "denchi"}
        token = tmp_path / "token"
        token.write_text("wrong")
        bad = influx(journal, tmp_path / "d", **good, token_file=token)
        assert "check the token" in str(bad.check())
        token.write_text(server.token)
        missing = influx(journal, tmp_path / "d", **{**good, "bucket": "nowhere"}, token_file=token)
        assert "check bucket" in str(missing.check())
        token.write_text("wrong")
        with Running(influx(journal, tmp_path / "d", **good, token_file=token)) as run:
            state = run.until(lambda s: s.state == "waiting")
            assert "token" in state.last_error
            assert state.quarantined == 0
        token.write_text(server.write_token("denchi"))
        with Running(influx(journal, tmp_path / "d", **good, token_file=token)) as run:
            run.until(lambda s: s.delivered == 500)
        away = influx(journal, tmp_path / "d", url="http://127.0.0.1:9", bucket="b")
        assert "is the server up" in str(away.check())


def test_influxdb2_partial_write_and_retention(tmp_path: Path) -> None:
    """Points outside the bucket's retention are refused for good; their neighbours are stored."""
    now = time.time_ns() // NS * NS
    old = fnirsi_like(300, now - 10 * 86_400 * NS)
    new = fnirsi_like(700, now - 20 * NS)
    with influxdb2(tmp_path) as server, Journal.open(tmp_path / "d") as journal:
        server.make_bucket("short", 86_400)
        instrument = begin(journal)
        journal.append(instrument, SampleBlock.concat([old, new]))
        journal.flush()
        token = tmp_path / "token"
        token.write_text(server.token)
        output = influx(
            journal,
            tmp_path / "d",
            url=server.url,
            org="shop",
            bucket="short",
            token_file=token,
            batch=256,
        )
        with Running(output) as run:
            state = run.until(lambda s: s.delivered == 1000)
        assert state.quarantined == 300
        rows = server.flux(
            'from(bucket:"short") |> range(start:-20d) |> filter(fn:(r)=>r._measurement=="denchi_sample" and r._field=="vbus_v") |> count()'
        )
        assert sum(r["_value"] for r in rows) == 700
        set_aside = (tmp_path / "d" / "outputs" / "tsdb.quarantine").read_text()
        assert set_aside.count("\ndenchi_sample") == 300


def test_influxdb2_a_field_conflict_sets_aside_only_itself(tmp_path: Path) -> None:
    """Somebody wrote our field with another type: those lines are refused, all others stored."""
    block = _recent(400)
    with influxdb2(tmp_path) as server, Journal.open(tmp_path / "d") as journal:
        poison = int(block.t_ns[37])
        server.api(
            "POST",
            "/api/v2/write",
            params={"org": "shop", "bucket": "denchi", "precision": "ns"},
            content=f'denchi_event,station=st1,bench=b1,meter=fnb58,unit=x,kind=bad value="text" {poison}',
        )
        _fill(journal, block)
        journal.add_event("s1", poison + 1, "bad", {"value": 5})
        journal.add_event("s1", poison + 2, "good", {"other": 5})
        journal.flush()
        token = tmp_path / "token"
        token.write_text(server.token)
        output = influx(
            journal, tmp_path / "d", url=server.url, org="shop", bucket="denchi", token_file=token
        )
        with Running(output) as run:
            state = run.until(lambda s: s.delivered == 400)
        assert state.quarantined == 1
        rows = server.flux(
            'from(bucket:"denchi") |> range(start:-1h, stop:1h) |> filter(fn:(r)=>r._field=="vbus_v" or r._field=="other") |> count()'
        )
        assert sum(r["_value"] for r in rows) == 401


def test_influxdb1_sample_by_sample(tmp_path: Path) -> None:
    block = _recent(20_000)
    with influxdb1(tmp_path, auth=True) as url, Journal.open(tmp_path / "d") as journal:

        def query(q: str, **params: str) -> httpx.Response:
            answer = httpx.post(
                url + "/query",
                params={"q": q, "epoch": "ns", **params},
                timeout=60,
                trust_env=False,
            )
            assert answer.status_code == 200, answer.text
            return answer

        query("CREATE USER admin WITH PASSWORD 'a' WITH ALL PRIVILEGES")
        admin = {"u": "admin", "p": "a"}
        query("CREATE DATABASE denchi", **admin)
        query("CREATE USER writer WITH PASSWORD 'w'", **admin)
        query("GRANT WRITE ON denchi TO writer", **admin)
        _fill(journal, block)
        password = tmp_path / "password"
        password.write_text("wrong")
        config = {
            "url": url,
            "version": 1,
            "database": "denchi",
            "user": "writer",
            "password_file": password,
        }
        assert "check the token or user" in str(influx(journal, tmp_path / "d", **config).check())
        password.write_text("w")
        output = influx(journal, tmp_path / "d", **config)
        assert output.check() is None
        with Running(output) as run:
            run.until(lambda s: s.delivered == 20_000)
        answer = query("SELECT vbus_v, ibus_a FROM denchi_sample", db="denchi", **admin).json()
        rows = answer["results"][0]["series"][0]["values"]
        _same({t: v for t, v, _ in rows}, block, "vbus_uv")
        _same({t: i for t, _, i in rows}, block, "ibus_ua")
        config["database"] = "nowhere"
        assert "check" in str(influx(journal, tmp_path / "d", **config).check())


def test_victoriametrics_sample_by_sample_and_drain_rate(tmp_path: Path) -> None:
    n = int(os.environ.get("DENCHI_DRAIN", "300000"))
    block = _recent(n, 1000.0)
    with victoria(tmp_path) as url, Journal.open(tmp_path / "d") as journal:
        _fill(journal, block)
        output = influx(journal, tmp_path / "d", url=url, bucket="denchi", org="x", batch=10_000)
        begun = time.monotonic()
        with Running(output) as run:
            run.until(lambda s: s.delivered == n, 120)
        rate = n / (time.monotonic() - begun)
        points = victoria_points(url, '{__name__="denchi_sample_vbus_v"}')
        ((key, found),) = points.items()
        assert '"station": "st1"' in key
        _same(found, block, "vbus_uv", 1_000_000)
    record(
        "drain to a real time-series server",
        "≥ 5,000 samples/s (goal 50,000)",
        f"{rate:,.0f} samples/s of 6 fields into VictoriaMetrics, {n:,} read back equal",
        rate >= 5000,
    )
    assert rate >= 5000


def test_roll_ups_by_choice(tmp_path: Path) -> None:
    block = _recent(6000)
    with victoria(tmp_path) as url, Journal.open(tmp_path / "d") as journal:
        instrument = begin(journal)
        journal.append(instrument, block[:3011])
        journal.flush()
        output = influx(journal, tmp_path / "d", url=url, bucket="denchi", rate="1s", batch=100)
        with Running(output) as run:
            run.until(lambda s: s.delivered >= 2900)
            journal.append(instrument, block[3011:])
            journal.end_session("s1", int(block.t_ns[-1]) + 1, None)
            journal.flush()
            run.until(lambda s: s.delivered == 6000)
        points = victoria_points(
            url, '{__name__=~"denchi_sample_vbus_v.*|denchi_sample_energy_out_wh"}'
        )
        named = {k.split("{")[0]: v for k, v in points.items()}
        seconds = block.t_ns // NS
        for second in np.unique(seconds):
            values = block.vbus_v()[seconds == second]
            at = int(second) * 1000
            assert named["denchi_sample_vbus_v"][at] == pytest.approx(values.mean(), abs=1e-9)
            assert named["denchi_sample_vbus_v_min"][at] == values.min()
            assert named["denchi_sample_vbus_v_max"][at] == values.max()
        assert len(named["denchi_sample_vbus_v"]) == len(np.unique(seconds))
        power, step = block.power_w(), np.diff(block.t_ns) / 1e9
        energy = float(((power[1:] + power[:-1]) / 2 * step).sum() / 3600)
        assert sum(named["denchi_sample_energy_out_wh"].values()) == pytest.approx(energy, rel=1e-6)


def test_many_stations_one_server(tmp_path: Path) -> None:
    """200 stations, each with its own journal and writer, into one server, told apart by their tag."""
    stations = int(os.environ.get("DENCHI_STATIONS", "200"))
    per = 300
    limits = Limits(commit_ms=200, reserve_bytes=0, tail_first_bytes=1 << 15)
    with victoria(tmp_path) as url:
        journals: list[Journal] = []
        outputs = []
        block = _recent(per)
        for i in range(stations):
            journal = Journal.open(tmp_path / f"st{i}", limits=limits)
            instrument = begin(journal)
            journal.append(instrument, block)
            journals.append(journal)
            outputs.append(
                influx(
                    journal, tmp_path / f"st{i}", station=f"station-{i}", url=url, bucket="denchi"
                )
            )
        for journal in journals:
            assert journal.flush(20)
        stop = threading.Event()
        begun = time.monotonic()
        threads = [threading.Thread(target=o.run, args=(stop,), daemon=True) for o in outputs]
        for thread in threads:
            thread.start()
        while any(o.state().delivered < per for o in outputs) and time.monotonic() - begun < 180:
            time.sleep(0.05)
        seconds = time.monotonic() - begun
        stop.set()
        for thread in threads:
            thread.join(20)
        for journal in journals:
            journal.close()
        points = victoria_points(url, '{__name__="denchi_sample_vbus_v"}')
        assert len(points) == stations
        for found in points.values():
            _same(found, block, "vbus_uv", 1_000_000)
    record(
        "many stations, one server",
        "200 writers, nothing lost, told apart by station",
        f"{stations} writers in one process, {stations * per:,} samples of 6 fields in {seconds:.1f} s,"
        " all read back equal",
        stations >= 200,
    )
