"""The doctor's checks: what stands between this machine and measuring, each with its cure."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import sqlite3
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from denchi.clock import SYSTEM
from denchi.config import Settings
from denchi.errors import DenchiError
from denchi.text import clean

STALE_LIST_DAYS = 30
LOW_DISK_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: ``fine`` | ``notice`` | ``bad``."""

    name: str
    state: str
    message: str
    cure: str = ""

    def to_json(self) -> dict[str, str]:
        """As the API and ``--json`` show it."""
        return {"name": self.name, "state": self.state, "message": self.message, "cure": self.cure}


def checks(data_dir: Path, settings: Settings) -> list[Check]:
    """Every check, none of which may stop the others."""
    rows: list[Check] = []
    for look in (
        _meters,
        _rules,
        _usb,
        _clock,
        _disk,
        _journal,
        _lists,
        _outputs,
        _alarms,
        _extras,
    ):
        try:
            rows += look(data_dir, settings)
        except Exception as error:
            # A check that fails is itself a finding, never a reason to hide the others.
            rows.append(
                Check(look.__name__.strip("_"), "bad", f"this check failed: {clean(error, 160)}")
            )
    return rows


def _meters(data_dir: Path, settings: Settings) -> list[Check]:
    from denchi.drivers import discovery, registry

    seen = discovery.discover()
    rows = [
        Check("drivers", "fine", f"{len(registry.specs())} kinds of meters and batteries are known")
    ]
    for found in seen.found:
        text = f"{clean(found.model, 60)} ({found.spec_key}) at {clean(str(found.locator), 100)}"
        if found.ambiguous:
            rows.append(
                Check("meter", "notice", f"perhaps a meter: {text}", "name it in the configuration")
            )
        else:
            rows.append(Check("meter", "fine", f"present: {text}"))
    for one in seen.unopenable:
        rows.append(
            Check("meter", "bad", f"{clean(one.what, 100)}: {clean(one.reason, 160)}", one.cure)
        )
    if not seen.found and not seen.unopenable:
        cure = (
            "plug one in by its data port (a charge-only cable shows nothing); or try `denchi demo`"
        )
        rows.append(Check("meter", "notice", "no known meter is plugged in", cure))
    return rows


def _rules(data_dir: Path, settings: Settings) -> list[Check]:
    if not sys.platform.startswith("linux"):
        return []
    from denchi.deploy.udev import PLACE, rules
    from denchi.drivers import registry

    if not PLACE.exists():
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            return [Check("udev", "notice", "no rules are installed; as root they are not needed")]
        return [Check("udev", "notice", f"{PLACE} is not there", "sudo denchi install udev")]
    if PLACE.read_text(encoding="utf-8") != rules(registry.specs().values()):
        return [
            Check("udev", "notice", f"{PLACE} is of another version", "sudo denchi install udev")
        ]
    return [Check("udev", "fine", f"{PLACE} is in place")]


def _usb(data_dir: Path, settings: Settings) -> list[Check]:
    from denchi.transports.usb_common import backend

    if backend() is None:
        return [Check("libusb", "bad", "no libusb was found", "install the package libusb-package")]
    return [Check("libusb", "fine", "libusb is loaded")]


def _clock(data_dir: Path, settings: Settings) -> list[Check]:
    wall = SYSTEM.wall_ns()
    if datetime.fromtimestamp(wall / 1e9, UTC).year < 2025:
        return [
            Check("clock", "bad", "the system's clock is wrong", "set the time before a long run")
        ]
    return [
        Check("clock", "fine", f"{datetime.fromtimestamp(wall / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC")
    ]


def _disk(data_dir: Path, settings: Settings) -> list[Check]:
    place = data_dir
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    text = f"{free / 1e9:.1f} GB free at {place}"
    if not os.access(place, os.W_OK):
        return [Check("disk", "bad", f"{place} cannot be written", "name another with --data-dir")]
    if free < LOW_DISK_BYTES:
        return [
            Check("disk", "bad", text, "make room: raw samples are thinned when the disk is full")
        ]
    return [Check("disk", "fine", text)]


