"""USB-PD for the API: lines in context, the capabilities' table, identity, and the unit's own temperature."""

from __future__ import annotations

import json
import math

import pytest

from denchi.daemon.pd import (
    PdPages,
    PdView,
    capability_rows,
    message_lines,
    status_block,
    stored_summary,
    unit_role,
)
from denchi.daemon.pipeline import SessionPipe
from denchi.health.engine import HealthEngine
from denchi.health.profiles import load
from denchi.ingest import Gate
from denchi.model import Session, SessionMeta, Severity
from denchi.simulation.pd import Conversation
from denchi.store.journal import Journal
from denchi_protocol.capture import read
from denchi_protocol.codec import PdMessage
from denchi_protocol.samples import SampleBlock
from denchi_protocol.usb_pd import Decoder, encode, encode_extended
from denchi_protocol.usb_pd.blocks import BatteryCapabilitiesBlock, ManufacturerBlock
from denchi_protocol.usb_pd.extended import cut
from support import CAPTURES

MS = 1_000_000
NS = 1_000 * MS
T0 = 1_750_000_000_000_000_000


def real() -> list[PdMessage]:
    with (CAPTURES / "usb_pd" / "epr_charger.jsonl").open(encoding="utf-8") as stream:
        chunks = read(stream).received()
    return [PdMessage(T0 + c.t_ns, c.extra["sop"], c.data) for c in chunks]


def accepted(t_ns: int) -> list[PdMessage]:
    """Made up: the answers that the ten quoted messages leave out."""
    return [
        PdMessage(t_ns, "SOP", encode("Accept", id_=6)),
        PdMessage(t_ns + 90 * MS, "SOP", encode("PS_RDY", id_=7)),
    ]


def status(
    celsius: int, t_ns: int = T0, *, source: bool = True, flags: int = 0, id_: int = 0
) -> PdMessage:
    ((head, data),) = cut(bytes([celsius, 0x08, 0, flags, 0x02, 0, 0]))
    return PdMessage(t_ns, "SOP", encode_extended("Status", head, data, source=source, id_=id_))


class Stored:
    """A journal's reader of a few messages, numbered from 1."""

    def __init__(self, messages: list[PdMessage]) -> None:
        self.messages = messages

    def pd(self, session_id: str, after: int = 0, limit: int = 500) -> tuple[list[PdMessage], int]:
        found = self.messages[after : after + limit]
        return found, after + len(found)


# -- lines ---------------------------------------------------------------------------------------


def test_lines_are_json_and_carry_their_time() -> None:
    lines = message_lines(real(), Decoder())
    assert json.loads(json.dumps(lines)) == lines
    assert [line["t_ns"] for line in lines] == [m.t_ns for m in real()]
    assert {"type", "sop", "rev", "id", "objects", "fields"} <= lines[0].keys()


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
def test_pages_read_requests_against_offers_of_earlier_pages(limit: int) -> None:
    pages, reader, after = PdPages(), Stored(real()), 0
    lines = []
    while True:
        answer = pages.page(reader, "s", after, limit)
        if not answer["messages"]:
            break
        lines += answer["messages"]
        after = answer["next"]
    assert lines == message_lines(real(), Decoder())
    requests = [line for line in lines if line["type"] == "Request"]
    assert requests[0]["fields"]["pdo"] == "fixed 20.00 V 5.00 A"


def test_two_readers_of_the_same_page_get_the_same() -> None:
    pages, reader = PdPages(), Stored(real())
    end = pages.page(reader, "s", 0, 6)["next"]  # a first chunk is open at this end
    assert pages.page(reader, "s", end, 9) == pages.page(reader, "s", end, 9)


def test_a_page_without_a_past_says_so() -> None:
    (line,) = PdPages().page(Stored(real()), "s", 2, 1)["messages"]
    assert line["type"] == "Request"
    assert "not seen" in line["reason"]


def test_cached_decoders_are_bounded() -> None:
    pages, reader = PdPages(), Stored(real())
    for n in range(100):
        pages.page(reader, f"s{n}", 0, 3)
    assert len(pages._ends) == 16


# -- the view ------------------------------------------------------------------------------------


def test_nothing_said_is_null() -> None:
    assert PdView().state() is None


