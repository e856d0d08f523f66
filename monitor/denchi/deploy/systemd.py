"""The systemd unit: Type=notify, a watchdog that only progress feeds, and a tight sandbox."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Final

import click

from denchi.errors import StoreError

UNIT: Final = """\
# denchi: watches USB power banks through USB power meters. Written by `denchi install systemd`.
[Unit]
Description=denchi power bank monitor
Documentation=man:systemd.service(5)
After=local-fs.target time-sync.target
# Not network-online: measuring never waits for a network.

[Service]
Type=notify
NotifyAccess=main
ExecStart={command} run --data-dir /var/lib/denchi --config /etc/denchi/config.toml
ExecReload=/bin/kill -HUP $MAINPID
WatchdogSec=30
Restart=always
RestartSec=2
TimeoutStopSec=5
DynamicUser=yes
# plugdev, dialout: what `denchi install udev` and distributions give USB and serial devices to.
SupplementaryGroups={groups}
StateDirectory=denchi
StateDirectoryMode=0700
# Secrets: LoadCredential=influx-token:/etc/denchi/influx-token, and `token_credential` in the file.
ProtectSystem=strict
ProtectHome={home}
PrivateTmp=yes
NoNewPrivileges=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
RestrictNamespaces=yes
LockPersonality=yes
MemoryDenyWriteExecute=no
# (libffi of the USB backends maps closures writable and executable on some systems.)
SystemCallArchitectures=native
SystemCallFilter=@system-service
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_BLUETOOTH
CapabilityBoundingSet=
DevicePolicy=closed
DeviceAllow=char-usb_device rw
DeviceAllow=char-hidraw rw
DeviceAllow=char-ttyUSB rw
DeviceAllow=char-ttyACM rw
DeviceAllow=char-rfcomm rw
MemoryHigh=300M
MemoryMax=500M

[Install]
WantedBy=multi-user.target
"""

PLACE: Final = Path("/etc/systemd/system/denchi.service")
CONFIG: Final = Path("/etc/denchi/config.toml")
FIRST_CONFIG: Final = """\
# denchi's configuration. Empty: every default is in force (`denchi config schema`, `denchi config validate`).
# Limits are read again on `systemctl reload denchi`; the rest at a restart.
"""
HOMES: Final = ("/home", "/root", "/run/user")


def unit_text() -> str:
    """The unit for this installation."""
    command = shutil.which("denchi") or f"{sys.executable} -m denchi.cli.main"
    groups = [name for name in ("plugdev", "dialout") if _group_exists(name)]
    # A program that lives in a home would be hidden from its own service.
    lives = Path(command.split()[0]).resolve()
    home = "read-only" if any(lives.is_relative_to(h) for h in HOMES) else "yes"
    return UNIT.format(command=command, groups=" ".join(groups), home=home)


def _group_exists(name: str) -> bool:
    try:
        import grp

        grp.getgrnam(name)
    except (ImportError, KeyError):
        return False
    return True


@click.command("systemd")
@click.option(
    "--print", "print_only", is_flag=True, help="Print the unit instead of installing it."
)
def command(print_only: bool) -> int:
    """Install the daemon as a systemd service."""
    text = unit_text()
    if print_only:
        click.echo(text, nl=False)
        return 0
    # The unit names the file, and a file that is named must be there: never over one that is.
    if not CONFIG.exists():
        _write(CONFIG, FIRST_CONFIG)
    _write(PLACE, text)
    click.echo("then: sudo systemctl daemon-reload && sudo systemctl enable --now denchi", err=True)
    return 0


def _write(place: Path, text: str) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(0o644)
        fresh.replace(place)
    except OSError as error:
        raise StoreError(
            f"{place}: {error.strerror}", cure="run with sudo, or see --print"
        ) from None
    click.echo(f"wrote {place}", err=True)
