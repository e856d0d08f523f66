"""The hub hands on from any thread and waits for nobody."""

from __future__ import annotations

import asyncio
import json
import threading
from types import SimpleNamespace

import pytest

from denchi.daemon.api import Api
from denchi.daemon.hub import MAX_WAITING, Hub


async def messages(listener, n):
    """The next n messages; what waits together comes together."""
    got = []
    while len(got) < n:
        got += [json.loads(line) for line in (await listener.get()).splitlines()]
    return got


async def test_messages_from_another_thread_arrive_in_order():
    hub = Hub()
    hub.attach(asyncio.get_running_loop())
    listener = hub.listen(20)
    thread = threading.Thread(target=lambda: [hub.publish({"n": n}) for n in range(100)])
    thread.start()
    got = await messages(listener, 100)
    thread.join()
    assert [m["n"] for m in got] == list(range(100))


async def test_a_listener_that_does_not_read_is_dropped_and_others_go_on():
    hub = Hub()
    hub.attach(asyncio.get_running_loop())
    slow, quick = hub.listen(20), hub.listen(20)
    for n in range(MAX_WAITING + 10):
        hub.publish({"n": n})
        await asyncio.sleep(0)
        assert json.loads(await quick.get())["n"] == n
    assert slow.dropped
    assert await slow.get() is None
    assert not quick.dropped


async def test_nobody_listening_costs_nothing():
    hub = Hub()
    hub.attach(asyncio.get_running_loop())
    hub.publish({"n": 1})
    assert hub.published == 0


async def test_close_says_bye_and_ends_streams():
    hub = Hub()
    hub.attach(asyncio.get_running_loop())
    listener = hub.listen(20)
    hub.publish({"n": 1})
    hub.close()
    assert await messages(listener, 2) == [{"n": 1}, {"type": "bye"}]
    assert await listener.get() is None


async def test_samples_come_as_often_as_a_listener_wants_and_the_rest_always():
    hub = Hub()
    hub.attach(asyncio.get_running_loop())
    rare, often = hub.listen(1), hub.listen(50)
    assert hub.max_hz == 50
    for k in range(100):  # 10 s of two instruments, a message each 100 ms
        for role in ("meter", "case"):
            hub.publish({"role": role, "k": k}, ("b", role), k * 100_000_000)
    hub.publish({"type": "finding"})
    await asyncio.sleep(0.01)
    assert len(await messages(often, 201)) == 201
    got = await messages(rare, 1)
    assert got[-1] == {"type": "finding"}
    for role in ("meter", "case"):
        stamps = [m["k"] for m in got if m.get("role") == role]
        assert 10 <= len(stamps) <= 13, stamps


@pytest.mark.parametrize("max_hz", [10, 50])
async def test_messages_of_many_meters_are_written_together_and_none_is_lost(max_hz):
    hub = Hub()
    hub.attach(asyncio.get_running_loop())
    api = Api(SimpleNamespace(hub=hub, state=lambda: {"benches": []}))
    lines = api._lines(max_hz)
    assert json.loads(await anext(lines))["type"] == "state"
    count = 100

    async def publish():
        for n in range(count):  # half a second of 200 messages/s
            hub.publish({"n": n})
            await asyncio.sleep(0.005)
        hub.close()

    publishing = asyncio.create_task(publish())
    chunks = [chunk async for chunk in lines]
    await publishing
    told = [json.loads(line) for chunk in chunks for line in chunk.splitlines()]
    assert told == [{"n": n} for n in range(count)] + [{"type": "bye"}]
    # A slow machine publishes over a longer time: then more writes are due, never one a message.
    assert len(chunks) <= count // 2
