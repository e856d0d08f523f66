"""The cases, run in the guest by ``agent.py``: each returns the figures it measured.

The process here is the code under test: discovery, transports and links as the product uses them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench import Bench, devices, interface, locator_of, seconds, until, usb_device

from denchi.drivers import registry
from denchi.drivers.discovery import discover
from denchi.drivers.emulation import STILL
from denchi.locator import Locator
from denchi_protocol.codec import UsbDescriptors

SERIAL = "EMULATEDLAB1"
HID_CLASS = 3


def imports() -> dict[str, Any]:
    """How much the driver knows, and how long the devices' process takes to come up."""
    began = time.monotonic()
    devices()
    return {"meters": len(registry.specs()), "start_s": time.monotonic() - began}


def _speaking(key: str) -> tuple[UsbDescriptors, int, int]:
    """Descriptors of a meter, the interface that speaks, its IN endpoint for data."""
    shown = registry.get(key).descriptors
    assert shown is not None
    speaks = [i for i in shown.interfaces if i.speaks]
    one = next(i for i in speaks if any(e.address & 0x80 for e in i.endpoints))
    return shown, one.number, next(e.address for e in one.endpoints if e.address & 0x80)


def load(name: str) -> None:
    """Load a module that the lab brought along."""
    subprocess.run(["insmod", f"/run/lab/modules/{name}.ko"], check=True, capture_output=True)


def usb_meter(key: str, usb_backend: str = "auto", kernel_driver: str = "") -> dict[str, Any]:
    """Plug, discover, stream, stall, yank, replug, stop: one USB meter by our driver.

    ``kernel_driver``: who holds the interface before us and must have it back.
    """
    shown, number, endpoint = _speaking(key)
    figures: dict[str, Any] = {}
    plugged = devices().plug("a", key, SERIAL)
    locator = until(lambda: locator_of(key, SERIAL), f"discovery of {key}")
    figures["discovered_s"] = seconds(plugged)
    path = usb_device(shown.vid, shown.pid, SERIAL)
    assert (path / "product").read_text().strip() == shown.product
    _check_unspoken(shown)
    until(lambda: interface(path, number) == kernel_driver, f"{kernel_driver} bound")
    with Bench(key, locator, usb_backend) as bench:
        figures["streaming_s"] = seconds(plugged, bench.wait("streaming"))
        figures["while_open"] = interface(path, number)
        bench.check_values(STILL)
        figures["rate_hz"] = bench.rate(2.0)
        figures |= _stall(bench, endpoint)
        figures |= _yank_and_replug(bench, key)
        path = usb_device(shown.vid, shown.pid, SERIAL)
        closing = time.monotonic_ns()
    until(lambda: interface(path, number) == kernel_driver, "the kernel's driver back")
    figures["given_back_s"] = seconds(closing)
    return figures


def _check_unspoken(shown: UsbDescriptors) -> None:
    """Nothing was written to the endpoints that carry the meter's protocol (the kernel uses others)."""
    ends = [e.address & 0x0F for i in shown.interfaces if i.speaks for e in i.endpoints]
    counts = devices().counts("a")
    spoken = {e: n for e in ends if (n := counts.get(f"out_packets {e}", 0))}
    assert not spoken, f"packets by endpoint before anything was opened: {spoken}"


def _stall(bench: Bench, endpoint: int) -> dict[str, Any]:
    blocks = bench.watcher.blocks
    since = devices().stall("a", endpoint)
    until(lambda: devices().counts("a").get("halts_cleared", 0) > 0, "the halt cleared")
    until(lambda: bench.watcher.blocks > blocks + 3, "samples after the stall")
    assert bench.link.counters().reconnects == 0, "a stall is no reason to connect again"
    return {"after_stall_s": seconds(since), "stalls": devices().counts("a")["stalls"]}


def _yank_and_replug(bench: Bench, key: str) -> dict[str, float]:
    """Seconds until noticed; back: from the plug, and from the moment the kernel has the device."""
    shown, _, _ = _speaking(key)
    pulled = devices().pull("a")
    noticed = seconds(pulled, bench.wait("gone"))
    time.sleep(1.0)
    plugged = devices().plug("a", key, SERIAL)
    usb_device(shown.vid, shown.pid, SERIAL)
    known = time.monotonic_ns()
    streaming = bench.wait("streaming")
    return {
        "noticed_s": noticed,
        "back_s": seconds(plugged, streaming),
        "back_after_kernel_s": max(0.0, seconds(known, streaming)),
    }


