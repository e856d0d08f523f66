"""The real USB stack: emulated meters plugged into a real kernel, opened by our driver.

Each test prints its figures, measured in a guest under TCG; none asserts on a time.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from denchi.drivers import registry
from denchi_protocol.codec import MeterSpec
from faults.figures import record
from kernel.lab.guest import Guest

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("lab")]  # one guest a run

CURE = "denchi install udev"


def _specs(*kinds: str) -> list[MeterSpec]:
    # Without a match a meter is only found by configuration: there is nothing to discover.
    return [
        s
        for s in registry.specs().values()
        if s.descriptors and s.matches and s.transport.kind in kinds
    ]


def _firsts(*kinds: str) -> list[str]:
    """The first meter of each family: what does not depend on the model is tried once a family."""
    families: dict[str, str] = {}
    for spec in _specs(*kinds):
        families.setdefault(spec.family, spec.key)
    return sorted(families.values())


SOME = [k for k in ("fnb58", "km003c") if k in registry.specs()]
"""One HID and one bulk meter, for what depends on the kernel more than on the meter."""
CYCLES = int(os.environ.get("DENCHI_LAB_REPLUGS", "8"))


def _told(key: str, figures: dict[str, Any]) -> None:
    told = (f"{n} {v:.2f}" if isinstance(v, float) else f"{n} {v}" for n, v in figures.items())
    print(f"\n[lab] {key}: {', '.join(told)}")


def _kernel_driver(lab: Guest, key: str) -> str:
    """Who holds a meter's interface before we come."""
    spec = registry.get(key)
    assert spec.descriptors is not None
    if spec.transport.kind == "hid":
        return "usbhid"
    claims = f"usb:v{spec.descriptors.vid:04X}p{spec.descriptors.pid:04X}".encode()
    return "powerz" if claims in lab.powerz else ""


def test_the_guest_runs_this_checkout(lab: Guest) -> None:
    figures = lab.run("imports")
    _told(lab.kernel.release, {"boot_s": lab.boot_s, **figures})
    assert lab.hello["release"] == lab.kernel.release
    assert figures["meters"] == len(registry.specs())


@pytest.mark.parametrize("key", [s.key for s in _specs("hid", "bulk")])
def test_a_usb_meter_by_libusb(plugs: Guest, key: str) -> None:
    """Seen, streamed, stalled, yanked, back, and its kernel driver has it again."""
    driver = _kernel_driver(plugs, key)
    figures = plugs.run("usb_meter", key=key, kernel_driver=driver)
    _told(key, {"kernel_driver": driver or "none", **figures})
    assert figures["while_open"] == "usbfs"


@pytest.mark.parametrize("key", _firsts("hid"))
def test_a_hid_meter_by_hidapi(plugs: Guest, key: str) -> None:
    """The second way, over hidraw: the kernel keeps its driver all the while."""
    figures = plugs.run("usb_meter", key=key, kernel_driver="usbhid", usb_backend="hidapi")
    _told(f"{key} by hidapi", figures)
    assert figures["while_open"] == "usbhid"


@pytest.mark.parametrize("key", [s.key for s in _specs("serial")])
def test_a_serial_meter_by_cdc_acm(plugs: Guest, key: str) -> None:
    figures = plugs.run("serial_meter", key=key)
    _told(key, figures)
    assert figures["kernel_driver"] == "cdc_acm"
    assert registry.get(key).family in {
        registry.get(k).family for k, _, _ in figures["discovered_as"]
    }


@pytest.mark.parametrize("key", SOME)
def test_two_of_a_kind(plugs: Guest, key: str) -> None:
    figures = plugs.run("two_of_a_kind", key=key)
    _told(f"two {key}", figures)
    places = figures["places"]
    assert places["a"] != places["b"]
    assert figures["places_after"] == {"a": places["b"], "b": places["a"]}


@pytest.mark.parametrize("key", [*SOME, *_firsts("serial")[-1:]])
def test_without_rights(plugs: Guest, key: str) -> None:
    """An ordinary user is told what is there, that it may not be opened, and the cure."""
    figures = plugs.run("permission", key=key)
    refused, allowed = figures["refused"], figures["allowed"]
    _told(f"{key} without rights", refused["tried"])
    vanished = [word for word in refused["tried"].values() if not word.startswith("DeviceRefused")]
    assert not vanished
    assert all(CURE in word for word in refused["tried"].values())
    family = registry.get(key).family
    named = [u for u in refused["unopenable"] if registry.get(u[0]).family == family]
    assert named
    assert all("no permission" in reason and CURE in cure for _, _, reason, cure in named)
    assert not any(registry.get(k).family == family for k in refused["found"] if "hwmon" not in k)
    assert set(allowed["tried"].values()) == {"open"}


@pytest.mark.parametrize("key", [k for k in ("fnb58", "km003c", "temper") if k in registry.specs()])
def test_other_interfaces_of_a_composite_meter(plugs: Guest, key: str) -> None:
    figures = plugs.run("other_interfaces", key=key)
    _told(key, figures)
    assert all(figures["drivers"])
    assert figures["resets"] == 0


def test_the_kernels_own_driver_reads_the_emulated_km003c(plugs: Guest) -> None:
    """A driver that nobody here wrote agrees with the emulator, and gets the meter back from ours."""
    if plugs.without_powerz:
        pytest.skip(f"the guest has no powerz driver: {plugs.without_powerz}")
    figures = plugs.run("powerz_hwmon", key="km003c", most_s=400)
    _told("km003c by the kernel's powerz", figures)
    assert figures["by_our_hwmon_meter"]["discovered_as"]
    expected = figures["expected"]
    for values in (figures["values"], figures["again"]):
        read = {name.split()[-1]: value for name, value in values.items()}
        assert abs(read["VBUS"] - expected["volts"] * 1000) <= 2  # mV
        assert abs(abs(read["IBUS"]) - expected["amps"] * 1000) <= 2  # mA
        assert abs(read["TEMP"] - expected["celsius"] * 1000) <= 100  # millidegrees


@pytest.mark.parametrize("key", SOME)
def test_replugs_through_the_kernel(plugs: Guest, key: str) -> None:
    cycles = CYCLES
    figures = plugs.run("replugs", key=key, cycles=cycles, most_s=400)
    _told(f"{key} replugged", figures)
    noticed, back = figures["noticed_s"], figures["back_after_kernel_s"]
    leaks = {name: figures[name] for name in ("handles", "threads")}
    record(
        f"unplug / replug through a real kernel, {key}",
        "noticed <= 1 s, streaming <= 2 s after the kernel has the device, nothing leaked",
        f"{cycles} cycles under TCG: noticed in {noticed:.2f} s, streaming in {back:.2f} s at worst; "
        + ", ".join(f"{n:+d} {what}" for what, n in leaks.items()),
        noticed <= 1.0 and back <= 2.0 and not any(n > 0 for n in leaks.values()),
    )
    assert figures["reconnects"] == cycles
    assert not any(n > 0 for n in leaks.values())
