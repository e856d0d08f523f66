"""An emulated USB device behind any USB/IP connection: control pipe, endpoints, the meter's emulator.

No I/O here: ``submit`` takes one transfer, ``answers`` gives those that have completed. What the
kernel's drivers need of the other interfaces of a composite meter (a serial port nobody speaks on, a
drive without a medium) is answered, so that they neither hang nor reset the device.
"""

from __future__ import annotations

import errno
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from denchi.drivers import usb_descriptors as usb
from denchi_protocol.codec import Emulator, MeterSpec, Send, UsbDescriptors

STALL: Final = -errno.EPIPE
UNLINKED: Final = -errno.ECONNRESET
_CBW: Final = struct.Struct("<4sII")
INQUIRY, REQUEST_SENSE = 0x12, 0x03
_INQUIRY: Final = bytes.fromhex("008004021f000000") + b"emulateddrive           0   "
_NO_MEDIUM: Final = bytes.fromhex("70000200 0000000a 00000000 3a000000 0000")
"""Sense data: not ready, medium not present."""
_IDLE_NS: Final = 1_000_000_000
"""What a serial meter says while nobody has had the port open for so long is gone."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One USB transfer as the host asked for it; ``length`` is the host's buffer on the way in."""

    number: int
    endpoint: int
    inward: bool
    length: int
    setup: bytes = bytes(8)
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """A completed transfer: ``status`` 0 or a negative errno; ``count`` bytes went either way."""

    number: int
    status: int
    data: bytes = b""
    count: int = 0


