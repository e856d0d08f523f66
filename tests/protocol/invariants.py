"""What holds for every family whatever comes over the wire; conformance tests and the fuzzer share it."""

from __future__ import annotations

import random
from collections.abc import Iterable

import numpy as np

from denchi.drivers import registry
from denchi_protocol.buffer import MAX_HELD
from denchi_protocol.codec import Event, MeterSpec, Rejected, Scene, StillScene
from denchi_protocol.samples import MISSING, Quality, SampleBlock
from protocol.loop import T0, S, Talk, drive

SCENE = Scene(
    vbus_v=9.04, ibus_a=1.57, dp_v=0.61, dm_v=2.72, cc1_v=1.68, cc2_v=0.41, meter_temp_c=31.0,
    case_temp_c=33.0, ambient_temp_c=24.0, pack_v=15.24, pack_a=-1.6, cells_v=(3.812, 3.804, 3.815, 3.809),
    cell_temps_c=(26.0, 27.0), energy_wh=12.34, capacity_ah=1.23,
)  # fmt: skip
"""Every quantity has a value of its own, so that a mistaken column shows."""

KEYS = sorted(registry.specs())


def _kind(spec: MeterSpec) -> tuple[object, ...]:
    """What makes two keys different on the wire: codec, requests, emulator and its variant."""
    maker = spec.emulator
    variant = (getattr(maker, "keywords", None) or {}).get(
        "kind"
    )  # a model's number changes no frame
    codec = type(spec.codec()).__name__
    return spec.family, codec, spec.allowed_sends, repr(getattr(maker, "func", maker)), variant


KINDS = sorted({_kind(registry.get(key)): key for key in reversed(KEYS)}.values())
"""One key of each kind, for what takes long; the others differ in names and ids only."""

Truth = dict[str, set[int]]


def talk(spec: MeterSpec, *, seconds: float | None = None, oddity: str = "", deliver=None) -> Talk:
    """A conversation with the emulator in front of the still scene; long enough for ten samples."""
    emulator = spec.emulator(StillScene(SCENE), now_ns=T0, oddity=oddity)
    for_ns = int((seconds or max(3.0, 14 / spec.rate_hz)) * S)
    extra = {} if deliver is None else {"deliver": deliver}
    return drive(spec.codec(), emulator, for_ns=for_ns, **extra)


def samples(events: Iterable[Event]) -> list[SampleBlock]:
    return [e for e in events if isinstance(e, SampleBlock)]


def truth_of(blocks: Iterable[SampleBlock]) -> Truth:
    """The column values that a clean conversation shows, by channel."""
    truth: Truth = {}
    for block in blocks:
        for name, column in block.columns.items():
            truth.setdefault(name, set()).update(int(v) for v in column)
    return truth


def invented(spec: MeterSpec, blocks: Iterable[SampleBlock], truth: Truth) -> list[str]:
    """Values that the device never said. A family without a checksum may show some, flagged."""
    found = []
    for block in blocks:
        for name, column in block.columns.items():
            wrong = ~np.isin(column, [*truth.get(name, ()), MISSING])
            if not spec.checksum:
                wrong &= (block.quality & np.uint16(Quality.UNCHECKED)) == 0
            found += [f"{name}={v}" for v in column[wrong]]
    return found


def held(thing: object, seen: set[int] | None = None) -> int:
    """Bytes that an object of ours keeps, in buffers, arrays, and containers of them."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return 0
    seen.add(id(thing))
    if isinstance(thing, (bytes, bytearray, str)):
        return len(thing)
    if isinstance(thing, np.ndarray):
        return int(thing.nbytes)
    if isinstance(thing, dict):
        return sum(held(k, seen) + held(v, seen) for k, v in thing.items())
    if isinstance(thing, (list, tuple, set, frozenset)) or type(thing).__name__ == "deque":
        return sum(held(one, seen) for one in thing)
    if not type(thing).__module__.startswith("denchi_protocol"):
        return 0
    names = {n for c in type(thing).__mro__ for n in getattr(c, "__slots__", ())}
    names |= set(getattr(thing, "__dict__", ()))
    return sum(held(getattr(thing, n), seen) for n in names if hasattr(thing, n))


EIGHT_BITS = {"yzx", "ebd", "avhzy", "fnirsi", "daly", "sbs", "atorch"}
"""Families whose check is one byte: of 256 broken frames one looks whole, and none can tell."""


def by_chance(spec: MeterSpec, broken: int) -> int:
    """Values that noise may show behind a right checksum: three times what chance gives a one-byte check."""
    return 2 + 3 * broken // 256 if spec.family in EIGHT_BITS else 0


SPARE = 16_384
"""Beside the bytes of a wire a codec holds its counters, requests and tables."""


def check_held(codec: object) -> None:
    assert held(codec) <= MAX_HELD + SPARE


def check_sent(spec: MeterSpec, sent: Iterable[bytes]) -> None:
    """Only what the spec declares goes to a device."""
    for data in sent:
        assert any(data.startswith(p) for p in spec.allowed_sends), f"{spec.key} sent {data.hex()}"


def check_times(events: Iterable[Event]) -> None:
    for block in samples(events):
        assert (np.diff(block.t_ns) > 0).all(), "stamps of one block do not increase"


def garbage(rng: random.Random, starts: Iterable[bytes], size: int = 64) -> bytes:
    """Random bytes in which beginnings of real frames stand, the worst for a framer."""
    starts = list(starts)
    out = bytearray()
    while len(out) < size:
        if starts and rng.random() < 0.5:
            frame = rng.choice(starts)
            out += frame[: rng.randrange(1, len(frame) + 1)][:-1] or frame[:1]
        out += rng.randbytes(rng.randrange(1, 16))
    return bytes(out[:size])


def spoiled(rng: random.Random, data: bytes) -> bytes:
    """One of the things that happen to a packet: bits turn, bytes are lost, come twice, or strangers come."""
    if not data:
        return data
    kind = rng.randrange(6)
    at = rng.randrange(len(data))
    if kind == 0:
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if kind == 1:
        return data[:at]
    if kind == 2:
        return data[at:]
    if kind == 3:
        return data[:at] + rng.randbytes(rng.randrange(1, 9)) + data[at:]
    if kind == 4:
        return data[:at] + data
    return b""


def content(events: Iterable[Event]) -> list[Event]:
    return [e for e in events if not isinstance(e, Rejected)]
