"""``denchi recall``: a label against the recall lists; the lists' age; renewing them; overlay entries.

Nothing heavy is imported here: a check costs click and two small JSON files.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from denchi.cli.common import common_options, default_data_dir, json_option, talk

if TYPE_CHECKING:
    from denchi.recalls.answer import RecallAnswer

_GROUP_OPTIONS = ("--data-dir", "--config")
SYMPTOMS = ("swelling", "heat", "smell", "leaking", "noise", "damage")


class TextGroup(click.Group):
    """A group whose first word is a subcommand or else the text of a label."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the hidden ``check`` in front of anything that does not begin with a subcommand."""
        ahead: list[str] = []
        rest = list(args)
        while len(rest) >= 2 and rest[0] in _GROUP_OPTIONS:
            ahead, rest = [*ahead, *rest[:2]], rest[2:]
        named = bool(rest) and rest[0] in self.commands
        if not named and rest[:1] not in (["--help"], ["-h"]):
            rest = ["check", *ahead, *rest]
            ahead = []
        elif named:
            # The group has no options of its own; the subcommand takes them.
            rest, ahead = [rest[0], *ahead, *rest[1:]], []
        return super().parse_args(ctx, [*ahead, *rest])

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The usage line that people need: text or options first."""
        formatter.write_usage(ctx.command_path, "[TEXT]... [OPTIONS] | update | status | overlay")


@click.group(cls=TextGroup, context_settings={"help_option_names": ["-h", "--help"]})
def recall() -> None:
    """Check a label against the recall lists of several countries.

    TEXT is anything from the label: a model number, a product code, a barcode, or the whole label ("-"
    reads it from standard input). See `denchi recall check --help` for the options. Exit code 3: recalled;
    4: the serial has to be checked, or only the brand or product name is on a list; 0: not on the lists
    checked, which clears nothing.
    """


def today() -> date:
    """The day by the product's clock (UTC)."""
    from denchi.clock import SYSTEM

    return datetime.fromtimestamp(SYSTEM.wall_ns() / 1e9, UTC).date()


@recall.command()
@click.argument("text", nargs=-1)
@click.option("--brand", default="", help="Brand as printed.")
@click.option("--model", default="", help="Model number as printed (型番, 品番, Model, P/N).")
@click.option(
    "--serial",
    default="",
    help="Serial number (SN); stays on this machine. 'none' = no number on it.",
)
@click.option("--colour", "--color", "colour", default="", help="Colour; it never clears a unit.")
@click.option("--bought", default="", metavar="YYYY-MM", help="When it was bought or received.")
@click.option(
    "--country", default="", help="Where it was bought (JP, US ...): order and wording only."
)
@click.option(
    "--symptom",
    "symptoms",
    multiple=True,
    type=click.Choice(SYMPTOMS),
    help="What you notice; may be given again.",
)
@click.option(
    "--file",
    "table",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="A CSV of units, one a row.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Result file of --file.",
)
@json_option
@common_options
def check(
    text: tuple[str, ...],
    table: Path | None,
    output: Path | None,
    symptoms: tuple[str, ...],
    as_json: bool,
    data_dir: Path | None,
    config: Path | None,
    **fields: Any,
) -> int:
    """Check one label, or a table of units."""
    from denchi.recalls.lists import load

    if table is not None:
        if text or any(fields.values()):
            raise click.UsageError(
                "--file takes the units from the table: leave out TEXT and --model ..."
            )
        return _check_table(table, output, as_json, data_dir)
    if output is not None:
        raise click.UsageError("-o belongs to --file")
    words = " ".join(text).strip()
    if words == "-":
        words = sys.stdin.read(20_000)
    if not words.strip() and not any(fields[k].strip() for k in ("brand", "model", "serial")):
        raise click.UsageError("nothing to look for: give text from the label, --model or --brand")
    _readable_date(fields["bought"])
    from denchi.model import Unit
    from denchi.recalls.answer import check as ask

    lists = load(data_dir or default_data_dir())
    answer = ask(Unit(**fields), lists, text=words, symptoms=symptoms, today=today())
    if as_json:
        click.echo(json.dumps(answer.to_json(), ensure_ascii=False))
    else:
        from denchi.recalls.plain import answer_lines

        for line in answer_lines(answer, show_serial=sys.stdout.isatty()):
            click.echo(line)
        _maybe_command(words, answer)
    return answer.exit_code


def _language() -> str:
    from denchi.i18n import language

    return language()


def _readable_date(bought: str) -> None:
    from denchi.recalls.facts import month_of

    if bought.strip() and not month_of(bought):
        raise click.UsageError(
            f"--bought {bought!r} cannot be read: give YYYY-MM, for example 2024-05"
        )


def _maybe_command(words: str, answer: RecallAnswer) -> None:
    """`denchi recall udpate` was taken for a label: say so."""
    if not answer.matches and words.isalpha() and words.isascii():
        import difflib

        close = difflib.get_close_matches(words.lower(), list(recall.commands), n=1, cutoff=0.7)
        if close:
            talk(f"taken as a label; did you mean: denchi recall {close[0]}")


def _check_table(table: Path, output: Path | None, as_json: bool, data_dir: Path | None) -> int:
    """Check a table; the exit code is that of the most serious row."""
    from denchi.recalls.lists import load
    from denchi.recalls.table import check_rows, read_units, result_csv

    units = read_units(_bytes_of(table), table.name)
    lists = load(data_dir or default_data_dir())
    rows = check_rows(units, lists, today())
    if as_json:
        lines = [json.dumps(r.to_json(), ensure_ascii=False) for r in rows]
        body = "".join(f"{line}\n" for line in lines)
    else:
        body = result_csv(units, rows, _language(), lists)
    if output is None:
        click.echo(body, nl=False)
    else:
        from denchi.recalls.update import write_atomically

        # The mark at the head lets a spreadsheet read Japanese rightly.
        write_atomically(output, body.encode("utf-8" if as_json else "utf-8-sig"))
    from denchi.model import RecallStatus

    counts = {s: sum(r.answer.status is s for r in rows) for s in RecallStatus}
    told = ", ".join(f"{s.word} {n}" for s, n in sorted(counts.items(), reverse=True))
    talk(f"{len(rows)} units: {told}" + (f"; written to {output}" if output else ""))
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


@recall.command()
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


@recall.command()
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


@recall.command()
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
        talk(
            f"{len(entries)} entries added to {path}; marked machine-extracted: read them against the notice, "
            'then set "extracted_by" to "hand" and "unit_scope" to what the notice says'
        )
    return 0


if __name__ == "__main__":
    from denchi.cli.main import main

    main(["recall", *sys.argv[1:]])
