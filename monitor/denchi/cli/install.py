"""``denchi install``: udev rules, systemd unit, compose file; each part stands in ``denchi.deploy``."""

from __future__ import annotations

from importlib import import_module

import click

PARTS = {
    "udev": ("denchi.deploy.udev:command", "Rules that let you open the meters (Linux)."),
    "systemd": ("denchi.deploy.systemd:command", "The daemon as a service."),
    "compose": ("denchi.deploy.compose:command", "InfluxDB 2 and Grafana, provisioned."),
}


class _Parts(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        """The parts, in the order in which people need them."""
        return list(PARTS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table above; no part is imported for the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in PARTS.items()])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one part."""
        if cmd_name not in PARTS:
            return None
        module, _, name = PARTS[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_Parts)
def install() -> None:
    """Put denchi's parts where the system looks for them; every part knows --print."""
