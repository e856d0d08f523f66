"""USB-PD messages: real ones read right, crooked ones kept with the reason."""

from __future__ import annotations

import re
from typing import Any

import pytest

from denchi_protocol.codec import PdMessage
from denchi_protocol.usb_pd import Decoder, decode, encode, encode_extended
from denchi_protocol.usb_pd.blocks import (
    BatteryCapabilitiesBlock,
    ManufacturerBlock,
    SourceExtendedBlock,
    StatusBlock,
)
from denchi_protocol.usb_pd.crc import crc_of, split_crc
from denchi_protocol.usb_pd.extended import ask, cut
from denchi_protocol.usb_pd.header import CONTROL, DATA, EXTENDED
from denchi_protocol.usb_pd.notices import Alert, BatteryStatus
from denchi_protocol.usb_pd.objects import (
    BatteryPdo,
    EprAvsPdo,
    FixedPdo,
    PpsPdo,
    SprAvsPdo,
    VariablePdo,
)
from denchi_protocol.usb_pd.requests import AvsRdo, PowerRdo, PpsRdo
from protocol.wire import captures, read_capture
from support import vectors

SOPS = ("SOP", "SOP'", "SOP''")


def stream(decoder: Decoder, *wires: bytes) -> list[Any]:
    return [decoder.feed(PdMessage(i, "SOP", w)) for i, w in enumerate(wires)]


def extended(name: str, data: bytes, **how: Any) -> list[bytes]:
    return [encode_extended(name, head, part, **how) for head, part in cut(data)]


# -- real messages -----------------------------------------------------------------------------


def test_real_messages_of_an_epr_charger() -> None:
    (path,) = captures("usb_pd")
    decoder = Decoder()
    for chunk in read_capture(path).received():
        told = decoder.feed(PdMessage(chunk.t_ns, chunk.extra["sop"], chunk.data))
        expect = chunk.extra["expect"]
        assert told.type == expect["type"]
        assert told.reason is None
        for key, value in expect.get("fields", {}).items():
            assert told.fields[key] == value, key
        if "pdos" in expect:
            assert [p["text"] for p in told.fields["pdos"]] == expect["pdos"]


def test_every_real_message_of_the_vectors() -> None:
    decoder, seen = Decoder(), 0
    for vector in vectors("usb_pd"):
        wire, want = bytes.fromhex(vector["hex"]), vector["decoded"]
        told = decoder.feed(PdMessage(seen, SOPS[want["sop"]], wire))
        seen += 1
        assert told.type == want["type"]
        assert (told.rev, told.id) == (want["rev"], want["id"])
        assert told.header is not None
        assert (told.header.objects, told.header.extended) == (want["ndo"], bool(want["ext"]))
        if want["sop"] == 0:
            assert (told.power_role, told.data_role) == (want["power_role"], want["data_role"])
        if "objects" in want:
            assert told.to_json()["objects"] == want["objects"]
        _compare_parts(told, want)
        crc = re.search(r"CRC-32 computed here over these bytes: (0x[0-9a-f]+)", vector["note"])
        assert crc and int.from_bytes(crc_of(wire), "little") == int(crc[1], 16)
    assert seen >= 15


def _compare_parts(told: Any, want: dict[str, Any]) -> None:
    if "chunk" in want:
        assert told.extended.chunk == want["chunk"]
        assert told.extended.request == bool(want["req_chunk"])
        assert told.extended.size == want["data_size"]
    for pdo, row in zip(want.get("pdos", ()), told.fields.get("pdos", ()), strict=False):
        assert row["kind"] == pdo["kind"]
        assert row["current_a"] == pytest.approx(pdo["mA"] / 1000)
        if pdo["kind"] == "fixed":
            assert row["voltage_v"] == pytest.approx(pdo["mV"] / 1000)
            for flag in ("dual_role_power", "unconstrained", "epr_capable", "unchunked"):
                assert row.get(flag, False) == bool(pdo.get(flag, 0))
        else:
            assert row["min_v"] == pytest.approx(pdo["min_mV"] / 1000)
            assert row["max_v"] == pytest.approx(pdo["max_mV"] / 1000)
    if "rdo" in want:
        rdo = want["rdo"]
        assert told.fields["position"] == rdo["pos"]
        assert told.fields["mismatch"] == bool(rdo["cap_mismatch"])
        current = told.fields if told.fields["kind"] == "current" else told.fields["as_current"]
        assert current["operating_a"] == pytest.approx(rdo["as_fixed"]["op_mA"] / 1000)
        assert current["max_a"] == pytest.approx(rdo["as_fixed"]["max_mA"] / 1000)


