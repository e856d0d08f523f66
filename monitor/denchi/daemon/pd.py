"""USB Power Delivery for the API: lines of messages, capabilities, identity, and the unit's own temperature.

Everything here makes plain dicts from messages and the tracker; texts from outside are cleaned. What was
never told is null or absent, never 0: most phones ask a power bank for nothing of this.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from denchi.text import clean
from denchi_protocol.codec import PdMessage
from denchi_protocol.samples import SampleBlock
from denchi_protocol.usb_pd import Decoder, Message, decode
from denchi_protocol.usb_pd.blocks import TEMPERATURE_STATUS, StatusBlock
from denchi_protocol.usb_pd.contract import Contract
from denchi_protocol.usb_pd.objects import OtherPdo, Pdo
from denchi_protocol.usb_pd.partner import Partner
from denchi_protocol.usb_pd.tracker import ContractTracker, PdEvent

ROLE: Final = "pd"
"""Role under which the unit's own temperature is kept: an instrument of its own."""
CHANNEL: Final = "temp_mc.pd"
MAX_EVENTS: Final = 50
MAX_CACHED: Final = 16
PAGE: Final = 5000
MAX_SUMMED: Final = 100_000
QUIET_EVENTS: Final = frozenset(("capabilities", "status"))
"""Events that the state shows in another place."""


def unit_role(meter_position: str) -> str:
    """Which side of the connection the unit is: a meter at its input sees it as the sink."""
    return "sink" if meter_position == "input" else "source"


# -- the unit's own temperature ------------------------------------------------------------------


def status_block(message: PdMessage, role: str = "source") -> SampleBlock | None:
    """The temperature that a Status message tells, as one sample of ``temp_mc.pd``.

    None unless the message is a whole Status of ``role`` with a temperature: 0 means "not supported"
    and 1 "below 2 degC" (usb_pd.md §3), which are no readings. A message with a wrong CRC is none.
    """
    told = decode(message)
    if told.power_role != role or told.sop != "SOP" or not isinstance(told.payload, StatusBlock):
        return None
    celsius = told.payload.temperature_c
    return None if celsius is None else SampleBlock.from_si([message.t_ns], {CHANNEL: [celsius]})


# -- lines -----------------------------------------------------------------------------------------


def message_line(told: Message, t_ns: int) -> dict[str, Any]:
    """The decode line of DESIGN.md §6 with ``t_ns``; texts cleaned."""
    line = {"t_ns": t_ns} | told.to_json()
    line["fields"] = {
        k: clean(v, 60) if k == "manufacturer" else v for k, v in line["fields"].items()
    }
    return line


def message_lines(messages: Iterable[PdMessage], decoder: Decoder) -> list[dict[str, Any]]:
    """Lines of messages in their order; ``decoder`` carries what the later ones need of the earlier."""
    return [message_line(decoder.feed(m), m.t_ns) for m in messages]


class PdReader(Protocol):
    """The journal's reading side."""

    def pd(self, session_id: str, after: int = 0, limit: int = 500) -> tuple[list[PdMessage], int]:
        """PD messages behind number ``after``, and the number to go on from."""
        ...


