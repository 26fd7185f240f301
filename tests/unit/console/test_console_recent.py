"""Many who ask the same at once cost one answer."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.console.recent import RecentAnswers
from engine.errors import ResourceExhaustedError


def unchanged() -> int:
    return 0


async def test_an_answer_from_before_a_change_is_not_given_again() -> None:
    recent = RecentAnswers(keep_s=60.0, at_once=1, most_waiting=2)
    state = 1

    async def make() -> bytes:
        await trio.lowlevel.checkpoint()
        return b"%d" % state

    assert await recent.get("models", lambda: state, make) == b"1"
    state = 2
    assert await recent.get("models", lambda: state, make) == b"2"


async def test_the_same_question_is_answered_once_a_moment(mock_clock: MockClock) -> None:
    recent = RecentAnswers(keep_s=1.0, at_once=1, most_waiting=100)
    made = 0

    async def make() -> bytes:
        nonlocal made
        made += 1
        await trio.lowlevel.checkpoint()
        return b"%d" % made

    answers: list[bytes] = []

    async def ask() -> None:
        answers.append(await recent.get("jobs", unchanged, make))

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(ask)
    assert answers == [b"1"] * 50
    mock_clock.jump(1.1)
    assert await recent.get("jobs", unchanged, make) == b"2"


async def test_too_many_who_wait_are_refused() -> None:
    recent = RecentAnswers(keep_s=1.0, at_once=1, most_waiting=2)

    async def never() -> bytes:
        await trio.sleep_forever()
        raise AssertionError("slept for ever")

    async with trio.open_nursery() as nursery:
        for key in ("a", "b"):
            nursery.start_soon(recent.get, key, unchanged, never)
        await wait_all_tasks_blocked()
        with pytest.raises(ResourceExhaustedError):
            await recent.get("c", unchanged, never)
        nursery.cancel_scope.cancel()


async def test_what_failed_is_made_again() -> None:
    recent = RecentAnswers(keep_s=1.0, at_once=1, most_waiting=2)

    async def fail() -> bytes:
        raise ValueError("away")

    async def answer() -> bytes:
        return b"there"

    with pytest.raises(ValueError, match="away"):
        await recent.get("a", unchanged, fail)
    assert await recent.get("a", unchanged, answer) == b"there"