def test_pd_frames_of_the_power_z_vectors() -> None:
    seen = 0
    for vector in vectors("power_z"):
        parts = vector["decoded"].get("packets", []) if isinstance(vector["decoded"], dict) else []
        decoder = Decoder()
        for event in (e for p in parts for e in p.get("pd", {}).get("events", [])):
            if event["kind"] != "pd":
                continue
            message = PdMessage(event["ts"], SOPS[event["sop"]], bytes.fromhex(event["wire"]))
            told = decoder.feed(message)
            assert told.type not in ("Malformed", "Unknown"), event
            assert told.reason is None or told.type == "Request", told.reason
            seen += 1
    print(f"{seen} PD messages inside POWER-Z packets")
    assert seen >= 50


# -- names and headers -------------------------------------------------------------------------


def test_names_stand_at_the_codes_of_the_specification() -> None:
    # Linux include/linux/usb/pd.h: enum pd_ctrl_msg_type, pd_data_msg_type, pd_ext_msg_type
    assert (CONTROL[1], CONTROL[6], CONTROL[13], CONTROL[16]) == (
        "GoodCRC",
        "PS_RDY",
        "Soft_Reset",
        "Not_Supported",
    )
    assert (CONTROL[18], CONTROL[20], CONTROL[24]) == (
        "Get_Status",
        "Get_PPS_Status",
        "Get_Revision",
    )
    assert (DATA[1], DATA[5], DATA[6], DATA[15]) == (
        "Source_Capabilities",
        "Battery_Status",
        "Alert",
        "Vendor_Defined",
    )
    assert (DATA[9], DATA[10], DATA[12]) == ("EPR_Request", "EPR_Mode", "Revision")
    assert (EXTENDED[1], EXTENDED[2], EXTENDED[5], EXTENDED[12]) == (
        "Source_Capabilities_Extended",
        "Status",
        "Battery_Capabilities",
        "PPS_Status",
    )
    assert (EXTENDED[16], EXTENDED[17], EXTENDED[30]) == (
        "Extended_Control",
        "EPR_Source_Capabilities",
        "Vendor_Defined_Extended",
    )


def test_resets_have_no_bytes() -> None:
    assert decode(b"", "Hard_Reset").to_json()["type"] == "Hard_Reset"
    assert decode(b"", "Cable_Reset").type == "Cable_Reset"


def test_a_cable_is_neither_source_nor_sink() -> None:
    assert decode(bytes.fromhex("8301"), "SOP'").power_role == "cable"
    assert decode(bytes.fromhex("8d00"), "SOP'").power_role == "port"


# -- power data objects, each kind by hand -----------------------------------------------------


@pytest.mark.parametrize(
    ("word", "pdo"),
    [
        (0x0002D12C, FixedPdo(9.0, 3.0)),
        (0x2801912C, FixedPdo(5.0, 3.0, dual_role_power=True, unconstrained=True)),
        # 01: max 20 V (400), min 5 V (100), 60 W (240)
        (0x40000000 | 400 << 20 | 100 << 10 | 240, BatteryPdo(5.0, 20.0, 60.0)),
        # 10: max 12 V (240), min 9 V (180), 2.5 A (250)
        (0x80000000 | 240 << 20 | 180 << 10 | 250, VariablePdo(9.0, 12.0, 2.5)),
        (0xC9A42164, PpsPdo(3.3, 21.0, 5.0, power_limited=True)),
        # EPR AVS: max 28 V (280), min 15 V (150), 140 W
        (0xD0000000 | 280 << 17 | 150 << 8 | 140, EprAvsPdo(15.0, 28.0, 140.0)),
        # SPR AVS: 3 A to 15 V (bits 10-19), 2.25 A to 20 V (bits 0-9)
        (0xE0000000 | 300 << 10 | 225, SprAvsPdo(3.0, 2.25)),
    ],
)
def test_power_data_objects(word: int, pdo: Any) -> None:
    told = decode(encode("Source_Capabilities", [word]))
    assert told.payload == (pdo,)
    assert pdo.word() == word
    assert told.fields["pdos"][0]["text"] == str(pdo)


