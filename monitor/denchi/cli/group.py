"""The click group: finds a command by the table of ``main``, loads it, and tells its errors."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from denchi import __version__
from denchi.cli import main as table
from denchi.cli.common import common_options, nearest, talk


class LazyGroup(click.Group):
    """A group that knows its commands' names and loads one on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Built-in names, then those of other packages."""
        return table.names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name in table.COMMANDS:
            module, _, name = table.COMMANDS[cmd_name][0].partition(":")
            command = getattr(import_module(module), name)
        else:
            place = table.plugins().get(cmd_name)
            if place is None:
                return None
            from denchi.cli.plugins import load

            command = load(place)
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

    def get_help(self, ctx: click.Context) -> str:
        """The help that ``main`` writes."""
        return table.help_text()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="denchi")
@common_options
@click.pass_context
def cli(ctx: click.Context, data_dir: Any, config: Any) -> None:
    """Watch a USB power bank through a USB power meter and say, with reasons, what looks wrong."""
    ctx.obj = {"data_dir": data_dir, "config": config}
    if ctx.invoked_subcommand is None:
        from denchi.cli.desk import desk

        ctx.exit(desk(data_dir, config))


def run(arguments: list[str]) -> int:
    """Run one command; returns its exit code. Expected errors are told in one line."""
    try:
        code = cli.main(args=arguments, prog_name="denchi", standalone_mode=False)
    except click.Abort:
        return 130
    except (KeyboardInterrupt, BrokenPipeError):
        raise
    except Exception as error:
        return _told(error)
    return code if isinstance(code, int) else 0


def _told(error: Exception) -> int:
    """Say an expected error in one line and return its exit code; raise an unexpected one."""
    from denchi.errors import DenchiError
    from denchi.text import clean

    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx else "denchi"
        talk(f"denchi: {clean(error.format_message(), 400)} ({where} --help)")
        return 2
    if isinstance(error, click.ClickException):
        talk(f"denchi: {clean(error.format_message(), 400)}")
        return error.exit_code
    if isinstance(error, DenchiError):
        talk(f"denchi: {clean(str(error), 600)}")
        return error.exit_code
    raise error
