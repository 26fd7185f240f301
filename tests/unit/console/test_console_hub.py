"""One frame for all who follow: the latest, whoever is slow."""

from itertools import pairwise

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from engine.console.event_stream import EventStream
from engine.console.hub import Follower, Frame, Hub
from engine.errors import ResourceExhaustedError


def frame(text: bytes) -> Frame:
    return Frame(full=text, brief=b"+" + text)


async def collect(follower: Follower, into: list[bytes]) -> None:
    while (received := await follower.receive()) is not None:
        into.append(received)


async def test_all_followers_get_each_frame_and_of_the_next_only_what_is_new(
    autojump_clock: trio.abc.Clock,
) -> None:
    hub = Hub(10)
    seen: list[list[bytes]] = [[], []]
    with hub.follow() as one, hub.follow() as other:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collect, one, seen[0])
            nursery.start_soon(collect, other, seen[1])
            for text in (b"1", b"2"):
                hub.publish(frame(text))
                await wait_all_tasks_blocked()
                await trio.sleep(1)
            hub.close()
    assert seen == [[b"1", b"+2"], [b"1", b"+2"]]


async def test_one_who_comes_later_gets_the_present_frame_at_once() -> None:
    hub = Hub(10)
    hub.publish(frame(b"old"))
    hub.publish(frame(b"present"))
    with hub.follow() as follower:
        assert await follower.receive() == b"present"


async def test_a_slow_follower_skips_to_the_latest_frame() -> None:
    hub = Hub(10)
    with hub.follow() as slow:
        hub.publish(frame(b"0"))
        assert await slow.receive() == b"0"
        for number in range(1_000):
            hub.publish(frame(b"%d" % number))
        assert await slow.receive() == b"999"


async def test_the_last_frame_comes_before_the_end() -> None:
    hub = Hub(10)
    with hub.follow() as follower:
        hub.publish(frame(b"last"))
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
    hub.publish(frame(b"frame"))

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


async def test_many_followers_are_not_woken_at_once(autojump_clock: trio.abc.Clock) -> None:
    hub, woken = Hub(100), list[float]()

    async def follow() -> None:
        with hub.follow() as follower:
            await follower.receive()
            await follower.receive()
            woken.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(64):
            nursery.start_soon(follow)
        await wait_all_tasks_blocked()
        hub.publish(frame(b"1"))
        await wait_all_tasks_blocked()
        hub.publish(frame(b"2"))
        published_s = trio.current_time()
    woken.sort()
    assert min(later - earlier for earlier, later in pairwise(woken)) > 0.005
    assert max(woken) - published_s < 1.0