def replugs(key: str, cycles: int) -> dict[str, Any]:
    """Yank and replug through the real kernel again and again; handles and threads counted."""
    devices().plug("a", key, SERIAL)
    locator = until(lambda: locator_of(key, SERIAL), f"discovery of {key}")
    times: list[dict[str, float]] = []
    counted: list[tuple[int, int]] = []
    with Bench(key, locator) as bench:
        bench.wait("streaming")
        for _ in range(cycles):
            times.append(_yank_and_replug(bench, key))
            counted.append(_handles_and_threads())
        reconnects = bench.link.counters().reconnects
    return {
        "cycles": cycles, "reconnects": reconnects,
        **{name: max(one[name] for one in times) for name in times[0]},
        "handles": counted[-1][0] - counted[1][0], "threads": counted[-1][1] - counted[1][1],
    }  # fmt: skip


def _handles_and_threads() -> tuple[int, int]:
    me = Path("/proc/self")
    return len(list((me / "fd").iterdir())), len(list((me / "task").iterdir()))


def two_of_a_kind(key: str) -> dict[str, Any]:
    """Two alike by serial number: each link keeps to its own, also when they change places."""
    names = {"a": "EMULATEDTWIN-A", "b": "EMULATEDTWIN-B"}
    for name, serial in names.items():
        devices().plug(name, key, serial)
    found = {
        n: until(lambda s=s: locator_of(key, s), f"discovery of {s}") for n, s in names.items()
    }
    with Bench(key, found["a"]) as a, Bench(key, found["b"]) as b:
        a.wait("streaming")
        b.wait("streaming")
        places = {n: usb_device(found[n].vid, found[n].pid, s).name for n, s in names.items()}
        pulled = devices().pull("a")
        noticed = seconds(pulled, a.wait("gone"))
        blocks = b.watcher.blocks
        until(lambda: b.watcher.blocks > blocks + 20, "the other one streams on")
        assert b.link.counters().reconnects == 0
        devices().pull("b")
        b.wait("gone")
        # The other way round: each now stands where the other stood.
        time.sleep(0.5)
        devices().plug("b", key, names["b"])
        plugged = devices().plug("a", key, names["a"])
        back = max(seconds(plugged, a.wait("streaming")), seconds(plugged, b.wait("streaming")))
        after = {n: usb_device(found[n].vid, found[n].pid, s).name for n, s in names.items()}
        # Each link hears its own device and no other: pull one, and only its link says so.
        devices().pull("b")
        b.wait("gone")
        blocks = a.watcher.blocks
        until(lambda: a.watcher.blocks > blocks + 20, "the first one streams on")
        assert a.link.counters().reconnects == 1
    return {"noticed_s": noticed, "back_s": back, "places": places, "places_after": after}


# -- what an ordinary user meets --------------------------------------------------------------------


def permission(key: str) -> dict[str, Any]:
    """Without rights: known, named with the cure, not spoken to. With the rights of a udev rule: open."""
    devices().plug("a", key, SERIAL)
    shown, _, _ = _speaking(key)
    path = usb_device(shown.vid, shown.pid, SERIAL)
    if registry.get(key).transport.kind == "serial":
        tty = until(lambda: tty_of(SERIAL), "a tty")
        nodes, locator = [Path(tty)], Locator("serial", key, path=tty)
    else:
        name = re.search("(?m)^DEVNAME=(.*)", (path / "uevent").read_text(encoding="utf-8"))
        assert name is not None
        nodes = [Path("/dev", name[1])]
        # By serial number, as a bench is configured: that text cannot be read without rights.
        locator = Locator("usb", key, shown.vid, shown.pid, SERIAL)
    if registry.get(key).transport.kind == "hid":
        hid = [i for i in shown.interfaces if i.usb_class == HID_CLASS]
        until(lambda: len(list(Path("/dev").glob("hidraw*"))) == len(hid), "hidraw")
        nodes += Path("/dev").glob("hidraw*")
    _let_others_run_python()
    modes = [oct(node.stat().st_mode & 0o777) for node in nodes]
    with as_nobody(locator) as look:
        refused = look()
        _check_unspoken(shown)
        for node in nodes:
            node.chmod(0o666)
        return {"modes": modes, "refused": refused, "allowed": look()}


def _let_others_run_python() -> None:
    """The checkout and the interpreter may lie in folders of root's; only the guest's copy is changed."""
    for start in (sys.prefix, sys.base_prefix, __file__):
        for folder in Path(start).resolve().parents:
            if folder.stat().st_mode & 0o005 != 0o005:
                folder.chmod(folder.stat().st_mode | 0o055)


