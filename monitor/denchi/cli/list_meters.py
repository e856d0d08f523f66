"""``denchi list``: meters present, and known ones that cannot be opened, with reason and cure."""

from __future__ import annotations

import json
from pathlib import Path

import click

from denchi.cli.common import common_options, json_option, talk


@click.command("list")
@json_option
@common_options
def list_(as_json: bool, data_dir: Path | None, config: Path | None) -> int:
    """Meters present. Nothing is sent to any of them."""
    from denchi.drivers import discovery, registry
    from denchi.text import clean

    seen = discovery.discover()
    for found in seen.found:
        spec = registry.get(found.spec_key)
        row = {
            "key": found.spec_key,
            "model": clean(found.model, 60),
            "serial": clean(found.serial, 60),
            "locator": clean(str(found.locator), 200),
            "port": clean(found.port, 100),
            "maturity": spec.maturity,
            "temperature_place": spec.temperature_place,
            "state": "ask" if found.ambiguous else "openable",
        }
        if as_json:
            click.echo(json.dumps(row, ensure_ascii=False))
        elif found.ambiguous:
            click.echo(f"{row['locator']}: could be a {spec.title}, could be something else;")
            click.echo("  if it is, name it in the configuration: see docs/hardware.md")
        else:
            click.echo(
                f"{row['key']:10} {row['model']:24} {row['locator']}  (verified against: {spec.maturity})"
            )
    for one in seen.unopenable:
        row = {
            "key": one.spec_key,
            "model": clean(one.what, 100),
            "reason": clean(one.reason, 200),
            "cure": clean(one.cure, 200),
            "state": "unopenable",
        }
        if as_json:
            click.echo(json.dumps(row, ensure_ascii=False))
        else:
            click.echo(f"{row['key']:10} {row['model']}: {row['reason']}; {row['cure']}")
    if not seen.found and not seen.unopenable:
        talk(
            f"no meter found; looked for {len(registry.specs())} kinds (`denchi doctor` says more)"
        )
    return 0
