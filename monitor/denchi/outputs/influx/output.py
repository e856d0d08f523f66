"""The InfluxDB output: settings, and senders for the v2/v3 and the v1 write paths."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from denchi.clock import NS
from denchi.config import secret
from denchi.errors import ConfigError
from denchi.outputs.base import Context, Output, OutputConfig, OutputKind, cause
from denchi.outputs.delivery import Away, Delivery, Misconfigured, Refused, TooLarge
from denchi.outputs.influx.lines import LineWriter, daemon_line
from denchi.outputs.labels import Labels
from denchi.store.cursor import Cursor
from denchi.store.feed import Batch
from denchi.text import clean

HEALTH_EVERY_S: Final = 10.0
_DROPPED: Final = re.compile(r"partial write:[^{}]*?dropped[ =](\d+)")
"""v2: "partial write: dropped 7 points outside retention policy"; v1: "... dropped=7"."""


class InfluxConfig(OutputConfig):
    """``[output.NAME]`` with ``kind = "influxdb"``."""

    url: str = Field("http://127.0.0.1:8086", description="server, without a path")
    version: Literal[1, 2, 3] = Field(
        2, description="1: database and user; 2 and 3: bucket and token"
    )
    org: str = Field("", description="organisation (version 2)")
    bucket: str = Field("", description="bucket (versions 2 and 3)")
    database: str = Field("", description="database, or DATABASE/RETENTION_POLICY (version 1)")
    user: str = Field("", description="user (version 1)")
    token_file: Path | None = Field(None, description="file with the token")
    token_env: str | None = Field(None, description="environment variable with the token")
    token_credential: str | None = Field(None, description="systemd credential with the token")
    password_file: Path | None = Field(None, description="file with the password (version 1)")
    password_env: str | None = Field(None, description="environment variable with the password")
    password_credential: str | None = Field(None, description="systemd credential")
    rate: Literal["raw", "1s", "1min"] = Field("raw", description="raw samples or roll-ups")
    batch: int = Field(5000, ge=1, le=100_000, description="points in one write")
    gzip: bool = Field(False, description="compress (for a server that is not on this machine)")
    timeout_s: float = Field(10.0, gt=0, le=300)
    clear_serial: bool = Field(False, description="units' serials in clear instead of an HMAC")
    verify_tls: bool = Field(True, description="check the server's certificate")

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        if not re.match(r"https?://[^/\s?#@]+(/[^\s?#]*)?\Z", url):
            raise ValueError(
                "give http://HOST:PORT or https://HOST:PORT (no user or password in it)"
            )
        return url.rstrip("/")

    @model_validator(mode="after")
    def _whole(self) -> InfluxConfig:
        if self.version == 1 and not self.database:
            raise ValueError("version 1 needs `database`")
        if self.version != 1 and not self.bucket:
            raise ValueError(f"version {self.version} needs `bucket`")
        return self


def classify(status: int, body: str, headers: Any) -> Exception:
    """What an answer of the server means for the lines that were sent."""
    text = clean(_message(body), 300) or f"status {status}"
    if status == 413:
        return TooLarge(text)
    if status in (401, 403):
        return Misconfigured(f"{status}: {text}: check the token or user and its right to write")
    if status == 404:
        return Misconfigured(f"404: {text}: check bucket or database, org and url")
    if status in (400, 422):
        count = _DROPPED.search(body)
        dropped = int(count[1]) if count else None
        return Refused(f"{status}: {text}", named_lines(body), dropped=dropped)
    return Away(f"{status}: {text}", retry_after(headers))


def _message(body: str) -> str:
    try:
        data = json.loads(body)
    except ValueError:
        return body
    if isinstance(data, dict):
        return str(data.get("message") or data.get("error") or body)
    return body


def named_lines(body: str) -> list[int] | None:
    """Lines (0-based) that an answer names: v3 lists up to 100, v2 none (it tells the first error)."""
    try:
        data = json.loads(body)
    except ValueError:
        return None
    found = data.get("data") if isinstance(data, dict) else None
    entries = found if isinstance(found, list) else [found]
    numbers = [e.get("line_number") for e in entries if isinstance(e, dict)]
    lines = sorted({int(n) - 1 for n in numbers if isinstance(n, int) and n > 0})
    return lines or None


def retry_after(headers: Any) -> float | None:
    """Seconds of a Retry-After header: a number or a date."""
    text = headers.get("Retry-After") or headers.get("retry-after") if headers else None
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        from denchi.clock import SYSTEM

        return max(0.0, parsedate_to_datetime(text).timestamp() - SYSTEM.wall_ns() / NS)
    except (TypeError, ValueError):
        return None


class _Sender:
    """What the versions share: words, checks, the daemon's health beside the data."""

    records_only = False

    def __init__(self, config: InfluxConfig, context: Context) -> None:
        self.config = config
        self.context = context
        self.max_samples = config.batch
        seconds = {"raw": 0, "1s": 1, "1min": 60}[config.rate]
        self.align_ns = max(1, seconds * NS)
        if seconds:
            # A batch of roll-ups is counted in raw samples: let it cover a while.
            self.max_samples = config.batch * 20
        self.labels = Labels(context.station, context.data_dir, config.clear_serial)
        self._writer = LineWriter(self.labels, seconds)
        self._health_at = 0

    def encode(self, batch: Batch, cursor: Cursor) -> list[bytes]:
        """Lines of a batch, and the daemon's health now and then."""
        lines = self._writer.encode(batch, cursor)
        now = self.context.clock.monotonic_ns()
        if now - self._health_at >= HEALTH_EVERY_S * NS:
            self._health_at = now
            health = self.context.health()
            wall = self.context.clock.wall_ns()
            if health and (line := daemon_line(self.context.station, health, wall)):
                lines.append(line)
        return lines

    def send(self, lines: Sequence[bytes]) -> None:
        """Send lines in writes of at most the batch size."""
        raise NotImplementedError

    def check(self) -> str | None:
        """An empty write: it shows address, token and bucket and stores nothing."""
        try:
            self.send([b""])
        except Misconfigured as error:
            return str(error)
        except Away as error:
            return f"{error}: is the server up, and the url right?"
        except (Refused, TooLarge):
            return None  # it read the write and found nothing in it
        except ConfigError as error:
            return str(error)
        return None

    def close(self) -> None:
        """Nothing is held by default."""


