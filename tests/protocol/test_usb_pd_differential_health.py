"""The health and identity messages, of which no real capture is known, against usbpdparser (LGPL, tests only).

Two readers of the specification who do not know each other. Differences, with who is right:

* temperature status of Status: theirs compares the whole byte with 0..3, the specification has the two
  bits 1-2 (blocks.py names the sources): ours reads 0x04 as a warning, theirs calls it reserved;
* XID of Source_Capabilities_Extended: theirs prints the place of the VID again.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from denchi_protocol.usb_pd import decode, encode, encode_extended
from denchi_protocol.usb_pd.blocks import (
    BatteryCapabilitiesBlock,
    ManufacturerBlock,
    PpsStatusBlock,
    SourceExtendedBlock,
    StatusBlock,
)
from denchi_protocol.usb_pd.extended import cut
from denchi_protocol.usb_pd.notices import CHARGING, Alert, BatteryStatus
from denchi_protocol.usb_pd.objects import EprAvsPdo, FixedPdo, PpsPdo, SprAvsPdo
from denchi_protocol.usb_pd.requests import AvsRdo, PpsRdo

usbpdparser: Any = pytest.importorskip(
    "usbpdparser", reason="the independent decoder usbpdparser (development only) is not installed"
)

PTF = ("Not Support", "Normal", "Warning", "Over Temperature")


def extended(name: str, data: bytes) -> bytes:
    ((head, part),) = cut(data)
    return encode_extended(name, head, part)


def flat(told: Any, into: dict[str, Any]) -> dict[str, Any]:
    """Names to values; names are unique enough within one block."""
    value = told.value()
    if isinstance(value, list):
        for part in value:
            flat(part, into)
    elif told.field() != "Reserved":
        into.setdefault(told.field(), value)
    return into


def theirs(wire: bytes, **context: Any) -> dict[str, Any]:
    return flat(usbpdparser.Parser().parse(sop="SOP", raw=list(wire), **context), {})


def number(text: str) -> float:
    return float("".join(c for c in text if c.isdigit() or c == "."))


def requested(caps: bytes, rdo: bytes) -> Any:
    parser = usbpdparser.Parser()
    offers = parser.parse(sop="SOP", raw=list(caps))
    return parser.parse(sop="SOP", raw=list(rdo), last_pdo=offers)


PPS_CAPS = encode("Source_Capabilities", [FixedPdo(5.0, 3.0).word(), PpsPdo(3.3, 11.0, 3.0).word()])
PPS_REQUEST = encode("Request", [PpsRdo(2, voltage_v=8.42, current_a=2.5).word()], source=False)


@given(
    celsius=st.integers(0, 255),
    flags=st.tuples(*[st.booleans()] * 4),
    inputs=st.tuples(*[st.booleans()] * 3),
    limits=st.tuples(*[st.booleans()] * 5),
)
def test_status(
    celsius: int, flags: tuple[bool, ...], inputs: tuple[bool, ...], limits: tuple[bool, ...]
) -> None:
    names = (
        "limited_by_cable",
        "limited_by_other_ports",
        "limited_by_input",
        "limited_by_event",
        "limited_by_temperature",
    )
    block = StatusBlock(
        celsius,
        external_power=inputs[0],
        internal_battery=inputs[1],
        internal_other=inputs[2],
        ocp=flags[0],
        otp=flags[1],
        ovp=flags[2],
        current_limit=flags[3],
        **dict(zip(names, limits, strict=True)),
    )
    wire = extended("Status", block.to_bytes())
    other = theirs(wire, last_rdo=requested(PPS_CAPS, PPS_REQUEST))
    ours = decode(wire).fields
    told = other["Internal Temp"]
    if ours["temperature_c"] is None:
        assert told == ("Less than 2°C" if ours["temperature_below_2"] else "Not Support")
    else:
        assert number(told) == ours["temperature_c"]
    assert [other[f"{k} Event"] for k in ("OCP", "OTP", "OVP")] == [
        ours[k] for k in ("ocp", "otp", "ovp")
    ]
    assert (other["CL/CV Mode"] == "CL") == ours["current_limit"]
    assert other["External Power"] == ours["external_power"]
    assert other["Internal Power from Battery"] == ours["internal_battery"]
    assert other["Internal Power from non-Battery"] == ours["internal_other"]
    theirs_limits = (
        "Cable Supported Current",
        "Sourcing Other Ports",
        "Insufficient External Power",
        "Event Flags in Place",
        "Temperature",
    )
    assert [other[k] for k in theirs_limits] == [ours[k] for k in names]


def test_known_difference_temperature_status() -> None:
    context = {"last_rdo": requested(PPS_CAPS, PPS_REQUEST)}
    told = []
    for byte in (0x02, 0x04, 0x06):
        wire = extended("Status", bytes([30, 0, 0, 0, byte, 0, 0]))
        told.append(
            (
                decode(wire).fields["temperature_status"],
                theirs(wire, **context)["Temperature Status"],
            )
        )
    assert told == [
        ("normal", "Warning"),
        ("warning", "Reserved"),
        ("over_temperature", "Reserved"),
    ]


@given(
    millivolts=st.integers(0, 3000).map(lambda n: n * 20),
    milliamps=st.integers(0, 254).map(lambda n: n * 50),
    state=st.integers(0, 3),
    limit=st.booleans(),
)
def test_pps_status(millivolts: int, milliamps: int, state: int, limit: bool) -> None:
    block = PpsStatusBlock(millivolts / 1000, milliamps / 1000, state, limit)
    other = theirs(extended("PPS_Status", block.to_bytes()))
    assert number(other["Output Voltage"]) == pytest.approx(millivolts / 1000)
    assert number(other["Output Current"]) == pytest.approx(milliamps / 1000)
    assert other["PTF"] == PTF[state]
    assert other["OMF"] == limit


@given(
    vid=st.integers(0, 0xFFFF),
    pid=st.integers(0, 0xFFFF),
    design=st.integers(1, 0xFFFE),
    full=st.integers(1, 0xFFFE),
    bad=st.booleans(),
)
def test_battery_capabilities(vid: int, pid: int, design: int, full: int, bad: bool) -> None:
    block = BatteryCapabilitiesBlock(vid, pid, design / 10, full / 10, bad)
    wire = extended("Battery_Capabilities", block.to_bytes())
    other, ours = theirs(wire), decode(wire).fields
    assert (other["VID"].lower(), other["PID"].lower()) == (ours["vid"], ours["pid"])
    assert number(other["Battery Design Capacity"]) == pytest.approx(ours["design_wh"])
    assert number(other["Battery Last Full Charge Capacity"]) == pytest.approx(ours["last_full_wh"])
    assert other["Invalid Battery Reference"] == bad


@given(wh=st.integers(0, 0xFFFE), present=st.booleans(), state=st.integers(0, 2))
def test_battery_status(wh: int, present: bool, state: int) -> None:
    other = theirs(
        encode("Battery_Status", [BatteryStatus(wh / 10, present=present, state=state).word()])
    )
    assert number(other["Battery Present Capacity"]) == pytest.approx(wh / 10)
    assert other["Battery Present"] == present
    if present:
        assert CHARGING[state] in other["Battery Charging Status"].lower()


@given(bits=st.tuples(*[st.booleans()] * 6), fixed=st.integers(0, 15), swap=st.integers(0, 15))
def test_alert(bits: tuple[bool, ...], fixed: int, swap: int) -> None:
    alert = Alert(*bits, fixed_batteries=fixed, hot_swap_batteries=swap)
    other = theirs(encode("Alert", [alert.word()]))
    names = (
        "Battery Status Changed Event",
        "OCP Event",
        "OTP Event",
        "Operating Condition Change",
        "Source Input Change Event",
        "OVP Event",
    )
    assert tuple(other[n] for n in names) == bits
    assert int(other["Fixed Batteries"], 2) == fixed
    assert int(other["Hot Swappable Batteries"], 2) == swap


def test_source_capabilities_extended() -> None:
    block = SourceExtendedBlock(
        0x2E87,
        0x0021,
        0xA1B2C3D4,
        firmware=7,
        hardware=9,
        holdup_ms=3,
        internal_battery=True,
        spr_pdp_w=65,
        epr_pdp_w=140,
    )
    other = theirs(extended("Source_Capabilities_Extended", block.to_bytes()))
    assert (other["VID"], other["PID"]) == ("0x2E87", "0x0021")
    assert (int(other["FW Version"], 16), int(other["HW Version"], 16)) == (7, 9)
    assert other["Holdup Time"] == "3ms"
    assert (other["Internal Battery"], other["External Power Supply"]) == (True, False)
    assert (other["SPR Source PDP Rating"], other["EPR Source PDP Rating"]) == ("65W", "140W")
    assert other["XID"] == other["VID"], "theirs prints the VID's place for the XID"


def test_manufacturer_info() -> None:
    other = theirs(
        extended("Manufacturer_Info", ManufacturerBlock(0x2E87, 0x21, "ACME 10000").to_bytes())
    )
    assert other["Manufacturer String"].rstrip("\0") == "ACME 10000"


@given(low=st.integers(0, 1023), high=st.integers(1, 1023))
def test_spr_avs(low: int, high: int) -> None:
    pdo = SprAvsPdo(high / 100, low / 100)
    other = theirs(encode("Source_Capabilities", [FixedPdo(5.0, 3.0).word(), pdo.word()]))
    assert number(other["Maximum Current 15V"]) == pytest.approx(high / 100)
    assert number(other["Maximum Current 20V"]) == pytest.approx(low / 100)


def test_requests_to_the_last_digit() -> None:
    told = flat(requested(PPS_CAPS, PPS_REQUEST), {})
    assert (number(told["Output Voltage"]), number(told["Operating Current"])) == (8.42, 2.5)
    caps = encode("Source_Capabilities", [FixedPdo(5.0, 3.0).word(), SprAvsPdo(3.0, 3.0).word()])
    told = flat(
        requested(
            caps,
            encode("Request", [AvsRdo(2, voltage_v=14.7, current_a=2.95).word()], source=False),
        ),
        {},
    )
    assert (number(told["Output Voltage"]), number(told["Operating Current"])) == (14.7, 2.95)


def test_epr_avs() -> None:
    pdo = EprAvsPdo(15.0, 28.0, 140.0)
    other = theirs(encode("Source_Capabilities", [pdo.word()]))
    assert (number(other["Maximum Voltage"]), number(other["Minimum Voltage"])) == (28.0, 15.0)
    assert number(other["PDP"]) == 140
