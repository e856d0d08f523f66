"""What a configuration says beyond its own file: profiles, limits and outputs that must exist."""

from __future__ import annotations

from denchi.config import Loaded, line_of
from denchi.errors import ConfigError


def check_profiles(loaded: Loaded) -> None:
    """Every bench's profile can be read and every limit is one. Raises ``ConfigError``.

    A wrong limit found only when a session begins would keep its meter from measuring.
    """
    from denchi.health import profiles

    settings = loaded.settings
    names = {"watch", *(bench.profile for bench in settings.bench.values())}
    for name in sorted(names):
        profile = profiles.load(name, settings.profiles_dir)
        for limit, value in settings.limits.items():
            try:
                profile.with_limits({limit: value})
            except ConfigError as error:
                raise ConfigError(
                    f"{_where(loaded, f'limits.{limit}')}: {error.message}", cure=error.cure
                ) from None


def check_outputs(loaded: Loaded) -> None:
    """Every output's table is one that its kind understands. Raises ``ConfigError``."""
    from denchi.outputs import registry

    for name, table in loaded.settings.output.items():
        registry.configure(name, table, path=loaded.path)


def _where(loaded: Loaded, dotted: str) -> str:
    if loaded.path is None or not loaded.path.exists():
        return "configuration"
    return f"{loaded.path}, line {line_of(loaded.path.read_text(encoding='utf-8'), dotted)}"
