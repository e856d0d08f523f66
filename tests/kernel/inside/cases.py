"""The cases, run in the guest by ``agent.py``: each returns the figures it measured.

The process here is the code under test: discovery, transports and links as the product uses them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench import Bench, devices, interface, locator_of, seconds, until, usb_device

from denchi.drivers import registry
from denchi.drivers.discovery import discover
from denchi.drivers.emulation import STILL
from denchi_protocol.codec import UsbDescriptors

SERIAL = "EMULATEDLAB1"


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


def usb_meter(key: str, usb_backend: str = "auto") -> dict[str, Any]:
    """Plug, discover, stream, stall, yank, replug, stop: one USB meter by our driver."""
    shown, number, endpoint = _speaking(key)
    figures: dict[str, Any] = {}
    plugged = devices().plug("a", key, SERIAL)
    locator = until(lambda: locator_of(key, SERIAL), f"discovery of {key}")
    figures["discovered_s"] = seconds(plugged)
    path = usb_device(shown.vid, shown.pid, SERIAL)
    assert (path / "product").read_text().strip() == shown.product
    _check_unspoken(shown)
    before = until(lambda: interface(path, number), "a kernel driver") if _is_hid(key) else ""
    figures["kernel_driver"] = before or interface(path, number)
    with Bench(key, locator, usb_backend) as bench:
        figures["streaming_s"] = seconds(plugged, bench.wait("streaming"))
        figures["while_open"] = interface(path, number)
        bench.check_values(STILL)
        figures["rate_hz"] = bench.rate(2.0)
        figures |= _stall(bench, endpoint)
        figures |= _yank_and_replug(bench, key)
        path = usb_device(shown.vid, shown.pid, SERIAL)
    until(lambda: interface(path, number) == figures["kernel_driver"], "the kernel's driver back")
    figures["given_back"] = interface(path, number)
    return figures


def _check_unspoken(shown: UsbDescriptors) -> None:
    """Nothing was written to the endpoints that carry the meter's protocol (the kernel uses others)."""
    ends = [e.address & 0x0F for i in shown.interfaces if i.speaks for e in i.endpoints]
    counts = devices().counts("a")
    spoken = {e: n for e in ends if (n := counts.get(f"out_packets {e}", 0))}
    assert not spoken, f"packets by endpoint before anything was opened: {spoken}"


def _is_hid(key: str) -> bool:
    return registry.get(key).transport.kind == "hid"


def _stall(bench: Bench, endpoint: int) -> dict[str, Any]:
    blocks = bench.watcher.blocks
    since = devices().stall("a", endpoint)
    until(lambda: devices().counts("a").get("halts_cleared", 0) > 0, "the halt cleared")
    until(lambda: bench.watcher.blocks > blocks + 3, "samples after the stall")
    assert bench.link.counters().reconnects == 0, "a stall is no reason to connect again"
    return {"after_stall_s": seconds(since), "stalls": devices().counts("a")["stalls"]}


def _yank_and_replug(bench: Bench, key: str) -> dict[str, Any]:
    pulled = devices().pull("a")
    noticed = seconds(pulled, bench.wait("gone"))
    time.sleep(1.0)
    plugged = devices().plug("a", key, SERIAL)
    return {"noticed_s": noticed, "back_s": seconds(plugged, bench.wait("streaming"))}


def replugs(key: str, cycles: int) -> dict[str, Any]:
    """Yank and replug through the real kernel again and again; handles and threads counted."""
    devices().plug("a", key, SERIAL)
    locator = until(lambda: locator_of(key, SERIAL), f"discovery of {key}")
    noticed, back = [], []
    counted: list[tuple[int, int]] = []
    with Bench(key, locator) as bench:
        bench.wait("streaming")
        for _ in range(cycles):
            one = _yank_and_replug(bench, key)
            noticed.append(one["noticed_s"])
            back.append(one["back_s"])
            counted.append(_handles_and_threads())
        reconnects = bench.link.counters().reconnects
    return {
        "cycles": cycles, "reconnects": reconnects, "noticed_s": max(noticed), "back_s": max(back),
        "handles": counted[-1][0] - counted[1][0], "threads": counted[-1][1] - counted[1][1],
    }  # fmt: skip


def _handles_and_threads() -> tuple[int, int]:
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


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
    path = until(lambda: usb_device(shown.vid, shown.pid, SERIAL, patient=False), "the device")
    node = (
        Path("/dev")
        / dict(line.split("=", 1) for line in (path / "uevent").read_text().splitlines())["DEVNAME"]
    )
    _let_others_run_python()
    refused = as_nobody("look", key)
    _check_unspoken(shown)
    node.chmod(0o666)
    allowed = as_nobody("look", key)
    return {"mode": oct(node.stat().st_mode & 0o777), "refused": refused, "allowed": allowed}


def _let_others_run_python() -> None:
    """The checkout and the interpreter may lie in folders of root's; only the guest's copy is changed."""
    for start in (sys.prefix, sys.base_prefix, __file__):
        for folder in Path(start).resolve().parents:
            if folder.stat().st_mode & 0o005 != 0o005:
                folder.chmod(folder.stat().st_mode | 0o055)


def as_nobody(what: str, key: str) -> dict[str, Any]:
    """What an unprivileged process sees: discovery, and a link's first word by each way."""
    import json

    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("nobody.py")), what, key, SERIAL],
        user=65534, group=65534, extra_groups=[], capture_output=True, text=True, timeout=90,
        env={**os.environ, "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    if done.returncode:
        raise AssertionError(done.stderr)
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


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
    from denchi.locator import Locator

    with Bench(key, Locator("serial", key, path=tty)) as bench:
        bench.wait("streaming")
        bench.check_values(STILL)
        figures["rate_hz"] = bench.rate(2.0)
        pulled = devices().pull("a")
        figures["noticed_s"] = seconds(pulled, bench.wait("gone"))
        time.sleep(1.0)
        plugged = devices().plug("a", key, SERIAL)
        figures["back_s"] = seconds(plugged, bench.wait("streaming"))
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
