"""What a user without rights sees (run as another user): discovery, and how a link is refused.

``nobody.py look KEY SERIAL``: one JSON object on stdout.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from denchi.clock import AnchoredClock
from denchi.drivers import registry
from denchi.drivers.discovery import discover
from denchi.errors import DenchiError
from denchi.locator import Locator
from denchi.transports.opening import open_transport
from denchi_protocol.codec import UsbMatch


def main(key: str, serial: str) -> None:
    assert os.geteuid() != 0
    spec = registry.get(key)
    match = next(m for m in spec.matches if isinstance(m, UsbMatch))
    seen = discover()
    tried = {}
    for backend in ("auto", "libusb", "hidapi"):
        # By serial number, as a bench is configured: that text cannot be read without rights.
        locator = Locator("usb", key, match.vid, match.pid or 0, serial)
        try:
            open_transport(spec, locator, AnchoredClock(), usb_backend=backend).close()
            tried[backend] = "open"
        except DenchiError as error:
            tried[backend] = f"{type(error).__name__}: {error}"
    print(
        json.dumps(
            {
                "found": [f.spec_key for f in seen.found if f.serial == serial],
                "unopenable": [
                    [u.spec_key, u.what, u.reason, u.cure]
                    for u in seen.unopenable
                    if u.spec_key == key
                ],
                "tried": tried,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[2], sys.argv[3])