def test_reserved_bits_of_a_pps_object_are_kept_and_not_read() -> None:
    plain = PpsPdo(3.3, 11.0, 3.0)
    told = decode(encode("Source_Capabilities", [plain.word() | 1 << 7 | 1 << 16])).payload[0]
    assert (told.min_v, told.max_v, told.current_a) == (3.3, 11.0, 3.0)
    assert told.reserved == 1 << 7 | 1 << 16


def test_a_gap_is_left_out_of_the_shown_list_but_keeps_its_place() -> None:
    told = decode(encode("Source_Capabilities", [0x0801912C, 0, 0x0002D12C]))
    assert [p["position"] for p in told.fields["pdos"]] == [1, 3]


# -- requests ----------------------------------------------------------------------------------


CAPS = [
    0x0801912C,
    BatteryPdo(5.0, 20.0, 60.0).word(),
    PpsPdo(3.3, 11.0, 3.0).word(),
    SprAvsPdo(3, 3).word(),
]


@pytest.mark.parametrize(
    ("rdo", "fields"),
    [
        (PowerRdo(2, operating_w=30.0, max_w=60.0), {"operating_w": 30.0, "max_w": 60.0}),
        (PpsRdo(3, voltage_v=8.42, current_a=2.5), {"voltage_v": 8.42, "current_a": 2.5}),
        (AvsRdo(4, voltage_v=14.7, current_a=3.0), {"voltage_v": 14.7, "current_a": 3.0}),
    ],
)
def test_a_request_is_read_by_the_object_it_names(rdo: Any, fields: dict[str, float]) -> None:
    decoder = Decoder()
    told = stream(
        decoder,
        encode("Source_Capabilities", CAPS),
        encode("Request", [rdo.word()], source=False),
    )[1]
    assert told.fields["position"] == rdo.position
    for key, value in fields.items():
        assert told.fields[key] == pytest.approx(value)


def test_a_request_without_its_capabilities_says_so_and_gives_both_readings() -> None:
    told = decode(bytes.fromhex("8210dc700323"))
    assert told.fields["kind"] == "unknown"
    assert told.fields["as_current"] == {"operating_a": 2.2, "max_a": 2.2}
    assert told.fields["as_pps"] == {"voltage_v": 8.8, "current_a": 4.6}
    assert told.reason is not None and "not seen" in told.reason


def test_a_request_of_an_object_that_was_not_offered() -> None:
    told = stream(
        Decoder(),
        encode("Source_Capabilities", [0x0801912C]),
        encode("Request", [PpsRdo(6, voltage_v=9.0).word()], source=False),
    )[1]
    assert told.fields["kind"] == "unknown"
    assert "no object 6" in (told.reason or "")


# -- health messages ---------------------------------------------------------------------------


def test_status() -> None:
    # temperature 41, battery in use, OTP flag, temperature status warning (bits 1-2 = 2: 0x04)
    told = decode(extended("Status", bytes([41, 0x08, 0x10, 0x04, 0x04, 0x20, 0x00]))[0])
    assert told.fields["temperature_c"] == 41.0
    assert told.fields["temperature_status"] == "warning"
    assert told.fields["internal_battery"] is True
    assert (told.fields["otp"], told.fields["ocp"], told.fields["ovp"]) == (True, False, False)
    assert told.fields["limited_by_temperature"] is True


@pytest.mark.parametrize(("byte", "celsius"), [(0, None), (1, None), (2, 2.0), (255, 255.0)])
def test_status_temperature_zero_is_not_supported(byte: int, celsius: float | None) -> None:
    told = decode(extended("Status", bytes([byte, 0, 0, 0, 0]))[0])
    assert told.fields["temperature_c"] == celsius
    assert told.fields["temperature_below_2"] is (byte == 1)


