import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from engine.store.budget import Budget


async def test_claims_wait_until_rows_and_bytes_fit() -> None:
    budget = Budget(rows=10, size_bytes=100)
    await budget.acquire(6, 10)
    granted = trio.Event()

    async def claim() -> None:
        await budget.acquire(5, 10)
        granted.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(claim)
        await wait_all_tasks_blocked()
        assert not granted.is_set()
        budget.release(6, 10)
        await granted.wait()
    assert (budget.rows_held, budget.bytes_held) == (5, 10)


async def test_a_large_claim_is_not_starved_by_small_ones_behind_it() -> None:
    budget = Budget(rows=10, size_bytes=100)
    await budget.acquire(5, 0)
    order: list[str] = []

    async def claim(name: str, rows: int) -> None:
        await budget.acquire(rows, 0)
        order.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(claim, "large", 10)
        await wait_all_tasks_blocked()
        nursery.start_soon(claim, "small", 1)
        await wait_all_tasks_blocked()
        assert order == []
        budget.release(5, 0)
        await wait_all_tasks_blocked()
        assert order == ["large"]
        budget.release(10, 0)
    assert order == ["large", "small"]


async def test_a_cancelled_claim_holds_nothing_and_lets_the_next_through() -> None:
    budget = Budget(rows=10, size_bytes=100)
    await budget.acquire(5, 0)
    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def large() -> None:
            with scope:
                await budget.acquire(10, 0)

        nursery.start_soon(large)
        await wait_all_tasks_blocked()
        nursery.start_soon(budget.acquire, 3, 0)
        await wait_all_tasks_blocked()
        assert budget.rows_held == 5
        scope.cancel()
        await wait_all_tasks_blocked()
    assert scope.cancelled_caught
    assert budget.rows_held == 8


async def test_a_claim_granted_before_its_cancellation_is_held() -> None:
    budget = Budget(rows=10, size_bytes=100)
    await budget.acquire(10, 0)
    acquired = False

    async def claim() -> None:
        nonlocal acquired
        await budget.acquire(4, 0)
        acquired = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(claim)
        await wait_all_tasks_blocked()
        budget.release(10, 0)
        nursery.cancel_scope.cancel()
    assert acquired
    assert budget.rows_held == 4


@pytest.mark.parametrize(("rows", "size_bytes"), [(11, 1), (1, 101)])
async def test_a_claim_beyond_the_bound_is_granted_alone(rows: int, size_bytes: int) -> None:
    budget = Budget(rows=10, size_bytes=100)
    await budget.acquire(1, 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(budget.acquire, rows, size_bytes)
        await wait_all_tasks_blocked()
        assert budget.rows_held == 1
        budget.release(1, 1)
        await wait_all_tasks_blocked()
        assert (budget.rows_held, budget.bytes_held) == (rows, size_bytes)
        with trio.move_on_after(0):
            await budget.acquire(1, 1)
        assert budget.rows_held == rows
