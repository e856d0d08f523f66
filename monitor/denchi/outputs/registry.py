"""Kinds of outputs by entry point, and their settings checked with file, line and nearest name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from denchi.errors import ConfigError
from denchi.outputs.base import OutputConfig, OutputKind

GROUP = "denchi.outputs"


@dataclass(frozen=True, slots=True)
class Configured:
    """One output of the configuration, checked."""

    name: str
    kind: OutputKind
    config: OutputConfig


def kinds() -> list[str]:
    """Names of the kinds that are installed."""
    return sorted(entry.name for entry in entry_points(group=GROUP))


@lru_cache(maxsize=32)
def kind(name: str) -> OutputKind:
    """The kind of that name. Raises ``KeyError`` for an unknown one."""
    for entry in entry_points(group=GROUP, name=name):
        found = entry.load()
        assert isinstance(found, OutputKind)
        return found
    raise KeyError(name)


def configure(name: str, settings: Mapping[str, Any], *, path: Path | None = None) -> Configured:
    """Check one ``[output.NAME]`` table. Raises ``ConfigError`` with file, line, key and suggestion."""
    wanted = settings.get("kind")
    if not isinstance(wanted, str):
        raise ConfigError(
            f"{_where(path, f'output.{name}')}: output.{name} has no kind",
            cure=f"kind = one of {', '.join(kinds())}",
        )
    try:
        found = kind(wanted)
    except KeyError:
        near = difflib.get_close_matches(wanted, kinds(), 1, 0.5)
        raise ConfigError(
            f"{_where(path, f'output.{name}.kind')}: no kind of output {wanted!r}",
            cure=f"did you mean {near[0]!r}?" if near else f"one of {', '.join(kinds())}",
        ) from None
    try:
        config = found.config.model_validate({k: v for k, v in settings.items() if k != "kind"})
    except ValidationError as error:
        raise _problem(name, found, error, path) from None
    return Configured(name, found, config)


def _where(path: Path | None, dotted: str) -> str:
    from denchi.config import line_of

    if path is None or not path.exists():
        return "configuration"
    return f"{path}, line {line_of(path.read_text(encoding='utf-8'), dotted)}"


def _problem(
    name: str, found: OutputKind, error: ValidationError, path: Path | None
) -> ConfigError:
    first = error.errors()[0]
    dotted = ".".join(["output", name, *(str(part) for part in first["loc"])])
    known = list(found.config.model_fields)
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(first["loc"][-1]), known, 1, 0.5)
        cure = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        return ConfigError(f"{_where(path, dotted)}: no setting {dotted!r}", cure=cure)
    message = first["msg"].removeprefix("Value error, ")
    return ConfigError(
        f"{_where(path, dotted)}: {dotted}: {message}", cure=f"see docs/outputs.md, {found.kind}"
    )
