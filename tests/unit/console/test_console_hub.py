"""One frame for all who follow: the latest, whoever is slow."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from engine.console.event_stream import EventStream
from engine.console.hub import Follower, Hub
from engine.errors import ResourceExhaustedError


async def collect(follower: Follower, into: list[bytes]) -> None:
    while (frame := await follower.receive()) is not None:
        into.append(frame)


async def test_all_followers_get_each_frame() -> None:
    hub = Hub(10)
    seen: list[list[bytes]] = [[], []]
    with hub.follow() as one, hub.follow() as other:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collect, one, seen[0])
            nursery.start_soon(collect, other, seen[1])
            for frame in (b"1", b"2"):
                hub.publish(frame)
                await wait_all_tasks_blocked()
            hub.close()
    assert seen == [[b"1", b"2"], [b"1", b"2"]]


async def test_one_who_comes_later_gets_the_present_frame_at_once() -> None:
    hub = Hub(10)
    hub.publish(b"old")
    hub.publish(b"present")
    with hub.follow() as follower:
        assert await follower.receive() == b"present"


async def test_a_slow_follower_skips_to_the_latest_frame() -> None:
    hub = Hub(10)
    with hub.follow() as slow:
        hub.publish(b"0")
        assert await slow.receive() == b"0"
        for number in range(1_000):
            hub.publish(b"%d" % number)
        assert await slow.receive() == b"999"


async def test_the_last_frame_comes_before_the_end() -> None:
    hub = Hub(10)
    with hub.follow() as follower:
        hub.publish(b"last")
        hub.close()
        assert await follower.receive() == b"last"
        assert await follower.receive() is None


async def test_too_many_followers_are_refused_and_a_place_is_given_back() -> None:
    hub = Hub(1)
    with hub.follow():
        with pytest.raises(ResourceExhaustedError), hub.follow():
            pass
        assert hub.followers == 1
    with hub.follow():
        assert hub.followers == 1


async def test_a_client_that_takes_nothing_makes_room(autojump_clock: trio.abc.Clock) -> None:
    hub = Hub(10)
    hub.publish(b"frame")

    async def send(message: object) -> None:
        if isinstance(message, dict) and message.get("body"):
            await trio.sleep_forever()

    with trio.fail_after(60):
        await EventStream(hub)({"type": "http"}, _never_gone, send)
    assert hub.followers == 0


async def test_a_client_that_leaves_is_let_go(autojump_clock: trio.abc.Clock) -> None:
    hub = Hub(10)

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(_message: object) -> None:
        await trio.lowlevel.checkpoint()

    with trio.fail_after(60):
        await EventStream(hub)({"type": "http"}, receive, send)
    assert hub.followers == 0


async def _never_gone() -> dict[str, str]:
    await trio.sleep_forever()
    raise AssertionError("slept for ever")
