"""The USB/IP server against a host of our own: list, import, control pipe, endpoints, unlink, unplug."""

from __future__ import annotations

import errno
import struct
import threading

import pytest

from denchi.drivers import registry, usbip
from denchi.errors import UsageError
from denchi_protocol.codec import BulkSettings, HidSettings, SampleBlock, Send
from drivers.usbip_client import Host, device_list

USB = sorted(k for k, s in registry.specs().items() if s.descriptors is not None)


@pytest.fixture
def serve():
    running = []

    def start(key, **options):
        server = usbip.UsbIpServer(registry.get(key), options, port=0)
        thread = threading.Thread(target=server.serve)
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.stop()
        thread.join(10)
        assert not thread.is_alive()


def split(configuration):
    """The descriptors inside a configuration."""
    at, found = 0, []
    while at < len(configuration):
        length = configuration[at]
        assert length >= 2, "a descriptor without length would hang a host"
        found.append(configuration[at : at + length])
        at += length
    assert at == len(configuration)
    return found


@pytest.mark.parametrize("key", USB)
def test_enumeration(serve, key):
    """What is listed, imported and read from the control pipe is what the spec declares."""
    declared = registry.get(key).descriptors
    server = serve(key)
    assert server.address[0] == "127.0.0.1"
    ((record, interfaces),) = device_list(server.address)
    assert [tuple(i[:3]) for i in interfaces] == [
        (i.usb_class, i.subclass, i.protocol) for i in declared.interfaces
    ]
    host = Host(server.address)
    assert host.status == 0
    assert host.record == record
    assert struct.unpack_from(">HHH", record, 300) == (
        declared.vid,
        declared.pid,
        declared.bcd_device,
    )
    device = host.descriptor(1, length=18)
    assert struct.unpack_from("<HHH", device, 8) == (
        declared.vid,
        declared.pid,
        declared.bcd_device,
    )
    (total,) = struct.unpack_from("<H", host.descriptor(2, length=9), 2)
    configuration = host.descriptor(2, length=total)
    assert len(configuration) == total
    parts = split(configuration)
    assert [p[2] for p in parts if p[1] == 5] == [
        e.address for i in declared.interfaces for e in i.endpoints
    ]
    texts = [host.descriptor(3, n)[2:].decode("utf-16-le") for n in (1, 2, 3)]
    assert texts == [declared.manufacturer, declared.product, declared.serial]
    assert "emulated" in " ".join(texts).lower()
    assert host.descriptor(3, 9) is None
    for interface in declared.interfaces:
        if interface.usb_class == 3:
            begin = next(n for n, p in enumerate(parts) if p[1] == 4 and p[2] == interface.number)
            hid = next(p for p in parts[begin:] if p[1] == 0x21)
            report = host.descriptor(0x22, 0, interface.number)
            assert struct.unpack_from("<H", hid, 7) == (len(report),)
            size = max(e.packet_bytes for e in interface.endpoints)
            if interface.speaks:
                assert bytes((0x75, 8, 0x95, size)) in report, "reports as long as a packet"
    for kind, request, value, index in ((0, 9, 1, 0), (1, 11, 0, 0)):
        assert host.control(kind, request, value, index)[0] == 0
    assert host.control(0x80, 8, 0, 0, 1) == (0, b"\1")
    assert host.control(0xC0, 0x55, 0, 0, 4)[0] == -errno.EPIPE, "vendor requests stall"
    host.channel.close()


def ends(spec):
    (interface,) = [i for i in spec.descriptors.interfaces if i.speaks]
    inward = next(e.address & 15 for e in interface.endpoints if e.address & 0x80)
    outward = next(e.address & 15 for e in interface.endpoints if e.address < 0x80)
    return inward, outward


