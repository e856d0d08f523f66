"""The compose project: whole, private, on loopback only. Docker itself was not run."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from denchi.deploy import compose
from denchi.outputs import registry


def _run(*words: str) -> str:
    result = CliRunner().invoke(compose.command, list(words), standalone_mode=False)
    assert result.exception is None, result.exception
    return result.stdout


def test_print_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = _run("--print")
    assert yaml.safe_load(text)["services"].keys() == {"influxdb", "grafana"}
    assert list(tmp_path.iterdir()) == []


def test_every_port_is_on_loopback_and_every_mount_is_there(tmp_path: Path) -> None:
    _run("--into", str(tmp_path))
    services = yaml.safe_load((tmp_path / "compose.yaml").read_text())["services"]
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        for mount in service["volumes"]:
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (tmp_path / source).is_dir()
    provider = yaml.safe_load((tmp_path / "grafana/providers/denchi.yaml").read_text())
    path = provider["providers"][0]["options"]["path"]
    assert any(m.split(":")[1] == path for m in services["grafana"]["volumes"])
    source = yaml.safe_load((tmp_path / "grafana/datasources/denchi.yaml").read_text())
    boards = sorted((tmp_path / "grafana/dashboards").iterdir())
    assert len(boards) == 3
    for board in boards:
        for panel in json.loads(board.read_text())["panels"]:
            assert panel["datasource"]["uid"] == source["datasources"][0]["uid"]


def test_secrets_are_private_are_kept_and_stand_in_no_other_file(tmp_path: Path) -> None:
    told = _run("--into", str(tmp_path))
    env = (tmp_path / ".env").read_text()
    values = dict(line.split("=", 1) for line in env.splitlines())
    assert values["DENCHI_INFLUX_TOKEN"] == (tmp_path / "influx-token").read_text().strip()
    assert all(len(v) >= 32 for v in values.values())
    for name in (".env", "influx-token"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name not in (".env", "influx-token"):
            assert not any(v in path.read_text() for v in values.values())
    assert not any(v in told for v in values.values())
    _run("--into", str(tmp_path))
    assert (tmp_path / ".env").read_text() == env, (
        "a second run keeps what the server was set up with"
    )


def test_the_configuration_that_it_tells_is_valid(tmp_path: Path) -> None:
    table = tomllib.loads(_run("--into", str(tmp_path)))["output"]["influxdb"]
    configured = registry.configure("influxdb", table)
    services = yaml.safe_load(compose.COMPOSE)["services"]
    env = services["influxdb"]["environment"]
    assert configured.config.org == env["DOCKER_INFLUXDB_INIT_ORG"]  # type: ignore[attr-defined]
    assert configured.config.bucket == env["DOCKER_INFLUXDB_INIT_BUCKET"]  # type: ignore[attr-defined]
