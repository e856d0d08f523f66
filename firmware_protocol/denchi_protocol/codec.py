"""What every family keeps: the Codec protocol, its events, the Emulator, and MeterSpec.

A **codec** is the host's side of a wire: it says what to send and when, and turns what arrives
into events. An **emulator** is the device's side of the same wire, written from the protocol page
and not from the codec. Neither does I/O or knows a clock: ``now_ns`` / ``t_ns`` are arguments
(UTC ns of the session's clock; a codec only ever uses differences and passes stamps on).

The driving loop is the same for all families::

    action = codec.next(now)          # Send(data): write it, ask again; Wait(until): read until then
    events = codec.feed(data, t)      # whatever a read returned, in any chunking
    ...
    action = codec.close(now)         # on the way out, until Done

Models: h11 (events out of bytes, no I/O), aiobmsble (one declarative spec a device).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.samples import Int64s, SampleBlock

Frames = NDArray[np.uint8]
"""A run of equal-length frames, (n, length) uint8."""

# -- what a codec asks for ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Write ``data`` to the device now, then ask ``next`` again."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to send before ``until_ns`` (ask again then, or after a ``feed``)."""

    until_ns: int


@dataclass(frozen=True, slots=True)
class Done:
    """Closing is complete: the device may be released."""


Action: TypeAlias = Send | Wait
Closing: TypeAlias = Send | Wait | Done

# -- what a codec tells ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PdMessage:
    """One USB Power Delivery message as it stood on the wire.

    ``wire``: header and objects, little-endian, without SOP and CRC. ``sop``: ``SOP`` ``SOP'``
    ``SOP''`` ``SOP'_Debug`` ``SOP''_Debug``, or ``Hard_Reset`` / ``Cable_Reset`` (``wire`` empty).
    ``crc_ok``: None where the meter strips the CRC.
    """

    t_ns: int
    sop: str
    wire: bytes
    crc_ok: bool | None = None


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """What the instrument says about itself. All of it is untrusted text from outside."""

    t_ns: int
    maker: str | None = None
    model: str | None = None
    serial: str | None = None
    firmware: str | None = None
    hardware: str | None = None
    fields: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What a frame tells beside its samples.

    ``values``: counters and states in named units (``energy_wh``, ``capacity_ah``, ``soc_pct``,
    ``full_ah``, ``design_ah``, ``cycles`` ...). ``flags``: raised protection or status flags by
    name (``cell_over_voltage`` ...), empty when the frame reports flags and none is raised;
    None when the frame does not speak of flags.
    """

    t_ns: int
    values: Mapping[str, float] = field(default_factory=dict)
    flags: tuple[str, ...] | None = None
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class MeterGap:
    """Samples that the meter itself shows to be lost (sequence numbers), never interpolated."""

    start_ns: int
    end_ns: int
    lost: int
    cause: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Bytes that did not become a value, and why (``data`` is cut to 64 bytes)."""

    t_ns: int
    reason: str
    data: bytes = b""

    MAX_SHOWN: Final = 64

    def __post_init__(self) -> None:
        if len(self.data) > 64:
            object.__setattr__(self, "data", self.data[:64])


Event: TypeAlias = SampleBlock | PdMessage | DeviceInfo | Telemetry | MeterGap | Rejected


@runtime_checkable
class Codec(Protocol):
    """The host's side of one wire. One instance a connection; a reconnect makes a new one."""

    def next(self, now_ns: int) -> Action:
        """Say what to do now. Calling again at the same time without a ``feed`` ends in ``Wait``."""
        ...

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take what one read returned, at arrival time ``t_ns``; any chunking gives the same events.

        Never raises on what a device sends; holds at most ``buffer.MAX_HELD`` bytes.
        """
        ...

    def close(self, now_ns: int) -> Closing:
        """Works like ``next`` until ``Done``: stop commands, draining. ``feed`` may come between."""
        ...

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Decode a run of whole, checked frames (n, length) with arrival times (n,) at once.

        The one decoder of the family: ``feed`` hands it n >= 1 frames, replay and benchmarks many.
        Returns the samples in the meter's own sign, all samples of a frame stamped.
        """
        ...


