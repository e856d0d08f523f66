"""USB/IP: an emulated meter served to a USB host (``usbip attach``, or vhci_hcd with a socket).

Protocol: Documentation/usb/usbip_protocol.rst of the Linux kernel. All numbers are big-endian. The
device runs in the serving process, so that process should not be the one that reads the meter.
"""

from __future__ import annotations

import logging
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from denchi.drivers import usb_descriptors as usb
from denchi.drivers.emulation import Pump, make
from denchi.drivers.usb_device import UNLINKED, Answer, EmulatedUsbDevice, Transfer
from denchi.errors import UsageError
from denchi_protocol.codec import MeterSpec

log = logging.getLogger(__name__)

PORT: Final = 3240
VERSION: Final = 0x0111
REQ_DEVLIST, REP_DEVLIST = 0x8005, 0x0005
REQ_IMPORT, REP_IMPORT = 0x8003, 0x0003
SUBMIT, UNLINK, RET_SUBMIT, RET_UNLINK = 1, 2, 3, 4
HEADER: Final = 48
MAX_TRANSFER: Final = 1 << 20
BUS_ID: Final = "1-1"
BUS, NUMBER = 1, 2
DEVICE_ID: Final = BUS << 16 | NUMBER
_OP: Final = struct.Struct(">HHI")
_BASIC: Final = struct.Struct(">IIIII")
_SUBMIT: Final = struct.Struct(">IiiiI8s")
_LOOK_S: Final = 0.25
"""A stop is noticed within this time."""

DeviceMaker = Callable[[], tuple[EmulatedUsbDevice, Pump]]


def device_maker(spec: MeterSpec, options: dict[str, str]) -> DeviceMaker:
    """Makes a freshly plugged-in device, its emulator and its time. Raises ``UsageError`` without USB."""
    if spec.descriptors is None:
        raise UsageError(
            f"{spec.key} has no USB side of its own", cure="`--pty PATH` plays a serial meter"
        )

    def plug() -> tuple[EmulatedUsbDevice, Pump]:
        start_ns = time.time_ns()
        pump = Pump(make(spec.key, options, start_ns), start_ns, float(options.get("speed", "1")))
        return EmulatedUsbDevice(spec, pump.emulator, pump.now_ns), pump

    plug()  # a wrong scenario or oddity is told now and not at the first plug
    return plug


def device_record(spec: MeterSpec) -> bytes:
    """The 312 bytes by which a server tells of a device."""
    device = spec.descriptors
    assert device is not None
    text = f"/emulated/denchi/{spec.key}".encode().ljust(256, b"\0") + BUS_ID.encode().ljust(
        32, b"\0"
    )
    classes = usb.device_descriptor(device)[4:7]
    return (
        text
        + struct.pack(">III", BUS, NUMBER, usb.speed(device))
        + struct.pack(">HHH", device.vid, device.pid, device.bcd_device)
        + classes
        + bytes((1, 1, len(device.interfaces)))
    )


def interface_records(spec: MeterSpec) -> bytes:
    """Class, subclass, protocol and a pad byte of every interface, for the device list."""
    assert spec.descriptors is not None
    return b"".join(
        bytes((i.usb_class, i.subclass, i.protocol, 0)) for i in spec.descriptors.interfaces
    )


def serve_transfers(
    channel: socket.socket, device: EmulatedUsbDevice, pump: Pump, stopped: Callable[[], bool]
) -> None:
    """Play the device on a connected stream until the host lets go of it or ``stopped()``.

    This is what the kernel's vhci_hcd speaks on the socket it is given.
    """
    held = bytearray()
    channel.setblocking(True)
    wait_s = _LOOK_S
    while not stopped():
        if select.select([channel], [], [], min(wait_s, _LOOK_S))[0]:
            try:
                data = channel.recv(65536)
            except OSError:
                return
            if not data:
                return
            held += data
        out = bytearray()
        while (length := _command_length(held)) and len(held) >= length:
            out += _command(device, bytes(held[:length]))
            del held[:length]
        answers, until_ns = device.answers()
        for answer in answers:
            out += _returned(answer)
        wait_s = pump.seconds_until(until_ns)
        try:
            channel.sendall(out)
        except OSError:
            return


