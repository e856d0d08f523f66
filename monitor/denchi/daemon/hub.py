"""The hub: messages from worker threads to listeners, none of whom can hold anything up.

Each listener has a bounded queue; one that does not read is dropped, never waited for. A message is
turned to JSON once for all.
"""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any, Final

MAX_WAITING: Final = 512
"""Messages a listener may fall behind (about 10 s at full rate) before it is dropped."""


class Listener:
    """One open stream. ``get`` returns a JSON line, or None when the stream is over."""

    def __init__(self, max_hz: float) -> None:
        self.max_hz = max_hz
        self._due: dict[tuple[str, str], int] = {}
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_WAITING + 1)
        self.dropped = False

    async def get(self) -> bytes | None:
        """What waits, one line or several; None: the hub closed or this listener was too slow."""
        line = await self.queue.get()
        if line is None or self.queue.empty():
            return line
        lines = [line]
        while not self.queue.empty():
            line = self.queue.get_nowait()
            if line is None:
                self.queue.put_nowait(None)  # the end, behind what came before it
                break
            lines.append(line)
        return b"".join(lines)

    def wants(self, stream: tuple[str, str] | None, t_ns: int) -> bool:
        """Whether a message of samples is due for this listener (``max_hz``); others always are."""
        if stream is None:
            return True
        if t_ns < self._due.get(stream, 0):
            return False
        # A fifth early: what comes evenly at just the wanted rate must not lose every second message.
        self._due[stream] = t_ns + int(0.8e9 / self.max_hz)
        return True


class Hub:
    """Fan-out. ``publish`` may be called from any thread; listeners live on the API's loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: set[Listener] = set()
        self._lock = threading.Lock()
        self.published = 0

    @property
    def listened(self) -> bool:
        """Whether anybody listens; without listeners publishing costs nothing."""
        return bool(self._listeners)

    @property
    def max_hz(self) -> float:
        """Samples a second and instrument that the most eager listener wants."""
        return max((listener.max_hz for listener in self._listeners), default=0.0)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say which loop the listeners live on."""
        self._loop = loop

    def listen(self, max_hz: float) -> Listener:
        """Open a listener (on the loop)."""
        listener = Listener(max_hz)
        with self._lock:
            self._listeners = self._listeners | {listener}
        return listener

    def leave(self, listener: Listener) -> None:
        """Close a listener (on the loop)."""
        with self._lock:
            self._listeners = self._listeners - {listener}

    def publish(
        self, message: dict[str, Any], stream: tuple[str, str] | None = None, t_ns: int = 0
    ) -> None:
        """Hand a message to every listener; samples name their (bench, role) and first stamp."""
        loop = self._loop
        if not self._listeners or loop is None:
            return
        line = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        self.published += 1
        try:
            loop.call_soon_threadsafe(self._fan_out, line, stream, t_ns)
        except RuntimeError:  # the loop has closed: the daemon is ending
            self._loop = None

    def close(self) -> None:
        """End all streams."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(self._fan_out, b'{"type":"bye"}\n')
            loop.call_soon_threadsafe(self._fan_out, None)

    def _fan_out(
        self, line: bytes | None, stream: tuple[str, str] | None = None, t_ns: int = 0
    ) -> None:
        for listener in self._listeners:
            if listener.dropped or not listener.wants(stream, t_ns):
                continue
            if line is not None and listener.queue.qsize() >= MAX_WAITING:
                listener.dropped = True
                while not listener.queue.empty():
                    listener.queue.get_nowait()
                listener.queue.put_nowait(None)
            else:
                listener.queue.put_nowait(line)
