"""One guest a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.lab.fetch import LabMissing
from kernel.lab.guest import Guest


@pytest.fixture(scope="session")
def lab() -> Iterator[Guest]:
    """The guest, booted at first use; skips, with the reason, where it cannot be."""
    try:
        guest = Guest()
    except LabMissing as error:
        pytest.skip(f"no USB lab here: {error}")
    yield guest
    guest.close()
