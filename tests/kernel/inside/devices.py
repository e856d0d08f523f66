"""Emulated devices, each in a process of its own, plugged into the kernel of the machine it runs on.

``devices.py`` is a process apart from the code under test: it imports the product once and forks for
each device, so that a plug costs no start of Python. Lines of JSON on stdin, one answer a line:
``{"do": "plug", "name": N, "key": KEY, "serial": S, "options": {}}``, ``pull``, ``stall``, ``counts``.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


# -- the device's process ----------------------------------------------------------------------


def _play(channel: socket.socket, request: dict[str, Any]) -> None:
    """Plug a device in, then obey orders until the channel ends."""
    from denchi.drivers import registry

    spec = registry.get(request["key"])
    assert spec.descriptors is not None
    if request.get("serial"):
        spec = replace(spec, descriptors=replace(spec.descriptors, serial=request["serial"]))
    wire = (_direct if request["direct"] else _relayed)(spec, request["options"])
    lines = channel.makefile("rw")
    _say(lines, {"t_ns": time.monotonic_ns()})
    for line in lines:
        order = json.loads(line)
        if order["do"] == "stall":
            wire.stall(order["endpoint"])
        _say(lines, {"counts": dict(wire.counts), "t_ns": time.monotonic_ns()})


def _relayed(spec: Any, options: dict[str, str]) -> Any:
    """As ``denchi emulate --usbip`` serves it, with the lab's faulty wire between."""
    from wire import Wire

    from denchi.drivers.usbip import BUS_ID, UsbIpServer

    server = UsbIpServer(spec, options, port=0)
    threading.Thread(target=server.serve, daemon=True).start()
    return Wire(server.address, BUS_ID)


def _direct(spec: Any, options: dict[str, str]) -> None:
    """On the kernel's own socket: half the hops, for a driver that waits 5 ms and no longer."""
    from wire import attach

    from denchi.drivers.usb_descriptors import speed
    from denchi.drivers.usbip import DEVICE_ID, device_maker, serve_transfers

    device, pump = device_maker(spec, options)()
    ours = attach(DEVICE_ID, speed(spec.descriptors))
    threading.Thread(
        target=serve_transfers, args=(ours, device, pump, lambda: False), daemon=True
    ).start()


def _say(lines: Any, what: dict[str, Any]) -> None:
    lines.write(json.dumps(what) + "\n")
    lines.flush()


# -- the process that forks them -----------------------------------------------------------------


class _Device:
    def __init__(self, request: dict[str, Any]) -> None:
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            code = 1
            try:
                _play(theirs, request)
                code = 0
            except BaseException as error:
                with suppress(OSError):
                    theirs.sendall(json.dumps({"error": repr(error)}).encode() + b"\n")
            os._exit(code)
        theirs.close()
        self._channel = ours
        self._lines = ours.makefile("rw")
        self.plugged = self._answer()

    def order(self, request: dict[str, Any]) -> dict[str, Any]:
        _say(self._lines, request)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._lines.readline() or '{"error": "it has died"}')
        return answer

    def pull(self) -> dict[str, Any]:
        """The device is gone from one moment to the next, its wire with it."""
        t_ns = time.monotonic_ns()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._lines.close()
        self._channel.close()
        return {"t_ns": t_ns}


def main() -> None:
    import denchi.drivers.usbip
    from denchi.drivers import registry

    registry.specs()
    devices: dict[str, _Device] = {}
    print(json.dumps({"ready": denchi.drivers.usbip.__name__}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        name = request["name"]
        if request["do"] == "plug":
            device = _Device(request)
            answer = device.plugged
            devices[name] = device
        elif request["do"] == "pull":
            answer = devices.pop(name).pull()
        else:
            answer = devices[name].order(request)
        print(json.dumps(answer), flush=True)
    for device in devices.values():
        device.pull()


# -- what the cases use ----------------------------------------------------------------------------


class Devices:
    """The other process, as the cases see it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdin and self._process.stdout
        self._out, self._back = self._process.stdin, self._process.stdout
        self._plugged: set[str] = set()
        self._back.readline()

    def _do(self, **request: Any) -> dict[str, Any]:
        self._out.write(json.dumps(request) + "\n")
        self._out.flush()
        answer: dict[str, Any] = json.loads(self._back.readline() or '{"error": "all have died"}')
        if "error" in answer:
            raise RuntimeError(f"{request}: {answer['error']}")
        return answer

    def plug(
        self, name: str, key: str, serial: str = "", *, direct: bool = False, **options: str
    ) -> int:
        """Plug a device in; when it was done (monotonic ns). ``direct``: no faults on the wire."""
        answer = self._do(
            do="plug", name=name, key=key, serial=serial, direct=direct, options=options
        )
        self._plugged.add(name)
        return int(answer["t_ns"])

    def pull(self, name: str) -> int:
        """Pull it out; when."""
        self._plugged.discard(name)
        return int(self._do(do="pull", name=name)["t_ns"])

    def stall(self, name: str, endpoint: int) -> int:
        """Let an IN endpoint stall."""
        return int(self._do(do="stall", name=name, endpoint=endpoint)["t_ns"])

    def counts(self, name: str) -> dict[str, int]:
        """What has gone over the wire since it was plugged in."""
        counts: dict[str, int] = self._do(do="counts", name=name)["counts"]
        return counts

    def pull_all(self) -> None:
        """Leave nothing plugged in (between two cases)."""
        for name in sorted(self._plugged):
            self.pull(name)


if __name__ == "__main__":
    main()
