"""The unit's own reports by USB-PD: findings with their raw bytes, of the unit only, and never a danger."""

from __future__ import annotations

from denchi.health import profiles
from denchi.health.engine import HealthEngine
from denchi.model import SessionMeta, Severity
from denchi_protocol.codec import PdMessage
from denchi_protocol.usb_pd import encode, encode_extended
from denchi_protocol.usb_pd.blocks import BatteryCapabilitiesBlock
from denchi_protocol.usb_pd.extended import cut
from health.helpers import NS, START


def engine(**meta):
    return HealthEngine(profiles.load("watch"), SessionMeta(**meta), start_ns=START)


def tell(name, data, *, t_s=1.0, source=True, id_=0):
    ((head, part),) = cut(data)
    wire = encode_extended(name, head, part, source=source, id_=id_)
    return PdMessage(START + round(t_s * NS), "SOP", wire)


def status(flags=0, state=2, celsius=30, **how):
    return tell("Status", bytes([celsius, 8, 0, flags, state, 0, 0]), **how)


def alert(bits, *, t_s=1.0, source=True, id_=0):
    return PdMessage(
        START + round(t_s * NS), "SOP", encode("Alert", [bits], source=source, id_=id_)
    )


def reports(engine, *messages):
    found = [f for m in messages for f in engine.pd(m)]
    return [f for f in found if f.code in ("pd_report", "battery_worn")]


def test_protection_flags_are_findings_with_their_raw_bytes():
    message = status(flags=0b1110, celsius=61)
    found = reports(engine(), message)
    assert [f.limit.split(",")[0] for f in found] == ["ocp", "otp", "ovp"]
    assert all(f.severity is Severity.CAUTION and f.place == "pd" for f in found)
    assert all(message.wire.hex() in f.source for f in found)
    assert found[0].measured["temperature"].value == 61.0


def test_alerts_are_findings_too():
    (found,) = reports(engine(), alert(1 << 27))
    assert found.limit.startswith("otp")
    assert found.measured == {}


def test_no_flag_no_finding():
    assert reports(engine(), status(), alert(1 << 25, id_=1), status(celsius=0, id_=2)) == []


def test_temperature_state_is_no_danger_and_a_misplaced_one_is_nothing():
    over = reports(engine(), status(state=0x06))
    assert [f.severity for f in over] == [Severity.CAUTION]
    assert [f.severity for f in reports(engine(), status(state=0x04))] == [Severity.INFO]
    assert reports(engine(), status(state=0x03)) == []
    assert reports(engine(), status(state=0x01)) == []


def test_the_phones_trouble_is_not_the_units():
    assert reports(engine(), status(flags=0b0100, source=False), alert(1 << 26, source=False)) == []
    assert len(reports(engine(meter_position="input"), status(flags=0b0100, source=False))) == 1
    assert reports(engine(meter_position="input"), status(flags=0b0100)) == []


def test_one_finding_an_episode():
    again = [status(flags=0b0100, t_s=1 + 5 * n, id_=n % 8) for n in range(20)]
    later = status(flags=0b0100, t_s=400, id_=5)
    assert len(reports(engine(), *again)) == 1
    assert len(reports(engine(), *again, later)) == 2


def test_a_wrong_crc_reports_nothing():
    message = status(flags=0b1110)
    assert reports(engine(), PdMessage(message.t_ns, "SOP", message.wire, crc_ok=False)) == []


def test_the_units_own_capacity():
    worn = BatteryCapabilitiesBlock(0x2E87, 1, 74.0, 37.0).to_bytes()
    fresh = BatteryCapabilitiesBlock(0x2E87, 1, 74.0, 73.0).to_bytes()
    untold = BatteryCapabilitiesBlock(0x2E87, 1, None, 37.0).to_bytes()
    (found,) = reports(
        engine(), tell("Battery_Capabilities", worn), tell("Battery_Capabilities", worn, id_=1)
    )
    assert (found.code, found.severity) == ("battery_worn", Severity.INFO)
    assert (found.measured["full"].value, found.measured["design"].value) == (37.0, 74.0)
    assert reports(engine(), tell("Battery_Capabilities", fresh)) == []
    assert reports(engine(), tell("Battery_Capabilities", untold)) == []
