"""``denchi config``: show (with where each value came from), validate, schema."""

from __future__ import annotations

import json
from pathlib import Path

import click

from denchi.cli.common import common_options, default_config_file, json_option, talk


@click.group()
def config() -> None:
    """The configuration file."""


@config.command()
@json_option
@common_options
def show(as_json: bool, data_dir: Path | None, config: Path | None) -> int:
    """Every setting in force, and where it came from."""
    from denchi.config import load

    loaded = load(config or default_config_file(), must_exist=config is not None)
    for key, value, origin in loaded.rows():
        if as_json:
            click.echo(
                json.dumps({"key": key, "value": value, "origin": origin}, ensure_ascii=False)
            )
        else:
            click.echo(f"{key} = {json.dumps(value, ensure_ascii=False)}    # {origin}")
    return 0


@config.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@common_options
def validate(file: Path | None, data_dir: Path | None, config: Path | None) -> int:
    """Check FILE, or the configuration in force.

    Tells all that is wrong, a line each: file, line, key, and what was meant.
    """
    from denchi.daemon.settings import problems
    from denchi.text import clean

    given = file or config
    path = given or default_config_file()
    wrong = problems(path, must_exist=given is not None)
    for one in wrong:
        talk(f"denchi: {clean(str(one), 500)}")
    if not wrong:
        talk(
            f"{path}: nothing wrong found"
            if path.exists()
            else f"{path} is not there; the defaults are in force"
        )
    return 1 if wrong else 0


@config.command()
def schema() -> int:
    """The configuration's JSON schema."""
    from denchi.config import schema as describe

    click.echo(json.dumps(describe(), indent=2, ensure_ascii=False))
    return 0
