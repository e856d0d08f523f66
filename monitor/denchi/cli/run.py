"""``denchi run``: the daemon, in the foreground."""

from __future__ import annotations

from pathlib import Path

import click

from denchi.cli.common import common_options, default_config_file, default_data_dir


@click.command()
@common_options
@click.option("--private", is_flag=True, help="End with the program that started this one.")
@click.option(
    "--bench",
    "benches",
    multiple=True,
    metavar="NAME=LOCATOR",
    help="Watch this instrument instead of looking for meters (`left=emulated:fnb58?scenario=demo`).",
)
@click.option(
    "--probe",
    "probes",
    multiple=True,
    metavar="BENCH.ROLE=LOCATOR",
    help="A further instrument of a --bench: case, ambient or battery.",
)
@click.option(
    "--speed", default=1.0, type=click.FloatRange(0.1, 1000), help="Time lapse of emulated meters."
)
@click.option("--deliver", is_flag=True, help="Let simulated data reach outputs and alarms.")
def run(
    data_dir: Path | None,
    config: Path | None,
    private: bool,
    benches: tuple[str, ...],
    probes: tuple[str, ...],
    speed: float,
    deliver: bool,
) -> int:
    """Read the meters, keep the journal, watch for findings, serve the API.

    Starts with nothing attached and takes meters as they come. Ends on SIGTERM with the meters
    released.
    """
    from denchi.daemon.server import run as serve
    from denchi.daemon.supervisor import BenchPlan
    from denchi.errors import UsageError

    plans = []
    for text in benches:
        name, equals, locator = text.partition("=")
        if not equals or not name.replace("-", "").replace("_", "").isalnum():
            raise UsageError(
                f"--bench {text!r} is not NAME=LOCATOR", cure="left=emulated:fnb58?scenario=demo"
            )
        plans.append(BenchPlan(name, locator, speed, probes=_probes(name, probes)))
    if config is None and default_config_file().exists():
        config = default_config_file()
    return serve(
        data_dir or default_data_dir(), config, private=private, plans=plans, deliver=deliver
    )


def _probes(bench: str, texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The further instruments of one bench, (role, locator) each."""
    from denchi.errors import UsageError

    found = []
    for text in texts:
        where, equals, locator = text.partition("=")
        name, _, role = where.partition(".")
        if not equals or role not in ("case", "ambient", "battery"):
            raise UsageError(
                f"--probe {text!r} is not BENCH.ROLE=LOCATOR",
                cure="left.case=emulated:denchi-board",
            )
        if name == bench:
            found.append((role, locator))
    return tuple(found)
