"""Runs of frames are read at once: the same is told as when every frame comes alone at that instant."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denchi.drivers import registry
from denchi_protocol.codec import MeterGap, Scene, Telemetry
from denchi_protocol.devclock import DeviceClock
from denchi_protocol.runs import ArrivalClock, News, in_order, woven
from denchi_protocol.samples import TIME_STEP_NS, SampleBlock
from protocol.fuzz import WIRED
from protocol.invariants import samples, spoiled
from protocol.loop import T0, S, drive


class Moving:
    """A bank whose every quantity moves, in small steps and now and then in a leap."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def at(self, now_ns: int) -> Scene:
        second = (now_ns - T0) // 50_000_000
        rng = random.Random(self.seed * 1_000_003 + second)
        leap = 4.0 if rng.random() < 0.03 else 0.0
        volts = 5.0 + rng.random() + leap
        return Scene(
            vbus_v=volts, ibus_a=1.0 + rng.random() / 2, dp_v=0.6 * rng.random(), dm_v=2.7 * rng.random(),
            cc1_v=1.6, cc2_v=0.4, meter_temp_c=30.0 + rng.random(), case_temp_c=33.0 + rng.random(),
            ambient_temp_c=24.0, pack_v=15.0 + rng.random(), pack_a=1.5 + rng.random(),
            cells_v=tuple(3.8 + rng.random() / 50 for _ in range(4)), cell_temps_c=(26.0, 27.0),
            energy_wh=12.0 + second / 100, capacity_ah=1.0 + second / 1000,
        )  # fmt: skip

    def pd_between(self, after_ns, until_ns):
        return ()


def told(codec, pieces):
    """What was said, without how blocks were cut and without stamps (a bunch may be spread)."""
    out = []
    for piece in pieces:
        for event in codec.feed(piece, T0 + 10 * S):
            if isinstance(event, MeterGap):
                event = (event.lost, event.cause)  # its ends are stamps
            if not isinstance(event, SampleBlock):
                out.append(event)
                continue
            columns = {n: c.tolist() for n, c in event.columns.items()}
            if out and isinstance(out[-1], dict) and out[-1].keys() == {*columns, "quality"}:
                for name, column in columns.items():
                    out[-1][name] += column
                out[-1]["quality"] += event.quality.tolist()
            else:
                out.append(columns | {"quality": event.quality.tolist()})
    return out


@pytest.mark.parametrize("key", [key for key in WIRED if key != "px100"])  # must be asked
@pytest.mark.parametrize("noisy", [False, True])
def test_a_recording_in_one_piece_says_what_its_frames_say(key, noisy):
    spec = registry.get(key)
    if spec.transport.kind == "hid" and noisy:
        pytest.skip("this transport keeps its packets whole")
    rng = random.Random(f"{key} {noisy}")
    seconds = max(3.0, 60 / spec.rate_hz)
    got = drive(spec.codec(), spec.emulator(Moving(7), now_ns=T0), for_ns=int(seconds * S)).got
    pieces = [data for _, data in got]
    if noisy:
        pieces = [spoiled(rng, p) if rng.random() < 0.05 else p for p in pieces]
    alone, whole = spec.codec(), spec.codec()
    want, have = told(alone, pieces), told(whole, [b"".join(pieces)])
    assert sum(isinstance(e, dict) for e in want) > 0
    for i, (a, b) in enumerate(zip(want, have, strict=False)):
        assert a == b, f"event {i}"
    assert len(want) == len(have)
    # Any other cutting says it too.
    stream, cut, at = b"".join(pieces), [], 0
    while at < len(stream):
        size = rng.choice((1, 30, 100, 1000, 5000))
        cut.append(stream[at : at + size])
        at += size
    assert told(spec.codec(), cut) == want


@pytest.mark.parametrize("key", [key for key in WIRED if key != "px100"])
def test_a_turned_bit_in_the_midst_of_a_run_is_judged_as_in_a_frame_alone(key):
    """Each byte in turn: what judges many frames at once and what judges one must agree on every one."""
    spec = registry.get(key)
    got = drive(
        spec.codec(), spec.emulator(Moving(3), now_ns=T0), for_ns=int(max(1.0, 40 / spec.rate_hz) * S)
    ).got[:48]  # fmt: skip
    pieces = [data for _, data in got]
    which = len(pieces) - 8
    frame, rng = pieces[which], random.Random(key)
    places = range(len(frame)) if len(frame) <= 128 else rng.sample(range(len(frame)), 128)
    for at in places:
        broken = frame[:at] + bytes([frame[at] ^ 1 << rng.randrange(8)]) + frame[at + 1 :]
        said = [*pieces[:which], broken, *pieces[which + 1 :]]
        assert told(spec.codec(), [b"".join(said)]) == told(spec.codec(), said), f"byte {at}"


