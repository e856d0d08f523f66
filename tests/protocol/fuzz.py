"""Fuzz every family's codec: `make fuzz SECONDS=3600`; each failure prints the seed that repeats it.

    python tests/protocol/fuzz.py [--seconds N] [--meter KEY] [--seed N] [--once]

A round is one conversation with the emulator in which packets are spoiled, lost, doubled, cut into any
reads and mixed with garbage, at times that stand still and leap; the invariants of `invariants.py` hold
all the way, and after the noise the meter is read again.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from denchi.drivers import registry
from denchi_protocol.codec import Done, MeterSpec, Send, StillScene, Wait
from protocol.invariants import (
    KEYS,
    KINDS,
    SCENE,
    Truth,
    by_chance,
    check_held,
    check_sent,
    check_times,
    garbage,
    invented,
    samples,
    spoiled,
    talk,
    truth_of,
)
from protocol.loop import MS, T0, S

NOISE_TURNS = 400
WIRED = [
    key
    for key in KINDS
    if registry.get(key).transport.kind != "sysfs" and registry.get(key).channels
]
"""What has a wire on which something can be spoiled."""
_clean: dict[str, tuple[Truth, list[bytes]]] = {}


def clean(spec: MeterSpec) -> tuple[Truth, list[bytes]]:
    """What the undisturbed device says, once for each meter."""
    if spec.key not in _clean:
        done = talk(spec)
        _clean[spec.key] = (truth_of(samples(done.events)), [data for _, data in done.got])
    return _clean[spec.key]


def reads(rng: random.Random, data: bytes) -> list[bytes]:
    """The same bytes, as some driver might return them."""
    out, at = [], 0
    while at < len(data):
        size = rng.choice((1, 2, 7, 20, 64, 512, 4096))
        out.append(data[at : at + size])
        at += size
    return out


def one_round(spec: MeterSpec, seed: int) -> None:
    """One conversation under noise; raises ``AssertionError`` (or whatever the codec raised)."""
    rng = random.Random(f"{spec.key} {seed}")
    truth, frames = clean(spec)
    codec, emulator = spec.codec(), spec.emulator(StillScene(SCENE), now_ns=T0)
    now, noisy, heard, leaps = T0, rng.random(), 0, rng.random() < 0.2
    broken = chance = 0
    for turn in range(NOISE_TURNS * 2):
        quiet = turn >= NOISE_TURNS
        action = codec.next(now)
        if isinstance(action, Send):
            check_sent(spec, [action.data])
            emulator.receive(action.data, now)
            if rng.random() < 0.9:
                continue
        answer = emulator.next(now)
        if isinstance(answer, Send):
            data = answer.data
            if not quiet and rng.random() < noisy:
                data = spoiled(rng, data)
                broken += 1
            if not quiet and rng.random() < noisy / 3:
                data = garbage(rng, frames, rng.randrange(1, 300)) + data
                broken += 1
            for piece in reads(rng, data):
                stamp = now + (rng.choice((0, -5 * MS, 3600 * S)) if leaps and not quiet else 0)
                events = codec.feed(piece, stamp)
                wrong = invented(spec, samples(events), truth)
                chance += bool(wrong)
                allowed = by_chance(spec, broken)
                assert chance <= allowed, f"values that were never said: {wrong[:4]}"
                check_times(events)
                heard += bool(samples(events)) and quiet
        until = [a.until_ns for a in (action, answer) if isinstance(a, Wait)]
        now = max(now + 1, min(until, default=now + MS))
    check_held(codec)
    # A name that noise spoiled twice alike is refused; the link opens a silent device anew after 30 s.
    refused = getattr(codec, "_refused", False)
    assert heard or leaps or refused or not spec.channels, (
        "the meter was not read again after the noise"
    )
    for _ in range(500):
        end = codec.close(now)
        if isinstance(end, Done):
            return
        if isinstance(end, Send):
            check_sent(spec, [end.data])
        else:
            now = max(now + 1, end.until_ns)
    raise AssertionError("close never comes to Done")


def fuzz(seconds: float, keys: list[str], first_seed: int, *, once: bool = False) -> int:
    """Rounds over all meters in turn until the time is over; returns the number of failures."""
    end = time.monotonic() + seconds
    failures = rounds = 0
    seed = first_seed
    while rounds == 0 or (time.monotonic() < end and not once):
        for key in keys:
            rounds += 1
            try:
                one_round(registry.get(key), seed)
            except Exception as error:
                failures += 1
                print(
                    f"FAILED: --meter {key} --seed {seed} --once: {type(error).__name__}: {error}"
                )
                if not isinstance(error, AssertionError):
                    traceback.print_exc()
            if rounds > len(keys) and time.monotonic() >= end:
                break
        seed += 1
    print(
        f"{rounds} rounds over {len(keys)} kinds of meters, {failures} failures, seeds {first_seed}..{seed - 1}"
    )
    return failures


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--meter", choices=KEYS)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--once", action="store_true", help="one round a meter")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 30) if given.seed is None else given.seed
    keys = [given.meter] if given.meter else WIRED
    return 1 if fuzz(given.seconds, keys, seed, once=given.once) else 0


if __name__ == "__main__":
    sys.exit(main())
