"""Holding checkpoints off: a lease, and its ends."""

import pytest
import trio
from trio.testing import MockClock

from engine.errors import FailedPreconditionError
from engine.store.checkpoint_hold import LEASE_S, CheckpointHold

MOST = 1_000


async def test_hold_that_was_kept_ends_well(autojump_clock: MockClock) -> None:
    hold = CheckpointHold(MOST)
    holder = hold.begin()
    for _ in range(5):
        await trio.sleep(LEASE_S * 0.9)
        assert hold.holds_off(wal_bytes=MOST - 1)
        hold.keep(holder)
    hold.end(holder)
    assert not hold.holds_off(wal_bytes=0)


async def test_holder_that_says_nothing_loses_it(autojump_clock: MockClock) -> None:
    hold = CheckpointHold(MOST)
    holder = hold.begin()
    await trio.sleep(LEASE_S)
    with pytest.raises(FailedPreconditionError, match="not to be used"):
        hold.end(holder)
    assert not hold.holds_off(wal_bytes=0)


async def test_log_that_grew_too_long_breaks_it_for_good() -> None:
    hold = CheckpointHold(MOST)
    holder = hold.begin()
    assert not hold.holds_off(wal_bytes=MOST)
    with pytest.raises(FailedPreconditionError):
        hold.keep(holder)


async def test_second_holder_is_refused_until_the_first_has_gone(autojump_clock: MockClock) -> None:
    hold = CheckpointHold(MOST)
    first = hold.begin()
    with pytest.raises(FailedPreconditionError, match="another backup"):
        hold.begin()
    await trio.sleep(LEASE_S)
    second = hold.begin()
    with pytest.raises(FailedPreconditionError):
        hold.end(first)
    hold.end(second)


async def test_stranger_neither_keeps_nor_ends_it() -> None:
    hold = CheckpointHold(MOST)
    hold.begin()
    for call in (hold.keep, hold.end):
        with pytest.raises(FailedPreconditionError):
            call("")
    assert hold.holds_off(wal_bytes=0)
