"""Settings: TOML file over defaults, environment over the file; each value knows where it came from.

Secrets are never values here: ``*_file``, ``*_env`` or a systemd credential name says where to read
them. An unknown key is an error with file, line and the nearest known name.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from denchi.errors import ConfigError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

ENV_PREFIX = "DENCHI_"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}\Z")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JournalConfig(_Section):
    """The truth on disk."""

    commit_ms: int = Field(
        100, ge=10, le=60_000, description="open tail committed every so many ms"
    )
    retain_raw_days: float | None = Field(
        None, gt=0, description="raw samples older than this go (roll-ups stay); None: for ever"
    )
    max_gb: float | None = Field(
        None, gt=0, description="cap on the data directory, oldest raw first"
    )
    reserve_mb: int = Field(64, ge=0, le=4096, description="space kept back for a full disk")


class BenchConfig(_Section):
    """One meter, with optional case and ambient probes, watching one unit."""

    meter: str = Field(
        "auto",
        description="meter key or locator (`fnb58`, `usb:2e3c:5558/SERIAL`, "
        "`line@serial:/dev/ttyUSB0?columns=voltage_v,current_a&baud=9600`)",
    )
    case: str | None = Field(
        None,
        description="locator of a probe on the unit's case (`w1@sysfs:/sys/bus/w1/devices/28-0000072a1b2c`)",
    )
    ambient: str | None = Field(None, description="locator of a probe in the air")
    battery: str | None = Field(None, description="locator of a battery that talks itself")
    position: Literal["output", "input", "cell"] = Field(
        "output", description="where the meter sits: on the unit's output, its input, or at a cell"
    )
    reversed: bool = Field(False, description="the meter is plugged in the other way round")
    profile: str = Field("watch", description="profile of sessions begun by themselves")


class ApiConfig(_Section):
    """The daemon's API. Default: the Unix socket in the data directory and nothing else."""

    listen: str | None = Field(None, description="host:port for a second listener; needs a token")
    token_file: Path | None = Field(None, description="file with the bearer token of that listener")

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        port = (value or ":1").rpartition(":")[2]
        if value is not None and (":" not in value or not port.isdecimal() or int(port) > 65535):
            raise ValueError(f"must be host:port, not {value!r}")
        return value


class RecallConfig(_Section):
    """The recall lists."""

    country: str = Field(
        "", max_length=2, description="order and wording of answers; hides nothing"
    )
    update_days: float | None = Field(
        None, gt=0, description="fetch the feeds this often; None: never"
    )


class AlarmConfig(_Section):
    """Remote alarms, delivered by apprise (extra `alerts`)."""

    urls_file: Path | None = Field(None, description="file with one apprise URL a line")
    urls_env: str | None = Field(None, description="environment variable with the URLs")
    level: Literal["info", "caution", "danger"] = "caution"
    hold_s: float = Field(
        0.0, ge=0, description="an episode must last this long first (never for danger)"
    )
    per_hour: int = Field(12, ge=1, le=1000, description="at most so many messages an hour")
    cooled_down: bool = Field(True, description="tell the end of an episode too")


