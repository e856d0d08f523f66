"""The API's client: what the TUI, the demo and the commands use to ask a daemon."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from denchi.daemon import endpoint
from denchi.errors import ApiError

_TIMEOUT = httpx.Timeout(10.0, connect=2.0)


def _plain() -> ssl.SSLContext:
    """A context that a Unix socket never uses; httpx would read all certificate authorities for it."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class ApiClient:
    """Asynchronous client of one daemon. Raises ``ApiError`` in one line, with the cure."""

    def __init__(self, where: endpoint.Endpoint) -> None:
        headers = {"Authorization": f"Bearer {where.token}"} if where.token else {}
        transport = (
            httpx.AsyncHTTPTransport(uds=where.socket, verify=_plain()) if where.socket else None
        )
        self._http = httpx.AsyncClient(
            transport=transport,
            base_url=where.url or "http://denchi",
            headers=headers,
            timeout=_TIMEOUT,
            trust_env=False,
        )

    @classmethod
    def connect(cls, data_dir: Path) -> ApiClient:
        """Client of the daemon that writes this data directory; ``ApiError`` when none is published."""
        found = endpoint.read(data_dir)
        if found is None:
            raise ApiError(f"no daemon runs on {data_dir}", cure="start one with `denchi run`")
        return cls(found)

    async def close(self) -> None:
        """Close the connection."""
        await self._http.aclose()

    async def request(self, method: str, path: str, **options: Any) -> Any:
        """One request; the JSON answer."""
        try:
            answer = await self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise ApiError(
                f"the daemon does not answer ({type(error).__name__})", cure="is it running?"
            ) from None
        return _body(answer)

    async def get(self, path: str, **params: Any) -> Any:
        """GET ``path`` with query parameters (None values are left out)."""
        return await self.request(
            "GET", path, params={k: v for k, v in params.items() if v is not None}
        )

    async def post(self, path: str, body: Any = None) -> Any:
        """POST a JSON body."""
        return await self.request("POST", path, json=body if body is not None else {})

    async def put(self, path: str, body: Any) -> Any:
        """PUT a JSON body."""
        return await self.request("PUT", path, json=body)

    async def delete(self, path: str) -> Any:
        """DELETE."""
        return await self.request("DELETE", path)

    async def state(self) -> dict[str, Any]:
        """The whole present state (docs/api.md)."""
        state: dict[str, Any] = await self.get("/v1/state")
        return state

    async def stream(self, max_hz: float = 20) -> AsyncIterator[dict[str, Any]]:
        """Messages as they come, until the daemon ends or the caller stops."""
        timeout = httpx.Timeout(10.0, connect=2.0, read=30.0)
        try:
            async with self._http.stream(
                "GET", "/v1/stream", params={"max_hz": max_hz}, timeout=timeout
            ) as answer:
                if answer.status_code != 200:
                    await answer.aread()
                    _body(answer)
                async for line in answer.aiter_lines():
                    if line:
                        yield json.loads(line)
        except httpx.HTTPError as error:
            raise ApiError(
                f"the daemon has gone ({type(error).__name__})", cure="is it running?"
            ) from None


class SyncClient:
    """The same, blocking; for commands."""

    def __init__(self, where: endpoint.Endpoint, *, timeout_s: float = 10.0) -> None:
        headers = {"Authorization": f"Bearer {where.token}"} if where.token else {}
        transport = httpx.HTTPTransport(uds=where.socket, verify=_plain()) if where.socket else None
        self._http = httpx.Client(
            transport=transport,
            base_url=where.url or "http://denchi",
            headers=headers,
            timeout=timeout_s,
            trust_env=False,
        )

    @classmethod
    def connect(cls, data_dir: Path, *, timeout_s: float = 10.0) -> SyncClient:
        """Client of the daemon that writes this data directory; ``ApiError`` when none answers."""
        found = endpoint.read(data_dir)
        if found is None:
            raise ApiError(f"no daemon runs on {data_dir}", cure="start one with `denchi run`")
        client = cls(found, timeout_s=timeout_s)
        try:
            client.get("/v1/ping")
        except ApiError:
            client.close()
            raise
        return client

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> SyncClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def request(self, method: str, path: str, **options: Any) -> Any:
        """One request; the JSON answer."""
        try:
            return _body(self._http.request(method, path, **options))
        except httpx.HTTPError as error:
            raise ApiError(
                f"the daemon does not answer ({type(error).__name__})", cure="is it running?"
            ) from None

    def get(self, path: str, **params: Any) -> Any:
        """GET ``path`` with query parameters (None values are left out)."""
        return self.request("GET", path, params={k: v for k, v in params.items() if v is not None})

    def post(self, path: str, body: Any = None) -> Any:
        """POST a JSON body."""
        return self.request("POST", path, json=body if body is not None else {})

    def lines(self, path: str, **params: Any) -> Any:
        """Iterate over a newline-delimited JSON stream."""
        with self._http.stream(
            "GET", path, params=params, timeout=httpx.Timeout(10.0, read=60.0)
        ) as answer:
            for line in answer.iter_lines():
                if line:
                    yield json.loads(line)


def _body(answer: httpx.Response) -> Any:
    try:
        body = answer.json()
    except ValueError:
        raise ApiError(
            f"the daemon answered {answer.status_code} without JSON", cure="see its log"
        ) from None
    if answer.status_code >= 400:
        error = body if isinstance(body, dict) else {}
        raise ApiError(
            str(error.get("error", f"status {answer.status_code}")), cure=str(error.get("cure", ""))
        )
    return body


def wait_until_up(data_dir: Path, *, seconds: float, alive: object) -> bool:
    """Wait until a daemon on this directory answers; False when ``alive()`` turns false first."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            SyncClient.connect(data_dir, timeout_s=2.0).close()
        except ApiError:
            if not alive():  # type: ignore[operator]
                return False
            time.sleep(0.03)
        else:
            return True
    return False
