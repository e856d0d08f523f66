"""Kinds of outputs by entry point, and their settings checked with file, line and nearest name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any

from pydantic import ValidationError

from denchi.config import Source
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


def configure(name: str, settings: Mapping[str, Any]) -> Configured:
    """Check one ``[output.NAME]`` table. Raises ``ConfigError`` with key and suggestion."""
    found = _configured(name, settings, Source())
    if isinstance(found, Configured):
        return found
    raise found[0]


def problems(name: str, settings: Mapping[str, Any], source: Source) -> list[ConfigError]:
    """All that is wrong with one ``[output.NAME]`` table, with file, line, key and suggestion."""
    found = _configured(name, settings, source)
    return [] if isinstance(found, Configured) else found


def _configured(
    name: str, settings: Mapping[str, Any], source: Source
) -> Configured | list[ConfigError]:
    prefix = f"output.{name}"
    wanted = settings.get("kind")
    if not isinstance(wanted, str):
        return [
            ConfigError(
                f"{source.where(prefix)}: {prefix} has no kind",
                cure=f"kind = one of {', '.join(kinds())}",
            )
        ]
    try:
        found = kind(wanted)
    except KeyError:
        near = difflib.get_close_matches(wanted, kinds(), 1, 0.5)
        return [
            ConfigError(
                f"{source.where(prefix + '.kind')}: no kind of output {wanted!r}",
                cure=f"did you mean {near[0]!r}?" if near else f"one of {', '.join(kinds())}",
            )
        ]
    try:
        config = found.config.model_validate({k: v for k, v in settings.items() if k != "kind"})
    except ValidationError as error:
        known = ["kind", *found.config.model_fields]
        cure = f"see docs/outputs.md, {found.kind}"
        return source.problems(error, lambda _dotted: known, prefix=prefix, cure=cure)
    return Configured(name, found, config)
