"""``denchi doctor``: permissions, drivers, clock, disk, outputs, age of the recall lists."""

from __future__ import annotations

import json
from pathlib import Path

import click

from denchi.cli.common import common_options, default_config_file, default_data_dir, json_option


@click.command()
@json_option
@common_options
def doctor(as_json: bool, data_dir: Path | None, config: Path | None) -> int:
    """Look at everything denchi needs and say what to do about what is wrong. Changes nothing."""
    from denchi.config import Settings, load
    from denchi.doctor import Check, checks
    from denchi.errors import ConfigError

    rows: list[Check] = []
    try:
        settings = load(config or default_config_file(), must_exist=config is not None).settings
    except ConfigError as error:
        rows.append(Check("configuration", "bad", error.message, error.cure))
        settings = Settings()
    rows += checks(data_dir or default_data_dir(), settings)
    for row in rows:
        if as_json:
            click.echo(json.dumps(row.to_json(), ensure_ascii=False))
        else:
            mark = {"fine": " ", "notice": "!", "bad": "x"}[row.state]
            click.echo(
                f"{mark} {row.name:14} {row.message}" + (f"\n{'':17}{row.cure}" if row.cure else "")
            )
    return 1 if any(row.state == "bad" for row in rows) else 0