def _command_length(held: bytearray) -> int:
    """Length of the command that begins ``held``; 0 while its header is not whole.

    Raises ``ConnectionError`` for what no host sends.
    """
    if len(held) < HEADER:
        return 0
    command, _, _, inward, _ = _BASIC.unpack_from(held)
    if command == UNLINK:
        return HEADER
    (length,) = struct.unpack_from(">i", held, 24)
    if command != SUBMIT or not 0 <= length <= MAX_TRANSFER:
        raise ConnectionError(f"no USB/IP command: {bytes(held[:28]).hex()}")
    return HEADER if inward else HEADER + length


def _command(device: EmulatedUsbDevice, raw: bytes) -> bytes:
    command, number, _, inward, endpoint = _BASIC.unpack_from(raw)
    if command == UNLINK:
        (victim,) = struct.unpack_from(">I", raw, _BASIC.size)
        status = UNLINKED if device.unlink(victim) else 0
        return _BASIC.pack(RET_UNLINK, number, 0, 0, 0) + struct.pack(">i24x", status)
    _, length, _, _, _, setup = _SUBMIT.unpack_from(raw, _BASIC.size)
    transfer = Transfer(number, endpoint, bool(inward), length, setup, raw[HEADER:])
    answer = device.submit(transfer)
    return b"" if answer is None else _returned(answer)


def _returned(answer: Answer) -> bytes:
    head = _BASIC.pack(RET_SUBMIT, answer.number, 0, 0, 0)
    return head + struct.pack(">iiiii8x", answer.status, answer.count, 0, 0, 0) + answer.data


class UsbIpServer:
    """Serves one device by TCP: who asks gets the list, one host at a time gets the device."""

    def __init__(
        self, spec: MeterSpec, options: dict[str, str], host: str = "127.0.0.1", port: int = PORT
    ) -> None:
        self._spec = spec
        self._plug = device_maker(spec, options)
        self._stop = threading.Event()
        self._free = threading.Lock()
        try:
            self._listener = socket.create_server((host, port), reuse_port=False)
        except OSError as error:
            raise UsageError(
                f"{host}:{port} cannot be listened on ({error.strerror or error})",
                cure="choose another with --listen",
            ) from None
        self.address: tuple[str, int] = self._listener.getsockname()[:2]

    def serve(self) -> None:
        """Serve until ``stop``."""
        with self._listener:
            while not self._stop.is_set():
                if not select.select([self._listener], [], [], _LOOK_S)[0]:
                    continue
                try:
                    channel, _ = self._listener.accept()
                except OSError:
                    continue
                threading.Thread(target=self._client, args=(channel,), daemon=True).start()

    def stop(self) -> None:
        """End; a host that has the device loses it, as if it were unplugged."""
        self._stop.set()

    def _client(self, channel: socket.socket) -> None:
        with channel, suppress(OSError, EOFError):
            channel.settimeout(10.0)
            channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            version, code, _ = _OP.unpack(_exactly(channel, _OP.size))
            if version != VERSION:
                log.warning("a host speaks USB/IP %x, expected %x", version, VERSION)
                return
            if code == REQ_DEVLIST:
                channel.sendall(
                    _OP.pack(VERSION, REP_DEVLIST, 0)
                    + struct.pack(">I", 1)
                    + device_record(self._spec)
                    + interface_records(self._spec)
                )
            elif code == REQ_IMPORT:
                bus_id = _exactly(channel, 32).rstrip(b"\0")
                self._import(channel, bus_id)

    def _import(self, channel: socket.socket, bus_id: bytes) -> None:
        if bus_id != BUS_ID.encode() or not self._free.acquire(blocking=False):
            channel.sendall(_OP.pack(VERSION, REP_IMPORT, 1))
            return
        try:
            channel.sendall(_OP.pack(VERSION, REP_IMPORT, 0) + device_record(self._spec))
            device, pump = self._plug()
            serve_transfers(channel, device, pump, self._stop.is_set)
        finally:
            self._free.release()


def _exactly(channel: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = channel.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


__all__ = ["BUS_ID", "DEVICE_ID", "PORT", "UsbIpServer", "device_maker", "serve_transfers"]