# -- the device's side -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scene:
    """What a device would measure at an instant; None = there is nothing to measure there.

    Voltages in V, currents in A (positive out of the unit), temperatures in degC, energies in Wh.
    """

    vbus_v: float | None = None
    ibus_a: float | None = None
    dp_v: float | None = None
    dm_v: float | None = None
    cc1_v: float | None = None
    cc2_v: float | None = None
    meter_temp_c: float | None = None
    case_temp_c: float | None = None
    ambient_temp_c: float | None = None
    pack_v: float | None = None
    pack_a: float | None = None
    cells_v: tuple[float, ...] = ()
    cell_temps_c: tuple[float, ...] = ()
    energy_wh: float | None = None
    capacity_ah: float | None = None


class SceneSource(Protocol):
    """What stands behind an emulated meter: a simulated bank, a recording, a fixed scene."""

    def at(self, now_ns: int) -> Scene:
        """The scene at ``now_ns``; times asked for never go back by more than a frame."""
        ...

    def pd_between(self, after_ns: int, until_ns: int) -> Sequence[PdMessage]:
        """PD messages on the wire with after_ns < t_ns <= until_ns."""
        ...


@dataclass(frozen=True, slots=True)
class StillScene:
    """A SceneSource that never changes; for tests."""

    scene: Scene

    def at(self, now_ns: int) -> Scene:
        """Return the same scene at any time."""
        return self.scene

    def pd_between(self, after_ns: int, until_ns: int) -> Sequence[PdMessage]:
        """No PD messages."""
        return ()


class Emulator(Protocol):
    """The device's side of the wire, written from the protocol page, not from the codec."""

    def receive(self, data: bytes, now_ns: int) -> None:
        """Take what the host wrote (one call a packet for packet transports)."""
        ...

    def next(self, now_ns: int) -> Action:
        """``Send(data)``: the device puts one packet on the wire; ``Wait``: nothing before then."""
        ...


EmulatorFactory: TypeAlias = Callable[..., Emulator]
"""``factory(source: SceneSource, *, now_ns: int = 0, oddity: str = "", seed: int = 0)``.

``oddity`` names a modelled misbehaviour (each emulator's ``ODDITIES`` lists its own)."""

# -- how a device is found and spoken to -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UsbMatch:
    """A USB device by ids; ``product`` is a regular expression on its product string when ids are shared."""

    vid: int
    pid: int | None = None
    """None: every product id of this vendor (the frame decides)."""
    product: str | None = None
    manufacturer: str | None = None
    ambiguous: bool = False
    """Other devices use these ids too: never opened unless configured or chosen by the user."""


@dataclass(frozen=True, slots=True)
class SerialMatch:
    """A serial port by the USB ids behind it; without ids it must be named in the configuration."""

    vid: int | None = None
    pid: int | None = None
    manufacturer: str | None = None
    product: str | None = None
    ambiguous: bool = True


@dataclass(frozen=True, slots=True)
class BleMatch:
    """A Bluetooth LE device by advertised name (regular expression)."""

    name: str


@dataclass(frozen=True, slots=True)
class SysfsMatch:
    """A kernel class device: ``subsystem`` (``hwmon``, ``power_supply``, ``typec`` ...) and driver name."""

    subsystem: str
    name: str | None = None


Match: TypeAlias = UsbMatch | SerialMatch | BleMatch | SysfsMatch


@dataclass(frozen=True, slots=True)
class HidSettings:
    """USB HID, unnumbered reports. The interface is picked by class 03, never by number."""

    report_bytes: int = 64
    kind: Literal["hid"] = "hid"


@dataclass(frozen=True, slots=True)
class BulkSettings:
    """USB bulk endpoints of one interface."""

    interface: int
    ep_out: int
    ep_in: int
    read_bytes: int = 1024
    kind: Literal["bulk"] = "bulk"


@dataclass(frozen=True, slots=True)
class SerialSettings:
    """A serial line. ``byte_gap_ms``: pause the device needs between bytes sent to it."""

    baud: int
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1
    byte_gap_ms: float = 0.0
    kind: Literal["serial"] = "serial"


