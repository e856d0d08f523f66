"""``denchi export``: a session as CSV, Parquet or JSON lines, read beside the daemon."""

from __future__ import annotations

from pathlib import Path

import click

from denchi.cli.common import common_options, default_data_dir, sigterm_interrupts, talk


@click.command()
@click.argument("session_id")
@click.option("--format", "form", type=click.Choice(["csv", "parquet", "jsonl"]), default="csv")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), default=None)
@click.option("--role", default="meter", help="Which instrument of the session.")
@common_options
def export(
    session_id: str,
    form: str,
    output: Path | None,
    role: str,
    data_dir: Path | None,
    config: Path | None,
) -> int:
    """A session's samples. CSV is a recording that `denchi replay` reads back, with its meta beside it."""
    from denchi.export import writer
    from denchi.store.reader import JournalReader

    sigterm_interrupts()
    reader = JournalReader(data_dir or default_data_dir())
    written = writer.export(reader, session_id, form, output, role=role)
    talk(f"{written} samples" + (f" written to {output}" if output else ""))
    return 0
