"""The dashboards' commands. Importing this loads click and nothing heavier; textual comes with use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from denchi.cli.common import common_options, default_data_dir

if TYPE_CHECKING:
    from denchi_dashboards.tui.client import ClientFactory

_LANGUAGES = click.Choice(["en", "ja"])
_THEMES = click.Choice(["dark", "light", "contrast"])


def open_tui(
    data_dir: Path,
    *,
    lang: str | None = None,
    theme: str | None = None,
    screening: bool = False,
    demo: bool = True,
    on_screened: Callable[[dict[str, Any]], None] = lambda _line: None,
    load_only: bool = False,
) -> int:
    """Open the TUI on the daemon that writes ``data_dir``; it is looked for again when it goes away.

    The entry point ``denchi.tui``: the core calls this without knowing the dashboards. ``load_only``:
    import what it needs and return, while the daemon is still starting.
    """
    from denchi.daemon.client import ApiClient
    from denchi_dashboards.tui.app import run

    if load_only:
        return 0
    with _Demo() as demos:
        return run(
            lambda: ApiClient.connect(data_dir),
            lang=lang,
            theme=theme,
            screening=screening,
            demo_starter=demos.start if demo else None,
            on_screened=on_screened,
        )


class _Demo:
    """A demo daemon that the waiting page can start; it ends with the TUI."""

    def __init__(self) -> None:
        self._open: list[Any] = []

    def __enter__(self) -> _Demo:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._open.pop().__exit__(None, None, None)

    def start(self) -> ClientFactory:
        """Start it in a temporary directory (blocks until it answers)."""
        import tempfile

        from denchi.daemon.child import ChildDaemon
        from denchi.daemon.client import ApiClient

        place = tempfile.TemporaryDirectory(prefix="denchi-demo-")
        self._open.append(place)
        where = Path(place.__enter__())
        bench = ["--bench", "demo=emulated:fnb58?scenario=demo"]
        probe = ["--probe", "demo.case=emulated:denchi-board?scenario=demo"]
        child = ChildDaemon(where, None, bench + probe)
        child.__enter__()
        self._open.append(child)
        return lambda: ApiClient.connect(where)


@click.command()
@common_options
@click.option(
    "--lang", type=_LANGUAGES, default=None, help="Language (default: the environment's)."
)
@click.option("--theme", type=_THEMES, default=None, help="Colours.")
@click.option("--page", default="live", hidden=True)
def tui(
    data_dir: Path | None, config: Path | None, lang: str | None, theme: str | None, page: str
) -> int:
    """Attach the terminal interface to a running daemon; `q` leaves it, the daemon goes on."""
    from denchi.daemon.client import SyncClient

    where = data_dir or default_data_dir()
    SyncClient.connect(where, timeout_s=3.0).close()  # says in one line when no daemon answers
    return open_tui(where, lang=lang, theme=theme, screening=page == "screening", demo=False)


@click.command()
@common_options
@click.option(
    "--lang", type=_LANGUAGES, default=None, help="Language (default: the environment's)."
)
@click.option("--theme", type=_THEMES, default=None, help="Colours.")
@click.option("--json", "as_json", is_flag=True, help="One line a unit on stdout, as it is done.")
def screen(
    data_dir: Path | None, config: Path | None, lang: str | None, theme: str | None, as_json: bool
) -> int:
    """Units through a guided screening: label in, checklist, guided steps, verdict, next unit.

    Attaches to the daemon that runs, or starts a private one. Leaves with the gravest verdict's code.
    """
    import json
    import sys

    from denchi.errors import UsageError

    # The screen is drawn on stderr, so that --json can be piped.
    if not (sys.stdin.isatty() and sys.stderr.isatty() and (as_json or sys.stdout.isatty())):
        raise UsageError("a screening is guided on a terminal", cure="run it in one")
    lines: list[str] = []
    out = sys.stdout
    piped = not out.isatty()
    if piped:
        # The terminal's size is asked of the interpreter's first stdout, which is a pipe here.
        setattr(sys, "__stdout__", sys.__stderr__)  # noqa: B010 (typeshed calls it final)

    def done(line: dict[str, Any]) -> None:
        lines.append(json.dumps(line, ensure_ascii=False))
        if as_json and piped:
            print(lines.pop(), file=out, flush=True)

    try:
        return _screen(data_dir or default_data_dir(), config, lang, theme, done)
    finally:
        if as_json:
            for line in lines:
                click.echo(line)


def _screen(
    where: Path,
    config: Path | None,
    lang: str | None,
    theme: str | None,
    done: Callable[[dict[str, Any]], None],
) -> int:
    from denchi.daemon.child import ChildDaemon
    from denchi.daemon.client import SyncClient
    from denchi.errors import ApiError

    try:
        SyncClient.connect(where, timeout_s=2.0).close()
    except ApiError:
        with ChildDaemon(where, config):
            return open_tui(where, lang=lang, theme=theme, screening=True, on_screened=done)
    return open_tui(where, lang=lang, theme=theme, screening=True, on_screened=done)
