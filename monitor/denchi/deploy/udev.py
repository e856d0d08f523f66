"""udev rules made from the meters' specs: the person at the seat may open them, nobody else gains.

``TAG+="uaccess"`` gives the device to whoever is logged in at the seat; the group is for services.
No rule makes a device world-writable.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from denchi.errors import StoreError
from denchi_protocol.codec import BulkSettings, HidSettings, MeterSpec, SerialMatch, UsbMatch

# Below 73: systemd's 73-seat-late.rules turns the uaccess tag into an ACL; a tag set later is never seen.
NAME: Final = "70-denchi.rules"
PLACE: Final = Path("/etc/udev/rules.d") / NAME
GROUP: Final = "plugdev"


def rules(specs: Iterable[MeterSpec]) -> str:
    """The rules file for these meters; ids that many devices share are left out, with a word why."""
    lines = [
        "# USB power meters for denchi. Written by `denchi install udev` from its drivers.",
        "# The number is below 73, where systemd turns the uaccess tag into permissions.",
        "",
    ]
    skipped: dict[str, list[str]] = {}
    seen: set[str] = set()
    for spec in specs:
        for match in spec.matches:
            if not isinstance(match, (UsbMatch, SerialMatch)) or match.vid is None:
                continue
            ids = f"{match.vid:04x}:" + ("*" if match.pid is None else f"{match.pid:04x}")
            if match.ambiguous:
                skipped.setdefault(ids, []).append(spec.key)
                continue
            for line in _lines(spec, match):
                if line not in seen:
                    seen.add(line)
                    lines.append(f"# {spec.title}")
                    lines.append(line)
    if skipped:
        lines += [
            "",
            "# Ids that other devices use too; a rule for them would reach those as well:",
        ]
        lines += [f"#   {ids}  {', '.join(keys)}" for ids, keys in sorted(skipped.items())]
    return "\n".join(lines) + "\n"


def _lines(spec: MeterSpec, match: UsbMatch | SerialMatch) -> list[str]:
    assert match.vid is not None
    ids = f'ATTRS{{idVendor}}=="{match.vid:04x}"'
    one = f'ATTR{{idVendor}}=="{match.vid:04x}"'
    if match.pid is not None:
        ids += f', ATTRS{{idProduct}}=="{match.pid:04x}"'
        one += f', ATTR{{idProduct}}=="{match.pid:04x}"'
    give = f'TAG+="uaccess", GROUP="{GROUP}", MODE="0660"'
    if isinstance(match, SerialMatch):
        return [f'SUBSYSTEM=="tty", {ids}, TAG+="uaccess", GROUP="dialout", MODE="0660"']
    made = [f'SUBSYSTEM=="usb", ENV{{DEVTYPE}}=="usb_device", {one}, {give}']
    if any(isinstance(t, HidSettings) for t in (spec.transport, *spec.also)):
        made.append(f'SUBSYSTEM=="hidraw", {ids}, {give}')
    if any(isinstance(t, BulkSettings) for t in (spec.transport, *spec.also)):
        made.append(f'SUBSYSTEM=="tty", {ids}, TAG+="uaccess", GROUP="dialout", MODE="0660"')
    return made


@click.command("udev")
@click.option(
    "--print", "print_only", is_flag=True, help="Print the rules instead of installing them."
)
def command(print_only: bool) -> int:
    """Install udev rules for every known meter (Linux)."""
    from denchi.drivers import registry

    text = rules(registry.specs().values())
    if print_only:
        click.echo(text, nl=False)
        return 0
    try:
        fresh = PLACE.with_name(f".{NAME}.new")
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(0o644)
        fresh.replace(PLACE)
    except OSError as error:
        raise StoreError(
            f"{PLACE}: {error.strerror}", cure="run with sudo, or see --print"
        ) from None
    click.echo(f"wrote {PLACE}", err=True)
    click.echo(
        "then: sudo udevadm control --reload && sudo udevadm trigger, or plug the meter in again",
        err=True,
    )
    return 0
