"""The wire between the guest's kernel and a USB/IP server, in which the lab makes its faults.

The device itself is the product's (``denchi.drivers.usbip``); pulled plugs and stalled endpoints are
made here, between the two. vhci-hcd wants nothing but a connected stream socket: one end of a
socketpair goes to the kernel, this relay holds the other and speaks to the server over TCP.
Message shapes: Documentation/usb/usbip_protocol.rst of the kernel.
"""

from __future__ import annotations

import errno
import selectors
import socket
import struct
import threading
from collections import Counter
from pathlib import Path

VHCI = Path("/sys/devices/platform/vhci_hcd.0")
VERSION = 0x0111
REQUEST_IMPORT, REPLY_IMPORT = 0x8003, 0x0003
SUBMIT, UNLINK, RETURN_SUBMIT, RETURN_UNLINK = 1, 2, 3, 4
HEAD = 48
FREE = 4
"""A port's state in vhci's status table: nothing attached."""
SUPER_SPEED = 5
CLEAR_HALT = b"\x02\x01\x00\x00"
"""CLEAR_FEATURE(ENDPOINT_HALT), to an endpoint (USB 2.0 table 9-3)."""


def exactly(channel: socket.socket, count: int) -> bytes:
    """``count`` bytes. Raises ``EOFError`` at the end of the stream."""
    data = bytearray()
    while len(data) < count:
        part = channel.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def imported(address: tuple[str, int], bus_id: str) -> tuple[socket.socket, int, int]:
    """Import a device from a server: its socket, its number and its speed (usbip's numbering)."""
    channel = socket.create_connection(address, 20)
    channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    channel.sendall(struct.pack(">HHI32s", VERSION, REQUEST_IMPORT, 0, bus_id.encode()))
    version, code, status = struct.unpack(">HHI", exactly(channel, 8))
    if (version, code, status) != (VERSION, REPLY_IMPORT, 0):
        raise OSError(f"import of {bus_id} answered {version:#x} {code:#x} {status}")
    device = exactly(channel, 312)
    bus, number, speed = struct.unpack(">III", device[288:300])
    channel.settimeout(None)
    return channel, bus << 16 | number, speed


def free_port(speed: int) -> int:
    """A port of the virtual hub with nothing in it."""
    hub = "ss" if speed == SUPER_SPEED else "hs"
    for line in (VHCI / "status").read_text(encoding="ascii").splitlines()[1:]:
        word = line.split()
        if word[0] == hub and int(word[2]) == FREE:
            return int(word[1])
    raise OSError(errno.EBUSY, "no free port at the virtual hub")


def attach(number: int, speed: int) -> socket.socket:
    """Give the kernel one end of a new socket; returns the device's end."""
    ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    order = f"{free_port(speed)} {kernels.fileno()} {number} {speed}"
    (VHCI / "attach").write_text(order, encoding="ascii")
    kernels.close()
    return ours


class Wire:
    """A plugged device's wire. Relays on a thread of its own until its process is killed: the plug is pulled."""

    def __init__(self, address: tuple[str, int], bus_id: str = "1-1") -> None:
        self._device, number, speed = imported(address, bus_id)
        self._kernel = attach(number, speed)
        self.counts: Counter[str] = Counter()
        self._stalled: set[int] = set()
        self._inward: dict[int, tuple[bool, int]] = {}
        self._thread = threading.Thread(target=self._relay, daemon=True, name="wire")
        self._thread.start()

    def stall(self, endpoint: int) -> None:
        """From now on the IN endpoint answers STALL, until the host clears its halt."""
        self._stalled.add(endpoint & 0x0F)

    def _relay(self) -> None:
        both = selectors.DefaultSelector()
        both.register(self._kernel, selectors.EVENT_READ, self._from_kernel)
        both.register(self._device, selectors.EVENT_READ, self._from_device)
        try:
            while True:
                for key, _ in both.select():
                    key.data()
        except (EOFError, OSError):
            pass
        finally:
            both.close()
            self._kernel.close()
            self._device.close()

    def _from_kernel(self) -> None:
        head = exactly(self._kernel, HEAD)
        command, seq, _, inward, endpoint = struct.unpack(">5I", head[:20])
        data = b""
        if command == SUBMIT:
            (length,) = struct.unpack(">i", head[24:28])
            data = b"" if inward or length <= 0 else exactly(self._kernel, length)
            setup = head[40:48]
            if endpoint == 0 and setup[:4] == CLEAR_HALT:
                self.counts["halts_cleared"] += 1
                self._stalled.discard(setup[4] & 0x0F)
            elif inward and endpoint in self._stalled:
                self._answer_stall(seq)
                return
            if endpoint and not inward:
                self.counts["out_bytes"] += length
                self.counts[f"out_packets {endpoint}"] += 1
            self._inward[seq] = (bool(inward), endpoint)
        self._device.sendall(head + data)

    def _from_device(self) -> None:
        head = exactly(self._device, HEAD)
        command, seq, _, _, _, status, length = struct.unpack(">5Iii", head[:28])
        data = b""
        if command == RETURN_SUBMIT:
            inward, endpoint = self._inward.pop(seq, (False, 0))
            data = exactly(self._device, length) if inward and length > 0 else b""
            if inward and endpoint:
                self.counts["in_bytes"] += len(data)
                self.counts[f"in_packets {endpoint}"] += 1
                if endpoint in self._stalled:
                    self._answer_stall(seq)
                    return
            if status:
                self.counts[f"status {status}"] += 1
        self._kernel.sendall(head + data)

    def _answer_stall(self, seq: int) -> None:
        self.counts["stalls"] += 1
        answer = struct.pack(">5I5i8x", RETURN_SUBMIT, seq, 0, 0, 0, -errno.EPIPE, 0, 0, 0, 0)
        self._kernel.sendall(answer)
