"""What the TUI needs of a daemon: the few methods of ``denchi.daemon.client.ApiClient`` that it calls.

A protocol type, so that tests stand a deterministic API behind the pages and the pages cannot reach
for anything else: no device, no journal, no output.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeAlias


class Client(Protocol):
    """One connection to a daemon's API (docs/api.md). Every call may raise ``ApiError``."""

    async def state(self) -> dict[str, Any]:
        """``GET /v1/state``."""
        ...

    def stream(self, max_hz: float = 20) -> AsyncIterator[dict[str, Any]]:
        """``GET /v1/stream``."""
        ...

    async def get(self, path: str, **params: Any) -> Any:
        """``GET path``."""
        ...

    async def post(self, path: str, body: Any = None) -> Any:
        """``POST path``."""
        ...

    async def put(self, path: str, body: Any) -> Any:
        """``PUT path``."""
        ...

    async def delete(self, path: str) -> Any:
        """``DELETE path``."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


ClientFactory: TypeAlias = Callable[[], Client | Awaitable[Client]]
"""Called again for every (re)connection; raises ``ApiError`` while no daemon answers."""

DemoStarter: TypeAlias = Callable[[], ClientFactory]
"""Starts a demo daemon (may block for seconds; runs in a thread) and returns how to reach it."""
