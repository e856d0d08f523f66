"""A real daemon in a process of its own, on a temporary directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from denchi.daemon.client import SyncClient, wait_until_up

DEMO = "demo=emulated:fnb58?scenario=demo"


class Daemon:
    """``denchi run`` as users run it; the client to ask it."""

    def __init__(
        self,
        data_dir: Path,
        *arguments: str,
        env: dict[str, str] | None = None,
        inside: Sequence[str] = (),
    ) -> None:
        """``inside``: a command that runs the daemon in its place (a namespace)."""
        self.data_dir = data_dir
        self._client: SyncClient | None = None
        self.log = data_dir.parent / f"{data_dir.name}.log"
        environment = os.environ | {"XDG_RUNTIME_DIR": str(data_dir.parent)} | (env or {})
        command = [sys.executable, "-m", "denchi.cli.main", "run", "--data-dir", str(data_dir)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*inside, *command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=environment,
            )

    def up(self, seconds: float = 30.0) -> SyncClient:
        """Wait until it answers."""
        alive = lambda: self.process.poll() is None
        assert wait_until_up(self.data_dir, seconds=seconds, alive=alive), self.log.read_text()
        return self.client()

    def client(self) -> SyncClient:
        """Its client, closed with it."""
        if self._client is None:
            self._client = SyncClient.connect(self.data_dir)
        return self._client

    def wait_for(self, condition, seconds: float = 30.0):
        """Poll the state until ``condition(state)`` gives something true; returns it."""
        client = self.up()
        end = time.monotonic() + seconds
        state = None
        while time.monotonic() < end:
            state = client.get("/v1/state")
            if found := condition(state):
                return found
            time.sleep(0.1)
        raise AssertionError(f"not within {seconds} s; last state: {state}\n{self.log.read_text()}")

    def stop(self, how: int = signal.SIGTERM) -> int:
        """Signal it and wait."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(timeout=15)


@pytest.fixture
def daemon(tmp_path):
    """A factory of daemons, all ended at the end."""
    started: list[Daemon] = []

    def start(*arguments: str, name: str = "data", **options) -> Daemon:
        made = Daemon(tmp_path / name, *arguments, **options)
        started.append(made)
        return made

    yield start
    for one in started:
        one.stop(signal.SIGKILL)
