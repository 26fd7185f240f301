"""Which champion to go back to."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.models import Promotion, Role
from engine.models.succession import step, walk
from engine.store import StoreSettings, open_store
from tests.unit.models.test_trained_versions import CHAMPION, FEATURES, loaded, train

CHALLENGER = Promotion(Role.CHALLENGER, "not better")


@pytest.mark.parametrize(
    ("champions", "way"),
    [
        ([], ()),
        ([1], (1,)),
        ([1, 2, 3], (1, 2, 3)),
        ([1, 2, 3, 2], (1, 2)),
        # Gone back from 3, which nobody returns to by another rollback.
        ([1, 2, 3, 2, 4], (1, 2, 4)),
        ([1, 2, 3, 2, 4, 2], (1, 2)),
        # Made champion again by name, knowing what it did: back to where it came from.
        ([1, 2, 3, 2, 3], (1, 2, 3)),
        # Gone back to one that never was: to the one before that.
        ([1, 4, 3], (1, 3)),
        ([1, 2, 3, 1, 3], (1, 3)),
        ([3, 2, 1], (1,)),
    ],
)
def test_the_way_back_is_that_of_older_champions_not_gone_back_from(champions, way):
    assert walk(champions) == way


@given(st.lists(st.integers(1, 6)))
def test_going_back_never_leads_forward_and_comes_to_an_end(champions):
    way = walk(champions)
    assert all(older < newer for older, newer in itertools.pairwise(way))
    assert set(way) <= set(champions)
    for _ in champions:
        if len(way) > 1:
            before = way[-2]
            way = step(way, before)
            assert way[-1] == before
    assert len(way) <= 1


async def test_memory_and_file_tell_the_same_champion_before(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        registry = await loaded(store)
        await registry.register("churn", FEATURES)
        assert registry.find("churn").champion_before is None
        for _ in range(3):
            await train(store, registry, CHAMPION)  # versions 2, 3 and 4
        assert registry.find("churn").champion_before == 3
        await registry.set_alias("churn", "champion", 3)
        assert registry.find("churn").champion_before == 2
        await train(store, registry, CHALLENGER)
        await registry.set_alias("churn", "champion", 5)
        assert registry.find("churn").champion_before == 3
        assert (await loaded(store)).list() == registry.list()


async def test_the_order_of_champions_does_not_hang_on_the_clock(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        registry = await loaded(store)
        ticks = itertools.count(1_700_000_000_000_000, -1_000_000)
        registry._clock_us = lambda: next(ticks)
        await registry.register("churn", FEATURES)
        for _ in range(3):
            await train(store, registry, CHAMPION)
        assert (await loaded(store)).find("churn").champion_before == 3
