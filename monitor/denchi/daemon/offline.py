"""The API's reading routes without a daemon: reports and comparisons read the journal beside nobody.

The same handlers answer, in this process, without any listener.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from denchi.clock import SYSTEM
from denchi.config import Settings
from denchi.daemon.api import application
from denchi.daemon.client import SyncClient
from denchi.daemon.hub import Hub
from denchi.errors import ApiError
from denchi.model import Unit


class _NoDaemon:
    """What the reading routes need of a supervisor."""

    def __init__(self, data_dir: Path, settings: Settings) -> None:
        self.data_dir, self.settings = data_dir, settings
        self.benches: dict[str, Any] = {}
        self.hub = Hub()

    def check_recall(
        self, unit: Unit, text: str = "", country: str = "", symptoms: Sequence[str] = ()
    ) -> Any:
        from denchi.recalls.answer import check
        from denchi.recalls.lists import load

        today = datetime.fromtimestamp(SYSTEM.wall_ns() / 1e9, UTC).date()
        lists = load(self.data_dir)
        return check(unit, lists, text=text, country=country, symptoms=symptoms, today=today)


class OfflineClient:
    """``get`` as the daemon's client has it, answered in this process."""

    def __init__(self, data_dir: Path, settings: Settings | None = None) -> None:
        self._app: Any = application(_NoDaemon(data_dir, settings or Settings()))  # type: ignore[arg-type]

    def get(self, path: str, **params: Any) -> Any:
        """GET ``path``; raises ``ApiError`` like the real client."""
        query = {k: v for k, v in params.items() if v is not None}
        answer = asyncio.run(self._get(path, query))
        body = answer.json()
        if answer.status_code >= 400:
            raise ApiError(str(body.get("error")), cure=str(body.get("cure", "")))
        return body

    async def _get(self, path: str, query: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(app=self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://denchi") as client:
            return await client.get(path, params=query)

    def close(self) -> None:
        """Nothing is open."""


def reading_client(data_dir: Path) -> SyncClient | OfflineClient:
    """The running daemon's client where one runs, else the offline one."""
    try:
        return SyncClient.connect(data_dir, timeout_s=5.0)
    except ApiError:
        return OfflineClient(data_dir)
