"""What a configuration says beyond its own file: profiles, limits, outputs and secrets that must exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from denchi.config import Loaded, Source, examine, secret
from denchi.errors import ConfigError


def problems(path: Path | None, *, must_exist: bool = False) -> list[ConfigError]:
    """All that is wrong with a configuration. Raises ``ConfigError`` for a file that cannot be read."""
    found = examine(path, must_exist=must_exist)
    wrong = [*found.problems, *_outputs(found.outputs, found.source)]
    if found.loaded is not None:
        wrong += _profiles(found.loaded)
        try:
            api_token(found.loaded)
        except ConfigError as error:
            wrong.append(error)
    return wrong


def check_profiles(loaded: Loaded) -> None:
    """Every bench's profile can be read and every limit is one. Raises ``ConfigError``.

    A wrong limit found only when a session begins would keep its meter from measuring.
    """
    for error in _profiles(loaded):
        raise error


def api_token(loaded: Loaded) -> str | None:
    """The token of the second listener, None where none is configured. Raises ``ConfigError`` without a token."""
    api = loaded.settings.api
    if api.listen is None:
        return None
    token = secret(file=api.token_file)
    if not token:
        raise ConfigError(
            f"{loaded.source.where('api.listen')}: api.listen = {api.listen!r} without a token",
            cure="put one into a file and name it in api.token_file",
        )
    return token


def _profiles(loaded: Loaded) -> Iterator[ConfigError]:
    from denchi.health import profiles

    settings = loaded.settings
    told = set()
    for name in sorted({"watch", *(bench.profile for bench in settings.bench.values())}):
        try:
            profile = profiles.load(name, settings.profiles_dir)
        except ConfigError as error:
            yield error
            continue
        for limit, value in settings.limits.items():
            try:
                profile.with_limits({limit: value})
            except ConfigError as error:
                if limit not in told:
                    told.add(limit)
                    where = loaded.source.where(f"limits.{limit}")
                    yield ConfigError(f"{where}: {error.message}", cure=error.cure)


def _outputs(tables: Mapping[str, Any], source: Source) -> Iterator[ConfigError]:
    from denchi.outputs import registry

    for name, table in tables.items():
        if isinstance(table, Mapping):  # else the file's own check has told it
            yield from registry.problems(name, table, source)
