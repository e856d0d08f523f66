"""Runs in the guest: takes cases from the host over a virtio port, one JSON object a line."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))


def port() -> Path:
    """The virtio port named "agent"."""
    for one in Path("/sys/class/virtio-ports").glob("*"):
        name = one / "name"
        if name.exists() and name.read_text(encoding="utf-8").strip() == "agent":
            return Path("/dev") / one.name
    raise SystemExit("no virtio port named agent")


def answer_to(request: dict[str, Any]) -> dict[str, Any]:
    """Run one case of ``cases``."""
    began = time.monotonic()
    try:
        cases = importlib.import_module("cases")
        figures = getattr(cases, request["case"])(**request["arguments"]) or {}
        return {"figures": figures, "s": time.monotonic() - began}
    except BaseException:
        log = subprocess.run(["dmesg"], capture_output=True, text=True, check=False).stdout
        return {"failed": traceback.format_exc(), "dmesg": "\n".join(log.splitlines()[-25:])}


def main() -> None:
    # A raw descriptor: a virtio port can be neither buffered nor sought.
    channel = os.open(port(), os.O_RDWR)
    uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    os.write(
        channel, json.dumps({"uptime_s": uptime, "release": os.uname().release}).encode() + b"\n"
    )
    held = b""
    while True:
        data = os.read(channel, 65536)
        if not data:
            return
        held += data
        while b"\n" in held:
            line, _, held = held.partition(b"\n")
            reply = json.dumps(answer_to(json.loads(line))).encode() + b"\n"
            while reply:
                reply = reply[os.write(channel, reply) :]


if __name__ == "__main__":
    main()