@pytest.mark.parametrize(
    ("byte", "name", "doubtful"),
    [
        (0x00, "not_supported", False),
        (0x02, "normal", False),
        (0x04, "warning", False),
        (0x06, "over_temperature", False),
        # what a port that ignores the two-bit place would send: told as doubtful, never as a fault
        (0x01, "not_supported", True),
        (0x03, "normal", True),
    ],
)
def test_temperature_status_stands_in_bits_1_and_2(byte: int, name: str, doubtful: bool) -> None:
    told = decode(extended("Status", bytes([30, 0, 0, 0, byte, 0, 0]))[0])
    assert told.fields["temperature_status"] == name
    assert told.fields.get("temperature_status_doubtful", False) is doubtful
    assert told.fields["temperature_status_raw"] == f"0x{byte:02x}"


def test_pps_status_not_supported_is_none() -> None:
    told = decode(extended("PPS_Status", b"\xff\xff\xff\x00")[0])
    assert (told.fields["output_v"], told.fields["output_a"]) == (None, None)
    # 9.00 V (450), 2.5 A (50), over-temperature (6), current limit (8)
    told = decode(extended("PPS_Status", bytes([0xC2, 0x01, 50, 0x0E]))[0])
    assert (told.fields["output_v"], told.fields["output_a"]) == (9.0, 2.5)
    assert told.fields["temperature_status"] == "over_temperature"
    assert told.fields["current_limit"] is True


def test_battery_health_is_last_full_by_design() -> None:
    block = BatteryCapabilitiesBlock(0x2E87, 0x1234, 74.0, 66.6)
    told = decode(extended("Battery_Capabilities", block.to_bytes())[0])
    assert told.fields["state_of_health"] == pytest.approx(0.9)
    assert BatteryCapabilitiesBlock(1, 2, None, 66.6).health is None
    assert BatteryCapabilitiesBlock(1, 2, 0.0, 66.6).health is None
    assert BatteryCapabilitiesBlock(1, 2, 74.0, 66.6, invalid_reference=True).health is None


def test_battery_status() -> None:
    told = decode(encode("Battery_Status", [370 << 16 | 1 << 9 | 1 << 10]))
    assert told.fields["present_wh"] == 37.0
    assert told.fields["state"] == "discharging"
    assert decode(encode("Battery_Status", [0xFFFF0200])).fields["present_wh"] is None
    assert BatteryStatus.from_word(0xFFFF0000).fields()["state"] is None


def test_alert_names_what_happened() -> None:
    told = decode(encode("Alert", [1 << 27 | 1 << 26 | 1 << 20]))
    assert told.fields["alerts"] == ["ocp", "otp"]
    assert told.fields["fixed_batteries"] == 1
    assert Alert(ovp=True).word() == 1 << 30


def test_source_capabilities_extended_in_both_lengths() -> None:
    block = SourceExtendedBlock(
        0x291A, 0x0021, 0xA1B2C3D4, 1, 2, internal_battery=True, spr_pdp_w=65
    )
    long = block.to_bytes()
    assert len(long) == 25
    for data in (long, long[:24]):
        told = decode(extended("Source_Capabilities_Extended", data)[0])
        assert told.fields["xid"] == "0xa1b2c3d4"
        assert told.fields["internal_battery"] is True
        assert told.fields["spr_pdp_w"] == 65


def test_manufacturer_text_is_untrusted() -> None:
    data = ManufacturerBlock(0x2E87, 1, "").to_bytes()[:4] + b"Bank\x1b[31m\xff\n\0rest"
    told = decode(extended("Manufacturer_Info", data)[0])
    assert told.fields["manufacturer"] == "Bank?[31m??"


# -- chunks ------------------------------------------------------------------------------------