@dataclass(frozen=True, slots=True)
class BleSettings:
    """GATT characteristics (16-bit ids as hex); notifications are enabled before anything is sent."""

    notify: str
    write: str
    response: bool = False
    kind: Literal["ble"] = "ble"


@dataclass(frozen=True, slots=True)
class SysfsSettings:
    """A folder of attribute files. The codec sends names, one a line; the answer is ``name value`` lines."""

    period_ms: int = 1000
    kind: Literal["sysfs"] = "sysfs"


Transport: TypeAlias = HidSettings | BulkSettings | SerialSettings | BleSettings | SysfsSettings


@dataclass(frozen=True, slots=True)
class EndpointDescriptor:
    """One USB endpoint: address (bit 7 = IN), transfer type, packet size, polling interval in ms."""

    address: int
    kind: Literal["bulk", "interrupt"]
    packet_bytes: int = 64
    interval_ms: int = 1


@dataclass(frozen=True, slots=True)
class InterfaceDescriptor:
    """One USB interface; ``speaks`` marks the one whose endpoints carry the meter's protocol."""

    number: int
    usb_class: int
    subclass: int = 0
    protocol: int = 0
    endpoints: tuple[EndpointDescriptor, ...] = ()
    speaks: bool = False


@dataclass(frozen=True, slots=True)
class UsbDescriptors:
    """What an emulated device shows to a USB host; strings say "emulated"."""

    vid: int
    pid: int
    manufacturer: str
    product: str
    serial: str
    interfaces: tuple[InterfaceDescriptor, ...]
    device_class: int = 0
    bcd_device: int = 0x0100


Maturity: TypeAlias = Literal["captures", "peer reader", "synthetic only", "hardware"]
"""What a family was verified against; nobody may write ``hardware`` who has not run it on one."""


@dataclass(frozen=True, slots=True)
class MeterSpec:
    """One instrument as users know it, complete: a new one needs no edit outside its folder."""

    key: str
    """Name on the command line, lower-case model (``fnb58``)."""
    family: str
    """Folder name."""
    maker: str
    models: tuple[str, ...]
    kind: Literal["meter", "battery", "sensor"]
    matches: tuple[Match, ...]
    transport: Transport
    codec: Callable[[], Codec]
    emulator: EmulatorFactory
    channels: tuple[str, ...]
    """Channel names that its blocks can carry (``cell_uv.N`` stands for all N)."""
    temperature_place: Literal["case", "ambient", "cell", "pd", "meter"] | None
    rate_hz: float
    """Samples a second in normal use."""
    limits: Mapping[str, tuple[float, float]]
    """Physical limits by channel, SI units: values outside cannot be and become MISSING."""
    current: Literal["signed", "unsigned"]
    checksum: bool
    maturity: Maturity
    positive: Literal["wiring", "charge", "discharge"] = "wiring"
    """What a positive current means: how the meter was plugged in, or into / out of the battery."""
    descriptors: UsbDescriptors | None = None
    also: tuple[Transport, ...] = ()
    """Second ways to the same device (HID beside bulk), same codec."""
    allowed_sends: tuple[bytes, ...] = ()
    """Prefixes of every request the codec may emit; the house test holds the codec to them."""
    may_reset: bool = True
    """Whether a USB reset may wake it when it has gone silent; some meters must never be reset."""
    notes: tuple[str, ...] = ()
    """Sentences for a user at first contact (which port feeds the meter, known freezes ...)."""
    options: tuple[str, ...] = ()
    """What a locator may say behind ``?``: text arguments of ``codec``, and ``baud`` of a serial line."""

    @property
    def title(self) -> str:
        """Maker and models as people say them, the maker once."""
        models = ", ".join(self.models)
        return models if models.startswith(self.maker) else f"{self.maker} {models}"

    def codec_with(self, options: Mapping[str, str]) -> Codec:
        """The codec as a locator's options want it. Raises ``LocalProtocolError`` for a wrong one."""
        if unknown := sorted(set(options) - set(self.options)):
            known = f"known: {', '.join(self.options)}" if self.options else "it has none"
            raise LocalProtocolError(f"{self.key} has no option {unknown[0]!r}; {known}")
        chosen = {name: text for name, text in options.items() if name != "baud"}
        make: Callable[..., Codec] = self.codec
        return make(**chosen)