class V2Sender(_Sender):
    """Versions 2 and 3 (and VictoriaMetrics): ``/api/v2/write`` through influxdb-client.

    Only its synchronous write is used: its batching queue lives in memory and drops after its retries.
    """

    def __init__(self, config: InfluxConfig, context: Context) -> None:
        super().__init__(config, context)
        self._client: Any = None
        self._write: Any = None

    def _open(self) -> Any:
        if self._write is None:
            from influxdb_client.client.influxdb_client import InfluxDBClient
            from influxdb_client.client.write_api import SYNCHRONOUS

            config = self.config
            token = secret(
                file=config.token_file, env=config.token_env, credential=config.token_credential
            )
            self._client = InfluxDBClient(
                config.url,
                token=token or "",
                org=config.org or "-",
                timeout=int(config.timeout_s * 1000),
                enable_gzip=config.gzip,
                verify_ssl=config.verify_tls,
                retries=False,
            )
            self._write = self._client.write_api(write_options=SYNCHRONOUS)
        return self._write

    def send(self, lines: Sequence[bytes]) -> None:
        """One write."""
        from influxdb_client.rest import ApiException
        from urllib3.exceptions import HTTPError

        try:
            self._open().write(self.config.bucket, self.config.org or "-", b"\n".join(lines))
        except ApiException as error:
            body = (
                error.body.decode("utf-8", "replace")
                if isinstance(error.body, bytes)
                else error.body
            )
            raise classify(error.status or 0, body or "", error.headers) from None
        except (HTTPError, OSError) as error:
            raise Away(f"{self.config.url}: {cause(error)}") from None
        except ConfigError as error:
            raise Misconfigured(str(error)) from None

    def close(self) -> None:
        """Close the client."""
        if self._client is not None:
            self._client.close()
            self._client = self._write = None


class V1Sender(_Sender):
    """Version 1: ``/write`` with database and user (influxdb-client writes only ``/api/v2``)."""

    def __init__(self, config: InfluxConfig, context: Context) -> None:
        super().__init__(config, context)
        self._http: Any = None
        self._lock = threading.Lock()

    def _open(self) -> Any:
        import httpx

        if self._http is None:
            config = self.config
            password = secret(
                file=config.password_file,
                env=config.password_env,
                credential=config.password_credential,
            )
            auth = (config.user, password or "") if config.user else None
            self._http = httpx.Client(
                base_url=config.url,
                auth=auth,
                timeout=config.timeout_s,
                verify=config.verify_tls,
                trust_env=False,
            )
        return self._http

    def send(self, lines: Sequence[bytes]) -> None:
        """One write."""
        import gzip

        import httpx

        database, _, policy = self.config.database.partition("/")
        params = {"db": database, "precision": "ns"} | ({"rp": policy} if policy else {})
        body, headers = b"\n".join(lines), {"Content-Type": "text/plain; charset=utf-8"}
        if self.config.gzip:
            body, headers["Content-Encoding"] = gzip.compress(body, 1), "gzip"
        try:
            answer = self._open().post("/write", params=params, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise Away(f"{self.config.url}: {cause(error)}") from None
        except ConfigError as error:
            raise Misconfigured(str(error)) from None
        if answer.status_code >= 300:
            raise classify(answer.status_code, answer.text, answer.headers)

    def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            self._http.close()
            self._http = None


def make(name: str, config: InfluxConfig, context: Context) -> Output:
    """The output for a configuration."""
    sender = V1Sender(config, context) if config.version == 1 else V2Sender(config, context)
    return Delivery(name, "influxdb", context, sender, prepare=sender.labels.prepare)


KIND: Final = OutputKind("influxdb", InfluxConfig, make)