def test_chunks_are_joined_in_both_directions_at_once() -> None:
    source = [0x0801912C, 0x0002D12C, 0, 0, 0, 0, 0, 0x000C81F4]
    sink = [0x0001912C, 0, 0, 0, 0, 0, 0, 0x000C80C8]
    data = [b"".join(w.to_bytes(4, "little") for w in words) for words in (source, sink)]
    a = extended("EPR_Source_Capabilities", data[0], source=True)
    b = extended("EPR_Sink_Capabilities", data[1], source=False)
    want = encode_extended("EPR_Source_Capabilities", *ask(1), source=False)
    told = stream(Decoder(), a[0], b[0], want, a[1], b[1])
    assert [p["position"] for p in told[3].fields["pdos"]] == [1, 2, 8]
    assert [p["position"] for p in told[4].fields["pdos"]] == [1, 8]
    assert told[3].payload[7] == FixedPdo(40.0, 5.0)


def test_a_missing_chunk_leaves_the_message_unread() -> None:
    parts = extended("Security_Response", bytes(range(78)))
    told = stream(Decoder(), parts[0], parts[2])
    assert told[1].reason == "chunk 2 where chunk 1 was due"
    assert stream(Decoder(), parts[1])[0].reason is not None


def test_a_chunk_sent_again_counts_once() -> None:
    parts = extended("Security_Response", bytes(range(78)))
    told = stream(Decoder(), parts[0], parts[0], parts[1], parts[1], parts[2])
    assert told[-1].data == bytes(range(78))
    assert told[-1].reason is None


# -- crooked messages --------------------------------------------------------------------------


@pytest.mark.parametrize("cut_to", [0, 1])
def test_too_short_for_a_header(cut_to: int) -> None:
    told = decode(bytes.fromhex("a161")[:cut_to])
    assert told.type == "Malformed"
    assert told.to_json()["raw"] == "a161"[: 2 * cut_to]


def test_truncated_message_gives_no_value() -> None:
    whole = bytes.fromhex("a1612c91812b2cd102002cc103002cb10400f44106006421a4c9")
    for length in range(2, len(whole)):
        told = decode(whole[:length])
        assert told.type == "Malformed"
        assert not told.fields and told.reason and told.raw == whole[:length]


def test_wrong_crc_gives_no_value() -> None:
    wire = bytes.fromhex("a1612c91812b2cd102002cc103002cb10400f44106006421a4c9")
    packet = wire + crc_of(wire)
    assert split_crc(packet) == (wire, True)
    assert split_crc(wire) == (wire, None)
    for at in range(8 * len(packet)):
        broken = bytearray(packet)
        broken[at // 8] ^= 1 << at % 8
        part, ok = split_crc(bytes(broken), carried=True)
        told = decode(part, crc_ok=ok)
        assert told.type == "Malformed", at
        assert not told.fields


def test_wrong_crc_is_noticed_where_a_packet_may_lack_it() -> None:
    """One single bit cannot be told apart: bit 12 makes six objects and a CRC into seven objects."""
    wire = bytes.fromhex("a1612c91812b2cd102002cc103002cb10400f44106006421a4c9")
    packet = wire + crc_of(wire)
    unnoticed = []
    for at in range(8 * len(packet)):
        broken = bytearray(packet)
        broken[at // 8] ^= 1 << at % 8
        part, ok = split_crc(bytes(broken))
        if decode(part, crc_ok=ok).type != "Malformed":
            unnoticed.append(at)
    assert unnoticed == [12]


def test_reserved_types_stay_raw_with_the_reason() -> None:
    told = decode(bytes.fromhex("9f01"))  # control 31
    assert told.type == "Unknown"
    assert told.reason == "control message type 31 is reserved"


def test_status_that_is_too_short_keeps_its_bytes() -> None:
    told = decode(extended("Status", b"\x20\x00")[0])
    assert told.type == "Status"
    assert told.payload is None
    assert "5 or more" in (told.reason or "")
    assert told.fields["data"] == "2000"


def test_unchunked_extended_message() -> None:
    head = bytes([0x82, 0x81, 0x07, 0x00])  # Status, extended, no count; size 7, not chunked
    data = bytes([33, 0, 0, 0, 2, 0, 0])
    assert decode(head + data).fields["temperature_c"] == 33.0
    assert decode(head + data[:3]).type == "Malformed"


def test_status_block_defaults_say_not_supported() -> None:
    assert StatusBlock().temperature_c is None
    assert StatusBlock().fields()["temperature_status"] == "not_supported"
