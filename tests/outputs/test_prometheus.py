"""The Prometheus endpoint: what a scrape shows, and who may scrape."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from denchi.clock import FakeClock
from denchi.errors import ConfigError
from denchi.i18n import Text
from denchi.model import Finding, Gap, Severity
from denchi.outputs import registry
from denchi.outputs.base import Context
from denchi.store.journal import Journal
from outputs.helpers import Running
from store.helpers import NS, begin, fnirsi_like


def _endpoint(journal: Any, folder: Path, **settings: Any) -> Any:
    configured = registry.configure("prom", {"kind": "prometheus", "port": 0, **settings})
    context = Context(folder, "st1", journal, health=lambda: {"uptime_s": 5.0, "degraded": ""})
    return configured.kind.make("prom", configured.config, context)


def _scrape(port: int, **headers: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}/metrics", headers=headers, trust_env=False)


def _samples(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_newest_values_counters_and_no_serial(tmp_path: Path) -> None:
    block = fnirsi_like(2500, time.time_ns() - 25 * NS)
    with Journal.open(tmp_path, reserve_mb=0) as journal:
        journal.append(begin(journal, serial="SECRET-77"), block)
        hot = Finding("case_hot", "thermal", Severity.DANGER, 1, 2, Text("Hot."), Text("Unplug."))
        journal.add_finding("s1", hot)
        journal.add_gap("s1", None, Gap(1, 2, "unplugged", 7))
        journal.flush()
        output = _endpoint(journal, tmp_path)
        with Running(output) as run:
            run.until(lambda s: s.delivered == 2500)
            answer = _scrape(output.port)
            other = httpx.get(f"http://127.0.0.1:{output.port}/", trust_env=False)
        assert other.status_code == 404
    found = _samples(answer.text)
    ((labels, volts),) = found["denchi_vbus_volts"]
    assert volts == block.vbus_v()[-1]
    assert found["denchi_power_watts"][0][1] == pytest.approx(block.power_w()[-1], abs=1e-6)
    assert labels["bench"] == "b1"
    assert labels["unit"].startswith("Brand Model #")
    assert "SECRET" not in answer.text
    assert found["denchi_samples_total"][0][1] == 2500
    assert found["denchi_findings_total"] == [
        ({"station": "st1", "bench": "b1", "severity": "danger", "code": "case_hot"}, 1.0)
    ]
    assert found["denchi_lost_samples_total"][0][1] == 7
    assert found["denchi_daemon_uptime_s"] == [({}, 5.0)]
    assert not re.search(r"\bsafe\b", answer.text)


def test_a_stale_value_is_not_shown(tmp_path: Path) -> None:
    clock = FakeClock()
    block = fnirsi_like(100, clock.wall_ns() - NS)
    with Journal.open(tmp_path, reserve_mb=0) as journal:
        journal.append(begin(journal), block)
        journal.flush()
        configured = registry.configure("prom", {"kind": "prometheus", "port": 0})
        context = Context(tmp_path, "st1", journal, clock=clock)
        output: Any = configured.kind.make("prom", configured.config, context)
        with Running(output) as run:
            run.until(lambda s: s.delivered == 100)
            assert "denchi_vbus_volts" in _samples(_scrape(output.port).text)
            clock.advance(20)
            found = _samples(_scrape(output.port).text)
    assert "denchi_vbus_volts" not in found
    assert found["denchi_sample_age_seconds"][0][1] >= 20


def test_it_listens_on_loopback_and_elsewhere_only_with_a_token(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(ConfigError, match="needs a token"):
            registry.configure("prom", {"kind": "prometheus", "host": host})
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    with Journal.open(tmp_path / "d", reserve_mb=0) as journal:
        output = _endpoint(journal, tmp_path / "d")
        with Running(output) as run:
            run.until(lambda s: output.port > 0)
            listening = [
                c.laddr.ip for c in psutil.Process().net_connections("inet")
                if c.status == psutil.CONN_LISTEN and c.laddr.port == output.port
            ]  # fmt: skip
            assert listening == ["127.0.0.1"]
        output = _endpoint(journal, tmp_path / "d", host="0.0.0.0", token_file=str(token))
        with Running(output) as run:
            run.until(lambda s: output.port > 0)
            assert _scrape(output.port).status_code == 401
            assert _scrape(output.port, Authorization="Bearer wrong").status_code == 401
            assert _scrape(output.port, Authorization="Bearer s3cret").status_code == 200
        token.write_text("")
        empty = _endpoint(journal, tmp_path / "d", token_file=str(token))
        with Running(empty) as run:
            state = run.until(lambda s: s.state == "waiting")
            assert empty.port == 0, "it does not fall back to open"
            assert "token is empty" in state.last_error


def test_a_port_in_use_is_said_and_taken_when_it_is_free(tmp_path: Path) -> None:
    with socket.socket() as taken, Journal.open(tmp_path, reserve_mb=0) as journal:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        output = _endpoint(journal, tmp_path, port=taken.getsockname()[1])
        with Running(output) as run:
            run.until(lambda s: s.state == "waiting" and "cannot listen" in s.last_error)
            taken.close()
            run.until(lambda s: s.state == "idle")
            assert _scrape(output.port).status_code == 200
