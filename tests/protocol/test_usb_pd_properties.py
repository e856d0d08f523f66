"""USB-PD: what is written is read again, any chunking joins, and nothing from a wire raises."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from denchi_protocol.codec import PdMessage
from denchi_protocol.errors import LocalProtocolError
from denchi_protocol.usb_pd import Decoder, blocks, decode, encode, encode_extended, notices
from denchi_protocol.usb_pd.bits import Block, Word
from denchi_protocol.usb_pd.crc import crc_of, split_crc
from denchi_protocol.usb_pd.extended import Assembler, ask, cut
from denchi_protocol.usb_pd.header import (
    CONTROL,
    DATA,
    EXTENDED,
    RESETS,
    SOPS,
    ExtendedHeader,
    Header,
)
from denchi_protocol.usb_pd.objects import (
    BatteryPdo,
    EprAvsPdo,
    FixedPdo,
    OtherPdo,
    PpsPdo,
    SinkFixedPdo,
    SprAvsPdo,
    VariablePdo,
    parse_pdo,
)
from denchi_protocol.usb_pd.requests import (
    AvsRdo,
    CurrentRdo,
    PlainRdo,
    PowerRdo,
    PpsRdo,
)
from denchi_protocol.usb_pd.tracker import ContractTracker
from denchi_protocol.usb_pd.vdm import IdHeader, VdmHeader

PDOS: tuple[type[Word], ...] = (
    FixedPdo,
    SinkFixedPdo,
    BatteryPdo,
    VariablePdo,
    PpsPdo,
    EprAvsPdo,
    SprAvsPdo,
)
WORDS: tuple[type[Word], ...] = (
    *PDOS,
    PlainRdo,
    CurrentRdo,
    PowerRdo,
    PpsRdo,
    AvsRdo,
    notices.BatteryStatus,
    notices.Alert,
    notices.EprMode,
    notices.SourceInfo,
    notices.Revision,
    VdmHeader,
    IdHeader,
    Header,
    ExtendedHeader,
)
BLOCKS: tuple[type[Block], ...] = (
    blocks.StatusBlock,
    blocks.PpsStatusBlock,
    blocks.BatteryCapabilitiesBlock,
    blocks.SourceExtendedBlock,
)


def made(kind: type[Word], data: st.DataObject) -> Word:
    """An object with every field at any value that it can have, drawn in its own unit."""
    values: dict[str, Any] = {}
    for bits in kind.LAYOUT:
        count = data.draw(st.integers(0, (1 << bits.width) - 1), label=bits.name)
        if count == bits.unknown:
            values[bits.name] = None
        elif bits.step is None:
            values[bits.name] = bool(count) if bits.width == 1 else count
        else:
            values[bits.name] = count * bits.step[0] / bits.step[1]
    return kind(**values)


@pytest.mark.parametrize("kind", WORDS + BLOCKS, ids=lambda k: k.__name__)
@given(data=st.data())
def test_every_object_is_read_as_it_was_written(kind: type[Word], data: st.DataObject) -> None:
    value = made(kind, data)
    word = value.word()
    assert word < 1 << 8 * kind.SIZE
    assert kind.from_word(word) == value
    if issubclass(kind, Block):
        assert kind.from_bytes(value.to_bytes()) == value  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", WORDS + BLOCKS, ids=lambda k: k.__name__)
def test_layouts_do_not_overlap_and_name_every_field(kind: type[Word]) -> None:
    taken = kind.MARK_MASK
    for bits in kind.LAYOUT:
        assert not taken & bits.mask(), bits.name
        taken |= bits.mask()
    names = {bits.name for bits in kind.LAYOUT}
    assert names == set(kind.from_word(0).values())


@given(word=st.integers(0, 2**32 - 1), sink=st.booleans())
def test_every_word_is_an_object_and_stays_itself(word: int, sink: bool) -> None:
    pdo = parse_pdo(word, sink=sink)
    assert pdo.word() == word
    assert isinstance(pdo, OtherPdo) or type(pdo) in PDOS
    assert str(pdo)


@given(
    name=st.sampled_from([*CONTROL.values()]),
    id_=st.integers(0, 7),
    revision=st.integers(0, 2),
    source=st.booleans(),
    dfp=st.booleans(),
)
def test_control_messages_come_back(
    name: str, id_: int, revision: int, source: bool, dfp: bool
) -> None:
    told = decode(encode(name, id_=id_, revision=revision, source=source, dfp=dfp))
    assert (told.type, told.id, told.rev) == (name, id_, ("1.0", "2.0", "3.x")[revision])
    assert told.power_role == ("source" if source else "sink")
    assert told.data_role == ("DFP" if dfp else "UFP")


@given(
    name=st.sampled_from([*DATA.values()]),
    words=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=7),
)
def test_data_messages_come_back(name: str, words: list[int]) -> None:
    told = decode(encode(name, words))
    assert told.type == name
    assert told.objects == tuple(words)
    packet = told.raw + crc_of(told.raw)
    assert split_crc(packet) == (told.raw, True)


@given(
    name=st.sampled_from([*EXTENDED.values()]),
    data=st.binary(max_size=260),
    other=st.binary(min_size=27, max_size=260),
    requests=st.booleans(),
    again=st.booleans(),
)
def test_extended_messages_come_back_in_any_chunking(
    name: str, data: bytes, other: bytes, requests: bool, again: bool
) -> None:
    """Two senders' chunks alternate, each chunk may come twice, chunk requests lie between."""
    mine = [encode_extended(name, h, d, source=True) for h, d in cut(data)]
    theirs = [encode_extended("Security_Response", h, d, source=False) for h, d in cut(other)]
    wires: list[tuple[bytes, bool]] = []
    for i in range(max(len(mine), len(theirs))):
        for parts, is_mine in ((mine, True), (theirs, False)):
            if i >= len(parts):
                continue
            wires += [(parts[i], is_mine)] * (2 if again else 1)
            if requests and i + 1 < len(parts):
                kind = name if is_mine else "Security_Response"
                wires.append((encode_extended(kind, *ask(i + 1), source=not is_mine), False))
    decoder = Decoder()
    told = [(decoder.feed(PdMessage(i, "SOP", w)), m) for i, (w, m) in enumerate(wires)]
    whole = [m.data for m, is_mine in told if is_mine and m.data == data and not m.extended.request]
    assert whole
    if name != "Security_Response":
        assert any(m.type == "Security_Response" and m.data == other for m, _ in told)