class PdPages:
    """Pages of stored messages; one who pages on gets requests read against earlier pages' offers.

    A page asked for out of order begins without a past: its requests then say that their
    capabilities were not seen. The decoders of the last 16 page ends are kept.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: OrderedDict[tuple[str, int], Decoder] = OrderedDict()

    def page(self, reader: PdReader, session_id: str, after: int, limit: int) -> dict[str, Any]:
        """The ``/pd`` answer: ``messages`` and ``next``."""
        rows, end = reader.pd(session_id, after, limit)
        with self._lock:
            known = self._ends.get((session_id, after)) if after else None
            decoder = Decoder() if known is None else known.copy()
        lines = message_lines(rows, decoder)
        with self._lock:
            self._ends[(session_id, end)] = decoder
            self._ends.move_to_end((session_id, end))
            while len(self._ends) > MAX_CACHED:
                self._ends.popitem(last=False)
        return {"messages": lines, "next": end}


# -- the state of one bench ------------------------------------------------------------------------


class PdView:
    """What the PD page shows of one session. ``unit_role``: the side on which the unit sits."""

    def __init__(self, unit_role: str = "source") -> None:
        self.tracker = ContractTracker()
        self.unit_role = unit_role
        self.messages = 0
        self.events: deque[PdEvent] = deque(maxlen=MAX_EVENTS)

    def feed(self, message: PdMessage) -> dict[str, Any]:
        """Take the next message; returns its line."""
        self.messages += 1
        found = self.tracker.feed(message)
        self.events.extend(e for e in found if e.kind not in QUIET_EVENTS)
        assert self.tracker.last is not None
        return message_line(self.tracker.last, message.t_ns)

    def state(self) -> dict[str, Any] | None:
        """The ``pd`` object of docs/api.md; None before the first message."""
        if not self.messages:
            return None
        tracker, unit = self.tracker, self.tracker.partner(self.unit_role)
        other = "source" if self.unit_role == "sink" else "sink"
        contract = tracker.contract
        return {
            "messages": self.messages,
            "epr": tracker.epr,
            "contract": contract_line(contract),
            "capabilities": capability_rows(
                tracker.capabilities or (contract.pdos if contract else ()),
                contract.position if contract and contract.pdos == tracker.capabilities else None,
            ),
            "sink_capabilities": capability_rows(tracker.sink_capabilities, None),
            "identity": {
                "unit": identity_line(unit),
                "other": identity_line(tracker.partner(other)),
                "cable": identity_line(tracker.partner("cable")),
            },
            "batteries": battery_rows(unit),
            "status": status_line(unit),
            "events": [event_line(e) for e in self.events],
        }


def capability_rows(pdos: Sequence[Pdo], active: int | None) -> list[dict[str, Any]]:
    """The capabilities' table; gaps of an EPR list are left out, positions stay."""
    return [
        {"position": i, "kind": p.KIND, "text": p.text, "active": i == active}
        for i, p in enumerate(pdos, 1)
        if not (isinstance(p, OtherPdo) and not p.reserved)
    ]


def contract_line(contract: Contract | None) -> dict[str, Any] | None:
    """The contract as the messages tell it."""
    if contract is None:
        return None
    return {
        "kind": contract.kind,
        "voltage_v": contract.voltage_v,
        "current_a": contract.current_a,
        "power_w": contract.power_w,
        "low_v": contract.low_v,
        "high_v": contract.high_v,
        "position": contract.position,
        "since_ns": contract.since_ns,
        "transition_until_ns": contract.transition_until_ns,
        "mismatch": contract.mismatch,
        "text": contract.pdo.text if contract.pdo is not None else None,
    }


def identity_line(partner: Partner) -> dict[str, Any] | None:
    """What a side says of itself; None when it said nothing. A hint, never the recall check's proof."""
    told = partner.identity()
    if not told:
        return None
    if "manufacturer" in told:
        told["manufacturer"] = clean(told["manufacturer"], 40)
    return told | {"told_by": list(partner.told_by)}


def battery_rows(partner: Partner) -> list[dict[str, Any]]:
    """Batteries that the unit speaks of; ``state_of_health`` is last full / design."""
    return [
        {
            "battery": b.reference,
            "design_wh": b.design_wh,
            "last_full_wh": b.last_full_wh,
            "state_of_health": None if b.health is None else round(b.health, 4),
            "present_wh": b.present_wh,
            "state": b.state,
            "t_ns": max(b.capabilities_ns or 0, b.status_ns or 0),
        }
        for b in partner.batteries.values()
    ]


def status_line(partner: Partner) -> dict[str, Any] | None:
    """The unit's last Status; None when it sent none."""
    status = partner.status
    if status is None:
        return None
    return {
        "t_ns": partner.status_ns,
        "temperature_c": status.temperature_c,
        "temperature_status": TEMPERATURE_STATUS[status.temperature_status],
        "events": [name for name in ("ocp", "otp", "ovp") if getattr(status, name)],
        "internal_battery": status.internal_battery,
        "external_power": status.external_power,
        "limited_by_temperature": status.limited_by_temperature,
    }


def event_line(event: PdEvent) -> dict[str, Any]:
    """An event; raw bytes as hexadecimal."""
    return {
        "t_ns": event.t_ns,
        "kind": event.kind,
        "role": event.role,
        "fields": {k: clean(v, 60) if isinstance(v, str) else v for k, v in event.fields.items()},
        "raw": event.raw.hex(),
    }


def stored_summary(reader: PdReader, session_id: str, meter_position: str) -> dict[str, Any] | None:
    """The ``pd`` object of a recorded session, from its first 100,000 messages (None: it has none)."""
    view = PdView(unit_role(meter_position))
    after = 0
    while view.messages < MAX_SUMMED:
        rows, after = reader.pd(session_id, after, PAGE)
        for message in rows:
            view.feed(message)
        if len(rows) < PAGE:
            break
    return view.state()
