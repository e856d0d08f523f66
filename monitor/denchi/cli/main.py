"""``denchi``: the table of commands, each loaded only when asked for."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from denchi import __version__
from denchi.cli.common import common_options, nearest, talk

# name -> (where it is, one line for the help). The line stands here so that `denchi --help` imports
# no command.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("denchi.cli.demo:demo", "The whole path with an emulated meter."),
    "run": ("denchi.cli.run:run", "The daemon, in the foreground."),
    "list": ("denchi.cli.list_meters:list_", "Meters present, and those that cannot be opened."),
    "doctor": ("denchi.cli.doctor:doctor", "Permissions, drivers, clock, disk, outputs, lists."),
    "recall": ("denchi.cli.recall:recall", "Check a label against the recall lists."),
    "replay": ("denchi.cli.replay:replay", "Recordings through ingest and health."),
    "decode": ("denchi.cli.decode:decode", "Raw frames to samples and messages."),
    "capture": ("denchi.cli.capture:capture", "Record a device's raw bytes."),
    "emulate": ("denchi.cli.emulate:emulate", "Play a device, for other programs."),
    "sessions": ("denchi.cli.sessions:sessions", "List and look after recorded sessions."),
    "compare": ("denchi.cli.sessions:compare", "Two sessions side by side."),
    "export": ("denchi.cli.export:export", "A session as CSV, Parquet or JSON lines."),
    "install": ("denchi.cli.install:install", "udev rules, systemd unit, compose file."),
    "config": ("denchi.cli.config:config", "Show, validate, describe the configuration."),
    "output": ("denchi.cli.output:output", "State of the outputs."),
    "alarm": ("denchi.cli.output:alarm", "Test the alarms."),
}

# Commands of other packages, by the entry-point group `denchi.commands`; one line for the help of
# those that come in the same wheel, so that help need not import them.
PLUGIN_HELP = {
    "tui": "Attach the terminal interface to a running daemon.",
    "screen": "Units through a guided screening.",
    "report": "A session's report, for print.",
}


def _plugins() -> dict[str, str]:
    from denchi.cli.plugins import points

    return points("denchi.commands")


class LazyGroup(click.Group):
    """A group that knows its commands' names and loads one on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Built-in names, then those of other packages."""
        return [*COMMANDS, *sorted(set(_plugins()) - set(COMMANDS))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name in COMMANDS:
            module, _, name = COMMANDS[cmd_name][0].partition(":")
            command = getattr(import_module(module), name)
        else:
            point = _plugins().get(cmd_name)
            if point is None:
                return None
            from denchi.cli.plugins import load

            command = load(point)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; an unknown one is answered with the nearest names."""
        if args and not args[0].startswith("-"):
            known = self.list_commands(ctx)
            if args[0] not in known:
                raise click.UsageError(f"no command {args[0]!r}{nearest(args[0], known)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command table, without importing any of them."""
        rows = [(name, line) for name, (_, line) in COMMANDS.items()]
        rows += [(n, PLUGIN_HELP.get(n, "")) for n in self.list_commands(ctx) if n not in COMMANDS]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="denchi")
@common_options
@click.pass_context
def cli(ctx: click.Context, data_dir: Any, config: Any) -> None:
    """Watch a USB power bank through a USB power meter and say, with reasons, what looks wrong.

    Without a command: find the meter, open the terminal interface.
    """
    ctx.obj = {"data_dir": data_dir, "config": config}
    if ctx.invoked_subcommand is None:
        from denchi.cli.desk import desk

        ctx.exit(desk(data_dir, config))


def main(argv: list[str] | None = None) -> None:
    """Run the command line; every known error is one line with its cure, never a traceback."""
    from denchi.errors import DenchiError
    from denchi.text import clean

    try:
        code = cli.main(args=argv, prog_name="denchi", standalone_mode=False)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "denchi"
        talk(f"denchi: {clean(error.format_message(), 400)} ({where} --help)")
        sys.exit(2)
    except click.ClickException as error:
        talk(f"denchi: {clean(error.format_message(), 400)}")
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except DenchiError as error:
        talk(f"denchi: {clean(str(error), 600)}")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): not an error worth a word.
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