@given(data=st.binary(max_size=260))
def test_chunks_hold_26_bytes_at_most(data: bytes) -> None:
    parts = list(cut(data))
    assert all(len(part) <= 26 for _, part in parts)
    assert b"".join(part for _, part in parts) == data
    joiner = Assembler()
    results = [joiner.feed("a", head, part)[0] for head, part in parts]
    assert results[-1] == data
    assert all(r is None for r in results[:-1])


SOP_NAMES = st.sampled_from([*SOPS, *RESETS, "?"])


@given(wire=st.binary(max_size=300), sop=SOP_NAMES, ok=st.sampled_from([None, True, False]))
def test_garbage_never_raises(wire: bytes, sop: str, ok: bool | None) -> None:
    told = decode(wire, sop, crc_ok=ok)
    told.to_json()
    assert told.raw == wire
    if told.type in ("Malformed", "Unknown"):
        assert told.reason


def shaped() -> st.SearchStrategy[bytes]:
    """Messages whose length fits their header, so that garbage gets past the first check."""

    def build(head: int, body: bytes) -> bytes:
        count = (head >> 12) & 7
        return head.to_bytes(2, "little") + body[: 4 * count].ljust(4 * count, b"\0")

    return st.builds(build, st.integers(0, 0xFFFF), st.binary(min_size=28, max_size=28))


@given(
    wires=st.lists(st.tuples(st.one_of(shaped(), st.binary(max_size=40)), SOP_NAMES), max_size=30)
)
def test_a_stream_of_garbage_never_raises(wires: list[tuple[bytes, str]]) -> None:
    tracker = ContractTracker()
    for i, (wire, sop) in enumerate(wires):
        for event in tracker.feed(PdMessage(i * 1_000_000, sop, wire)):
            assert event.kind
        assert tracker.last is not None
        tracker.last.to_json()
    now = tracker.contract
    if now is not None:
        assert now.transition_until_ns >= now.since_ns
        assert tracker.at(now.since_ns) == now


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(LocalProtocolError):
        FixedPdo(60.0, 3.0).word()
    with pytest.raises(LocalProtocolError):
        encode("Nonsense")
    with pytest.raises(LocalProtocolError):
        encode("Source_Capabilities", [0] * 8)
    with pytest.raises(LocalProtocolError):
        list(cut(bytes(261)))
