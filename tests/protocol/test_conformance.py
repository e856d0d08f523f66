"""Every meter of the registry keeps what the Codec protocol promises; third parties' too."""

from __future__ import annotations

import random

import numpy as np
import pytest

from denchi.drivers import registry
from denchi_protocol import playback
from denchi_protocol.buffer import MAX_HELD
from denchi_protocol.codec import Codec, Done, Rejected, Scene, Send, StillScene, Wait
from denchi_protocol.samples import MISSING, SampleBlock, same
from protocol.invariants import (
    KEYS,
    KINDS,
    SCENE,
    by_chance,
    check_held,
    check_sent,
    check_times,
    content,
    garbage,
    invented,
    samples,
    spoiled,
    talk,
    truth_of,
)
from protocol.loop import MS, T0, S, drive, hang_up
from protocol.wire import captures, read_capture
from support import vectors

TRUE = {
    "vbus_uv": SCENE.vbus_v, "ibus_ua": SCENE.ibus_a, "dp_uv": SCENE.dp_v, "dm_uv": SCENE.dm_v,
    "cc1_uv": SCENE.cc1_v, "cc2_uv": SCENE.cc2_v, "pack_uv": SCENE.pack_v,
    "temp_mc.meter": SCENE.meter_temp_c, "temp_mc.case": SCENE.case_temp_c,
    "temp_mc.ambient": SCENE.ambient_temp_c,
    **{f"cell_uv.{i}": v for i, v in enumerate(SCENE.cells_v, 1)},
    **{f"temp_mc.cell.{i}": v for i, v in enumerate(SCENE.cell_temps_c, 1)},
}  # fmt: skip


@pytest.fixture(params=KEYS)
def spec(request):
    return registry.get(request.param)


@pytest.fixture(params=KINDS)
def kind(request):
    return registry.get(request.param)


def wired(spec):
    """Only what comes over a wire can be spoiled there; attributes of the kernel come out of its memory."""
    if spec.transport.kind == "sysfs":
        pytest.skip("no wire: the kernel's attributes")
    if not spec.channels:
        pytest.skip("no samples")


def oddities(spec):
    factory = spec.emulator
    made = factory(StillScene(SCENE), now_ns=T0)
    return tuple(getattr(made, "ODDITIES", ()))


def base(name):
    """``cell_uv.3`` -> ``cell_uv.N``, as specs name it."""
    stem, _, number = name.rpartition(".")
    return f"{stem}.N" if number.isdigit() else name


# -- the way there and back ----------------------------------------------------------------------


def test_round_trip_with_the_emulator(spec):
    """What the device measures is what comes out, in the declared channels, and nothing else."""
    done = talk(spec)
    if not spec.channels:
        assert content(done.events), "a meter without channels tells something else"
        return
    block = SampleBlock.concat(done.of(SampleBlock))
    assert len(block) >= 3
    measured = {n for n in block.columns if block.measured(n).any()}
    assert {base(n) for n in block.columns} <= set(spec.channels)
    assert measured, "nothing was measured"
    for name in measured - {"ibus_ua", "pack_ua"}:
        step = 1.0 if name.startswith("temp") else 0.05 * (10 if spec.family == "atorch" else 1)
        values = block.si(name)[block.measured(name)]
        if spec.kind == "sensor":  # where it sits is the bench's to say
            places = (SCENE.case_temp_c, SCENE.ambient_temp_c, SCENE.meter_temp_c)
            assert any(values == pytest.approx(t, abs=step) for t in places)
            continue
        assert values == pytest.approx(TRUE[name], abs=step), name
    for name, true in (("ibus_ua", SCENE.ibus_a), ("pack_ua", SCENE.pack_a)):
        if name in measured:
            values = block.si(name)[block.measured(name)]
            assert np.abs(values) == pytest.approx(abs(true), abs=0.05)
            assert len(set(np.sign(values))) == 1
            if spec.current == "unsigned":
                assert (values >= 0).all()
    check_times(done.events)
    check_sent(spec, done.requests)