class EmulatedUsbDevice:
    """One plugged-in device: a new one is made for every plug, as power comes over the same plug."""

    def __init__(self, spec: MeterSpec, emulator: Emulator, now_ns: Callable[[], int]) -> None:
        assert spec.descriptors is not None
        self.spec = spec
        self.descriptors: UsbDescriptors = spec.descriptors
        self.emulator = emulator
        self._now_ns = now_ns
        endpoints = [
            e.address for i in self.descriptors.interfaces if i.speaks for e in i.endpoints
        ]
        self._in = {a & 15 for a in endpoints if a & 0x80}
        self._out = {a & 15 for a in endpoints if not a & 0x80}
        storage = [i for i in self.descriptors.interfaces if i.usb_class == usb.CLASS_STORAGE]
        self._drive_in = {e.address & 15 for i in storage for e in i.endpoints if e.address & 0x80}
        self._drive_out = {e.address & 15 for i in storage for e in i.endpoints if e.address < 0x80}
        self._known = {e.address for i in self.descriptors.interfaces for e in i.endpoints}
        self._waiting: dict[int, deque[Transfer]] = {}
        self._left = b""  # of a packet longer than the host's buffer
        self._drive: deque[bytes] = deque()
        self._line = struct.pack("<IBBB", 9600, 0, 0, 8)
        self._configured = 1
        self._heard_ns = now_ns()

    # -- transfers ---------------------------------------------------------------------------

    def submit(self, transfer: Transfer) -> Answer | None:
        """Take one transfer; None: it waits (for the meter to say something, or for ever)."""
        number, endpoint = transfer.number, transfer.endpoint
        if endpoint == 0:
            reply = self.control(transfer.setup, transfer.data)
            if reply is None:
                return Answer(number, STALL)
            if transfer.inward:
                reply = reply[: transfer.length]
                return Answer(number, 0, reply, len(reply))
            return Answer(number, 0, count=len(transfer.data))
        if endpoint | (0x80 if transfer.inward else 0) not in self._known:
            return Answer(number, STALL)
        if transfer.inward:
            self._waiting.setdefault(endpoint, deque()).append(transfer)
            return None
        if endpoint in self._out:
            self.emulator.receive(transfer.data, self._now_ns())
        elif endpoint in self._drive_out:
            self._drive_command(transfer.data)
        return Answer(number, 0, count=len(transfer.data))

    def unlink(self, number: int) -> bool:
        """Give up a waiting transfer; False when it is not waiting (any more)."""
        for queue in self._waiting.values():
            for transfer in queue:
                if transfer.number == number:
                    queue.remove(transfer)
                    return True
        return False

    def answers(self) -> tuple[list[Answer], int]:
        """Transfers that are complete now, and when to look again (the meter's time, ns)."""
        done = []
        for endpoint in self._drive_in:
            queue = self._waiting.get(endpoint)
            while queue and self._drive:
                done.append(_filled(queue.popleft(), self._drive.popleft())[0])
        until = self._now_ns() + _IDLE_NS
        for endpoint in self._in:
            more, until = self._spoken(endpoint)
            done += more
        return done, until

    def _spoken(self, endpoint: int) -> tuple[list[Answer], int]:
        done: list[Answer] = []
        queue = self._waiting.get(endpoint, deque())
        now = self._now_ns()
        if not queue:
            self._unheard(now)
            return done, now + _IDLE_NS
        self._heard_ns = now
        while queue:
            if not self._left:
                action = self.emulator.next(now)
                if not isinstance(action, Send):
                    return done, action.until_ns
                self._left = action.data
            answer, self._left = _filled(queue.popleft(), self._left)
            done.append(answer)
        return done, now

    def _unheard(self, now: int) -> None:
        # A HID meter keeps what nobody reads (its emulator knows how much); a serial one loses it.
        if self.spec.transport.kind != "serial" or now - self._heard_ns < _IDLE_NS:
            return
        self._left = b""
        for _ in range(4096):
            if not isinstance(self.emulator.next(now), Send):
                return

    def _drive_command(self, wrapper: bytes) -> None:
        """Answer a mass-storage command as a drive without a medium (bulk-only transport §5, SPC §6).

        The kernel's drive driver resets the whole device, meter and all, when what is a drive's duty
        (INQUIRY, REQUEST SENSE) fails.
        """
        if len(wrapper) != 31 or wrapper[:4] != b"USBC":
            return  # the data of a command that is refused
        _, tag, length = _CBW.unpack_from(wrapper)
        data = {INQUIRY: _INQUIRY, REQUEST_SENSE: _NO_MEDIUM}.get(wrapper[15])
        if length and wrapper[12] & 0x80:
            self._drive.append((data or b"")[:length])
        left = length - len((data or b"")[:length])
        self._drive.append(struct.pack("<4sIIB", b"USBS", tag, left, 0 if data else 1))

    # -- the control pipe --------------------------------------------------------------------

    def control(self, setup: bytes, data: bytes) -> bytes | None:
        """Answer a control request; None is a stall."""
        kind, request, value, index, _ = struct.unpack("<BBHHH", setup)
        if kind & 0x60 == 0:
            return self._standard(kind, request, value, index)
        if kind & 0x60 == 0x20:
            return self._class(kind, request, index, data)
        return None

    def _standard(self, kind: int, request: int, value: int, index: int) -> bytes | None:
        if request == 6 and kind & 0x80:
            return self._descriptor(value >> 8, value & 0xFF, index)
        if request == 9:
            self._configured = value & 0xFF
        return {
            0: b"\0\0",  # GET_STATUS
            8: bytes((self._configured,)),
            10: b"\0",  # GET_INTERFACE
            1: b"", 3: b"", 5: b"", 9: b"", 11: b"",
        }.get(request)  # fmt: skip

    def _descriptor(self, kind: int, number: int, index: int) -> bytes | None:
        if kind == usb.DEVICE:
            return usb.device_descriptor(self.descriptors)
        if kind == usb.CONFIGURATION:
            return usb.configuration(self.descriptors) if number == 0 else None
        if kind == usb.STRING:
            return usb.string(self.descriptors, number)
        spoken = [i for i in self.descriptors.interfaces if i.number == index]
        if not spoken or spoken[0].usb_class != usb.CLASS_HID:
            return None
        return {usb.HID: usb.hid(spoken[0]), usb.HID_REPORT: usb.report(spoken[0])}.get(kind)

    def _class(self, kind: int, request: int, index: int, data: bytes) -> bytes | None:
        interface = next((i for i in self.descriptors.interfaces if i.number == index & 0xFF), None)
        if interface is None or kind & 0x1F != 1:
            return None
        if interface.usb_class == usb.CLASS_HID:
            if request == 0x09 and interface.speaks:  # SET_REPORT: as if sent to the endpoint
                self.emulator.receive(data, self._now_ns())
            return b"" if request in (0x09, 0x0A, 0x0B) else None
        if interface.usb_class == usb.CLASS_CDC:
            if request == 0x20:
                self._line = data[:7].ljust(7, b"\0")
            return self._line if request == 0x21 else b"" if request in (0x20, 0x22, 0x23) else None
        if interface.usb_class == usb.CLASS_STORAGE:
            if request == 0xFF:  # reset of the drive alone
                self._drive.clear()
            return {0xFE: b"\0", 0xFF: b""}.get(request)
        return None


def _filled(transfer: Transfer, packet: bytes) -> tuple[Answer, bytes]:
    data = packet[: transfer.length]
    return Answer(transfer.number, 0, data, len(data)), packet[len(data) :]
