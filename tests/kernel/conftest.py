"""One guest a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.lab.build import module
from kernel.lab.fetch import LabMissing, kernel
from kernel.lab.guest import Guest


@pytest.fixture(scope="session")
def lab() -> Iterator[Guest]:
    """The guest, booted at first use; skips, with the reason, where it cannot be."""
    try:
        extra, reason = _powerz()
        guest = Guest(extra)
    except LabMissing as error:
        pytest.skip(f"no USB lab here: {error}")
    guest.without_powerz = reason
    guest.powerz = extra.get("powerz", b"")
    for name in extra:
        guest.run("load", name=name)
    yield guest
    guest.close()


def _powerz() -> tuple[dict[str, bytes], str]:
    """The kernel's powerz driver, which the distribution leaves out; or why it is not to be had."""
    try:
        return {"powerz": module(kernel(), "powerz", "drivers/hwmon/powerz.c")}, ""
    except LabMissing as error:
        return {}, str(error)


@pytest.fixture
def plugs(lab: Guest) -> Iterator[Guest]:
    """The guest, with nothing left plugged in afterwards."""
    yield lab
    lab.run("clean_up")
