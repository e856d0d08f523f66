"""A small USB/IP host for tests: one device, transfers by number, answers in any order."""

from __future__ import annotations

import select
import socket
import struct

from denchi.drivers import usbip


def exactly(channel, size):
    data = b""
    while len(data) < size:
        more = channel.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def device_list(address):
    """(record, interfaces) of every device the server tells of."""
    with socket.create_connection(address, 10) as channel:
        channel.sendall(struct.pack(">HHI", 0x0111, 0x8005, 0))
        version, code, status, count = struct.unpack(">HHII", exactly(channel, 12))
        assert (version, code, status) == (0x0111, 0x0005, 0)
        found = []
        for _ in range(count):
            record = exactly(channel, 312)
            found.append((record, [exactly(channel, 4) for _ in range(record[311])]))
        assert channel.recv(1) == b""
    return found


class Host:
    """The host's side of one imported device."""

    def __init__(self, address=None, channel=None):
        self.number = 0
        self.returned = {}
        self.channel = channel
        if channel is None:
            self.channel = socket.create_connection(address, 10)
            bus_id = usbip.BUS_ID.encode().ljust(32, b"\0")
            self.channel.sendall(struct.pack(">HHI", 0x0111, 0x8003, 0) + bus_id)
            _, code, self.status = struct.unpack(">HHI", exactly(self.channel, 8))
            assert code == 0x0003
            self.record = exactly(self.channel, 312) if self.status == 0 else b""

    def submit(self, endpoint, inward, length, data=b"", setup=bytes(8)):
        self.number += 1
        head = struct.pack(">5I", 1, self.number, usbip.DEVICE_ID, int(inward), endpoint)
        rest = struct.pack(">Iiiii", 0, length, 0, 0, 0) + setup
        self.channel.sendall(head + rest + data)
        return self.number

    def unlink(self, victim):
        self.number += 1
        head = struct.pack(">5I", 2, self.number, usbip.DEVICE_ID, 0, 0)
        self.channel.sendall(head + struct.pack(">I24x", victim))
        return self.number

    def answer(self, number, inward=True, timeout_s=20.0):
        """(status, data or count) of a transfer; None when nothing came in time."""
        while number not in self.returned:
            if not select.select([self.channel], [], [], timeout_s)[0]:
                return None
            head = exactly(self.channel, 48)
            command, seq = struct.unpack_from(">II", head)
            status, count = struct.unpack_from(">ii", head, 20)
            data = exactly(self.channel, count) if command == 3 and seq in self.inward else count
            self.returned[seq] = (status, data)
        return self.returned.pop(number)

    inward: set[int] = frozenset()

    def read(self, endpoint, length=64):
        number = self.submit(endpoint, True, length)
        self.inward = self.inward | {number}
        return number

    def write(self, endpoint, data):
        return self.answer(self.submit(endpoint, False, len(data), data))

    def control(self, kind, request, value, index, length=0, data=b""):
        setup = struct.pack("<BBHHH", kind, request, value, index, length or len(data))
        inward = bool(kind & 0x80)
        number = self.submit(0, inward, length or len(data), data, setup)
        if inward:
            self.inward = self.inward | {number}
        return self.answer(number)

    def descriptor(self, kind, number=0, index=0, length=255):
        status, data = self.control(
            0x81 if kind > 0x20 else 0x80, 6, kind << 8 | number, index, length
        )
        return data if status == 0 else None
