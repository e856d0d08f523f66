"""The rest of ``denchi recall``: tables of units, ``update``, ``status`` and ``overlay``."""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

import click

from denchi.cli.common import common_options, default_data_dir, json_option, talk
from denchi.cli.recall import today
from denchi.i18n import language, translator

_ = translator("recalls")


def check_table(table: Path, output: Path | None, as_json: bool, data_dir: Path, day: date) -> int:
    """Check a table; the exit code is that of the most serious row."""
    from denchi.recalls.lists import load
    from denchi.recalls.table import check_rows, read_units, result_csv

    units = read_units(_bytes_of(table), table.name)
    lists = load(data_dir)
    rows = check_rows(units, lists, day)
    if as_json:
        lines = [json.dumps(r.to_json(), ensure_ascii=False) for r in rows]
        body = "".join(f"{line}\n" for line in lines)
    else:
        body = result_csv(units, rows, language(), lists)
    if output is None:
        click.echo(body, nl=False)
    else:
        from denchi.recalls.update import write_atomically

        # The mark at the head lets a spreadsheet read Japanese rightly.
        write_atomically(output, body.encode("utf-8" if as_json else "utf-8-sig"))
    from denchi.model import RecallStatus

    counts = {s: sum(r.answer.status is s for r in rows) for s in RecallStatus}
    told = ", ".join(f"{s.word} {n}" for s, n in sorted(counts.items(), reverse=True))
    summary = _("{count} units: {counts}").format(count=len(rows), counts=told)
    if output is not None:
        summary += "; " + _("written to {path}").format(path=output)
    talk(summary)
    worst = max(rows, key=lambda r: r.answer.status, default=None)
    return worst.answer.exit_code if worst is not None else 0


def _bytes_of(path: Path) -> bytes:
    from denchi.errors import InputError

    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror or error}", cure="give a readable file"
        ) from None


@click.command()
@click.option("--source", "sources", multiple=True, help="Only this feed; may be given again.")
@click.option(
    "--url",
    "urls",
    multiple=True,
    metavar="FEED=URL",
    help="Another address for a feed (a mirror).",
)
@click.option(
    "--overlay", default="", metavar="FILE_OR_URL", help="A reviewed list to lay over the rest."
)
@json_option
@common_options
def update(
    sources: tuple[str, ...],
    urls: tuple[str, ...],
    overlay: str,
    as_json: bool,
    data_dir: Path | None,
    config: Path | None,
) -> int:
    """Fetch the feeds; a bad one changes nothing."""
    from denchi.recalls.update import chosen_sources
    from denchi.recalls.update import update as renew

    places: dict[str, str] = {}
    for pair in urls:
        name, sign, url = pair.partition("=")
        if not sign or not url:
            raise click.UsageError(f"--url {pair!r}: give FEED=URL")
        places[name] = url
    folder = data_dir or default_data_dir()
    try:
        chosen = chosen_sources(folder, sources, places, overlay)
    except KeyError as error:
        raise click.UsageError(str(error.args[0])) from None
    reports = renew(folder, chosen)
    for report in reports:
        if as_json:
            click.echo(json.dumps(report.to_json(), ensure_ascii=False))
        else:
            click.echo(report.line())
    return 0 if all(r.fine for r in reports) else 1


@click.command()
@json_option
@common_options
def status(as_json: bool, data_dir: Path | None, config: Path | None) -> int:
    """Each list, its date and age, and what the last attempt said."""
    from denchi.recalls.update import status as states

    for state in states(data_dir or default_data_dir(), today()):
        if as_json:
            click.echo(json.dumps(state.to_json(), ensure_ascii=False))
        else:
            click.echo(state.line())
    return 0


@click.command()
@click.argument(
    "notice", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), default="-"
)
@click.option("--jurisdiction", required=True, help="Country of the notice: JP, CN, KR ...")
@click.option("--regulator", required=True, help="Who published it: CAA, METI, SAMR ...")
@click.option("--url", default="", help="The official page.")
@click.option("--brand", default="", help="Brand, where the text does not name a known one.")
@click.option(
    "--model", "models", multiple=True, help="A model number the text names; may be given again."
)
@click.option("--number", default="", help="The notice's number.")
@click.option("--date", "dated", default="", metavar="YYYY-MM-DD", help="The notice's date.")
@click.option("--print", "only_print", is_flag=True, help="Show the entries, write nothing.")
@common_options
def overlay(
    notice: Path, only_print: bool, data_dir: Path | None, config: Path | None, **told: Any
) -> int:
    """Write overlay entries from a notice pasted as text (a file, or standard input)."""
    from denchi.recalls.extract import draft_entries
    from denchi.recalls.lists import load
    from denchi.recalls.update import add_overlay

    folder = data_dir or default_data_dir()
    text = (
        sys.stdin.read(200_000)
        if str(notice) == "-"
        else _bytes_of(notice).decode("utf-8", "replace")
    )
    entries = draft_entries(text, brands=tuple(load(folder).brands), **told)
    click.echo(json.dumps(entries, ensure_ascii=False, indent=2))
    if not only_print:
        path = add_overlay(folder, entries, today())
        added = _(
            "{count} entries added to {path}, marked machine-extracted: read them against the notice, then set "
            '"extracted_by" to "hand" and "unit_scope" to what the notice says'
        )
        talk(added.format(count=len(entries), path=path))
    return 0
