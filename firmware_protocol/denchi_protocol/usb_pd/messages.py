"""USB-PD messages: decoding one, encoding one, and decoding a stream that needs its own past.

``decode`` reads one message by itself. ``Decoder`` also remembers the capabilities that a request
answers and joins chunks, so feed it everything in order. Neither raises on what came from a wire:
what cannot be read keeps its raw bytes and says why (``reason``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from denchi_protocol.codec import PdMessage
from denchi_protocol.errors import LocalProtocolError, RemoteProtocolError
from denchi_protocol.usb_pd.blocks import BLOCKS, EXTENDED_CONTROL
from denchi_protocol.usb_pd.crc import lengths
from denchi_protocol.usb_pd.extended import Assembler, extended_part
from denchi_protocol.usb_pd.header import (
    NAMES,
    RESETS,
    REVISIONS,
    SOPS,
    ExtendedHeader,
    Header,
    Kind,
    is_request,
)
from denchi_protocol.usb_pd.notices import SINGLE_OBJECTS
from denchi_protocol.usb_pd.objects import Pdo, parse_pdo, pdo_values
from denchi_protocol.usb_pd.requests import Rdo, named, parse_rdo, rdo_values
from denchi_protocol.usb_pd.vdm import identity, vdm_fields

MALFORMED: Final = "Malformed"
UNKNOWN: Final = "Unknown"
SOURCE_LISTS: Final = ("Source_Capabilities", "EPR_Source_Capabilities")
SINK_LISTS: Final = ("Sink_Capabilities", "EPR_Sink_Capabilities")
REQUESTS: Final = ("Request", "EPR_Request")


@dataclass(frozen=True, slots=True)
class Message:
    """One decoded message.

    ``type``: a name of usb_pd.md §1, ``Hard_Reset``/``Cable_Reset``, ``Unknown`` (a reserved type) or
    ``Malformed``. ``fields``: plain values for people and JSON. ``payload``: the same as typed
    objects (tuple of ``Pdo``, an ``Rdo``, a block, an ``Identity``), None where there is none.
    ``reason``: why something could not be read; ``raw`` then still holds every byte.
    """

    type: str
    sop: str
    raw: bytes
    rev: str | None = None
    id: int | None = None
    power_role: str | None = None
    data_role: str | None = None
    objects: tuple[int, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    payload: Any = None
    reason: str | None = None
    header: Header | None = None
    extended: ExtendedHeader | None = None
    data: bytes = b""
    """Data bytes of an extended message (of this chunk, or of all once they are joined)."""
    crc_ok: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """The decode line of DESIGN.md §6 (``objects`` as hexadecimal words)."""
        out: dict[str, Any] = {
            "type": self.type,
            "sop": self.sop,
            "rev": self.rev,
            "id": self.id,
            "power_role": self.power_role,
            "data_role": self.data_role,
            "objects": [hex(word) for word in self.objects],
            "fields": dict(self.fields),
        }
        if self.crc_ok is not None:
            out["crc_ok"] = self.crc_ok
        if self.reason is not None:
            out |= {"reason": self.reason, "raw": self.raw.hex()}
        return out


# -- reading -----------------------------------------------------------------------------------


def decode(
    message: PdMessage | bytes,
    sop: str = "SOP",
    *,
    capabilities: Sequence[Pdo] = (),
    crc_ok: bool | None = None,
) -> Message:
    """Decode one message without CRC. Never raises on what the bytes hold.

    ``capabilities``: the source's list that a request answers. A message whose CRC is wrong
    (``crc_ok`` False) gives no value at all.
    """
    if isinstance(message, PdMessage):
        wire, sop, crc_ok = message.wire, message.sop, message.crc_ok
    else:
        wire = bytes(message)
    if sop in RESETS:
        return Message(sop, sop, wire, crc_ok=crc_ok)
    if crc_ok is False:
        return Message(MALFORMED, sop, wire, reason="wrong CRC-32", crc_ok=False)
    if sop not in SOPS:
        return Message(MALFORMED, sop, wire, reason="unknown start of packet", crc_ok=crc_ok)
    return _read(wire, sop, tuple(capabilities) if is_request(wire) else (), crc_ok)


@lru_cache(maxsize=512)
def _read(wire: bytes, sop: str, capabilities: tuple[Pdo, ...], crc_ok: bool | None) -> Message:
    # Most of a stream are a few messages over and over (GoodCRC, keep-alive, PPS requests), and a
    # Message is never changed: each of them is read once.
    allowed = lengths(wire)
    if not allowed:
        text = f"{len(wire)} bytes are no message"
        return Message(MALFORMED, sop, wire, reason=text, crc_ok=crc_ok)
    if len(wire) not in allowed:
        text = f"{len(wire)} bytes, its header says {allowed[0]}"
        return Message(MALFORMED, sop, wire, reason=text, crc_ok=crc_ok)
    header = Header.from_word(int.from_bytes(wire[:2], "little"))
    power, data_role = header.roles(sop)
    told = Message(
        header.name or UNKNOWN,
        sop,
        wire,
        REVISIONS[header.revision],
        header.id,
        power,
        data_role,
        header=header,
        crc_ok=crc_ok,
    )
    if header.extended:
        return _extended(told)
    words = tuple(
        int.from_bytes(wire[at : at + 4], "little") for at in range(2, 2 + 4 * header.objects, 4)
    )
    told = replace(told, objects=words)
    if header.name is None:
        text = f"{header.kind} message type {header.type} is reserved"
        return replace(told, reason=text)
    if not words:
        return told
    fields, payload, reason = _data(header.name, words, sop, capabilities)
    return replace(told, fields=fields, payload=payload, reason=reason)


_Read = tuple[dict[str, Any], Any, str | None]


def _data(name: str, words: tuple[int, ...], sop: str, capabilities: Sequence[Pdo]) -> _Read:
    if name in SOURCE_LISTS or name in SINK_LISTS:
        return pdo_list(words, sink=name in SINK_LISTS)
    if name in REQUESTS:
        return _request(words, capabilities)
    if name == "Vendor_Defined":
        return vdm_fields(words, sop), identity(words, sop), None
    if (kind := SINGLE_OBJECTS.get(name)) is not None:
        block = kind.from_word(words[0])
        return block.fields(), block, None
    return {}, None, None


def pdo_list(words: Iterable[int], *, sink: bool) -> _Read:
    """Read a list of capabilities; a zero object is a gap and is left out of the shown list."""
    words = tuple(words)
    pdos = tuple(parse_pdo(word, sink=sink) for word in words)
    shown = [pdo_values(p, i, w) for i, (p, w) in enumerate(zip(pdos, words, strict=True), 1) if w]
    return {"pdos": shown}, pdos, None


def _request(words: tuple[int, ...], capabilities: Sequence[Pdo]) -> _Read:
    position = words[0] >> 28
    # An EPR_Request carries a copy of the object it names; it outranks what was seen before.
    pdo = parse_pdo(words[1]) if len(words) > 1 else named(capabilities, position)
    rdo: Rdo = parse_rdo(words[0], pdo)
    fields = rdo_values(rdo, words[0])
    if pdo is not None:
        fields["pdo"] = pdo.text
    reason = None if pdo is not None else "the capabilities that it answers were not seen"
    if pdo is None and capabilities:
        reason = f"the capabilities have no object {position}"
    return fields, (rdo, pdo), reason


def _extended(told: Message) -> Message:
    try:
        head, data = extended_part(told.raw)
    except RemoteProtocolError as error:
        return replace(told, reason=str(error))
    fields: dict[str, Any] = {
        "chunked": head.chunked,
        "chunk": head.chunk,
        "request_chunk": head.request,
        "data_size": head.size,
        "data": data.hex(),
    }
    told = replace(told, extended=head, data=data, fields=fields)
    if told.type == UNKNOWN:
        assert told.header is not None
        return replace(told, reason=f"extended message type {told.header.type} is reserved")
    whole = not head.request and head.chunk == 0 and len(data) == head.size
    return with_data(told, data) if whole else told


def with_data(told: Message, data: bytes) -> Message:
    """The extended message ``told`` with all its data, read."""
    fields: dict[str, Any] = dict(told.fields) | {"data": data.hex()}
    payload: Any = None
    try:
        if (kind := BLOCKS.get(told.type)) is not None:
            payload = kind.from_bytes(data)
            fields |= payload.fields()
        elif told.type in SOURCE_LISTS + SINK_LISTS:
            if len(data) % 4:
                raise RemoteProtocolError(f"{len(data)} bytes are no whole objects")
            words = (int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4))
            more, payload, _ = pdo_list(words, sink=told.type in SINK_LISTS)
            fields |= more
        elif told.type == "Extended_Control":
            if not data:
                raise RemoteProtocolError("no data")
            fields["control"] = EXTENDED_CONTROL.get(data[0], f"reserved {data[0]}")
        elif told.type in ("Get_Battery_Cap", "Get_Battery_Status"):
            if not data:
                raise RemoteProtocolError("no data")
            fields["battery"] = data[0]
        elif told.type == "Get_Manufacturer_Info":
            if len(data) < 2:
                raise RemoteProtocolError(f"{len(data)} bytes of data, expected 2")
            fields |= {"target": data[0], "reference": data[1]}
    except RemoteProtocolError as error:
        return replace(told, data=data, fields=fields, reason=str(error))
    return replace(told, data=data, fields=fields, payload=payload)


# -- writing -----------------------------------------------------------------------------------


def _code(kind: Kind, name: str) -> int:
    for code, known in NAMES[kind].items():
        if known == name:
            return code
    raise LocalProtocolError(f"no {kind} message {name!r}")


def encode(
    name: str,
    objects: Sequence[int] = (),
    *,
    id_: int = 0,
    revision: int = 2,
    source: bool = True,
    dfp: bool | None = None,
) -> bytes:
    """Write a control message (no objects) or a data message, without CRC.

    ``revision``: the header's code, 1 = 2.0, 2 = 3.x. ``source``: on SOP' "sent by the cable".
    """
    kind: Kind = "data" if objects else "control"
    if len(objects) > 7:
        raise LocalProtocolError(f"{len(objects)} objects, a message holds 7")
    role = source if dfp is None else dfp
    header = Header(_code(kind, name), role, revision, source, id_ & 7, len(objects), False)
    body = b"".join(int(word).to_bytes(4, "little") for word in objects)
    return header.word().to_bytes(2, "little") + body


def encode_extended(
    name: str,
    chunk: ExtendedHeader,
    data: bytes,
    *,
    id_: int = 0,
    revision: int = 2,
    source: bool = True,
    dfp: bool | None = None,
) -> bytes:
    """Write one chunk of an extended message (or a request for one), padded to whole objects."""
    body = chunk.word().to_bytes(2, "little") + data
    body += bytes(-len(body) % 4)
    count = len(body) // 4 if chunk.chunked else 0
    if count > 7:
        raise LocalProtocolError(f"{len(data)} bytes do not fit one chunk")
    role = source if dfp is None else dfp
    header = Header(_code("extended", name), role, revision, source, id_ & 7, count, True)
    return header.word().to_bytes(2, "little") + body


# -- a stream ----------------------------------------------------------------------------------


class Decoder:
    """Decodes messages in their order: requests against their capabilities, chunks joined.

    The line of a message's last chunk carries the whole message's fields.
    """

    def __init__(self) -> None:
        self.capabilities: tuple[Pdo, ...] = ()
        """The last list of the source; empty until one is seen, and after a hard reset."""
        self._assembler = Assembler()

    def copy(self) -> Decoder:
        """A decoder that goes on from the same past."""
        return deepcopy(self)

    def feed(self, message: PdMessage) -> Message:
        """Decode the next message."""
        told = decode(message, capabilities=self.capabilities)
        if told.type in RESETS or told.type == "Soft_Reset":
            self._assembler.clear()
            if told.type == "Hard_Reset":
                self.capabilities = ()
            return told
        if told.extended is not None and told.reason is None:
            told = self._join(told)
        if told.type in SOURCE_LISTS and told.payload and told.power_role == "source":
            self.capabilities = told.payload
        return told

    def _join(self, told: Message) -> Message:
        assert told.extended is not None
        whole, reason = self._assembler.feed(
            (told.sop, told.power_role, told.type), told.extended, told.data
        )
        if reason is not None:
            return replace(told, reason=reason)
        if whole is None or told.extended.chunk == 0:
            return told  # incomplete, or complete in one and read already
        return with_data(told, whole)
