import trio
import trio.testing

from engine.backends.observable import Observable


async def test_a_change_that_has_already_happened_is_returned_at_once(autojump_clock):
    observed = Observable(1)
    observed.set(2)
    with trio.fail_after(1):
        assert await observed.wait_change(1) == 2


async def test_every_watcher_is_woken_by_a_change(autojump_clock):
    observed = Observable("a")
    seen = []

    async def watch():
        seen.append(await observed.wait_change("a"))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(watch)
        await trio.testing.wait_all_tasks_blocked()
        observed.set("b")
    assert seen == ["b"] * 3


async def test_an_equal_value_is_no_change(autojump_clock):
    observed = Observable("a")
    with trio.move_on_after(10) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(observed.wait_change, "a")
            await trio.testing.wait_all_tasks_blocked()
            observed.set("a")
    assert scope.cancelled_caught


async def test_a_value_that_went_and_came_back_wakes_nobody(autojump_clock):
    observed = Observable("a")
    with trio.move_on_after(10) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(observed.wait_change, "a")
            await trio.testing.wait_all_tasks_blocked()
            observed.set("b")
            observed.set("a")
    assert scope.cancelled_caught
