"""What a user without rights sees (run as another user): discovery, and how a link is refused.

``nobody.py LOCATOR``: one JSON object on stdout for each line on stdin.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from denchi.clock import AnchoredClock
from denchi.drivers import registry
from denchi.drivers.discovery import discover
from denchi.errors import DenchiError
from denchi.locator import Locator
from denchi.transports.opening import open_transport


def look(locator: Locator) -> dict[str, Any]:
    """What discovery says now, and how opening ends by each way."""
    spec = registry.get(locator.spec_key)
    seen = discover()
    tried = {}
    # hidapi first: libusb takes the interface from usbhid, and the hidraw node that comes back is a new one.
    for backend in ("hidapi", "libusb") if locator.kind == "usb" else ("auto",):
        try:
            open_transport(spec, locator, AnchoredClock(), usb_backend=backend).close()
            tried[backend] = "open"
        except DenchiError as error:
            tried[backend] = f"{type(error).__name__}: {error}"
    found = [f.spec_key for f in seen.found]
    unopenable = [[u.spec_key, u.what, u.reason, u.cure] for u in seen.unopenable]
    return {"found": found, "unopenable": unopenable, "tried": tried}


def main(text: str) -> None:
    assert os.geteuid() != 0
    for _ in sys.stdin:
        print(json.dumps(look(Locator.parse(text))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
