"""Our USB-PD decoder against an independent one: usbpdpy (MIT, bindings of the Rust crate usbpd).

Differences, and who is right by the specification (each has a test, so that a new version of theirs
that changes its mind is noticed):

* theirs cuts what a request asks for to whole volts, amperes and watts, so only those are compared
  (our exact values stand against hand-made words in test_usb_pd.py);
* theirs names an EPR AVS object without its values and knows no SPR AVS, no sink capabilities, no
  Status, battery or vendor-defined contents;
* theirs reads a position-7 gap as a fixed supply of 0 V, ours leaves it out of the shown list.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from denchi_protocol.codec import PdMessage
from denchi_protocol.usb_pd import Decoder, decode, encode, encode_extended
from denchi_protocol.usb_pd.extended import cut
from denchi_protocol.usb_pd.objects import BatteryPdo, EprAvsPdo, FixedPdo, PpsPdo, VariablePdo
from denchi_protocol.usb_pd.requests import AvsRdo, CurrentRdo, PowerRdo, PpsRdo
from protocol.wire import captures, read_capture
from support import vectors

usbpdpy: Any = pytest.importorskip(
    "usbpdpy", reason="the independent decoder usbpdpy (development only) is not installed"
)

KINDS = {
    "fixed": "FixedSupply",
    "battery": "Battery",
    "variable": "VariableSupply",
    "pps": "PPS",
    "epr_avs": "EPR_AVS",
}
ROLES = {"source": "Source", "sink": "Sink"}


def near(value: float) -> Any:
    """Theirs are 32-bit floats."""
    return pytest.approx(value, rel=1e-6)


def whole(value: float) -> int:
    """What theirs leaves of a value in a request."""
    return int(value + 1e-9)


def same_header(ours: Any, theirs: Any) -> None:
    head = theirs.header
    assert ours.type == head.message_type
    assert ours.id == head.message_id
    assert ours.header.objects == head.num_data_objects
    assert ours.header.extended == head.extended
    assert ours.header.revision == head.spec_revision
    if ours.sop == "SOP":
        assert ROLES[ours.power_role] == head.port_power_role
        assert ours.data_role == head.port_data_role.upper()


def same_pdo(ours: Any, theirs: Any) -> None:
    assert theirs.pdo_type == KINDS[ours.KIND]
    assert theirs.raw == ours.word()
    if ours.KIND == "fixed":
        assert (theirs.voltage_v, theirs.max_current_a) == (
            near(ours.voltage_v),
            near(ours.current_a),
        )
        assert theirs.dual_role_power == ours.dual_role_power
        assert theirs.unconstrained_power == ours.unconstrained
        assert theirs.usb_communications_capable == ours.usb_comm
        return
    if ours.KIND == "epr_avs":
        assert theirs.max_voltage_v is None
        return
    assert (theirs.min_voltage_v, theirs.max_voltage_v) == (near(ours.min_v), near(ours.max_v))
    if ours.KIND == "battery":
        assert theirs.max_power_w == near(ours.power_w)
    else:
        assert theirs.max_current_a == near(ours.current_a)


def same_rdo(ours: Any, theirs: Any) -> None:
    assert theirs.object_position == ours.position
    assert theirs.capability_mismatch == ours.mismatch
    assert theirs.no_usb_suspend == ours.no_suspend
    assert theirs.usb_communications_capable == ours.usb_comm
    if isinstance(ours, CurrentRdo):
        assert theirs.operating_current_a == whole(ours.operating_a)
        assert theirs.max_operating_current_a == whole(ours.max_a)
    elif isinstance(ours, PowerRdo):
        assert theirs.operating_power_w == whole(ours.operating_w)
        assert theirs.max_operating_power_w == whole(ours.max_w)
    else:
        assert theirs.operating_voltage_v == whole(ours.voltage_v)
        assert theirs.operating_current_a == whole(ours.current_a)


def same_message(ours: Any, theirs: Any) -> None:
    same_header(ours, theirs)
    if theirs.data_objects:
        shown = [p for p in ours.payload if p.word()]
        others = [p for p in theirs.data_objects if p.raw]
        for one, other in zip(shown, others, strict=True):
            same_pdo(one, other)
    if theirs.request_objects:
        (request,) = theirs.request_objects
        same_rdo(ours.payload[0], request)


def compare(messages: list[PdMessage]) -> int:
    ours, theirs, compared = Decoder(), usbpdpy.PdDecoder(), 0
    for message in messages:
        told = ours.feed(message)
        if message.sop != "SOP":  # theirs has one kind of packet and would mix them
            same_header(told, usbpdpy.PdDecoder().decode(message.wire))
            continue
        other = theirs.decode(message.wire)
        if other is not None:
            same_message(told, other)
            compared += 1
    return compared


def test_golden_messages() -> None:
    (path,) = captures("usb_pd")
    chunks = read_capture(path).received()
    # two of ten are a first chunk and a chunk request: theirs tells nothing of those; one is SOP'
    assert compare([PdMessage(c.t_ns, c.extra["sop"], c.data) for c in chunks]) == 7


def test_all_real_messages() -> None:
    sops = ("SOP", "SOP'", "SOP''")
    streams = [[(v["decoded"]["sop"], v["hex"]) for v in vectors("usb_pd")]]
    for vector in vectors("power_z"):
        parts: Any = vector["decoded"]
        for packet in parts.get("packets", []) if isinstance(parts, dict) else []:
            events = packet.get("pd", {}).get("events", [])
            streams.append([(e["sop"], e["wire"]) for e in events if e["kind"] == "pd"])
    compared = 0
    for stream in streams:
        compared += compare(
            [PdMessage(i, sops[s], bytes.fromhex(w)) for i, (s, w) in enumerate(stream)]
        )
    print(f"{compared} real messages agree with usbpdpy")
    assert compared >= 50


def volts(top: float, step: float = 0.05) -> st.SearchStrategy[float]:
    return st.integers(1, round(top / step)).map(lambda n: round(n * step, 3))


PDO = st.one_of(
    st.builds(
        FixedPdo,
        volts(51),
        volts(10, 0.01),
        dual_role_power=st.booleans(),
        unconstrained=st.booleans(),
        usb_comm=st.booleans(),
    ),
    st.builds(BatteryPdo, volts(51), volts(51), volts(250, 0.25)),
    st.builds(VariablePdo, volts(51), volts(51), volts(10, 0.01)),
    st.builds(PpsPdo, volts(25, 0.1), volts(25, 0.1), volts(6, 0.05), power_limited=st.booleans()),
    st.builds(EprAvsPdo, volts(25, 0.1), volts(51, 0.1), st.integers(1, 255).map(float)),
)


@given(pdos=st.lists(PDO, min_size=1, max_size=7), position=st.integers(1, 7), data=st.data())
def test_made_up_capabilities_and_requests(
    pdos: list[Any], position: int, data: st.DataObject
) -> None:
    position = min(position, len(pdos))
    pdo = pdos[position - 1]
    flags = {"mismatch": data.draw(st.booleans()), "no_suspend": data.draw(st.booleans())}
    a, v = data.draw(volts(5)), data.draw(volts(20, 0.1))
    rdo: Any
    if isinstance(pdo, BatteryPdo):
        rdo = PowerRdo(position, operating_w=5.0, max_w=7.25, **flags)
    elif isinstance(pdo, PpsPdo):
        rdo = PpsRdo(position, voltage_v=v, current_a=a, **flags)
    elif isinstance(pdo, EprAvsPdo):
        rdo = AvsRdo(position, voltage_v=v, current_a=a, **flags)
    else:
        rdo = CurrentRdo(position, operating_a=a, max_a=a, **flags)
    wires = [
        encode("Source_Capabilities", [p.word() for p in pdos]),
        encode("Request", [rdo.word()], source=False),
    ]
    assert compare([PdMessage(i, "SOP", w) for i, w in enumerate(wires)]) == 2


@given(words=st.lists(PDO.map(lambda p: p.word()), min_size=8, max_size=11))
def test_chunked_epr_capabilities(words: list[int]) -> None:
    data = b"".join(w.to_bytes(4, "little") for w in words)
    wires = [encode_extended("EPR_Source_Capabilities", h, d) for h, d in cut(data)]
    assert compare([PdMessage(i, "SOP", w) for i, w in enumerate(wires)]) == 1


def test_known_difference_a_gap() -> None:
    wire = encode("Source_Capabilities", [FixedPdo(5.0, 3.0).word(), 0])
    assert len(decode(wire).fields["pdos"]) == 1
    assert usbpdpy.parse_pd_message(wire).data_objects[1].pdo_type == "FixedSupply"


def test_known_difference_spr_avs() -> None:
    wire = encode("Source_Capabilities", [FixedPdo(5.0, 3.0).word(), 0xE0000000 | 300 << 10])
    assert decode(wire).payload[1].current_15v_a == 3.0
    assert usbpdpy.parse_pd_message(wire).data_objects[1].pdo_type not in KINDS.values()
