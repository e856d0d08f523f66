"""Waiting for something to be plugged in: udev's events where pyudev is, the clock everywhere.

An event only ends the wait early: what is there is always found out by looking (``discovery``), so a
lost event costs a poll and nothing more.
"""

from __future__ import annotations

import logging
import threading
from typing import Any, Final

log = logging.getLogger("denchi.meters")

SUBSYSTEMS: Final = ("usb", "tty", "hidraw", "hwmon", "power_supply")
SETTLE_S: Final = 0.2
"""One device makes a burst of events; the rules that open it to the user come with the last of them."""


class Hotplug:
    """``wait`` returns after ``seconds``, or soon after a device came or went."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._observer: Any = None

    def start(self) -> bool:
        """Listen to udev; False where there is no pyudev or no netlink: then only the clock counts."""
        try:
            import pyudev

            monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source="udev")
            for subsystem in SUBSYSTEMS:
                monitor.filter_by(subsystem)
            observer = pyudev.MonitorObserver(monitor, callback=self._seen, name="hotplug")
            observer.start()
        except (ImportError, OSError) as error:
            log.info("looking for meters by the clock only: %s", error)
            return False
        self._observer = observer
        return True

    def _seen(self, device: Any) -> None:
        self._event.set()

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Wait for a device, for ``seconds`` at most; ``stop`` ends it at once."""
        if self._observer is None:
            stop.wait(seconds)
            return
        left = seconds
        while left > 0 and not stop.is_set():
            if self._event.wait(min(left, 0.1)):
                stop.wait(SETTLE_S)
                self._event.clear()
                return
            left -= 0.1

    def stop(self) -> None:
        """End listening."""
        if self._observer is not None:
            self._observer.send_stop()
            self._observer = None
