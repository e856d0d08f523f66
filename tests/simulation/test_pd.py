"""The simulated PD conversation against the bits of the public layouts and a real message."""

from denchi import simulation
from denchi.simulation import pd

START = 1_750_000_000_000_000_000
NS = 1_000_000_000


def test_header_and_objects_bit_by_bit():
    # Real: a1 61 = Source_Capabilities, rev 3, DFP, source, id 0, 6 objects (captured on a KM003C).
    assert pd.header(1, source=True, message_id=0, objects=6) == bytes.fromhex("a161")
    # Real: 2c 91 ... is 5 V 3 A with more flags; position of voltage and current by hand:
    # 5 V = 100 * 50 mV << 10 = 0x19000, 3 A = 300 * 10 mA = 0x12C, dual-role power = bit 29.
    assert pd.fixed_pdo(5.0, 3.0, first=True) == (0x2001_912C).to_bytes(4, "little")
    assert pd.fixed_pdo(9.0, 3.0) == bytes.fromhex("2cd10200")  # as in the real message
    # Position 2, 2.2 A twice: the real request 8210 dc700323 with no-suspend (bit 24) taken out.
    assert pd.fixed_request(2, 2.2) == (0x2303_70DC & ~(1 << 24)).to_bytes(4, "little")


def test_conversation_at_attach_after_a_collapse_and_at_a_new_voltage():
    source = simulation.scenario("demo", 0, START)
    said, last = [], START
    for i in range(1, 1300):
        now = START + i * NS // 10
        said += source.pd_between(last, now)
        last = now
    kinds = [(m.wire[0] & 0x1F, m.wire[1] >> 4 & 7) for m in said]
    whole = [k for k in kinds if k != (1, 0)]
    assert whole[:4] == [(1, 5), (2, 1), (3, 0), (6, 0)]
    # Attach, two collapses, the 9 V contract.
    assert whole.count((6, 0)) == 4
    assert kinds.count((1, 0)) == len(whole)  # each message has its GoodCRC
    stamps = [m.t_ns for m in said]
    assert stamps == sorted(stamps)


def test_asking_in_pieces_gives_each_message_once():
    pieces = simulation.scenario("demo", 0, START)
    whole = simulation.scenario("demo", 0, START)
    got, last = [], START - 1
    for i in range(3000):
        now = START + i * 7_000_000
        got += pieces.pd_between(last, now)
        last = now
    assert got == list(whole.pd_between(START - 1, last))