class Settings(_Section):
    """Everything denchi can be told in its configuration file."""

    station: str = Field("", description="name of this machine in outputs; default: the host name")
    language: Literal["en", "ja"] | None = Field(None, description="default: the environment's")
    journal: JournalConfig = JournalConfig()
    bench: dict[str, BenchConfig] = {}
    api: ApiConfig = ApiConfig()
    recall: RecallConfig = RecallConfig()
    alarm: AlarmConfig = AlarmConfig()
    profiles_dir: Path | None = Field(None, description="folder of the shop's own profiles")
    limits: dict[str, float] = Field(
        {}, description="limits of the profile, by name; reloaded on SIGHUP"
    )
    output: dict[str, dict[str, Any]] = Field({}, description="destinations, each with its `kind`")
    deliver_simulated: bool = Field(
        False, description="let simulated data reach outputs and alarms"
    )
    usb_backend: Literal["auto", "libusb", "hidapi"] = "auto"

    @field_validator("bench", "output")
    @classmethod
    def _names(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if not _NAME.match(name):
                raise ValueError(f"{name!r} is no name: small letters, digits, - and _")
        return value


@dataclass(frozen=True, slots=True)
class Source:
    """Where settings were read: says the place of each in an error."""

    path: Path | None = None
    text: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Dotted key to ``file:line`` or ``environment NAME``."""

    def where(self, dotted: str) -> str:
        """``file, line 7``, ``environment NAME``, or ``configuration`` where there is neither."""
        if (origin := self.provenance.get(dotted, "")).startswith("environment"):
            return origin
        line = line_of(self.text, dotted)
        return f"{self.path}, line {line}" if self.path and line else "configuration"

    def problems(
        self,
        error: ValidationError,
        known: Callable[[str], Sequence[str]],
        *,
        prefix: str = "",
        cure: str = "see `denchi config schema`",
    ) -> list[ConfigError]:
        """A sentence for each thing that a validation found wrong, in the order of the file."""
        found = []
        for one in error.errors():
            dotted = ".".join([*([prefix] if prefix else []), *map(str, one["loc"])])
            found.append((line_of(self.text, dotted), self._problem(one, dotted, known, cure)))
        return [problem for _line, problem in sorted(found, key=lambda x: x[0])]

    def _problem(
        self, one: ErrorDetails, dotted: str, known: Callable[[str], Sequence[str]], cure: str
    ) -> ConfigError:
        where = self.where(dotted)
        if one["type"] == "extra_forbidden":
            names = known(dotted)
            close = difflib.get_close_matches(dotted.rsplit(".", 1)[-1], names, 1, 0.5)
            cure = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"
            return ConfigError(f"{where}: no setting {dotted!r}", cure=cure)
        if one["type"] == "missing":
            return ConfigError(f"{where}: {dotted} is missing", cure=cure)
        if one["type"] in ("dict_type", "model_type"):
            name = dotted if "." in dotted or dotted in _SECTIONS else f"{dotted}.NAME"
            return ConfigError(f"{where}: {dotted} must be a table", cure=f"begin it with [{name}]")
        message = _plainly(one)
        joint = " " if message.startswith("must ") else ": "
        return ConfigError(f"{where}: {dotted}{joint}{message}", cure=cure)


def _plainly(one: ErrorDetails) -> str:
    """A validation's message in plain words; a value is repeated only where it can be no secret."""
    message = one["msg"].removeprefix("Value error, ").partition(", unable to parse")[0]
    for said, plain in (
        ("Input should be a valid ", "must be a "),
        ("Input should be an ", "must be an "),
        ("Input should be ", "must be "),
    ):
        message = message.replace(said, plain)
    message = message.replace("must be a integer", "must be a whole number")
    shown = one["type"] == "literal_error" or isinstance(one["input"], (bool, int, float))
    return f"{message}, not {one['input']!r}" if shown else message


class Loaded:
    """Settings with where each value came from (``default``, ``file:line``, ``environment NAME``)."""

    def __init__(self, settings: Settings, source: Source) -> None:
        self.settings = settings
        self.source = source

    @property
    def path(self) -> Path | None:
        """The file, whether it is there or not."""
        return self.source.path

    def rows(self) -> Iterator[tuple[str, Any, str]]:
        """(dotted key, value, origin) for ``denchi config show``."""
        for key, value in _flat(self.settings.model_dump(mode="json")):
            yield key, value, self.source.provenance.get(key, "default")


@dataclass(frozen=True, slots=True)
class Examined:
    """A configuration with all that is wrong with it."""

    source: Source
    loaded: Loaded | None
    """None where something is wrong."""
    outputs: Mapping[str, Any]
    """The ``[output.NAME]`` tables, which their kinds look at, in a wrong configuration too."""
    problems: Sequence[ConfigError] = ()


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, dotted + ".")
        else:
            yield dotted, value


_SECTIONS = frozenset(
    name
    for name, info in Settings.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
)
_TABLE = re.compile(r"\s*\[{1,2}\s*([^\]]+?)\s*\]{1,2}\s*(#.*)?\Z")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\"'-]+)\s*=")


def line_of(text: str, dotted: str) -> int:
    """1-based line where a dotted key (or its nearest parent table) is set; 0 when nowhere.

    ``tomllib`` keeps no positions; the file is scanned for tables and keys, which serves an error
    message and nothing else.
    """
    table, found, parent = "", 0, 0
    for number, line in enumerate(text.splitlines(), 1):
        if match := _TABLE.match(line):
            table = re.sub(r"[\"'\s]", "", match[1])
            if dotted == table or dotted.startswith(table + "."):
                parent = number
        elif match := _KEY.match(line):
            key = re.sub(r"[\"']", "", match[1])
            full = f"{table}.{key}" if table else key
            if full == dotted:
                found = number
                break
            if dotted.startswith(full + "."):
                parent = number
    return found or parent


