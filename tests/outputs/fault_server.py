"""A time-series server that can be told to misbehave: what a real one cannot be made to do on demand.

It reads line protocol with a parser of its own (written from the protocol's description, not from the code
under test), keeps points as such a database does (measurement + tags + stamp, a rewrite replaces),
and remembers every arrival, so that loss, duplicates and order can be counted.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Point = tuple[str, int]
_UNESCAPED_SPACE = re.compile(r'(?<!\\) (?=(?:[^"]*"[^"]*")*[^"]*$)')
_UNESCAPED_COMMA = re.compile(r'(?<!\\),(?=(?:[^"]*"[^"]*")*[^"]*$)')


def parse(line: str) -> tuple[str, int, dict[str, Any]]:
    """(measurement with tags, stamp, fields) of one line. Raises ``ValueError``."""
    parts = _UNESCAPED_SPACE.split(line)
    if len(parts) != 3:
        raise ValueError(f"{len(parts)} parts: {line[:80]}")
    fields: dict[str, Any] = {}
    for item in _UNESCAPED_COMMA.split(parts[1]):
        key, _, text = item.partition("=")
        if not key or not text:
            raise ValueError(f"field {item!r}")
        if text[0] == '"':
            fields[key] = text[1:-1]
        elif text in ("true", "false"):
            fields[key] = text == "true"
        else:
            fields[key] = int(text[:-1]) if text[-1] == "i" else float(text)
    return parts[0], int(parts[2]), fields


@dataclass
class Fault:
    """One misbehaviour: ``kind`` and what goes with it."""

    kind: str
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""


@dataclass
class FaultServer:
    """The server's memory and its orders."""

    url: str = ""
    points: dict[Point, dict[str, Any]] = field(default_factory=dict)
    arrivals: list[Point] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    """Lines of each request."""
    rewritten: int = 0
    changed: int = 0
    """Rewrites that did not repeat what was there: they would alter history."""
    faults: deque[Fault] = field(default_factory=deque)
    bad: Callable[[str], bool] = lambda line: False
    partial: str = "v2"
    """How a bad line is answered: ``v2`` (rest stored, count only), ``v3`` (rest stored, list), ``all`` (none stored)."""
    max_lines: int = 10**9
    down: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def store(self, lines: list[str]) -> None:
        with self.lock:
            for line in lines:
                head, t_ns, fields = parse(line)
                old = self.points.get((head, t_ns))
                if old is not None:
                    self.rewritten += 1
                    self.changed += any(k in old and old[k] != v for k, v in fields.items())
                self.points.setdefault((head, t_ns), {}).update(fields)
                self.arrivals.append((head, t_ns))

    def column(self, name: str, measurement: str = "denchi_sample") -> dict[int, Any]:
        """{stamp: value} of a field."""
        with self.lock:
            return {
                t: f[name]
                for (head, t), f in self.points.items()
                if head.startswith(measurement + ",") and name in f
            }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, *args: object) -> None:
        """Silent."""

    def do_POST(self) -> None:
        told: FaultServer = self.server.told
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if told.down:
            self.close_connection = True
            return
        lines = [x for x in body.decode().split("\n") if x]
        told.requests.append(len(lines))
        fault = told.faults.popleft() if told.faults else None
        if fault is not None and self._misbehave(fault, told, lines):
            return
        self._take(told, lines)

    def _misbehave(self, fault: Fault, told: FaultServer, lines: list[str]) -> bool:
        if fault.kind == "status":
            self._answer(fault.status, fault.body, fault.headers)
        elif fault.kind == "lost_ack":
            told.store(lines)
            self.close_connection = True
        elif fault.kind == "cut":
            self.close_connection = True
        elif fault.kind == "stall":
            time.sleep(float(fault.body))
            self.close_connection = True
        elif fault.kind == "drip":
            told.store(lines)
            for byte in b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n":
                self.wfile.write(bytes([byte]))
                time.sleep(0.02)
        elif fault.kind == "garbage":
            told.store(lines)
            self.wfile.write(b"\x00\xffnot http at all\r\n\r\n")
            self.close_connection = True
        else:
            raise AssertionError(fault.kind)
        return True

    def _take(self, told: FaultServer, lines: list[str]) -> None:
        if len(lines) > told.max_lines:
            self._answer(413, '{"code":"request too large","message":"too many"}')
            return
        bad = [i for i, line in enumerate(lines) if told.bad(line)]
        if not bad:
            told.store(lines)
            self._answer(204)
            return
        if told.partial != "all":
            told.store([line for i, line in enumerate(lines) if i not in set(bad)])
        if told.partial == "v3":
            data = [{"line_number": i + 1, "error_message": "no"} for i in bad[:100]]
            body = {"error": "partial write of line protocol occurred", "data": data}
        elif told.partial == "v2":
            body = {
                "code": "unprocessable entity",
                "message": f"partial write: points beyond retention policy dropped={len(bad)}",
            }
        else:
            body = {"code": "invalid", "message": "unable to parse: bad line"}
        self._answer(422 if told.partial == "v2" else 400, json.dumps(body))

    def _answer(self, status: int, body: str = "", headers: dict[str, str] | None = None) -> None:
        data = body.encode()
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news here."""


@contextlib.contextmanager
def fault_server() -> Iterator[FaultServer]:
    """Run one on loopback."""
    http = _Quiet(("127.0.0.1", 0), _Handler)
    told = FaultServer(f"http://127.0.0.1:{http.server_address[1]}")
    http.told = told  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        http.shutdown()
        http.server_close()
        thread.join(10)
