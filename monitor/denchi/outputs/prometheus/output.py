"""The Prometheus endpoint: newest values and counters, read from the journal by cursor like every output.

Nothing listens unless an ``[output.NAME]`` of this kind is configured. The address is loopback; any other
needs a token (``Authorization: Bearer``), compared in constant time. A value that is not renewed within
``stale_s`` is no longer shown: silence is never an old number. ``denchi_sample_age_seconds`` stays.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from pydantic import Field, model_validator

from denchi.clock import NS
from denchi.config import secret
from denchi.errors import ConfigError
from denchi.outputs.base import Context, Output, OutputConfig, OutputKind
from denchi.outputs.delivery import FIRST_PAUSE_S, LONGEST_PAUSE_S, Delivery
from denchi.outputs.influx.lines import field_name
from denchi.outputs.labels import NONE, Labels, label_at
from denchi.store import rollup
from denchi.store.cursor import Cursor
from denchi.store.feed import Batch, Record
from denchi.store.rows import StoredFinding, StoredGap
from denchi.text import clean

LABELS: Final = ("station", "bench", "meter", "unit", "role", "origin")
_UNITS: Final = {"_v": "volts", "_a": "amperes", "_w": "watts", "_c": "celsius"}


class PrometheusConfig(OutputConfig):
    """``[output.NAME]`` with ``kind = "prometheus"``."""

    host: str = Field("127.0.0.1", description="address to listen on; not loopback needs a token")
    port: int = Field(9877, ge=0, le=65535)
    token_file: Path | None = Field(None, description="file with the token that a scrape must show")
    token_env: str | None = Field(None, description="environment variable with the token")
    token_credential: str | None = Field(None, description="systemd credential with the token")
    stale_s: float = Field(15.0, ge=3, le=3600, description="older values are not shown")
    clear_serial: bool = Field(False, description="units' serials in clear instead of an HMAC")

    @model_validator(mode="after")
    def _closed(self) -> PrometheusConfig:
        if not is_loopback(self.host) and not self.has_token:
            raise ValueError(f"listening on {self.host} needs a token (token_file)")
        return self

    @property
    def has_token(self) -> bool:
        """Whether a token is configured."""
        return bool(self.token_file or self.token_env or self.token_credential)


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only; names other than localhost cannot be trusted."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Figures:
    """What a scrape shows; filled by the delivery, read by the server's threads."""

    def __init__(self, context: Context, stale_s: float) -> None:
        self._context = context
        self._stale_ns = int(stale_s * NS)
        self._lock = threading.Lock()
        self._values: dict[tuple[str, ...], tuple[int, dict[str, float]]] = {}
        self._samples: dict[tuple[str, ...], int] = {}
        self._findings: dict[tuple[str, str, str, str], int] = {}
        self._gaps: dict[tuple[str, str, str], tuple[int, int]] = {}

    def apply(self, update: dict[str, Any]) -> None:
        """Take one update of ``PrometheusSender.encode``."""
        with self._lock:
            if update["what"] == "samples":
                key = tuple(update["labels"])
                self._samples[key] = self._samples.get(key, 0) + update["n"]
                if update["t_ns"] > self._values.get(key, (0, {}))[0]:
                    # One unit stands on a bench at a time: its predecessor's numbers go away.
                    self._values = {
                        k: v for k, v in self._values.items() if _place(k) != _place(key)
                    }
                    self._values[key] = (update["t_ns"], update["values"])
            elif update["what"] == "finding":
                place = tuple(update["labels"])
                self._findings[place] = self._findings.get(place, 0) + 1
            else:
                place = tuple(update["labels"])
                n, lost = self._gaps.get(place, (0, 0))
                self._gaps[place] = (n + 1, lost + update["lost"])

    def collect(self) -> Iterator[Any]:
        """Metric families, as prometheus-client asks for them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        now = self._context.clock.wall_ns()
        with self._lock:
            values, samples = dict(self._values), dict(self._samples)
            findings, gaps = dict(self._findings), dict(self._gaps)
        gauges: dict[str, Any] = {}
        age = GaugeMetricFamily(
            "denchi_sample_age_seconds", "Age of the newest sample.", labels=LABELS
        )
        for key, (t_ns, fields) in values.items():
            age.add_metric(key, max(0.0, (now - t_ns) / NS))
            if now - t_ns > self._stale_ns:
                continue
            for name, value in fields.items():
                unit = _UNITS.get(name[-2:], "")
                full = f"denchi_{name[:-2]}_{unit}" if unit else f"denchi_{name}"
                if full not in gauges:
                    gauges[full] = GaugeMetricFamily(full, f"Newest {name}.", labels=LABELS)
                gauges[full].add_metric(key, value)
        yield age
        yield from gauges.values()
        counted = CounterMetricFamily("denchi_samples", "Samples recorded.", labels=LABELS)
        for key, n in samples.items():
            counted.add_metric(key, n)
        yield counted
        found = CounterMetricFamily(
            "denchi_findings", "Findings.", labels=("station", "bench", "severity", "code")
        )
        for place, n in findings.items():
            found.add_metric(place, n)
        yield found
        labels = ("station", "bench", "cause")
        holes = CounterMetricFamily("denchi_gaps", "Gaps in the recording.", labels=labels)
        lost = CounterMetricFamily("denchi_lost_samples", "Samples lost in gaps.", labels=labels)
        for cause, (n, gone) in gaps.items():
            holes.add_metric(cause, n)
            lost.add_metric(cause, gone)
        yield holes
        yield lost
        yield from self._health()

    def _health(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        for name, value in self._context.health().items():
            if isinstance(value, int | float):
                yield GaugeMetricFamily(f"denchi_daemon_{name}", f"{name}.", value=float(value))


def _place(key: tuple[str, ...]) -> tuple[str, str, str]:
    return key[0], key[1], key[4]


class PrometheusSender:
    """Turns batches into updates of the figures."""

    align_ns = 1
    max_samples = 20_000
    records_only = False

    def __init__(self, config: PrometheusConfig, context: Context) -> None:
        self.config = config
        self.labels = Labels(context.station, context.data_dir, config.clear_serial)
        self.figures = Figures(context, config.stale_s)

    def encode(self, batch: Batch, cursor: Cursor) -> list[bytes]:
        """Updates as JSON, one a line."""
        updates: list[dict[str, Any]] = []
        for source, block in batch.pieces:
            common = self.labels.common(source.session)
            last = int(block.t_ns[-1])
            unit = label_at(cursor, source.instrument.id, last)
            role = clean(source.instrument.role, 40) or NONE
            key = [common["station"], common["bench"], common["meter"], unit, role]
            tail = block[-1:]
            values = {field_name(n): float(tail.si(n)[0]) for n in tail.columns}
            power = rollup.power_of(tail)
            if power is not None:
                values["power_w"] = round(float(power[0][0]), 6)
            known = {k: v for k, v in values.items() if v == v}
            updates.append(
                {
                    "what": "samples",
                    "labels": [*key, source.session.origin],
                    "n": len(block),
                    "t_ns": last,
                    "values": known,
                }
            )
        for record in batch.records:
            updates += self._record(record, batch)
        return [json.dumps(u).encode() for u in updates]

    def _record(self, record: Record, batch: Batch) -> list[dict[str, Any]]:
        if not isinstance(record, StoredFinding | StoredGap):
            return []
        session = (batch.sessions or {}).get(record.session_id)
        bench = clean(session.bench, 60) if session else ""
        place = [clean(self.labels.station, 60) or NONE, bench or NONE]
        if isinstance(record, StoredFinding):
            found = record.finding
            if found.ends:
                return []
            return [{"what": "finding", "labels": [*place, found.severity.word, found.code]}]
        if record.gap.end_ns is None:
            return []
        return [{"what": "gap", "labels": [*place, record.gap.cause], "lost": record.gap.lost}]

    def send(self, lines: Sequence[bytes]) -> None:
        """Put updates where a scrape finds them."""
        for line in lines:
            self.figures.apply(json.loads(line))

    def check(self) -> str | None:
        """Whether the extra is there and the token can be read."""
        try:
            import prometheus_client  # noqa: F401
        except ImportError:
            return "this output needs prometheus-client: install denchi with the extra `prometheus`"
        try:
            token_of(self.config)
        except ConfigError as error:
            return str(error)
        return None

    def close(self) -> None:
        """Nothing is held."""


def token_of(config: PrometheusConfig) -> str | None:
    """The configured token. Raises ``ConfigError`` when it is named and empty or cannot be read."""
    if not config.has_token:
        return None
    token = secret(file=config.token_file, env=config.token_env, credential=config.token_credential)
    if not token:
        raise ConfigError("the endpoint's token is empty", cure="write one into token_file")
    return token


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = 10

    def log_message(self, *args: object) -> None:
        """Silent: a scrape comes every few seconds."""


class Endpoint(Delivery):
    """The delivery with a server beside it."""

    def __init__(self, name: str, context: Context, sender: PrometheusSender) -> None:
        super().__init__(name, "prometheus", context, sender, prepare=sender.labels.prepare)
        self._config = sender.config
        self._figures = sender.figures
        self._server: WSGIServer | None = None

    @property
    def port(self) -> int:
        """Where it listens; 0 while it does not."""
        return self._server.server_port if self._server else 0

    def run(self, stop: threading.Event) -> None:
        """Listen and follow the journal until ``stop``."""
        pause = FIRST_PAUSE_S
        while self._server is None and not stop.is_set():
            try:
                self._listen()
            except (OSError, ConfigError, ImportError) as error:
                where = f"{self._config.host}:{self._config.port}"
                self._set("waiting", f"cannot listen on {where}: {clean(error, 200)}")
                stop.wait(pause)
                pause = min(LONGEST_PAUSE_S, pause * 2)
        if self._server is None:
            return
        thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="denchi-metrics", daemon=True
        )
        thread.start()
        try:
            super().run(stop)
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join(5)

    def _listen(self) -> None:
        token = token_of(self._config)
        app = guarded(exposition(self._figures), token)
        self._server = make_server(
            self._config.host, self._config.port, app, server_class=_Server, handler_class=_Handler
        )


App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def exposition(figures: Figures) -> App:
    """prometheus-client's application over our figures alone (no process metrics)."""
    from prometheus_client import CollectorRegistry, make_wsgi_app

    registry = CollectorRegistry()
    registry.register(figures)
    app: App = make_wsgi_app(registry)
    return app


def guarded(app: App, token: str | None) -> App:
    """``GET /metrics`` only, and only with the token when there is one."""

    def outer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        shown = str(environ.get("HTTP_AUTHORIZATION", "")).encode("utf-8", "surrogateescape")
        if token and not hmac.compare_digest(shown, f"Bearer {token}".encode()):
            start("401 Unauthorized", [("WWW-Authenticate", "Bearer")])
            return [b"a token is needed\n"]
        if environ.get("REQUEST_METHOD") != "GET" or environ.get("PATH_INFO") != "/metrics":
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"GET /metrics\n"]
        return app(environ, start)

    return outer


def make(name: str, config: PrometheusConfig, context: Context) -> Output:
    """The output for a configuration."""
    return Endpoint(name, context, PrometheusSender(config, context))


KIND: Final = OutputKind("prometheus", PrometheusConfig, make, needs="prometheus")
