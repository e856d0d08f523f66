"""Real servers on loopback for tests: started when asked for, stopped with the test, data in a temporary folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

CACHED_INFLUXD = Path.home() / ".cache" / "denchi" / "influxd"


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def binary(*names: str) -> str:
    """The first of these programs that is there; skips, saying which is missing."""
    for name in names:
        for folder in (None, "/usr/sbin:/usr/local/sbin:/sbin"):
            if found := shutil.which(name, path=folder):
                return found
    pytest.skip(f"{' or '.join(names)} is not installed here")


def influxd2() -> str:
    """An InfluxDB 2.x server: DENCHI_INFLUXD, influxd on PATH if it is a 2.x, or the cached build."""
    for candidate in (os.environ.get("DENCHI_INFLUXD"), shutil.which("influxd"), CACHED_INFLUXD):
        if candidate and Path(candidate).is_file():
            told = subprocess.run(
                [str(candidate), "version"], capture_output=True, text=True, timeout=30
            )
            if told.stdout.startswith("InfluxDB v2"):
                return str(candidate)
    pytest.skip(
        "no InfluxDB 2.x server here: set DENCHI_INFLUXD, or run tests/outputs/build_influxd.sh once"
    )


@contextlib.contextmanager
def running(
    command: list[str], ready: str, folder: Path, **env: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A server process; ends the test with its log when it does not come up."""
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **env}, cwd=folder
        )
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if process.poll() is not None:
                break
            if _answers(ready):
                break
            time.sleep(0.05)
        else:
            raise AssertionError(f"{command[0]} did not come up:\n{log.read_text()[-2000:]}")
        assert process.poll() is None, f"{command[0]} ended:\n{log.read_text()[-2000:]}"
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(ready: str) -> bool:
    if ready.startswith("http"):
        try:
            return httpx.get(ready, timeout=1, trust_env=False).status_code < 500
        except httpx.HTTPError:
            return False
    host, port = ready.split(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Influx2:
    """A set-up InfluxDB 2.x: an organisation, a bucket, the operator's token."""

    url: str
    org: str
    bucket: str
    token: str

    def api(self, method: str, path: str, **kwargs: Any) -> Any:
        answer = httpx.request(
            method,
            self.url + path,
            headers={"Authorization": f"Token {self.token}"},
            timeout=30,
            trust_env=False,
            **kwargs,
        )
        assert answer.status_code < 300, f"{path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.text else None

    def make_bucket(self, name: str, retention_s: int = 0) -> str:
        """A further bucket; returns its id."""
        org = self.api("GET", "/api/v2/orgs", params={"org": self.org})["orgs"][0]["id"]
        rules = [{"type": "expire", "everySeconds": retention_s}] if retention_s else []
        body = {"orgID": org, "name": name, "retentionRules": rules}
        return str(self.api("POST", "/api/v2/buckets", json=body)["id"])

    def write_token(self, bucket: str) -> str:
        """A token that may only write one bucket."""
        org = self.api("GET", "/api/v2/orgs", params={"org": self.org})["orgs"][0]["id"]
        found = self.api("GET", "/api/v2/buckets", params={"name": bucket})["buckets"][0]["id"]
        resource = {"type": "buckets", "id": found, "orgID": org}
        body = {"orgID": org, "permissions": [{"action": "write", "resource": resource}]}
        return str(self.api("POST", "/api/v2/authorizations", json=body)["token"])

    def flux(self, query: str) -> list[dict[str, Any]]:
        """Rows of a Flux query."""
        from influxdb_client.client.influxdb_client import InfluxDBClient

        with InfluxDBClient(self.url, token=self.token, org=self.org, timeout=60_000) as client:
            tables = client.query_api().query(query)
            return [record.values for table in tables for record in table.records]


@contextlib.contextmanager
def influxdb2(folder: Path) -> Iterator[Influx2]:
    """A real InfluxDB 2.x."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        influxd2(),
        "run",
        f"--http-bind-address=127.0.0.1:{port}",
        f"--bolt-path={folder}/influxd.bolt",
        f"--sqlite-path={folder}/influxd.sqlite",
        f"--engine-path={folder}/engine",
        "--reporting-disabled",
        "--log-level=warn",
    ]
    with running(command, url + "/health", folder):
        setup = {
            "username": "tester",
            "password": "tester-secret",
            "org": "shop",
            "bucket": "denchi",
            "token": "operator-token",
        }
        answer = httpx.post(url + "/api/v2/setup", json=setup, timeout=60, trust_env=False)
        assert answer.status_code == 201, answer.text
        yield Influx2(url, "shop", "denchi", "operator-token")


@contextlib.contextmanager
def influxdb1(folder: Path, *, auth: bool = False) -> Iterator[str]:
    """InfluxDB 1.x of the distribution; yields its URL."""
    program = binary("influxd")
    told = subprocess.run([program, "version"], capture_output=True, text=True, timeout=30)
    if "v1." not in told.stdout and "1.6" not in told.stdout:
        pytest.skip(f"influxd on PATH is no 1.x: {told.stdout.strip()}")
    port, backup = free_port(), free_port()
    config = folder / "influxdb.conf"
    config.write_text(
        f"""
reporting-disabled = true
bind-address = "127.0.0.1:{backup}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  index-version = "tsi1"
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = {"true" if auth else "false"}
  log-enabled = false
  max-body-size = 25000000
[monitor]
  store-enabled = false
""",
        encoding="utf-8",
    )
    url = f"http://127.0.0.1:{port}"
    with running([program, "run", "-config", str(config)], url + "/ping", folder):
        yield url


@contextlib.contextmanager
def victoria(folder: Path) -> Iterator[str]:
    """VictoriaMetrics; yields its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        binary("victoria-metrics"),
        f"-storageDataPath={folder}/vm",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-retentionPeriod=100y",
        "-memory.allowedPercent=10",
    ]
    with running(command, url + "/health", folder):
        yield url


def victoria_points(url: str, match: str) -> dict[str, dict[int, float]]:
    """{name{tags}: {ms: value}} of everything that matches."""
    import json

    httpx.get(url + "/internal/force_flush", timeout=30, trust_env=False)
    answer = httpx.get(
        url + "/api/v1/export", params={"match[]": match}, timeout=120, trust_env=False
    )
    found: dict[str, dict[int, float]] = {}
    for line in answer.text.splitlines():
        series = json.loads(line)
        metric = series["metric"]
        name = metric.pop("__name__")
        key = name + json.dumps(metric, sort_keys=True)
        found.setdefault(key, {}).update(zip(series["timestamps"], series["values"], strict=True))
    return found


@contextlib.contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    """An MQTT broker; yields its port."""
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    with running([binary("mosquitto"), "-c", str(config)], f"127.0.0.1:{port}", folder):
        yield port
