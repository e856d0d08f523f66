"""ContractTracker: from messages in their order to what is promised, said and reported.

Feed it every message that a meter shows, both directions. It keeps the contract in force with the
time its transition may take, what each side said of itself, and tells events. A renegotiation is an
event, never a fault; faults are only what a port itself reports (OCP, OTP, OVP, over-temperature),
with the raw bytes that said so.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from denchi_protocol.codec import PdMessage
from denchi_protocol.usb_pd import contract as contracts
from denchi_protocol.usb_pd.blocks import TEMPERATURE_STATUS, StatusBlock
from denchi_protocol.usb_pd.contract import Contract
from denchi_protocol.usb_pd.messages import REQUESTS, SINK_LISTS, SOURCE_LISTS, Decoder, Message
from denchi_protocol.usb_pd.notices import Alert
from denchi_protocol.usb_pd.objects import Pdo
from denchi_protocol.usb_pd.partner import Partner, learn
from denchi_protocol.usb_pd.requests import CurrentRdo, Rdo

MAX_HISTORY: Final = 1024
RETRY_NS: Final = 50_000_000
"""A message is sent three times at most, about 1 ms apart; meters stamp them when they are polled."""
OTHER: Final = {"source": "sink", "sink": "source"}
_SWAPS: Final = ("PR_Swap", "FR_Swap")
_ASKING: Final = (*REQUESTS, *_SWAPS, "DR_Swap", "VCONN_Swap", "Soft_Reset", "GotoMin")
"""Messages that an Accept can answer."""
_BATTERY_QUESTIONS: Final = ("Get_Battery_Cap", "Get_Battery_Status")
_IDENTITY: Final = (
    "Vendor_Defined",
    "Source_Capabilities_Extended",
    "Manufacturer_Info",
)


@dataclass(frozen=True, slots=True)
class PdEvent:
    """Something that happened on the CC line.

    ``kind``: ``capabilities`` ``contract`` ``rejected`` ``wait`` ``mismatch`` ``hard_reset``
    ``soft_reset`` ``role_swap`` ``epr_mode`` ``identity`` ``battery`` ``status``; ``ocp`` ``otp``
    ``ovp`` ``temperature_warning`` ``over_temperature`` ``alert`` (a port's own report);
    ``unseen_contract`` (an Accept and PS_RDY without their request); ``malformed``. ``role``: who said it.
    """

    t_ns: int
    kind: str
    role: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    raw: bytes = b""


class ContractTracker:
    """Follows one port's messages. Times never go back; nothing is raised on what messages hold."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._history: deque[Contract] = deque(maxlen=MAX_HISTORY)
        self._partners: dict[str, Partner] = {}
        self._pending: tuple[str, str | None, tuple[Rdo, Pdo | None] | None] | None = None
        self._accepted = ""
        self._asked: int | None = None
        self._last: dict[tuple[str, str | None], tuple[bytes, int]] = {}
        self.sink_capabilities: tuple[Pdo, ...] = ()
        self._detached = False
        self.epr = False
        self.last: Message | None = None
        """The message fed last, decoded (also when it was a repetition)."""

    # -- what is known ---------------------------------------------------------------------

    @property
    def contract(self) -> Contract | None:
        """The contract in force (from its Accept on); None before one was seen."""
        return self._history[-1] if self._history else None

    @property
    def capabilities(self) -> tuple[Pdo, ...]:
        """The source's last list."""
        return self._decoder.capabilities

    @property
    def requested(self) -> tuple[Rdo, Pdo | None] | None:
        """A request that waits for its answer, with the object it names."""
        return self._pending[2] if self._pending else None

    def partner(self, role: str = "source") -> Partner:
        """What ``source``, ``sink`` or ``cable`` has said about itself."""
        return self._partners.get(role, Partner())

    def at(self, t_ns: int) -> Contract | None:
        """The contract in force at ``t_ns`` (the last 1024 are kept)."""
        found = bisect_right(self._history, t_ns, key=lambda c: c.since_ns)
        return self._history[found - 1] if found else None

    def detach(self, t_ns: int) -> None:
        """VBUS is gone: what was agreed and who was there is over."""
        self._reset(t_ns, contracts.unknown(t_ns))
        self._detached = True
        self._partners.clear()
        self._decoder.capabilities = ()

    # -- feeding ---------------------------------------------------------------------------

    def feed(self, message: PdMessage) -> list[PdEvent]:
        """Take the next message; returns what it means."""
        told = self.last = self._decoder.feed(message)
        t_ns = message.t_ns
        if told.type == "Hard_Reset":
            return self._hard_reset(t_ns)
        if told.type == "Malformed":
            return [PdEvent(t_ns, "malformed", None, {"reason": told.reason}, told.raw)]
        if told.type == "GoodCRC" or self._repeated(told, t_ns):
            return []
        if told.reason is not None and told.type not in REQUESTS:
            return [PdEvent(t_ns, "malformed", told.power_role, {"reason": told.reason}, told.raw)]
        if told.sop != "SOP":
            return self._said(told, t_ns) if told.power_role == "cable" else []
        return self._control(told, t_ns) + self._lists(told, t_ns) + self._said(told, t_ns)

    def _repeated(self, told: Message, t_ns: int) -> bool:
        """The same sender's same bytes, message id included, at once: sent again for want of a GoodCRC.

        Later the same bytes are a new message: after a replug both sides count from 0 again.
        """
        key = (told.sop, told.power_role)
        wire, before_ns = self._last.get(key, (b"", 0))
        self._last[key] = (told.raw, t_ns)
        return wire == told.raw and t_ns - before_ns <= RETRY_NS

    # -- negotiation -----------------------------------------------------------------------

    def _control(self, told: Message, t_ns: int) -> list[PdEvent]:
        role, kind = told.power_role, told.type
        if kind in REQUESTS and told.payload:
            self._pending = (kind, role, told.payload)
            if told.payload[0].mismatch:
                return [PdEvent(t_ns, "mismatch", role, told.fields, told.raw)]
        elif kind in _ASKING and not told.objects:
            self._pending = (kind, role, None)
            if kind == "Soft_Reset":
                self._last.clear()
                return [PdEvent(t_ns, "soft_reset", role)]
            if kind == "GotoMin":
                return self._goto_min(t_ns)
        elif kind == "Accept":
            return self._accept(told, t_ns)
        elif kind in ("Reject", "Wait", "Not_Supported"):
            return self._refused(told, t_ns)
        elif kind == "PS_RDY":
            return self._ready(told, t_ns)
        elif kind == "EPR_Mode" and told.payload is not None:
            action = told.fields["action"]
            self.epr = action == "enter_succeeded" or (
                self.epr and action not in ("exit", "enter_failed")
            )
            return [PdEvent(t_ns, "epr_mode", role, told.fields)]
        return []

    def _accept(self, told: Message, t_ns: int) -> list[PdEvent]:
        pending, self._pending = self._pending, None
        if pending is None:
            self._accepted = "?" if told.power_role == "source" else ""
            return []
        self._accepted = pending[0]
        if pending[2] is not None and told.power_role == "source":
            return self._agree(pending[2], t_ns)
        if pending[0] in _SWAPS:
            return self._swap(t_ns)
        return []

    def _agree(self, request: tuple[Rdo, Pdo | None], t_ns: int) -> list[PdEvent]:
        rdo, pdo = request
        made = contracts.agreed(rdo, pdo, self.capabilities, t_ns, self.contract)
        if (now := self.contract) is not None and now.promises() == made.promises():
            return []
        self._history.append(made)
        return [PdEvent(t_ns, "contract", "source", contract_fields(made))]

    def _ready(self, told: Message, t_ns: int) -> list[PdEvent]:
        accepted, self._accepted = self._accepted, ""
        if told.power_role != "source":
            return []
        if accepted == "" and self._pending is not None and self._pending[2] is not None:
            # the Accept was lost on the way to the meter, not on the wire
            pending, self._pending = self._pending[2], None
            events = self._agree(pending, t_ns)
            self._settle(t_ns)
            return events
        if accepted == "?":
            self._history.append(contracts.unknown(t_ns, self.capabilities))
            return [PdEvent(t_ns, "unseen_contract", "source")]
        if accepted in REQUESTS or accepted == "GotoMin":
            self._settle(t_ns)
        return []

    def _settle(self, t_ns: int) -> None:
        """PS_RDY: the new voltage is there, whatever the transition might have taken."""
        if (now := self.contract) is not None and now.transition_until_ns > t_ns:
            until = min(now.transition_until_ns, t_ns + contracts.AFTER_READY_NS)
            self._history[-1] = replace(now, transition_until_ns=until)

    def _refused(self, told: Message, t_ns: int) -> list[PdEvent]:
        pending, self._pending = self._pending, None
        if pending is None or pending[0] not in REQUESTS or told.power_role != "source":
            return []
        kind = "wait" if told.type == "Wait" else "rejected"
        return [PdEvent(t_ns, kind, told.power_role)]

    def _goto_min(self, t_ns: int) -> list[PdEvent]:
        now = self.contract
        self._pending, self._accepted = None, "GotoMin"
        if now is None or not isinstance(now.request, CurrentRdo) or not now.request.give_back:
            return []
        made = replace(
            now,
            current_a=now.request.max_a,
            since_ns=t_ns,
            transition_until_ns=t_ns + contracts.SPR_TRANSITION_NS,
        )
        self._history.append(made)
        return [PdEvent(t_ns, "contract", "source", contract_fields(made))]

    def _swap(self, t_ns: int) -> list[PdEvent]:
        """Source and sink change places: the default contract of the new source holds."""
        self._partners = {OTHER.get(role, role): p for role, p in self._partners.items()}
        self._decoder.capabilities = ()
        self._reset(t_ns, contracts.default(t_ns, t_ns + contracts.SWAP_NS))
        return [PdEvent(t_ns, "role_swap")]

    def _hard_reset(self, t_ns: int) -> list[PdEvent]:
        self._reset(t_ns, contracts.default(t_ns, t_ns + contracts.HARD_RESET_NS))
        return [PdEvent(t_ns, "hard_reset")]

    def _reset(self, t_ns: int, made: Contract) -> None:
        self._detached = False
        self._pending, self._accepted, self._asked, self.epr = None, "", None, False
        self._last.clear()
        self._history.append(made)

    # -- what ports say --------------------------------------------------------------------

    def _lists(self, told: Message, t_ns: int) -> list[PdEvent]:
        if told.type in SINK_LISTS and told.payload:
            self.sink_capabilities = told.payload
        if told.type not in SOURCE_LISTS or not told.payload:
            return []
        if told.power_role == "source":
            self._offered(t_ns)
        return [PdEvent(t_ns, "capabilities", told.power_role, told.fields)]

    def _offered(self, t_ns: int) -> None:
        now = self.contract
        if now is None or self._detached:
            self._detached = False
            # Offers come before a contract, so this is 5 V; but a source may offer anew under a
            # contract that was agreed before the meter listened. The sink then answers at once.
            wait_ns = t_ns + contracts.SPR_TRANSITION_NS
            self._history.append(contracts.default(t_ns, wait_ns, self.capabilities))
        elif now.kind in ("default", "unknown"):
            self._history[-1] = replace(now, pdos=self.capabilities)

    def _said(self, told: Message, t_ns: int) -> list[PdEvent]:
        role = told.power_role or ""
        if told.type in _BATTERY_QUESTIONS:
            self._asked = told.fields.get("battery")
            return []
        if told.payload is None:
            return []
        before = self.partner(role)
        after = learn(before, told, t_ns, self._asked)
        if told.type in ("Battery_Capabilities", "Battery_Status"):
            self._asked = None
        if after is not before:
            self._partners[role] = after
        if isinstance(told.payload, StatusBlock):
            return _status_events(told, role, t_ns)
        if isinstance(told.payload, Alert):
            return _alert_events(told, role, t_ns)
        if told.type in _IDENTITY and after is not before:
            return [PdEvent(t_ns, "identity", role, after.identity(), told.raw)]
        if told.type in ("Battery_Capabilities", "Battery_Status"):
            return [PdEvent(t_ns, "battery", role, told.fields, told.raw)]
        return []


def _status_events(told: Message, role: str, t_ns: int) -> list[PdEvent]:
    status: StatusBlock = told.payload
    events = [PdEvent(t_ns, "status", role, told.fields, told.raw)]
    for kind in ("ocp", "otp", "ovp"):
        if getattr(status, kind):
            events.append(PdEvent(t_ns, kind, role, told.fields, told.raw))
    name = TEMPERATURE_STATUS[status.temperature_status]
    if name in ("warning", "over_temperature"):
        kind = "temperature_warning" if name == "warning" else name
        events.append(PdEvent(t_ns, kind, role, told.fields, told.raw))
    return events


def _alert_events(told: Message, role: str, t_ns: int) -> list[PdEvent]:
    events = [PdEvent(t_ns, "alert", role, told.fields, told.raw)]
    for kind in ("ocp", "otp", "ovp"):
        if getattr(told.payload, kind):
            events.append(PdEvent(t_ns, kind, role, told.fields, told.raw))
    return events


def contract_fields(made: Contract) -> dict[str, Any]:
    """A contract as plain values."""
    return {
        "kind": made.kind,
        "voltage_v": made.voltage_v,
        "current_a": made.current_a,
        "power_w": made.power_w,
        "low_v": made.low_v,
        "high_v": made.high_v,
        "position": made.position,
        "mismatch": made.mismatch,
    }