def _known_keys(dotted: str) -> list[str]:
    model: Any = Settings
    for part in dotted.split(".")[:-1]:
        info = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        if info is None:
            if model is BenchConfig:
                break
            model = BenchConfig if part and "bench" in dotted.split(".")[:1] else Settings
            continue
        model = info.annotation
        if not hasattr(model, "model_fields"):
            model = BenchConfig if part == "bench" else Settings
    return list(getattr(model, "model_fields", {}))


def _environment(environ: Mapping[str, str]) -> dict[str, tuple[list[str], str]]:
    """``DENCHI_JOURNAL__COMMIT_MS=200`` sets ``journal.commit_ms``."""
    found = {}
    top = set(Settings.model_fields)
    for name, value in environ.items():
        if not name.startswith(ENV_PREFIX):
            continue
        parts = name[len(ENV_PREFIX) :].lower().split("__")
        if parts[0] in top and (
            len(parts) > 1 or parts[0] in ("station", "language", "usb_backend")
        ):
            found[name] = (parts, value)
    return found


def examine(
    path: Path | None, *, environ: Mapping[str, str] | None = None, must_exist: bool = False
) -> Examined:
    """Read the configuration and find all that is wrong. Raises ``ConfigError`` for a file that cannot be read."""
    environ = os.environ if environ is None else environ
    text, tree = "", {}
    if path is not None and path.exists():
        try:
            text = path.read_text(encoding="utf-8")
            tree = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path}: not TOML: {error}", cure="mend that line") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read: {error}", cure="check the file") from None
    elif path is not None and must_exist:
        raise ConfigError(f"{path}: no such file", cure="check --config")
    provenance = {key: f"{path}:{line_of(text, key)}" for key, _ in _flat(tree)}
    for name, (parts, value) in _environment(environ).items():
        branch: Any = tree
        for part in parts[:-1]:
            inner = branch.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ConfigError(
                    f"environment {name}: {part} is no table in {path}", cure="unset one of them"
                )
            branch = inner
        branch[parts[-1]] = value
        provenance[".".join(parts)] = f"environment {name}"
    source = Source(path, text, provenance)
    outputs = tree.get("output")
    outputs = outputs if isinstance(outputs, dict) else {}
    try:
        loaded = Loaded(Settings.model_validate(tree), source)
    except ValidationError as error:
        return Examined(source, None, outputs, source.problems(error, _known_keys))
    return Examined(source, loaded, outputs)


def load(
    path: Path | None, *, environ: Mapping[str, str] | None = None, must_exist: bool = False
) -> Loaded:
    """Read the configuration. Raises ``ConfigError`` with file, line, key and suggestion."""
    found = examine(path, environ=environ, must_exist=must_exist)
    if found.loaded is None:
        first, *rest = found.problems
        more = f" (and {len(rest)} more, `denchi config validate` tells all)" if rest else ""
        raise ConfigError(first.message + more, cure=first.cure)
    return found.loaded


def schema() -> dict[str, Any]:
    """JSON schema of the configuration file."""
    return Settings.model_json_schema()


def secret(
    *, file: Path | None = None, env: str | None = None, credential: str | None = None
) -> str | None:
    """Read a secret from a file, an environment variable or a systemd credential; None if not told.

    Raises ``ConfigError`` when a place was named and holds nothing: falling back to "no secret"
    would be falling back to open.
    """
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(
                f"secret file {file}: {error.strerror}", cure="check path and mode"
            ) from None
    if env is not None:
        if value := os.environ.get(env):
            return value.strip()
        raise ConfigError(
            f"secret: environment variable {env} is not set", cure="set it, or use a file"
        )
    if credential is not None:
        base = os.environ.get("CREDENTIALS_DIRECTORY", "")
        place = Path(base) / credential
        if base and place.is_file():
            return place.read_text(encoding="utf-8").strip()
        raise ConfigError(
            f"systemd credential {credential!r} is not there", cure="LoadCredential= in the unit"
        )
    return None
