"""The cases, run in the guest by ``agent.py``: each returns the figures it measured."""

from __future__ import annotations

import time
from typing import Any


def imports() -> dict[str, Any]:
    """How long the driver takes to come up here."""
    began = time.monotonic()
    from denchi.drivers import registry

    return {"meters": len(registry.specs()), "import_s": time.monotonic() - began}