def test_view_of_a_real_negotiation() -> None:
    view, messages = PdView(), real()
    for message in [*messages[:3], *accepted(T0 + 25 * MS)]:
        view.feed(message)
    state = view.state()
    assert state is not None
    assert json.loads(json.dumps(state)) == state
    assert state["messages"] == 5
    assert state["contract"]["kind"] == "fixed"
    assert (state["contract"]["voltage_v"], state["contract"]["current_a"]) == (20.0, 5.0)
    assert [r["position"] for r in state["capabilities"]] == [1, 2, 3, 4, 5, 6]
    assert [r["position"] for r in state["capabilities"] if r["active"]] == [5]
    assert state["identity"]["cable"]["product_type"] == "passive_cable"
    assert state["identity"]["unit"] is None
    assert (state["status"], state["batteries"]) == (None, [])


def test_the_simulations_conversation_is_understood() -> None:
    """Two writers of the same layouts who do not know each other."""
    talk = Conversation([(5.0, 3.0), (9.0, 2.22), (12.0, 1.67)])
    view = PdView()
    for n, volts in enumerate((5.0, 9.0, 12.0, 5.0)):
        end_ns = T0 + (n + 1) * 10 * NS
        for message in talk.contract(end_ns, volts, attach=n in (0, 3)):
            view.feed(message)
        state = view.state()
        assert state is not None
        assert state["contract"]["voltage_v"] == volts
        assert state["contract"]["transition_until_ns"] <= end_ns + 100 * MS
    assert {e["kind"] for e in state["events"]} == {"contract"}


def test_view_of_an_epr_contract_leaves_the_gap_out() -> None:
    view, messages = PdView(), real()
    for message in [*messages[:9], *accepted(T0 + 85 * MS)]:
        view.feed(message)
    state = view.state()
    assert state is not None
    assert state["epr"] is True
    assert [r["position"] for r in state["capabilities"]] == [1, 2, 3, 4, 5, 6, 8]
    assert [r["text"] for r in state["capabilities"] if r["active"]] == ["fixed 28.00 V 5.00 A"]
    assert state["contract"]["voltage_v"] == 28.0


def test_what_the_unit_says_of_itself() -> None:
    view = PdView()
    parts = [
        ("Manufacturer_Info", ManufacturerBlock(0x2E87, 0x0021, "ACME\x1b[2J").to_bytes()),
        ("Battery_Capabilities", BatteryCapabilitiesBlock(0x2E87, 0x0021, 74.0, 59.2).to_bytes()),
    ]
    for i, (name, data) in enumerate(parts):
        ((head, part),) = cut(data)
        view.feed(PdMessage(T0 + i, "SOP", encode_extended(name, head, part, id_=i)))
    view.feed(status(44, T0 + 5, flags=0x04, id_=3))
    state = view.state()
    assert state is not None
    unit = state["identity"]["unit"]
    assert (unit["vid"], unit["pid"]) == ("0x2e87", "0x0021")
    assert "\x1b" not in unit["manufacturer"] and unit["manufacturer"].startswith("ACME")
    assert state["batteries"][0]["state_of_health"] == 0.8
    assert state["status"]["temperature_c"] == 44.0
    assert state["status"]["events"] == ["otp"]
    otp = [e for e in state["events"] if e["kind"] == "otp"]
    assert otp and bytes.fromhex(otp[0]["raw"])[4] == 44


def test_at_the_input_the_unit_is_the_sink() -> None:
    assert unit_role("output") == "source"
    assert unit_role("input") == "sink"
    view = PdView("sink")
    view.feed(status(40, source=True))
    state = view.state()
    assert state is not None and state["status"] is None
    view.feed(status(33, source=False))
    state = view.state()
    assert state is not None and state["status"]["temperature_c"] == 33.0


def test_events_are_bounded() -> None:
    view = PdView()
    for n in range(200):
        view.feed(PdMessage(T0 + n * NS, "Hard_Reset", b""))
    state = view.state()
    assert state is not None
    assert len(state["events"]) == 50
    assert state["events"][-1]["t_ns"] == T0 + 199 * NS


def test_summary_of_a_recorded_session() -> None:
    assert stored_summary(Stored([]), "s", "output") is None
    told = stored_summary(Stored([*real()[:3], *accepted(T0 + 25 * MS)]), "s", "output")
    assert told is not None and told["contract"]["voltage_v"] == 20.0


def test_a_table_without_contract_marks_nothing() -> None:
    decoder = Decoder()
    decoder.feed(real()[1])
    assert not any(r["active"] for r in capability_rows(decoder.capabilities, None))


# -- the unit's own temperature ----------------------------------------------------------------


