"""What the cases share: the devices' process, sysfs, and a link with a listener."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from devices import Devices

from denchi.clock import AnchoredClock
from denchi.drivers import registry
from denchi.drivers.discovery import discover
from denchi.drivers.link import LinkState, MeterLink
from denchi.locator import Locator
from denchi_protocol.codec import Event, Scene
from denchi_protocol.samples import SampleBlock

PATIENCE_S = 30.0
USB = Path("/sys/bus/usb/devices")
T = TypeVar("T")


@lru_cache(maxsize=1)
def devices() -> Devices:
    """The other process, with the devices."""
    return Devices()


def until(look: Callable[[], T], what: str) -> T:
    """The first true thing that ``look`` returns."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if seen := look():
            return seen
        time.sleep(0.01)
    raise AssertionError(f"not in {PATIENCE_S:.0f} s: {what}")


def seconds(since_ns: int, now_ns: int | None = None) -> float:
    """Seconds since a monotonic reading."""
    return ((time.monotonic_ns() if now_ns is None else now_ns) - since_ns) / 1e9


def _attribute(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def usb_device(vid: int, pid: int, serial: str, *, patient: bool = True) -> Path | None:
    """The kernel's folder of a device."""

    def look() -> Path | None:
        for folder in USB.iterdir():
            ids = (_attribute(folder, "idVendor"), _attribute(folder, "idProduct"))
            if ids == (f"{vid:04x}", f"{pid:04x}") and _attribute(folder, "serial") == serial:
                return folder
        return None

    return until(look, f"{vid:04x}:{pid:04x} {serial} in sysfs") if patient else look()


def interface(device: Path, number: int) -> str:
    """The kernel's driver of an interface, empty when it has none."""
    link = device / f"{device.name}:1.{number}" / "driver"
    return link.resolve().name if link.exists() else ""


def locator_of(key: str, serial: str) -> Locator | None:
    """Where discovery finds a meter."""
    for one in discover().found:
        if one.spec_key == key and one.serial == serial:
            return one.locator
    return None


class Watcher:
    """A listener that keeps what was said, with the time."""

    def __init__(self) -> None:
        self.said: queue.Queue[tuple[int, LinkState]] = queue.Queue()
        self.blocks = 0
        self.samples = 0
        self.last: SampleBlock | None = None
        self.events: list[str] = []

    def on_events(self, link: MeterLink, events: list[Event], t_ns: int) -> None:
        for event in events:
            if isinstance(event, SampleBlock):
                self.blocks += 1
                self.samples += len(event)
                self.last = event
            else:
                self.events.append(repr(event)[:200])

    def on_state(self, link: MeterLink, state: LinkState) -> None:
        self.said.put((time.monotonic_ns(), state))


class Bench:
    """A running link."""

    def __init__(self, key: str, locator: Locator, usb_backend: str = "auto") -> None:
        self.spec = registry.get(key)
        self.watcher = Watcher()
        self.link = MeterLink(
            self.spec, locator, AnchoredClock(), self.watcher, usb_backend=usb_backend
        )

    def __enter__(self) -> Bench:
        self.link.start()
        return self

    def __exit__(self, *error: Any) -> None:
        ended = self.link.stop(10)
        assert ended or error[0], "the link does not stop"

    def wait(self, word: str) -> int:
        """Until a state is said; when (monotonic ns)."""
        end, seen = time.monotonic() + PATIENCE_S, []
        while (left := end - time.monotonic()) > 0:
            try:
                t_ns, state = self.watcher.said.get(timeout=left)
            except queue.Empty:
                break
            if state.state == word:
                return t_ns
            seen.append(state)
        raise AssertionError(
            f"never {word}; said: {seen[-5:]}; events: {self.watcher.events[-5:]};"
            f" {self.watcher.blocks} blocks"
        )

    def check_values(self, scene: Scene) -> None:
        """The samples are those of the scene behind the emulator, within the meter's rounding."""
        until(lambda: self.watcher.blocks >= 3, "samples")
        block = self.watcher.last
        assert block is not None
        checked = []
        for name in block.columns:
            stem = name.partition(".")[0]
            # Which temperature a probe's place stands for is the bench's word: any of the scene's will do.
            warm = (scene.meter_temp_c, scene.case_temp_c, scene.ambient_temp_c)
            expected = {"vbus_uv": (scene.vbus_v,), "ibus_ua": (scene.ibus_a,), "temp_mc": warm}
            if stem not in expected or not block.measured(name).any():
                continue
            values = np.abs(block.si(name)[block.measured(name)])
            slack = 0.6 if stem == "temp_mc" else 0.02
            near = [np.abs(values - abs(e)) <= slack for e in expected[stem] if e is not None]
            assert np.all(np.any(near, axis=0)), (name, values, expected[stem])
            checked.append(name)
        assert checked, block.columns.keys()

    def rate(self, most_s: float) -> float:
        """Samples a second, over a while."""
        began, before = time.monotonic(), self.watcher.samples
        time.sleep(most_s)
        return (self.watcher.samples - before) / (time.monotonic() - began)