def test_the_last_counters_of_a_recording_in_one_piece_are_told_at_its_end():
    from denchi_protocol import playback

    spec = registry.get("yzx")
    got = drive(spec.codec(), spec.emulator(Moving(1), now_ns=T0), for_ns=10 * S).got
    codec = spec.codec()
    first = [e for e in codec.feed(b"".join(d for _, d in got), T0) if isinstance(e, Telemetry)]
    (last,) = playback.finish(codec, T0)
    alone = spec.codec()
    assert [last.values] == [
        e.values for e in alone.feed(got[-1][1], T0) if isinstance(e, Telemetry)
    ]
    assert len(first) == 1
    assert first[0].values != last.values
    assert playback.finish(codec, T0) == []


# -- the parts ------------------------------------------------------------------------------------


def numbered(start, n):
    return SampleBlock(np.arange(start, start + n), {"vbus_uv": np.arange(start, start + n)})


@given(st.integers(1, 30), st.lists(st.integers(-1, 29), max_size=10))
@settings(deadline=None)
def test_in_order_puts_each_mark_behind_its_frame(n, places):
    marks = [(p, Telemetry(p)) for p in sorted(places) if p < n]
    seen = -1
    count = []
    for event in in_order(numbered(0, n), marks):
        if isinstance(event, SampleBlock):
            assert event.t_ns.tolist() == list(range(seen + 1, seen + 1 + len(event)))
            seen = int(event.t_ns[-1])
        else:
            assert event.t_ns == max(seen, -1)
            count.append(event)
    assert seen == n - 1
    assert len(count) == len(marks)


@given(st.lists(st.sampled_from("abm"), min_size=1, max_size=40))
@settings(deadline=None)
def test_woven_keeps_the_order_of_the_frames(kinds):
    parts, marks = [], []
    for kind in "ab":
        at = np.array([i for i, k in enumerate(kinds) if k == kind], np.intp)
        if len(at):
            parts.append((at, SampleBlock(at.astype(np.int64), {"vbus_uv" if kind == "a" else "pack_uv": at})))  # fmt: skip
    marks = [(i, Telemetry(i)) for i, k in enumerate(kinds) if k == "m"]
    out = []
    for event in woven(parts, marks):
        if isinstance(event, SampleBlock):
            out += [("a" if "vbus_uv" in event.columns else "b", t) for t in event.t_ns.tolist()]
        else:
            out.append(("m", event.t_ns))
    assert out == [(k, i) for i, k in enumerate(kinds)]


def test_arrivals_go_forward_however_they_are_cut():
    whole, cut = ArrivalClock(), ArrivalClock()
    stamps = np.concatenate([whole.stamps(3, T0), whole.stamps(2, T0), whole.stamps(1, T0 + S)])
    single = [int(cut.stamps(1, t)[0]) for t in (T0,) * 5 + (T0 + S,)]
    assert stamps.tolist() == single
    assert (np.diff(stamps) >= TIME_STEP_NS).all()
    assert single[0] == T0
    assert single[-1] == T0 + S


@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.integers(1, 30_000_000), st.integers(0, 900_000_000)),
        min_size=1,
        max_size=6,
    )
)
@settings(deadline=None)
def test_stamps_of_even_device_times_need_not_be_made_to_be_the_same(reads):
    """Runs (samples, distance, time since the read before): all ready at once, late, or just in time."""
    made, even, falling = DeviceClock(), DeviceClock(), DeviceClock()
    device, arrival, last = 5 * S, T0, 0
    for n, step, passed in reads:
        arrival += passed
        times = device + step * np.arange(n, dtype=np.int64)
        device = int(times[-1]) + step
        want = made.stamps(times, arrival).tolist()
        assert even.even(int(times[0]), step, n, arrival).tolist() == want
        assert last < want[0]
        assert all(a < b for a, b in itertools.pairwise(want))
        assert want[-1] <= max(arrival, last + n)
        last = want[-1]
        fallen = falling.stamps(times[::-1].copy(), arrival).tolist()  # still in order
        assert all(a < b for a, b in itertools.pairwise(fallen))


def test_news_once_an_arrival_and_at_every_change_of_flags():
    rows = np.zeros((6, 4), np.uint8)
    rows[3:, 1] = 1
    rows[:, 3] = range(6)
    news = News(slice(1, 2))
    assert news.among(rows, T0) == [0, 3]
    assert news.left() == [rows[5].tobytes()]
    assert news.left() == []
    assert news.among(rows[4:], T0) == []
    assert news.among(rows[:1], T0) == [0]
    assert news.among(rows[:1], T0 + 1) == [0]


def test_singles_are_the_rows():
    block = SampleBlock(np.arange(3), {"vbus_uv": np.arange(3), "ibus_ua": np.arange(3)[::-1]})
    assert [b.t_ns.tolist() for b in block.singles()] == [[0], [1], [2]]
    assert [int(b.columns["ibus_ua"][0]) for b in block.singles()] == [2, 1, 0]
    assert all(len(b) == 1 and b.quality.shape == (1,) for b in block.singles())
    assert not samples([])
