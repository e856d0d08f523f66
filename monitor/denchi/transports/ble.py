"""Bluetooth LE through bleak (extra `ble`): an event loop on a thread of its own behind blocking calls."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from denchi.errors import DeviceGone, DeviceRefused
from denchi.locator import Locator
from denchi_protocol.codec import BleSettings

_BASE = "0000{}-0000-1000-8000-00805f9b34fb"


class BleTransport:
    """Notifications in, writes out. Notifications are on before anything is sent."""

    def __init__(self, locator: Locator, settings: BleSettings) -> None:
        try:
            import bleak
        except ImportError:
            raise DeviceRefused(
                "Bluetooth support is not installed", cure="install denchi with the extra `ble`"
            ) from None
        self._settings = settings
        self._inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._gone = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ble", daemon=True)
        self._thread.start()
        self._client: Any = None
        try:
            self._await(self._connect(bleak, locator.path), 20.0)
        except DeviceGone:
            self.close()
            raise
        except Exception as error:
            self.close()
            raise DeviceRefused(
                f"Bluetooth does not work here ({error})",
                cure="is the adapter on, and paired where needed?",
            ) from None

    def _await(self, work: Coroutine[Any, Any, Any], timeout_s: float) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)

    async def _connect(self, bleak: Any, name: str) -> None:
        device = await bleak.BleakScanner.find_device_by_filter(
            lambda d, _: name in (d.name or "", d.address), timeout=10.0
        )
        if device is None:
            raise DeviceGone(
                f"no Bluetooth device {name!r} in reach", cure="switch it on, bring it nearer"
            )
        self._client = bleak.BleakClient(device, disconnected_callback=lambda _: self._gone.set())
        await self._client.connect()
        await self._client.start_notify(
            _BASE.format(self._settings.notify), lambda _, data: self._inbox.put(bytes(data))
        )

    def read(self, timeout_s: float) -> bytes:
        """One notification."""
        try:
            return self._inbox.get(timeout=timeout_s)
        except queue.Empty:
            if self._gone.is_set():
                raise DeviceGone("the Bluetooth device has left", cure="bring it nearer") from None
            return b""

    def write(self, data: bytes) -> None:
        """Write to the meter's characteristic."""
        target = _BASE.format(self._settings.write)
        try:
            self._await(
                self._client.write_gatt_char(target, data, response=self._settings.response), 5.0
            )
        except Exception as error:
            raise DeviceGone(
                f"the Bluetooth device has left ({error})", cure="bring it nearer"
            ) from None

    def reset(self) -> None:
        """A re-open follows."""

    def close(self) -> None:
        """Disconnect and end the loop."""
        with suppress(Exception):
            if self._client is not None:
                self._await(self._client.disconnect(), 3.0)
        with suppress(Exception):
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(1.0)
            self._loop.close()
