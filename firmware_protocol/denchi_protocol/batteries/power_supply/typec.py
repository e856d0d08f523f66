"""What Linux tells of the other side of a Type-C port: who the partner says it is, and what it offers.

Both give facts and figures, never samples: nothing here is measured. README.md beside this file.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from denchi_protocol.batteries.power_supply.attributes import Answer, Attributes, leading, parse
from denchi_protocol.codec import (
    Action,
    Closing,
    DeviceInfo,
    Done,
    Event,
    Frames,
    Rejected,
    Telemetry,
)
from denchi_protocol.fields import check_run
from denchi_protocol.samples import Int64s, SampleBlock

PARTNER: Final = (
    "type",
    "supports_usb_power_delivery",
    "usb_power_delivery_revision",
    "accessory_mode",
    "identity/id_header",
    "identity/cert_stat",
    "identity/product",
)
POSITIONS: Final = range(1, 8)
OFFERS: Final = {
    "fixed_supply": ("voltage", "maximum_current"),
    "variable_supply": ("minimum_voltage", "maximum_voltage", "maximum_current"),
    "battery": ("minimum_voltage", "maximum_voltage", "maximum_power"),
    "programmable_supply": ("minimum_voltage", "maximum_voltage", "maximum_current"),
}
TOLD: Final = {
    "voltage": "v",
    "minimum_voltage": "min_v",
    "maximum_voltage": "max_v",
    "maximum_current": "max_a",
    "maximum_power": "max_w",
}


def offer_name(position: int, kind: str, attribute: str) -> str:
    """Path of one attribute of one offer."""
    return f"source-capabilities/{position}:{kind}/{attribute}"


CAPABILITIES: Final = (
    *(
        offer_name(position, kind, attribute)
        for position in POSITIONS
        for kind, attributes in OFFERS.items()
        for attribute in attributes
    ),
    "revision",
)
_HEX: Final = re.compile(r"0x([0-9a-fA-F]{1,8})\Z")


class _FactsCodec:
    """Asks a plan of attributes every ten seconds and tells what is new."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._attributes = Attributes(lambda: names, last=names[-1], period_ms=10_000)
        self._told: list[Event] | None = None
        self._answer: Answer = {}

    def next(self, now_ns: int) -> Action:
        """Ask every ten seconds."""
        return self._attributes.next(now_ns)

    def close(self, now_ns: int) -> Closing:
        """Nothing to stop."""
        return Done()

    def feed(self, data: bytes, t_ns: int) -> list[Event]:
        """Take bytes; an answer that says something new becomes events."""
        events: list[Event] = []
        for raw in self._attributes.feed(data, t_ns):
            if isinstance(raw, Rejected):
                events.append(raw)
                continue
            answer = parse(raw)
            if self._told is None or answer != self._answer:
                self._answer, self._told = answer, self._facts(answer, t_ns)
                events += self._told
        return events

    def decode_run(self, frames: Frames, t_ns: Int64s) -> SampleBlock:
        """Facts carry no samples: a block without columns."""
        check_run(frames, t_ns)
        return SampleBlock(np.asarray(t_ns), {})

    def _facts(self, answer: Answer, t_ns: int) -> list[Event]:
        raise NotImplementedError


class PartnerCodec(_FactsCodec):
    """One ``portN-partner`` of /sys/class/typec."""

    def __init__(self) -> None:
        super().__init__(PARTNER)

    def _facts(self, answer: Answer, t_ns: int) -> list[Event]:
        fields: dict[str, str | int | float] = {
            name: answer[name] for name in PARTNER[:4] if answer.get(name)
        }
        header, product = _word(answer, "identity/id_header"), _word(answer, "identity/product")
        if header:
            fields["vid"] = header & 0xFFFF
        if product:
            fields["pid"] = product >> 16
        if certified := _word(answer, "identity/cert_stat"):
            fields["cert_stat"] = certified
        return [DeviceInfo(t_ns, model=answer.get("type"), fields=fields)]


class CapabilitiesCodec(_FactsCodec):
    """One ``pdN`` of /sys/class/usb_power_delivery: the offers of the source, as figures."""

    def __init__(self) -> None:
        super().__init__(CAPABILITIES)

    def _facts(self, answer: Answer, t_ns: int) -> list[Event]:
        values: dict[str, float] = {}
        fields: dict[str, str | int | float] = {}
        for position in POSITIONS:
            for kind, attributes in OFFERS.items():
                found = {a: leading(answer, offer_name(position, kind, a)) for a in attributes}
                known = {a: v for a, v in found.items() if v is not None}
                if known:
                    fields[f"pdo{position}"] = kind
                for attribute, value in known.items():
                    values[f"pdo{position}_{TOLD[attribute]}"] = value / 1000
        if "revision" in answer:
            fields["revision"] = answer["revision"]
        return [DeviceInfo(t_ns, fields=fields), Telemetry(t_ns, values)]


def _word(answer: Answer, name: str) -> int:
    """A 32-bit word in hex; 0 where it is not available (yet)."""
    found = _HEX.match(answer.get(name, ""))
    return int(found[1], 16) if found else 0