def test_nothing_to_measure_gives_no_value_of_it(spec):
    """A place without a probe, a line that is not wired: never a value that was not said."""
    if spec.kind == "sensor":
        pytest.skip("a sensor always measures something")
    bare = StillScene(
        Scene(vbus_v=5.0, ibus_a=0.5, pack_v=14.8, pack_a=0.0, cells_v=(3.7, 3.7, 3.7, 3.7))
    )
    done = drive(
        spec.codec(), spec.emulator(bare, now_ns=T0), for_ns=int(max(3, 14 / spec.rate_hz) * S)
    )
    block = SampleBlock.concat(done.of(SampleBlock))
    assert len(block)
    for place in ("case", "ambient", "pd"):
        name = f"temp_mc.{place}"
        if name in block.columns:
            assert not block.measured(name).any(), f"{place} was invented"
    assert not any(block.measured(n).any() for n in block.numbered("temp_mc.cell")), (
        "a cell's temperature was invented"
    )


def test_stamps_go_forward_from_block_to_block(kind):
    """Strictly increasing over the whole conversation, never in the future of the arrival."""
    spec = kind
    done = talk(spec)
    by_channels = {}
    for event in samples(done.events):
        last = by_channels.get(tuple(event.columns), 0)
        assert event.t_ns[0] > last
        by_channels[tuple(event.columns)] = int(event.t_ns[-1])
        assert event.t_ns[-1] <= done.now_ns


# -- chunking ------------------------------------------------------------------------------------


def flat(events):
    """Events with neighbouring blocks of the same channels joined: what was said, not how it was cut."""
    out = []
    for event in events:
        if (
            isinstance(event, SampleBlock)
            and out
            and isinstance(out[-1], SampleBlock)
            and event.columns.keys() == out[-1].columns.keys()
        ):
            out[-1] = SampleBlock.concat([out[-1], event])
        else:
            out.append(event)
    return out


def equal(a, b):
    if isinstance(a, SampleBlock) and isinstance(b, SampleBlock):
        return same(a, b)
    return type(a) is type(b) and a == b


def pieces(size):
    return lambda data: [data[i : i + size] for i in range(0, len(data), size)] or [data]


@pytest.mark.parametrize("size", [1, 20])
def test_any_chunking_gives_the_same_events(kind, size):
    spec = kind
    whole, cut = flat(talk(spec).events), flat(talk(spec, deliver=pieces(size)).events)
    assert len(whole) == len(cut)
    assert all(equal(a, b) for a, b in zip(whole, cut, strict=True))


def test_garbage_is_cut_alike_too(kind):
    """Where frames begin and end does not depend on the reads, even between broken ones."""
    spec = kind
    if spec.transport.kind in ("hid", "sysfs"):
        pytest.skip("this transport keeps its packets whole")
    rng = random.Random(spec.key)
    frames = [data for _, data in talk(spec).got][:8]
    stream = b"".join(spoiled(rng, f) + f for f in frames * 3)
    results = []
    for size in (1, 7, len(stream)):
        codec, events = spec.codec(), []
        for piece in pieces(size)(stream):
            events += codec.feed(piece, T0)
        results.append(
            [
                (
                    type(e).__name__,
                    getattr(e, "reason", ""),
                    len(e) if isinstance(e, SampleBlock) else 0,
                )
                for e in flat(events)
            ]
        )
    assert results[0] == results[1] == results[2]


# -- what is broken on the way -------------------------------------------------------------------


