"""What every command shares: the two common options, and one-line errors with exit codes.

Imports only click and the standard library: this is on the path of ``denchi --help``.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def default_data_dir() -> Path:
    """Where data belongs on this platform."""
    if sys.platform.startswith("linux"):  # as platformdirs says, without importing it for `recall`
        base = os.environ.get("XDG_DATA_HOME", "")
        return (Path(base) if base else Path.home() / ".local" / "share") / "denchi"
    import platformdirs

    return Path(platformdirs.user_data_dir("denchi", appauthor=False))


def default_config_file() -> Path:
    """Where the user's configuration belongs on this platform."""
    if sys.platform.startswith("linux"):
        base = os.environ.get("XDG_CONFIG_HOME", "")
        return (Path(base) if base else Path.home() / ".config") / "denchi" / "config.toml"
    import platformdirs

    return Path(platformdirs.user_config_dir("denchi", appauthor=False)) / "config.toml"


def _or_outer(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    """`denchi --data-dir D sessions` and `denchi sessions --data-dir D` say the same."""
    outer = ctx.find_root().obj
    if value is None and isinstance(outer, dict) and param.name:
        found = outer.get(param.name)
        return found if isinstance(found, Path) else None
    return value


def common_options(command: F) -> F:
    """Add ``--data-dir`` and ``--config``; the command gets ``data_dir`` and ``config`` (Path | None).

    ``None`` means: not said here, take the platform's place.
    """
    command = click.option(
        "--config",
        envvar="DENCHI_CONFIG",
        type=click.Path(path_type=Path, dir_okay=False),
        default=None,
        callback=_or_outer,
        help="Configuration file (DENCHI_CONFIG).",
    )(command)
    return click.option(
        "--data-dir",
        envvar="DENCHI_DATA_DIR",
        type=click.Path(path_type=Path, file_okay=False),
        default=None,
        callback=_or_outer,
        help="Where denchi keeps its data (DENCHI_DATA_DIR).",
    )(command)


def json_option(command: F) -> F:
    """Add ``--json``; the command gets ``as_json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="One JSON object a line, with stable keys."
    )(command)


def sigterm_interrupts() -> None:
    """SIGTERM ends the command as Ctrl-C does, so that nothing half-written stays.

    A shell starts what it puts into the background with SIGINT ignored, and its children inherit that: only
    SIGTERM reaches them everywhere.
    """
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def talk(message: str) -> None:
    """Say something to the person (standard error; standard output carries data)."""
    click.echo(message, err=True)


def nearest(word: str, known: list[str]) -> str:
    """``; did you mean 'x'?`` for the nearest known names, or an empty string."""
    import difflib

    close = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
