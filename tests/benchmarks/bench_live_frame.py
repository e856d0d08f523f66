"""One live frame, from ``feed`` to its block, beside the per-sample decoder of the same frame.

The target is in microseconds, so the least of many short rounds counts: what else the machine does can only
add to it. Ours and the yardstick go in turn.
"""

from __future__ import annotations

from benchmarks.bench_decode import FAMILIES, SCENE, T0, Family, count
from benchmarks.table import Row, seconds
from denchi.drivers import registry
from denchi_protocol.codec import Send, StillScene, Wait

LEFT_OUT = ("km003c",)
"""A stream that denchi starts on no meter: its emulator has none."""
TARGET_US = 50.0


def frames(key: str, samples: int) -> list[tuple[int, bytes]]:
    """Arrival times and packets, as the emulator sends them in a conversation."""
    spec = registry.get(key)
    codec, emulator = spec.codec(), spec.emulator(StillScene(SCENE), now_ns=T0)
    now, said, heard = T0, [], 0
    while heard < samples:
        action = codec.next(now)
        if isinstance(action, Send):
            emulator.receive(action.data, now)
            continue
        answer = emulator.next(now)
        if isinstance(answer, Send):
            said.append((now, answer.data))
            heard += count(codec.feed(answer.data, now))
            continue
        assert isinstance(action, Wait)
        now = max(now + 1, min(action.until_ns, answer.until_ns))
    return said


def measured(family: Family, samples: int, rounds: int) -> tuple[float, float, float]:
    """Microseconds a frame of ours and of the yardstick, and samples a frame."""
    said = frames(family.key, samples)
    make = registry.get(family.key).codec

    def ours() -> int:
        codec = make()
        return sum(count(codec.feed(data, t_ns)) for t_ns, data in said)

    def theirs() -> None:
        for _, data in said:
            family.yardstick(data)

    mine, yard = float("inf"), float("inf")
    for _ in range(rounds):
        mine, yard = min(mine, seconds(ours)), min(yard, seconds(theirs))
    return mine / len(said) * 1e6, yard / len(said) * 1e6, ours() / len(said)


def run(*, quick: bool) -> list[Row]:
    """Every family; a packet may hold several samples, or a part of one."""
    rows = []
    for family in FAMILIES:
        if family.key in LEFT_OUT:
            continue
        us, yard_us, samples = measured(family, 400, 5 if quick else 30)
        rows.append(
            Row(
                f"one live frame, feed to block, {family.what}",
                f"{us:.0f} µs",
                f"≤ {TARGET_US:.0f} µs",
                us <= TARGET_US,
                f"the yardstick {yard_us:.0f} µs; {samples:.1f} samples a frame",
            )
        )
    return rows
