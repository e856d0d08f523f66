"""``denchi output`` and ``denchi alarm``: how delivery stands, and a test of the alarms."""

from __future__ import annotations

import json
from pathlib import Path

import click

from denchi.cli.common import (
    common_options,
    default_config_file,
    default_data_dir,
    json_option,
    talk,
)


@click.group()
def output() -> None:
    """The outputs: InfluxDB, MQTT, Prometheus and whatever else is configured."""


@output.command()
@json_option
@common_options
def status(as_json: bool, data_dir: Path | None, config: Path | None) -> int:
    """Backlog, rate and last error of each output of the running daemon."""
    from denchi.daemon.client import SyncClient
    from denchi.text import clean

    with SyncClient.connect(data_dir or default_data_dir()) as client:
        state = client.get("/v1/state")
    for one in state["outputs"]:
        if as_json:
            click.echo(json.dumps(one, ensure_ascii=False))
            continue
        click.echo(
            f"{clean(one['name'], 24):24} {one['kind']:12} {one['state']:10} "
            f"backlog {one['backlog_samples']} samples ({one['backlog_s']:.0f} s), {one['rate_per_s']:.0f}/s, "
            f"{one['quarantined']} quarantined  {clean(one['last_error'], 160)}"
        )
    if not state["outputs"] and not as_json:
        talk("no output is configured; see docs/outputs.md")
    return 0


@click.group()
def alarm() -> None:
    """The remote alarms."""


@alarm.command()
@common_options
def test(data_dir: Path | None, config: Path | None) -> int:
    """Send a test alarm to every address; say what came of each."""
    import socket

    from denchi.config import load
    from denchi.errors import ConfigError
    from denchi.outputs import alarms
    from denchi.text import clean

    settings = load(config or default_config_file(), must_exist=config is not None).settings
    if settings.alarm.urls_file is None and settings.alarm.urls_env is None:
        raise ConfigError(
            "no alarm address is configured", cure="set alarm.urls_file; see docs/outputs.md"
        )
    made = alarms.from_settings(settings.alarm, settings.station or socket.gethostname())
    failed = 0
    for where, problem in made.test():
        failed += bool(problem)
        click.echo(f"{clean(where, 80)}: {clean(problem, 200) if problem else 'delivered'}")
    return 1 if failed else 0
