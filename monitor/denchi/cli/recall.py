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


# name -> one line for the help; they are loaded from ``recall_lists`` on use.
_LAZY = {
    "update": "Fetch the feeds; a bad one changes nothing.",
    "status": "Each list, its date and age, and what the last attempt said.",
    "overlay": "Write overlay entries from a notice pasted as text.",
}


class TextGroup(click.Group):
    """A group whose first word is a subcommand or else the text of a label."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The subcommands that people see."""
        return list(_LAZY)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """``check`` is here; the others are loaded when asked for."""
        if cmd_name in _LAZY:
            from denchi.cli import recall_lists

            command = getattr(recall_lists, cmd_name)
            assert isinstance(command, click.Command)
            return command
        return super().get_command(ctx, cmd_name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the hidden ``check`` in front of anything that does not begin with a subcommand."""
        ahead: list[str] = []
        rest = list(args)
        while len(rest) >= 2 and rest[0] in _GROUP_OPTIONS:
            ahead, rest = [*ahead, *rest[:2]], rest[2:]
        named = bool(rest) and rest[0] in (*_LAZY, "check")
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

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options of a check, then the subcommands."""
        rows = [r for p in check.params if (r := p.get_help_record(ctx)) is not None]
        with formatter.section("Options"):
            formatter.write_dl([*rows, ("-h, --help", "Show this message and exit.")])
        with formatter.section("Commands"):
            formatter.write_dl(list(_LAZY.items()))


@click.group(cls=TextGroup, context_settings={"help_option_names": ["-h", "--help"]})
def recall() -> None:
    """Check a label against the recall lists of several countries.

    TEXT is anything from the label: a model number, a product code, a barcode, or the whole label ("-"
    reads it from standard input). Exit code 3: recalled; 4: the serial has to be checked, or only the brand or product name is on a list; 0: not on the lists
    checked, which clears nothing.
    """


def today() -> date:
    """The day by the product's clock (UTC)."""
    from denchi.clock import SYSTEM

    return datetime.fromtimestamp(SYSTEM.wall_ns() / 1e9, UTC).date()


@recall.command(hidden=True)
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
        from denchi.cli.recall_lists import check_table

        return check_table(table, output, as_json, data_dir or default_data_dir(), today())
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

        close = difflib.get_close_matches(words.lower(), list(_LAZY), n=1, cutoff=0.7)
        if close:
            from denchi.i18n import translate

            told = translate("taken as a label; did you mean: denchi recall {name}", "recalls")
            talk(told.format(name=close[0]))


if __name__ == "__main__":
    from denchi.cli.main import main

    main(["recall", *sys.argv[1:]])
