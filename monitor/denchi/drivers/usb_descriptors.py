"""Descriptor bytes of an emulated USB device, from the declarative ``UsbDescriptors`` of a spec.

Sources: USB 2.0 §9.6, HID 1.11 §6.2, CDC 1.2 §5.2.3, Interface Association ECN.
"""

from __future__ import annotations

import struct
from typing import Final

from denchi_protocol.codec import EndpointDescriptor, InterfaceDescriptor, UsbDescriptors

DEVICE, CONFIGURATION, STRING, INTERFACE, ENDPOINT, ASSOCIATION = 1, 2, 3, 4, 5, 11
HID, HID_REPORT, CDC_FUNCTION = 0x21, 0x22, 0x24
CLASS_CDC, CLASS_HID, CLASS_STORAGE, CLASS_CDC_DATA = 0x02, 0x03, 0x08, 0x0A
FULL_SPEED: Final = 2
HIGH_SPEED: Final = 3
ENGLISH: Final = 0x0409

KEYBOARD_PROTOCOL: Final = 1
_KEYBOARD: Final = bytes.fromhex(
    "05010906a101"  # generic desktop, keyboard, collection: application
    "050719e029e7150025017501950881029501750881019506750815002565050719002965" "8100c0"
)  # fmt: skip
"""A keyboard with boot reports (HID 1.11, appendix E.6, without its lights)."""


def report(interface: InterfaceDescriptor) -> bytes:
    """The HID report descriptor: unnumbered vendor reports of a packet's size each way, or a keyboard."""
    if interface.protocol == KEYBOARD_PROTOCOL:
        return _KEYBOARD
    size = bytes((max(e.packet_bytes for e in interface.endpoints),))
    return (
        bytes.fromhex("0600ff0901a101")  # usage page: vendor; usage 1; collection: application
        + bytes.fromhex("150026ff00750895")  # 0..255, 8 bits, count:
        + size
        + bytes.fromhex("0902810209039102c0")  # in, out
    )


def speed(device: UsbDescriptors) -> int:
    """The kernel's number of the device's speed: high when a bulk endpoint needs it, else full."""
    large = any(
        e.kind == "bulk" and e.packet_bytes > 64 for i in device.interfaces for e in i.endpoints
    )
    return HIGH_SPEED if large else FULL_SPEED


def device_descriptor(device: UsbDescriptors) -> bytes:
    """The 18 bytes of a device descriptor."""
    # A function that spans interfaces needs the class that says so (association ECN).
    several = _has_association(device) and device.device_class == 0
    classes = (
        (0xEF, 2, 1) if several or device.device_class == 0xEF else (device.device_class, 0, 0)
    )
    return struct.pack(
        "<BBHBBBBHHHBBBB",
        18, DEVICE, 0x0200, *classes, 64, device.vid, device.pid, device.bcd_device, 1, 2, 3, 1,
    )  # fmt: skip


def configuration(device: UsbDescriptors) -> bytes:
    """The configuration with all its interfaces: 100 mA, powered by the bus."""
    body = b"".join(_interface(device, interface) for interface in device.interfaces)
    head = struct.pack(
        "<BBHBBBBB", 9, CONFIGURATION, 9 + len(body), len(device.interfaces), 1, 0, 0x80, 50
    )
    return head + body


def string(device: UsbDescriptors, index: int) -> bytes | None:
    """A string descriptor; 0 names the one language. None: there is no such string."""
    if index == 0:
        return struct.pack("<BBH", 4, STRING, ENGLISH)
    texts = (device.manufacturer, device.product, device.serial)
    if index > len(texts):
        return None
    data = texts[index - 1].encode("utf-16-le")[:252]
    return bytes((len(data) + 2, STRING)) + data


def hid(interface: InterfaceDescriptor) -> bytes:
    """The HID descriptor that stands between interface and endpoints."""
    return struct.pack("<BBHBBBH", 9, HID, 0x0111, 0, 1, HID_REPORT, len(report(interface)))


def _has_association(device: UsbDescriptors) -> bool:
    return len(device.interfaces) > 2 and any(i.usb_class == CLASS_CDC for i in device.interfaces)


def _interface(device: UsbDescriptors, interface: InterfaceDescriptor) -> bytes:
    out = b""
    if interface.usb_class == CLASS_CDC and _has_association(device):
        out += bytes(
            (
                8,
                ASSOCIATION,
                interface.number,
                2,
                CLASS_CDC,
                interface.subclass,
                interface.protocol,
                0,
            )
        )
    out += bytes(
        (9, INTERFACE, interface.number, 0, len(interface.endpoints), interface.usb_class,
         interface.subclass, interface.protocol, 0)
    )  # fmt: skip
    if interface.usb_class == CLASS_HID:
        out += hid(interface)
    if interface.usb_class == CLASS_CDC:
        data = interface.number + 1
        out += bytes((5, CDC_FUNCTION, 0, 0x10, 0x01))  # CDC 1.10
        out += bytes((5, CDC_FUNCTION, 1, 0, data))  # no call management
        out += bytes((4, CDC_FUNCTION, 2, 2))  # line coding and state
        out += bytes((5, CDC_FUNCTION, 6, interface.number, data))
    return out + b"".join(_endpoint(e, speed(device)) for e in interface.endpoints)


def _endpoint(endpoint: EndpointDescriptor, device_speed: int) -> bytes:
    interval = 0
    if endpoint.kind == "interrupt":
        interval = max(1, min(255, endpoint.interval_ms))
        if device_speed == HIGH_SPEED:  # 2^(n-1) microframes of 125 us
            interval = max(1, min(16, (interval * 8).bit_length()))
    kind = 3 if endpoint.kind == "interrupt" else 2
    return struct.pack(
        "<BBBBHB", 7, ENDPOINT, endpoint.address, kind, endpoint.packet_bytes, interval
    )
