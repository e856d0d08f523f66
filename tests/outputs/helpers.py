"""Journals and contexts for tests of the outputs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from denchi.outputs.base import Context, OutputState
from denchi.outputs.delivery import Delivery
from denchi.outputs.influx.output import InfluxConfig, V1Sender, V2Sender
from denchi.store.journal import Journal


class Pauses:
    """Stands for waiting: remembers what was asked for and waits a moment."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    def __call__(self, stop: threading.Event, seconds: float) -> bool:
        self.waited.append(seconds)
        return stop.wait(0.002)


def influx(
    journal: Journal,
    folder: Path,
    *,
    station: str = "st1",
    name: str = "tsdb",
    wait: Callable[[threading.Event, float], bool] | None = None,
    **config: Any,
) -> Delivery:
    """An InfluxDB output on a journal, not yet running."""
    context = Context(folder, station, journal)
    settings = InfluxConfig(**config)
    sender = V1Sender(settings, context) if settings.version == 1 else V2Sender(settings, context)
    return Delivery(name, "influxdb", context, sender, prepare=sender.labels.prepare, wait=wait)


class Running:
    """Runs an output in a thread for the length of a ``with``."""

    def __init__(self, output: Any) -> None:
        self.output = output
        self.stop = threading.Event()
        self.thread = threading.Thread(target=output.run, args=(self.stop,), daemon=True)

    def __enter__(self) -> Running:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive(), "the output did not stop"

    def until(self, true: Callable[[OutputState], bool], seconds: float = 60) -> OutputState:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            state = self.output.state()
            if true(state):
                return state
            time.sleep(0.01)
        raise AssertionError(f"not within {seconds} s: {self.output.state()}")
