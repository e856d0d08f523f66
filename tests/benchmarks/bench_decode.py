"""Batch decode from the wire, family by family, against a per-sample `struct` decoder (yardsticks.py).

Ours is the whole of ``feed``: cutting, checksum, stamps, ``decode_run``, telemetry. The bytes are what
the emulator says, in one piece.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from benchmarks import yardsticks
from benchmarks.table import Row, seconds, versus
from denchi.drivers import registry
from denchi_protocol.codec import Codec, Scene, Send, StillScene, Wait
from denchi_protocol.samples import SampleBlock

S = 1_000_000_000
T0 = 1_700_000_000 * S
SCENE = Scene(
    vbus_v=9.04, ibus_a=1.57, dp_v=0.61, dm_v=2.72, cc1_v=1.6, cc2_v=0.4, meter_temp_c=31.0,
    case_temp_c=33.0, ambient_temp_c=24.0, pack_v=15.24, pack_a=1.6, cells_v=(3.812, 3.804, 3.815, 3.809),
    cell_temps_c=(26.0, 27.0), energy_wh=12.34, capacity_ah=1.23,
)  # fmt: skip
STREAM, OTHER = 20.0, 1.0
QUEUE_REPLY = 40
"""Samples in a reply of the 1,000/s stream."""


@dataclass(frozen=True, slots=True)
class Family:
    """One line of the table."""

    key: str
    what: str
    yardstick: yardsticks.Decoder
    target: float = OTHER
    value: str = "vbus_v"
    """The yardstick's quantity, and ours, that must agree before anything is timed."""
    column: str = "vbus_uv"


FAMILIES = (
    Family("fnb58", "FNIRSI", yardsticks.fnirsi, STREAM),
    Family("km003c", "POWER-Z AdcQueue", yardsticks.adc_queue, STREAM),
    Family("witrn", "WITRN", yardsticks.witrn, STREAM),
    Family("denchi-board", "denchi board", yardsticks.denchi_board, STREAM),
    Family("avhzy", "AVHzY / Shizuku", yardsticks.avhzy),
    Family("km002c", "POWER-Z ADC", yardsticks.adc),
    Family("fl001", "POWER-Z FL001", yardsticks.fl001),
    Family("km001", "POWER-Z KM001", yardsticks.km001),
    Family("fnb58-ble", "FNIRSI by radio", yardsticks.fnirsi_ble),
    Family("tc66c", "RDTech TC", yardsticks.tc66),
    Family("um24c", "RDTech UM", yardsticks.um24),
    Family("ud18", "Atorch", yardsticks.atorch),
    Family("yzx", "YZXStudio", yardsticks.yzx),
    Family("ebd-usb", "EBD", yardsticks.ebd),
    Family("line", "text lines", yardsticks.line, value="vbus_v"),
    Family("jbd", "JBD", yardsticks.jbd, value="pack_v", column="pack_uv"),
    Family("daly", "Daly", yardsticks.daly, value="pack_v", column="pack_uv"),
)


def spoken(key: str, samples: int) -> bytes:
    """What the emulator says to its codec until about ``samples`` samples came."""
    if key == "km003c":
        return adc_queue(samples)
    spec = registry.get(key)
    codec, emulator = spec.codec(), spec.emulator(StillScene(SCENE), now_ns=T0)
    now, said, heard = T0, bytearray(), 0
    while heard < samples:
        action = codec.next(now)
        if isinstance(action, Send):
            emulator.receive(action.data, now)
            continue
        answer = emulator.next(now)
        if isinstance(answer, Send):
            said += answer.data
            heard += count(codec.feed(answer.data, now))
            continue
        assert isinstance(action, Wait)
        now = max(now + 1, min(action.until_ns, answer.until_ns))
    return bytes(said)


def adc_queue(samples: int) -> bytes:
    """Replies of a POWER-Z stream at 1,000/s, from the protocol page (denchi starts no stream, so the emulator has none)."""
    out = bytearray()
    for first in range(0, samples, QUEUE_REPLY):
        number = first // QUEUE_REPLY & 0xFF
        words = (8 + 20 * QUEUE_REPLY) // 4 - 3
        out += struct.pack("<II", 0x41 | number << 8 | 1 << 17 | words << 22, 2 | QUEUE_REPLY << 16 | 20 << 22)  # fmt: skip
        for k in range(first, first + QUEUE_REPLY):
            out += struct.pack(
                "<HHiiHHHH", k & 0xFFFF, 9, 9_040_000, 1_570_000, 1600, 400, 610, 2720
            )
    return bytes(out)


def count(events: list) -> int:
    """Samples among events."""
    return sum(len(event) for event in events if isinstance(event, SampleBlock))


def agree(family: Family, codec: Codec, data: bytes) -> int:
    """Both decoders see the same samples; returns how many."""
    blocks = [e for e in codec.feed(data, T0 + 10**15) if isinstance(e, SampleBlock)]
    rows = family.yardstick(data)
    n = sum(map(len, blocks))
    mine = [v for b in blocks if family.column in b.columns for v in b.si(family.column).tolist()]
    theirs = [row[family.value] for row in rows if family.value in row]
    assert abs(n - len(rows)) <= 1, f"{family.key}: {n} samples, the yardstick has {len(rows)}"
    assert all(math.isclose(a, b, rel_tol=1e-5) for a, b in zip(mine, theirs, strict=False)), (
        family.key
    )
    assert len(mine) > 0.3 * n
    return n


def measured(family: Family, samples: int, rounds: int) -> tuple[float, float, float, int]:
    """Samples per CPU second of ours, the same for the first half alone, the ratio to the yardstick, samples."""
    make, data = registry.get(family.key).codec, spoken(family.key, samples)
    n = agree(family, make(), data)
    mine, _, ratio = versus(
        lambda: make().feed(data, T0 + 10**15), lambda: family.yardstick(data), rounds=rounds
    )
    half = min(seconds(lambda: make().feed(data[: len(data) // 2], T0 + 10**15)) for _ in range(3))
    return n / mine, n / 2 / half, ratio, n


def run(*, quick: bool) -> list[Row]:
    """Every family; half the size must go at the same speed."""
    rows = []
    for family in FAMILIES:
        size = (
            (8_000 if quick else 40_000) if family.target == STREAM else (1_000 if quick else 5_000)
        )
        speed, half, ratio, n = measured(family, size, 3 if quick else 7)
        note = (
            f"{speed / 1e6:.2f} million samples/s of CPU ({n:,}; {half / 1e6:.2f} for half of them)"
        )
        rows.append(
            Row(
                f"batch decode from the wire, {family.what}",
                f"{ratio:.1f} ×" if ratio >= 1 else f"{ratio:.2f} ×",
                f"≥ {family.target:g} ×",
                ratio >= family.target,
                note,
            )
        )
    return rows