def test_status_becomes_a_sample() -> None:
    block = status_block(status(41, T0 + 7))
    assert block is not None
    assert block.t_ns.tolist() == [T0 + 7]
    assert block.temp_c("pd").tolist() == [41.0]
    assert list(block.columns) == ["temp_mc.pd"]


@pytest.mark.parametrize(
    "message",
    [
        status(0),  # not supported
        status(1),  # below 2 degC: no reading
        status(41, source=False),  # the phone's temperature, not the unit's
        PdMessage(T0, "SOP", status(41).wire, crc_ok=False),
        PdMessage(T0, "SOP'", status(41).wire),
        PdMessage(T0, "SOP", status(41).wire[:8]),
        PdMessage(T0, "SOP", encode("Accept")),
        PdMessage(T0, "Hard_Reset", b""),
    ],
    ids=["none", "below 2", "other side", "crc", "cable", "cut", "accept", "reset"],
)
def test_what_is_no_temperature_of_the_unit(message: PdMessage) -> None:
    assert status_block(message) is None


def pipe(position: str = "output", journal: Journal | None = None) -> SessionPipe:
    meta = SessionMeta(meter_position=position)
    session = Session(id="s", origin="meter", started_ns=T0, bench="b", meter="km003c", meta=meta)
    engine = HealthEngine(load("watch"), meta, start_ns=T0)
    if journal is not None:
        journal.begin_session(session)
    made = SessionPipe(session, engine, journal)
    made.add("meter", Gate(settle=False), {"key": "km003c"})
    return made


def blocks(pipe: SessionPipe, *messages: PdMessage) -> list[tuple[str, SampleBlock]]:
    taken = pipe.take("meter", list(messages))
    return [(t.role, t.what) for t in taken if isinstance(t.what, SampleBlock)]


def test_a_status_counts_at_once_and_its_silence_is_no_gap() -> None:
    made = pipe()
    found = blocks(made, status(41, T0)) + blocks(made, status(42, T0 + 600 * NS))
    assert [role for role, _ in found] == ["pd", "pd"]
    assert [b.temp_c("pd")[0] for _, b in found] == [41.0, 42.0]
    assert (made.gaps, made.samples) == (0, 2)


def test_85_degrees_of_a_status_is_a_reading_and_no_sensor_fault() -> None:
    ((_, block),) = blocks(pipe(), status(85))
    assert block.temp_c("pd").tolist() == [85.0]
    gated = Gate(settle=False).feed(SampleBlock.from_si([T0], {"temp_mc.case": [85.0]}))
    assert gated.block is not None and math.isnan(gated.block.temp_c("case")[0])


def test_at_the_input_only_the_sinks_status_counts() -> None:
    assert blocks(pipe("input"), status(41)) == []
    assert len(blocks(pipe("input"), status(41, source=False))) == 1


def test_a_hot_unit_raises_danger_at_its_second_status() -> None:
    made = pipe()
    found = []
    for n, celsius in enumerate((84, 86)):
        for taken in made.take("meter", [status(celsius, T0 + (5 + n) * NS, id_=n)]):
            found += [f for _, f in made.judge(taken)]
    hot = [f for f in found if f.code == "over_temperature"]
    assert [f.severity for f in hot] == [Severity.DANGER]
    assert hot[0].place == "pd"


def test_what_is_recorded_is_read_again(tmp_path) -> None:
    """Through the real journal: PD messages in order, and the unit's temperature as its own instrument."""
    with Journal.open(tmp_path, commit_ms=10) as journal:
        made = pipe(journal=journal)
        for n, celsius in enumerate((31, 33, 0, 36)):
            made.take("meter", [status(celsius, T0 + n * 5 * NS, id_=n)])
        journal.flush()
        with journal.reader() as reader:
            page = PdPages().page(reader, "s", 0, 100)
            assert [m["fields"]["temperature_c"] for m in page["messages"]] == [
                31.0,
                33.0,
                None,
                36.0,
            ]
            told = stored_summary(reader, "s", "output")
            assert told is not None and told["status"]["temperature_c"] == 36.0
            (unit,) = [i for i in reader.instruments("s") if i.role == "pd"]
            whole = SampleBlock.concat(list(reader.blocks(unit.id)))
    assert whole.temp_c("pd").tolist() == [31.0, 33.0, 36.0]
    assert whole.t_ns.tolist() == [T0, T0 + 5 * NS, T0 + 15 * NS]