@pytest.mark.parametrize("key", USB)
def test_the_codec_reads_the_meter_over_its_endpoints(serve, key):
    """The family's own codec gets samples through interrupt or bulk transfers, and drains at the end."""
    import time

    spec = registry.get(key)
    inward, outward = ends(spec)
    length = {HidSettings: 64, BulkSettings: 4096}.get(type(spec.transport), 512)
    host = Host(serve(key).address)
    codec, samples = spec.codec(), 0
    pending = host.read(inward, length)
    for _ in range(3000):
        now = time.monotonic_ns()
        action = codec.next(now)
        if isinstance(action, Send):
            assert host.write(outward, action.data) == (0, len(action.data))
            continue
        answer = host.answer(pending, timeout_s=min(0.5, max(0, action.until_ns - now) / 1e9))
        if answer is None:
            continue
        pending = host.read(inward, length)
        assert answer[0] == 0
        for event in codec.feed(answer[1], time.monotonic_ns()):
            samples += len(event) if isinstance(event, SampleBlock) else 0
        if samples >= 5:
            break
    assert samples >= 5
    host.channel.close()


def test_unlink_gives_up_a_waiting_transfer_and_knows_one_that_is_done(serve):
    host = Host(serve("fnb58").address)
    waiting = host.read(3)
    assert host.answer(host.unlink(waiting)) == (-errno.ECONNRESET, 0)
    assert waiting not in host.returned
    assert host.answer(host.unlink(waiting)) == (0, 0)
    assert host.answer(host.read(2), timeout_s=0.3) is None, "the unused serial port stays silent"
    assert host.answer(host.read(9))[0] == -errno.EPIPE, "there is no such endpoint"
    host.channel.close()


def test_set_report_reaches_the_meter_as_a_packet_does(serve):
    from denchi_protocol.meters.fnirsi.codec import command

    host = Host(serve("fnb58").address)
    assert host.control(0x21, 0x09, 0x0200, 3, data=command(0x81))[0] == 0
    status, data = host.answer(host.read(3))
    assert (status, data[:2]) == (0, b"\xaa\x03")
    host.channel.close()


def test_the_drive_of_a_composite_meter_has_no_medium(serve):
    """The kernel's storage driver would otherwise reset the whole meter; no block can be read."""
    host = Host(serve("fnb58").address)

    def ask(command, length):
        wrapper = struct.pack("<4sIIBBB", b"USBC", 0x1234, length, 0x80, 0, len(command))
        assert host.write(4, wrapper + command.ljust(16, b"\0")) == (0, 31)
        data = host.answer(host.read(4, length))[1] if length else b""
        return data, host.answer(host.read(4, 13))[1]

    data, status = ask(bytes([0x12, 0, 0, 0, 36, 0]), 36)
    assert b"emulated" in data
    assert status == struct.pack("<4sIIB", b"USBS", 0x1234, 0, 0)
    assert ask(bytes(6), 0)[1][-1] == 1, "TEST UNIT READY fails"
    sense = ask(bytes([0x03, 0, 0, 0, 18, 0]), 18)[0]
    assert (sense[2], sense[12]) == (2, 0x3A), "medium not present"
    assert ask(bytes([0x28]) + bytes(9), 512) == (
        b"",
        struct.pack("<4sIIB", b"USBS", 0x1234, 512, 1),
    )
    host.channel.close()


def test_one_host_at_a_time_and_a_replug_is_a_new_device(serve):
    server = serve("fnb58")
    first = Host(server.address)
    second = Host(server.address)
    second.channel.close()
    assert second.status == 1
    first.channel.close()
    for _ in range(200):
        second = Host(server.address)
        second.channel.close()
        if second.status == 0:
            break
        threading.Event().wait(0.05)
    assert second.status == 0


def test_what_no_host_sends_ends_the_connection_and_nothing_else(serve):
    server = serve("fnb58")
    host = Host(server.address)
    host.channel.sendall(b"\xff" * 48)
    assert host.channel.recv(1) == b""
    host.channel.close()
    assert len(device_list(server.address)) == 1


def test_a_meter_without_usb_is_refused():
    with pytest.raises(UsageError, match="no USB"):
        usbip.device_maker(registry.get("um25c"), {})
