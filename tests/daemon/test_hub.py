"""The hub hands on from any thread and waits for nobody."""

from __future__ import annotations

import asyncio
import json
import threading

from denchi.daemon.hub import MAX_WAITING, Hub


async def test_messages_from_another_thread_arrive_in_order():
    hub = Hub()
    hub.attach(asyncio.get_running_loop())
    listener = hub.listen(20)
    thread = threading.Thread(target=lambda: [hub.publish({"n": n}) for n in range(100)])
    thread.start()
    got = [json.loads(await listener.get()) for _ in range(100)]
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
    hub.close()
    assert json.loads(await listener.get()) == {"type": "bye"}
    assert await listener.get() is None