@contextmanager
def as_nobody(locator: Locator) -> Iterator[Callable[[], dict[str, Any]]]:
    """A process without rights; a call tells what it sees now, and how opening ends by each way."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("nobody.py")), str(locator)],
        user=65534, group=65534, extra_groups=[], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert process.stdin and process.stdout
    out, back = process.stdin, process.stdout

    def look() -> dict[str, Any]:
        out.write("\n")
        out.flush()
        seen: dict[str, Any] = json.loads(back.readline() or "null")
        assert seen, "the process without rights has ended; its words are on the console"
        return seen

    try:
        yield look
    finally:
        out.close()
        process.wait(20)
        back.close()


# -- serial ----------------------------------------------------------------------------------------


def serial_meter(key: str) -> dict[str, Any]:
    """A meter behind the kernel's cdc_acm: a real tty, real pyserial."""
    shown, _, _ = _speaking(key)
    plugged = devices().plug("a", key, SERIAL)
    tty = until(lambda: tty_of(SERIAL), "a tty")
    figures: dict[str, Any] = {"tty": tty, "tty_s": seconds(plugged)}
    path = usb_device(shown.vid, shown.pid, SERIAL)
    figures["kernel_driver"] = interface(path, 0)
    seen = [f for f in discover().found if f.port == tty]
    figures["discovered_as"] = [(f.spec_key, f.ambiguous, f.serial) for f in seen]
    _check_unspoken(shown)
    with Bench(key, Locator("serial", key, path=tty)) as bench:
        bench.wait("streaming")
        bench.check_values(STILL)
        figures["rate_hz"] = bench.rate(2.0)
        figures |= _yank_and_replug(bench, key)
    return figures


def tty_of(serial: str) -> str:
    """The serial port of a device, as pyserial tells it; empty when there is none."""
    from serial.tools import list_ports

    return next((p.device for p in list_ports.comports() if p.serial_number == serial), "")


def clean_up() -> None:
    """Nothing stays plugged in."""
    with suppress(Exception):
        devices().pull_all()


def other_interfaces(key: str) -> dict[str, Any]:
    """The kernel's own drivers of a composite meter's other interfaces leave the device in peace."""
    shown, _, _ = _speaking(key)
    subprocess.run(["dmesg", "-c"], capture_output=True, check=True)
    devices().plug("a", key, SERIAL)
    path = usb_device(shown.vid, shown.pid, SERIAL)
    time.sleep(6.0)  # usb-storage looks at a drive for a second and scans it for some more
    log = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout
    return {
        "drivers": [interface(path, i.number) for i in shown.interfaces],
        "resets": len([line for line in log.splitlines() if "reset full-speed" in line]),
        "log": [
            line.split("] ", 1)[-1] for line in log.splitlines() if "scsi" in line or "sd " in line
        ],
    }


# -- the kernel's own driver as a judge ---------------------------------------------------------------

HWMON_METER = "powerz-hwmon"
HWMON = Path("/sys/class/hwmon")


def hwmon_of(name: str) -> Path | None:
    """The folder of a hwmon device by its driver's name."""
    for one in HWMON.iterdir() if HWMON.is_dir() else ():
        with suppress(OSError):
            if (one / "name").read_text(encoding="utf-8").strip() == name:
                return one
    return None


def _inputs(folder: Path) -> tuple[dict[str, int], int]:
    """Values by label, and how many reads failed: the driver gives an exchange 5 ms, TCG often more."""
    values: dict[str, int] = {}
    failed = 0
    for file in sorted(folder.glob("*_input")):
        label = file.with_name(file.name.replace("_input", "_label"))
        name = label.read_text(encoding="utf-8").strip() if label.exists() else file.name
        for _ in range(200):
            try:
                values[f"{file.name} {name}"] = int(file.read_text(encoding="ascii"))
                break
            except OSError:
                failed += 1
                time.sleep(0.02)
    return values, failed


def powerz_hwmon(key: str) -> dict[str, Any]:
    """The kernel's powerz driver reads our emulator; our driver takes the meter from it and gives it back."""
    devices().plug("a", key, SERIAL, direct=True)
    folder = until(lambda: hwmon_of("powerz"), "the hwmon device")
    values, failed = _inputs(folder)
    # The way of a user who lets the kernel have the meter: the same values, by our hwmon meter.
    by_kernel: dict[str, Any] = {
        "discovered_as": [f.port for f in discover().found if f.spec_key == HWMON_METER]
    }
    if by_kernel["discovered_as"]:
        place = next(f.locator for f in discover().found if f.spec_key == HWMON_METER)
        with Bench(HWMON_METER, place) as bench:
            bench.wait("streaming")
            bench.check_values(STILL)
            by_kernel["rate_hz"] = bench.rate(2.0)
    locator = until(lambda: locator_of(key, SERIAL), f"discovery of {key}")
    with Bench(key, locator) as bench:
        bench.wait("streaming")
        assert hwmon_of("powerz") is None, "two drivers at one meter"
        bench.check_values(STILL)
    folder = until(lambda: hwmon_of("powerz"), "the hwmon device back")
    again, failed_again = _inputs(folder)
    return {
        "values": values, "failed": failed, "again": again, "failed_again": failed_again,
        "expected": {"volts": STILL.vbus_v, "amps": STILL.ibus_a, "celsius": STILL.meter_temp_c},
        "by_our_hwmon_meter": by_kernel,
    }  # fmt: skip
