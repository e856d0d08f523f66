"""The real USB stack: emulated meters plugged into a real kernel, opened by our driver."""

from __future__ import annotations

import pytest

from kernel.lab.guest import Guest

pytestmark = pytest.mark.lab


def test_the_guest_runs_this_checkout(lab: Guest) -> None:
    figures = lab.run("imports")
    print(
        f"\n[lab] kernel {lab.kernel.release}, up after {lab.boot_s:.1f} s,"
        f" driver with {figures['meters']} meters imported in {figures['import_s']:.1f} s"
    )
    assert lab.hello["release"] == lab.kernel.release
    assert figures["meters"] > 0