def _journal(data_dir: Path, settings: Settings) -> list[Check]:
    from denchi.store.reader import JournalReader
    from denchi.store.schema import FILE

    rows = [
        Check(
            "journal",
            "notice",
            f"a damaged journal was moved aside: {old.name}; its readable rows are in the new one",
            f"keep or delete {old}",
        )
        for old in sorted(data_dir.glob("*-damaged-*.db"))
    ]
    if not (data_dir / FILE).exists():
        return [*rows, Check("journal", "fine", f"none yet in {data_dir}")]
    try:
        with JournalReader(data_dir) as reader:
            stored = reader.sessions(1, None, "")
    except (DenchiError, sqlite3.Error, OSError) as error:
        text = f"{data_dir / FILE} cannot be read: {clean(error, 160)}"
        cure = "start `denchi run`: it moves a damaged journal aside and salvages what can be read"
        return [*rows, Check("journal", "bad", text, cure)]
    last = f", last session {stored[0].session.id}" if stored else ""
    return [*rows, Check("journal", "fine", f"{data_dir}{last}")]


def _alarms(data_dir: Path, settings: Settings) -> list[Check]:
    config = settings.alarm
    if config.urls_file is None and config.urls_env is None:
        return []
    from denchi.outputs import alarms

    try:
        urls = alarms.addresses(config)
        alarms.from_settings(config, settings.station)
    except DenchiError as error:
        return [Check("alarms", "bad", error.message, error.cure)]
    # Trying them would send somebody a message: that is for who asks for it.
    return [Check("alarms", "fine", f"{len(urls)} addresses; `denchi alarm test` tries them")]


def _lists(data_dir: Path, settings: Settings) -> list[Check]:
    from denchi.recalls.lists import load

    today = datetime.fromtimestamp(SYSTEM.wall_ns() / 1e9, UTC).date()
    rows = []
    for source, date in load(data_dir).dated.items():
        age = (today - datetime.fromisoformat(date).date()).days
        text = f"{source}: dated {date}, {age} days old"
        if age > STALE_LIST_DAYS:
            rows.append(Check("recall lists", "notice", text, "denchi recall update"))
        else:
            rows.append(Check("recall lists", "fine", text))
    return rows


def _outputs(data_dir: Path, settings: Settings) -> list[Check]:
    from denchi.outputs import registry
    from denchi.outputs.base import Context

    rows = []
    for name, table in settings.output.items():
        try:
            configured = registry.configure(name, table)
            # A check only tries the connection: it is given no journal and reads nothing.
            context = Context(data_dir, settings.station or socket.gethostname(), _NoJournal())
            problem = configured.kind.make(name, configured.config, context).check()
        except DenchiError as error:
            rows.append(Check(f"output {name}", "bad", error.message, error.cure))
            continue
        if problem:
            rows.append(Check(f"output {name}", "bad", clean(problem, 300)))
        else:
            rows.append(Check(f"output {name}", "fine", f"{configured.kind.kind} answers"))
    return rows


class _NoJournal:
    """A journal that holds nothing, for a connection check."""

    def read_after(self, cursor: Any, max_samples: int = 5000, **_: Any) -> Any:
        """Nothing."""
        raise NotImplementedError

    def load_cursor(self, output: str) -> Any:
        """The beginning."""
        from denchi.store.cursor import Cursor

        return Cursor()

    def store_cursor(self, output: str, cursor: Any, *, wait: bool = False) -> None:
        """Nothing is stored."""


def _extras(data_dir: Path, settings: Settings) -> list[Check]:
    absent = [
        extra
        for extra, module in (
            ("ble", "bleak"),
            ("mqtt", "aiomqtt"),
            ("prometheus", "prometheus_client"),
            ("alerts", "apprise"),
            ("parquet", "pyarrow"),
        )
        if importlib.util.find_spec(module) is None
    ]
    text = "every extra is installed" if not absent else f"not installed: {', '.join(absent)}"
    return [Check("extras", "fine", text)]
