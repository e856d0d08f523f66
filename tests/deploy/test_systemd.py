"""The systemd unit: what it promises, what systemd itself says of it, and the files it names."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from denchi.config import load
from denchi.deploy import systemd

ROOT_HOME = "/root"


def settings(text: str) -> dict[str, list[str]]:
    """Directives by name."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^([A-Z][A-Za-z]+)=(.*)$", text, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Where unit and configuration go instead of /etc."""
    unit, config = tmp_path / "etc" / "denchi.service", tmp_path / "etc" / "denchi" / "config.toml"
    monkeypatch.setattr(systemd, "PLACE", unit)
    monkeypatch.setattr(systemd, "CONFIG", config)
    return unit, config


def run(*words: str) -> str:
    result = CliRunner().invoke(systemd.command, list(words), standalone_mode=False)
    assert result.exception is None, result.exception
    return result.stdout


def test_print_writes_nothing(places: tuple[Path, Path]) -> None:
    assert run("--print") == systemd.unit_text()
    assert not places[0].parent.exists()


def test_it_is_watched_restarted_reloaded_and_shut_in() -> None:
    unit = settings(systemd.unit_text())
    assert unit["Type"] == ["notify"]
    assert unit["Restart"] == ["always"]
    assert unit["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert 0 < int(unit["WatchdogSec"][0]) <= 30
    assert int(unit["TimeoutStopSec"][0]) > 2, "it ends in 2 s by itself"
    for name, value in {
        "DynamicUser": "yes", "ProtectSystem": "strict", "NoNewPrivileges": "yes", "PrivateTmp": "yes",
        "DevicePolicy": "closed", "CapabilityBoundingSet": "", "StateDirectoryMode": "0700",
    }.items():  # fmt: skip
        assert unit[name] == [value], name
    assert not re.search("token|password|secret", " ".join(unit["ExecStart"]), re.IGNORECASE)


def test_a_program_in_a_home_is_not_hidden_from_its_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for place, home in (
        (f"{ROOT_HOME}/venv/bin/denchi", "read-only"),
        ("/opt/denchi/bin/denchi", "yes"),
    ):
        monkeypatch.setattr(shutil, "which", lambda name, place=place: place)
        assert settings(systemd.unit_text())["ProtectHome"] == [home]


def test_the_configuration_it_names_is_there_and_one_that_is_there_is_kept(
    places: tuple[Path, Path],
) -> None:
    unit, config = places
    run()
    assert unit.read_text() == systemd.unit_text()
    loaded = load(config, environ={}, must_exist=True)
    assert all(origin == "default" for _key, _value, origin in loaded.rows())
    config.write_text("[journal]\ncommit_ms = 200\n")
    run()
    assert config.read_text() == "[journal]\ncommit_ms = 200\n"
    named = re.search(r"--config (\S+)", systemd.UNIT)
    assert named
    assert named[1] == "/etc/denchi/config.toml"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    unit = tmp_path / "denchi.service"

    def said(text: str) -> str:
        unit.write_text(text)
        done = subprocess.run(
            ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False
        )  # fmt: skip
        return "\n".join(line for line in done.stderr.splitlines() if "denchi" in line)

    text = systemd.unit_text()
    assert "Unknown key" in said(text.replace("PrivateTmp=", "PrivateTemp=")), "the control is seen"
    assert said(text) == ""
