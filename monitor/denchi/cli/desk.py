"""``denchi`` alone: the desk. Attach to the daemon that runs, or start a private one, and open the TUI."""

from __future__ import annotations

import inspect
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from denchi.cli.common import default_data_dir, talk
from denchi.errors import ApiError, DenchiError


def open_tui(data_dir: Path, **options: Any) -> int:
    """Open the TUI on a running daemon, through the entry-point door (the core knows no dashboard)."""
    for point in entry_points(group="denchi.tui"):
        run = point.load()
        code = run(data_dir, **options)
        return int(code or 0)
    raise DenchiError(
        "no terminal interface is installed", cure="install denchi with its dashboards"
    )


def load_tui(data_dir: Path) -> None:
    """Import the TUI while the daemon starts: both take about as long. A TUI of a third party may not know how."""
    for point in entry_points(group="denchi.tui"):
        run = point.load()
        if "load_only" in inspect.signature(run).parameters:
            run(data_dir, load_only=True)
        return


def desk(data_dir: Path | None, config: Path | None) -> int:
    """Find the meter, open the terminal interface; without a terminal say what is there."""
    where = data_dir or default_data_dir()
    running = _running(where)
    if not sys.stdout.isatty():
        return _without_terminal(where, running)
    if running:
        return open_tui(where)
    from denchi.daemon.child import ChildDaemon

    with ChildDaemon(where, config, meanwhile=lambda: load_tui(where)):
        return open_tui(where)


def _running(where: Path) -> bool:
    """Whether a daemon answers; the HTTP client is imported only when one says it is there."""
    from denchi.daemon import endpoint

    if endpoint.read(where) is None:
        return False
    from denchi.daemon.client import SyncClient

    try:
        SyncClient.connect(where, timeout_s=2.0).close()
    except ApiError:
        return False
    return True


def _without_terminal(where: Path, running: bool) -> int:
    """Say what was looked for, what is present and the cure; exit 1 when there is no meter."""
    from denchi.drivers import discovery, registry
    from denchi.text import clean

    if running:
        talk(f"a daemon runs on {where}; `denchi tui` shows it on a terminal")
        return 0
    seen = discovery.discover()
    for found in seen.found:
        talk(
            f"present: {clean(found.model, 60)} ({found.spec_key}) at {clean(str(found.locator), 100)}"
        )
    for one in seen.unopenable:
        talk(
            f"cannot be opened: {clean(one.what, 100)}: {clean(one.reason, 160)}; {clean(one.cure, 160)}"
        )
    if not seen.found:
        makers = sorted({spec.maker for spec in registry.specs().values()})
        talk(f"no meter found; looked for: {', '.join(makers)}")
        talk("plug one in, or try `denchi demo`")
        return 1
    talk("this is no terminal: `denchi run` measures without one")
    return 1