def test_a_turned_bit_gives_no_value(kind):
    """Every single bit of a frame: with a checksum nothing is said, without one nothing unflagged."""
    spec = kind
    wired(spec)
    done = talk(spec)
    truth = truth_of(samples(done.events))
    alone = [data for _, data in done.got if samples(spec.codec().feed(data, T0))]
    if not alone:
        pytest.skip("this device's frames say nothing one by one")
    frame = alone[0][:512]
    rng = random.Random(spec.key)
    for at in range(len(frame)):
        for bit in range(8) if len(frame) <= 64 else (rng.randrange(8),):
            broken = frame[:at] + bytes([frame[at] ^ 1 << bit]) + frame[at + 1 :]
            codec = spec.codec()
            events = codec.feed(broken, T0) + playback.finish(codec, T0)
            if spec.checksum:
                assert not invented(spec, samples(events), truth), f"bit {bit} of byte {at}"
            check_times(events)


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3))])
def test_a_noisy_line_invents_nothing_and_comes_back(kind, seed):
    """Every third packet is spoiled; what comes out was said, and it ends in step."""
    spec = kind
    wired(spec)
    rng = random.Random(f"{spec.key} {seed}")
    truth = truth_of(samples(talk(spec).events))
    count = 0

    def noise(data):
        nonlocal count
        count += 1
        return [spoiled(rng, data) if count % 3 == 0 else data]

    done = talk(spec, seconds=max(10.0, 30 / spec.rate_hz), deliver=noise)
    wrong = invented(spec, samples(done.events), truth)
    assert len(wrong) <= by_chance(spec, count // 3) * len(spec.channels), wrong[:5]
    assert samples(done.events)
    check_times(done.events)
    check_sent(spec, done.requests)


@pytest.mark.parametrize("how", ["cut", "head", "flip", "junk"])
def test_back_in_step_within_two_good_frames(kind, how):
    """After a broken frame at most one good one is lost."""
    spec = kind
    wired(spec)
    reference = talk(spec)
    told = [i for i, (_, data) in enumerate(reference.got) if content(spec.codec().feed(data, T0))]
    if len(told) < 4:
        pytest.skip("this device's frames say nothing one by one")
    victim = told[len(told) // 2]
    rng = random.Random(how)
    good_after = heard = -1
    count = 0
    codec = spec.codec()

    def deliver(data):
        nonlocal count, good_after
        count += 1
        if count - 1 != victim:
            if good_after >= 0 and content(spec.codec().feed(data, T0)):
                good_after += 1
            return [data]
        good_after = 0
        return [
            {
                "cut": data[: len(data) // 2],
                "head": data[len(data) // 2 :],
                "flip": bytes([*data[:-1], data[-1] ^ 0x55]),
                "junk": rng.randbytes(len(data)),
            }[how]
        ]

    feed = codec.feed

    def listen(data, t_ns):
        nonlocal heard
        events = feed(data, t_ns)
        if good_after >= 1 and heard < 0 and content(events):
            heard = good_after
        return events

    codec.feed = listen if not hasattr(type(codec), "__slots__") else codec.feed
    emulator = spec.emulator(StillScene(SCENE), now_ns=T0)
    drive(codec, emulator, for_ns=int(max(8.0, 40 / spec.rate_hz) * S), deliver=deliver)
    assert 1 <= heard <= 2


def test_junk_before_the_first_frame_is_no_value(kind):
    """A port opened in the middle of a frame, or full of an older program's talk."""
    spec = kind
    wired(spec)
    clean = talk(spec)
    truth = truth_of(samples(clean.events))
    rng = random.Random(spec.key)
    tail = max((d for _, d in clean.got), key=len)
    for junk in (tail[len(tail) // 3 :], garbage(rng, [tail], 200), b"\0" * 100, b"\xff" * 100):
        first = [junk]

        def deliver(data, first=first):
            return [first.pop(), data] if first else [data]

        done = talk(spec, seconds=max(6.0, 20 / spec.rate_hz), deliver=deliver)
        assert samples(done.events) or spec.key in HEADER_FIRST
        assert not invented(spec, samples(done.events), truth)


def test_garbage_between_frames(kind):
    spec = kind
    wired(spec)
    clean = talk(spec)
    truth = truth_of(samples(clean.events))
    frames = [d for _, d in clean.got]
    rng = random.Random(f"{spec.key} between")

    def deliver(data):
        return [garbage(rng, frames, rng.randrange(1, 40)), data] if rng.random() < 0.5 else [data]

    done = talk(spec, seconds=max(10.0, 30 / spec.rate_hz), deliver=deliver)
    wrong = invented(spec, samples(done.events), truth)
    assert len(wrong) <= by_chance(spec, len(done.got)) * len(spec.channels), wrong[:5]
    check_times(done.events)


def test_two_devices_share_nothing(kind):
    """Two codecs fed in turn: neither knows what the other heard."""
    spec = kind
    other = StillScene(
        Scene(
            vbus_v=5.5,
            ibus_a=0.25,
            dp_v=0.1,
            dm_v=0.1,
            meter_temp_c=20.0,
            pack_v=11.1,
            pack_a=1.0,
            cells_v=(3.7,) * 4,
        )
    )
    single = [flat(talk(spec).events), None]
    for_ns = int(max(3.0, 14 / spec.rate_hz) * S)
    single[1] = flat(drive(spec.codec(), spec.emulator(other, now_ns=T0), for_ns=for_ns).events)
    a = [*drive_steps(spec, StillScene(SCENE), for_ns)]
    assert len(a) > 2
    mixed = [[], []]
    for one, two in zip(
        drive_steps(spec, StillScene(SCENE), for_ns), drive_steps(spec, other, for_ns), strict=False
    ):
        mixed[0] += one
        mixed[1] += two
    for alone, together in zip(single, mixed, strict=True):
        together = flat(together)
        assert all(equal(x, y) for x, y in zip(alone, together, strict=False))


def drive_steps(spec, source, for_ns):
    """The driving loop, one delivery a step."""
    codec, emulator = spec.codec(), spec.emulator(source, now_ns=T0)
    now = T0
    while now < T0 + for_ns:
        action = codec.next(now)
        if isinstance(action, Send):
            emulator.receive(action.data, now)
            continue
        answer = emulator.next(now)
        if isinstance(answer, Send):
            yield codec.feed(answer.data, now)
            continue
        now = max(now + 1, min(action.until_ns, answer.until_ns))


# -- bounds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "what",
    [
        "endless frame",
        *(pytest.param(w, marks=pytest.mark.slow) for w in ("random", "starts", "one byte")),
    ],
)
def test_never_more_than_64_kib_held(kind, what):
    """Twice the bound of what is no frame, in reads of all sizes."""
    spec = kind
    rng = random.Random(what)
    frames = [d for _, d in talk(spec).got]
    longest = max(frames, key=len)
    codec = spec.codec()
    codec.next(T0)
    total = 0
    while total < 2 * MAX_HELD:
        size = rng.choice((1, 64, 1000, 8192, 80_000))
        data = {
            "random": rng.randbytes(size),
            "starts": garbage(rng, frames, min(size, 8192)),
            "one byte": longest[:1] * size,
            "endless frame": longest[:-1] if total == 0 else bytes([longest[-1] ^ 0xFF]) * size,
        }[what]
        codec.feed(data, T0 + total)
        total += len(data)
        check_held(codec)
    assert MAX_HELD == 65_536


def test_only_declared_requests_are_ever_sent(kind):
    """With every oddity, and with garbage for answers: nothing but the declared read requests."""
    spec = kind
    for oddity in ("", *oddities(spec)):
        codec, emulator = spec.codec(), spec.emulator(StillScene(SCENE), now_ns=T0, oddity=oddity)
        done = drive(codec, emulator, for_ns=int(max(5.0, 10 / spec.rate_hz) * S))
        end = drive(codec, emulator, now_ns=done.now_ns, for_ns=60 * S, closing=True)
        assert end.done, f"close never came to Done with {oddity!r}"
        check_sent(spec, [*done.requests, *end.requests])
    rng = random.Random(spec.key)
    codec, frames = spec.codec(), [d for _, d in talk(spec).got]
    for step in range(400):
        now = T0 + step * 100 * MS
        for _ in range(8):
            action = codec.next(now)
            if not isinstance(action, Send):
                break
            check_sent(spec, [action.data])
        codec.feed(garbage(rng, frames, rng.randrange(1, 200)), now)


def test_a_declared_request_is_whole_or_a_plain_prefix(spec):
    """An empty prefix would allow everything."""
    assert all(len(prefix) >= 1 for prefix in spec.allowed_sends)
    sent = talk(spec).requests
    assert bool(sent) == bool(spec.allowed_sends)


def test_close_ends_in_done_whatever_the_state(kind):
    """Before the first byte, in the middle, with a device that has left, twice."""
    spec = kind
    for steps in (0, 1, 5, 50):
        codec, emulator = spec.codec(), spec.emulator(StillScene(SCENE), now_ns=T0)
        if steps:
            drive(codec, emulator, for_ns=steps * 100 * MS)
        now, turns = T0 + steps * 100 * MS, 0
        while not isinstance(action := codec.close(now), Done):
            turns += 1
            assert turns < 200
            if isinstance(action, Wait):
                assert action.until_ns > now
                now = action.until_ns
        assert now - T0 < 60 * S + steps * 100 * MS
        assert isinstance(codec.close(now + S), Done)
    codec, emulator = spec.codec(), spec.emulator(StillScene(SCENE), now_ns=T0)
    hang_up(codec, emulator, now_ns=drive(codec, emulator).now_ns)


def test_times_that_jump_are_harmless(spec):
    """A clock that stands still, leaps a day, or goes back: no error, and stamps of a block increase."""
    frames = [d for _, d in talk(spec).got][:40]
    rng = random.Random(spec.key)
    codec, now = spec.codec(), T0
    for frame in frames * 2:
        now += rng.choice((0, 1, 5 * MS, -3 * MS, 86_400 * S, -3600 * S, -1))
        for _ in range(4):
            if not isinstance(codec.next(now), Send):
                break
        check_times(codec.feed(frame, now))
    assert isinstance(codec, Codec)


def test_reads_of_nothing_are_nothing(spec):
    codec = spec.codec()
    assert codec.feed(b"", T0) == []


# -- the project's captures and the research folder's frames ---------------------------------------


def keys_of(line):
    """(name, value) pairs of an ``expect`` that speak of samples."""
    flat_line = {k: v for k, v in line.items() if k in NAMES}
    flat_line |= {
        f"temp_{k}": v for k, v in line.get("temp_c", {}).items() if not isinstance(v, list)
    }
    return flat_line


HEADER_FIRST = {"line"}
"""Its columns are named once, in the first line: where junk swallows that, it says so and shows nothing."""

NAMES = {
    "vbus_v": "vbus_uv", "ibus_a": "ibus_ua", "dp_v": "dp_uv", "dm_v": "dm_uv", "cc1_v": "cc1_uv",
    "cc2_v": "cc2_uv", "pack_v": "pack_uv", "pack_a": "pack_ua", "temp_meter": "temp_mc.meter",
    "temp_case": "temp_mc.case", "temp_ambient": "temp_mc.ambient", "temp_pd": "temp_mc.pd",
}  # fmt: skip


def test_the_familys_captures(spec):
    """Each capture decodes to what stands beside it."""
    checked = 0
    for path in captures(spec.family):
        whole = read_capture(path)
        if whole.header.meter != spec.key:
            continue
        told, want = SampleBlock.concat([]), {}
        events = [e for es in playback.events(spec.codec(), whole.chunks) for e in es]
        told = SampleBlock.concat(samples(events))
        for chunk in whole.received():
            for key, value in keys_of(chunk.extra.get("expect", {})).items():
                want.setdefault(key, []).extend(value if isinstance(value, list) else [value])
        for key, values in want.items():
            name = NAMES[key]
            got = told.si(name)[told.measured(name)] if name in told.columns else np.array([])
            for value in values:
                if value is not None:
                    assert np.isclose(got, value, atol=1e-6).any(), f"{path.name}: {key} {value}"
                    checked += 1
    if not captures(spec.family):
        pytest.fail(f"{spec.family} has no capture")
    print(f"{spec.key}: {checked} values of captures")


FRAMES = {
    "atorch": ("atorch", "ud18", "j7-c", "dl24"), "fnirsi": ("fnb58", "fnb58-ble"), "avhzy": ("avhzy",),
    "rdtech": ("tc66c", "um34c", "um25c"), "others_serial": ("yzx", "ebd-usb"), "witrn": ("witrn",),
    "power_z": ("km003c", "km002c"), "sbs_bms": ("jbd", "daly", "daly-d2"),
}  # fmt: skip


@pytest.mark.parametrize("family", sorted(FRAMES))
def test_real_frames_raise_nothing_whoever_reads_them(family):
    """Every frame of the research folder through every codec: only our events, all stamps in order."""
    frames = [bytes.fromhex(v["hex"]) for v in vectors(family)]
    for key in KEYS:
        codec = registry.get(key).codec()
        for i, frame in enumerate(frames):
            check_times(codec.feed(frame, T0 + i * S))
        check_held(codec)


@pytest.mark.parametrize(
    ("family", "key"), [(f, k) for f, keys in sorted(FRAMES.items()) for k in keys]
)
def test_real_frames_alone_say_what_their_source_says(family, key):
    if key not in KEYS:
        pytest.skip(f"{key} is not in the registry")
    spec, good = registry.get(key), 0
    for vector in vectors(family):
        decoded = vector["decoded"]
        codec = spec.codec()
        blocks = samples(codec.feed(bytes.fromhex(vector["hex"]), T0) + playback.finish(codec, T0))
        for name, wanted in (("vbus_uv", "voltage_V"), ("ibus_ua", "current_A")):
            if blocks and wanted in decoded and name in blocks[0].columns:
                column = blocks[0].columns[name]
                if int(column[0]) != MISSING:
                    assert blocks[0].si(name)[0] == pytest.approx(decoded[wanted], abs=1e-6)
                    good += 1
    print(f"{key}: {good} values of real frames")


def test_rejected_shows_at_most_64_bytes(spec):
    codec = spec.codec()
    events = [e for _ in range(3) for e in codec.feed(b"\xff" * 5000, T0)]
    assert all(len(e.data) <= 64 for e in events if isinstance(e, Rejected))
