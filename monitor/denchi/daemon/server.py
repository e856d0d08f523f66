"""Running the daemon: journal, supervisor and API in one process, until told to stop.

Order on the way up: journal (a second writer is refused with the reason), socket, meters. On the way
down, within two seconds: meters released, sessions ended, journal committed.
"""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import logging
import os
import secrets
import signal
import socket
import stat
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import uvicorn

from denchi.config import Loaded
from denchi.config import load as load_config
from denchi.daemon import endpoint
from denchi.daemon.api import application
from denchi.daemon.logs import set_up
from denchi.daemon.notify import notify, watchdog_s
from denchi.daemon.settings import api_token, check_profiles
from denchi.daemon.supervisor import BenchPlan, Supervisor
from denchi.errors import ConfigError, StoreError
from denchi.i18n import set_language

log = logging.getLogger(__name__)
SWITCH_S = 0.001
WATCH_S = 5.0
"""Longer than any worker's round when nothing happens."""


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers: the daemon ends in its own order."""

    def install_signal_handlers(self) -> None:
        """Leave the signals to us."""

    def capture_signals(self) -> object:  # type: ignore[override]
        """Leave the signals to us (newer uvicorn)."""
        from contextlib import nullcontext

        return nullcontext()


def _unix_socket(path: Path) -> socket.socket:
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.stat().st_mode):
            path.unlink()
    old = os.umask(0o177)
    try:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
    finally:
        os.umask(old)
    path.chmod(0o600)
    listener.listen(64)
    return listener


def _tcp_socket(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, int(port)))
    except OSError as error:
        raise ConfigError(
            f"api.listen {address!r}: {error}", cure="free the port or choose another"
        ) from None
    listener.listen(64)
    return listener


def _warn_of_the_network(listen: str) -> None:
    host = listen.rpartition(":")[0].strip("[]")
    with suppress(ValueError):
        if not ipaddress.ip_address(host).is_loopback:
            log.warning("the API listens on %s: put TLS in front of it", host)


def run(
    data_dir: Path,
    config: Path | None,
    *,
    private: bool = False,
    plans: Sequence[BenchPlan] = (),
    deliver: bool = False,
) -> int:
    """Run until SIGTERM, SIGINT or (private) the parent's end. Returns the exit code."""
    set_up()
    # Threads that read and tell do little at a time and wait for those that work: 5 ms each is long.
    sys.setswitchinterval(SWITCH_S)
    loaded = load_config(config, must_exist=config is not None)
    check_profiles(loaded)
    settings = loaded.settings
    if settings.language:
        set_language(settings.language)
    if deliver:
        settings = settings.model_copy(update={"deliver_simulated": True})
    from denchi.store.journal import Journal

    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(
            f"data directory {data_dir}: {error.strerror}", cure="name another with --data-dir"
        ) from None
    journal = Journal.open(
        data_dir,
        commit_ms=settings.journal.commit_ms,
        reserve_mb=settings.journal.reserve_mb,
        retain_raw_days=settings.journal.retain_raw_days,
        max_gb=settings.journal.max_gb,
        outputs=settings.output,
    )
    supervisor = Supervisor(settings, data_dir, journal, plans=plans, private=private)
    try:
        return asyncio.run(_serve(supervisor, loaded, data_dir, private))
    finally:
        endpoint.withdraw(data_dir)
        supervisor.stop()
        supervisor.released()
        # All is on disk and let go. Without this the interpreter looks through every object of every
        # library for garbage before it ends: half a second on a busy machine.
        gc.freeze()


async def _serve(supervisor: Supervisor, loaded: Loaded, data_dir: Path, private: bool) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if hasattr(signal, "SIGHUP"):
        loop.add_signal_handler(signal.SIGHUP, lambda: _reload(supervisor, loaded))
    if private:
        _watch_parent(lambda: loop.call_soon_threadsafe(stop.set))
    supervisor.hub.attach(loop)
    servers, cleanup = _listeners(supervisor, loaded, data_dir)
    tasks = [asyncio.create_task(server.serve(sockets=[listener])) for server, listener in servers]
    await asyncio.to_thread(supervisor.start)
    # What is there now stays: no collection looks at it again (a full one took 0.1 s of everybody's time).
    gc.collect()
    gc.freeze()
    notify("READY=1", "STATUS=measuring")
    feeder = asyncio.create_task(_feed_watchdog(supervisor))
    await stop.wait()
    notify("STOPPING=1")
    feeder.cancel()
    endpoint.withdraw(data_dir)
    await asyncio.to_thread(supervisor.stop)
    for server, _ in servers:
        server.should_exit = True
        server.force_exit = True
    released = asyncio.create_task(asyncio.to_thread(supervisor.released))
    await asyncio.wait(tasks, timeout=0.5)
    if not await released:
        log.warning("a meter was not let go in time")
    for path in cleanup:
        path.unlink(missing_ok=True)
    return 0


def _listeners(
    supervisor: Supervisor, loaded: Loaded, data_dir: Path
) -> tuple[list[tuple[_Server, socket.socket]], list[Path]]:
    servers: list[tuple[_Server, socket.socket]] = []
    cleanup: list[Path] = []

    def serve(listener: socket.socket, token: str | None) -> None:
        app = application(supervisor, token=token)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            http="h11",
            ws="none",
            # Its task would outlive a forced exit and leave a traceback; the hub is attached below.
            lifespan="off",
            timeout_keep_alive=30,
        )
        servers.append((_Server(config), listener))

    if hasattr(socket, "AF_UNIX"):
        path = endpoint.socket_path(data_dir)
        serve(_unix_socket(path), None)
        cleanup.append(path)
        endpoint.write(data_dir, endpoint.Endpoint(os.getpid(), socket=str(path)))
    else:
        token = secrets.token_urlsafe(32)
        listener = _tcp_socket("127.0.0.1:0")
        serve(listener, token)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        endpoint.write(data_dir, endpoint.Endpoint(os.getpid(), url=url, token=token))
    if listen := loaded.settings.api.listen:
        _warn_of_the_network(listen)
        serve(_tcp_socket(listen), api_token(loaded))
    return servers, cleanup


def _watch_parent(ended: object) -> None:
    """A private daemon ends with whoever started it: its standard input closes."""

    def wait() -> None:
        with suppress(OSError, ValueError):
            while sys.stdin.buffer.read(4096):
                pass
        ended()  # type: ignore[operator]

    threading.Thread(target=wait, name="parent", daemon=True).start()


async def _feed_watchdog(supervisor: Supervisor) -> None:
    """Feed the service manager's watchdog, only while every worker makes progress."""
    interval = watchdog_s()
    if interval is None:
        return
    seen: dict[str, int] = {}
    while True:
        await asyncio.sleep(min(interval, WATCH_S))
        # On another thread: what it asks may itself be held up, and the loop must go on.
        now = await asyncio.to_thread(supervisor.progress)
        stuck = [name for name, count in now.items() if seen.get(name) == count]
        seen = now
        if stuck:
            log.error("no progress in: %s", ", ".join(stuck))
        else:
            notify("WATCHDOG=1")


def _reload(supervisor: Supervisor, loaded: Loaded) -> None:
    try:
        fresh = load_config(loaded.path)
        check_profiles(fresh)
    except ConfigError as error:
        log.error("configuration not reloaded: %s", error)
        return
    supervisor.reload(fresh.settings)
    log.info("limits reloaded from %s", loaded.path)
