"""``denchi emulate``: play a device, for denchi or for any other program."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from denchi.cli.common import nearest, sigterm_interrupts, talk

if TYPE_CHECKING:
    from denchi_protocol.codec import MeterSpec


@click.command()
@click.argument("key")
@click.option(
    "--pty",
    "pty_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A serial meter on a pseudo-terminal; PATH becomes a link to it.",
)
@click.option("--usbip", is_flag=True, help="A USB meter by USB/IP (Linux: `usbip attach`).")
@click.option(
    "--listen",
    default="127.0.0.1:3240",
    show_default=True,
    metavar="HOST:PORT",
    help="Where --usbip listens; USB/IP knows no password.",
)
@click.option("--scenario", default="", help="What the simulated bank behind it does.")
@click.option("--oddity", default="", help="A misbehaviour seen on real devices.")
@click.option("--speed", default=1.0, type=click.FloatRange(0.1, 1000), help="Time lapse.")
def emulate(
    key: str,
    pty_path: Path | None,
    usbip: bool,
    listen: str,
    scenario: str,
    oddity: str,
    speed: float,
) -> int:
    """Play the device KEY until Ctrl-C. It says "emulated" wherever a device can say something.

    Standard output gets one line when it is ready: the pseudo-terminal, or address and bus id.
    """
    from denchi.drivers import registry

    spec = registry.get(key)
    if (pty_path is None) == (not usbip):
        raise click.UsageError("one of --pty PATH and --usbip says how the device is reached")
    options = {"speed": str(speed)} | _known(spec, scenario, oddity)
    sigterm_interrupts()
    try:
        if pty_path is not None:
            _pty(spec, pty_path, options)
        else:
            _usbip(spec, listen, options)
    except KeyboardInterrupt:
        talk("the device is unplugged")
    return 0


def _known(spec: MeterSpec, scenario: str, oddity: str) -> dict[str, str]:
    from denchi import simulation
    from denchi.errors import UsageError

    told = {}
    if scenario:
        known = list(simulation.scenarios())
        if scenario not in known:
            raise UsageError(
                f"no scenario {scenario!r}{nearest(scenario, known)}",
                cure=f"one of {', '.join(known)}",
            )
        told["scenario"] = scenario
    if oddity:
        from denchi.drivers.emulation import make

        try:
            make(spec.key, {"oddity": oddity}, 0)
        except ValueError as error:
            raise UsageError(f"{spec.key}: {error}", cure="without --oddity it behaves") from None
        told["oddity"] = oddity
    return told


def _pty(spec: MeterSpec, path: Path, options: dict[str, str]) -> None:
    from denchi.drivers.emulation import Pump, make
    from denchi.drivers.pty_line import PtyLine
    from denchi.errors import UsageError

    if spec.transport.kind != "serial":
        raise UsageError(
            f"{spec.key} is no serial meter",
            cure="--usbip" if spec.descriptors else f"use emulated:{spec.key} as its place",
        )
    line = PtyLine(path)
    try:
        start_ns = time.time_ns()
        pump = Pump(make(spec.key, options, start_ns), start_ns, float(options["speed"]))
        click.echo(str(path))
        talk(f"{spec.key} (emulated) is at {path} ({line.name}); Ctrl-C ends it")
        line.serve(pump, lambda: False)
    finally:
        line.close()


def _usbip(spec: MeterSpec, listen: str, options: dict[str, str]) -> None:
    from denchi.drivers.usbip import BUS_ID, UsbIpServer

    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise click.UsageError(f"--listen {listen!r} is no HOST:PORT")
    server = UsbIpServer(spec, options, host.strip("[]") or "127.0.0.1", int(port))
    where = f"{server.address[0]}:{server.address[1]}"
    try:
        click.echo(f"{where} {BUS_ID}")
        talk(
            f"{spec.key} (emulated) is served at {where}; on the host: "
            f"usbip --tcp-port {server.address[1]} attach -r {server.address[0]} -b {BUS_ID}"
        )
        server.serve()
    finally:
        server.stop()
