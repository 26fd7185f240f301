"""The traffic model: repeatable, plausible, shifting when told to."""

from collections import Counter
from itertools import pairwise
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.generator.habits import compute_habits
from engine.generator.traffic import (
    DRIFT_PRICE_FACTOR,
    ShopEvent,
    TrafficModel,
    _coprime_stride,
)

FOREVER_S = 1e12


def model(**changes: object) -> TrafficModel:
    arguments: dict[str, object] = {"seed": 7, "users": 5_000, "events_per_second": 100.0}
    return TrafficModel(**(arguments | changes))  # type: ignore[arg-type]


def facts(events: list[ShopEvent]) -> list[tuple[int, str, float | None]]:
    return [(event.user_id, event.action, event.value) for event in events]


def test_the_same_seed_gives_the_same_sequence_however_it_is_taken() -> None:
    whole = model().take_due(FOREVER_S, 5_000)
    pieces: list[ShopEvent] = []
    other = model()
    while len(pieces) < 5_000:
        pieces += other.take_due(FOREVER_S, 17)

    assert facts(pieces[:5_000]) == facts(whole)


def test_another_seed_gives_another_sequence() -> None:
    assert facts(model(seed=8).take_due(FOREVER_S, 100)) != facts(model().take_due(FOREVER_S, 100))


def test_the_sequence_is_the_same_in_every_release() -> None:
    events = facts(model(users=100).take_due(FOREVER_S, 4_000))

    assert [event for event in events if event[2] is not None][:4] == [
        (67, "cart", 13.38),
        (11, "cart", 79.34),
        (6, "cart", 23.31),
        (6, "purchase", 23.31),
    ]


def test_shares_divide_the_users_and_meet_all_of_them() -> None:
    users = [
        {event.user_id for event in model(users=31, share=n, shares=3).take_due(FOREVER_S, 20_000)}
        for n in range(3)
    ]

    assert set().union(*users) == set(range(1, 32))
    assert sum(map(len, users)) == 31


@given(st.integers(1, 100_000))
def test_the_stride_meets_every_user_once(count: int) -> None:
    stride = _coprime_stride(count)

    assert len({rank * stride % count for rank in range(min(count, 2_000))}) == min(count, 2_000)


def test_the_funnel_narrows() -> None:
    counts = Counter(event.action for event in model().take_due(FOREVER_S, 50_000))

    assert counts["view"] > 2 * counts["click"] > 4 * counts["cart"] > 4 * counts["purchase"] > 800


def test_sessions_go_from_view_to_click_to_cart_to_purchase() -> None:
    sessions: dict[str, list[str]] = {}
    for event in model().take_due(FOREVER_S, 20_000):
        sessions.setdefault(event.session, []).append(event.action)

    steps = {pair for actions in sessions.values() for pair in pairwise(actions)}
    assert all(actions[0] == "view" for actions in sessions.values())
    assert {before for before, after in steps if after == "click"} == {"view"}
    assert {before for before, after in steps if after == "cart"} == {"click"}
    assert {before for before, after in steps if after == "purchase"} == {"cart"}


def test_a_user_is_in_one_session_at_a_time_while_the_shop_is_large_enough() -> None:
    open_sessions: dict[int, str] = {}
    seen: set[str] = set()
    for event in model().take_due(FOREVER_S, 20_000):
        if open_sessions.get(event.user_id) != event.session:
            assert event.session not in seen
            seen.add(event.session)
            open_sessions[event.user_id] = event.session


def test_only_carts_and_purchases_have_values_and_a_purchase_costs_what_the_cart_said() -> None:
    carts: dict[str, float | None] = {}
    for event in model().take_due(FOREVER_S, 20_000):
        if event.action == "cart":
            carts[event.session] = event.value
        elif event.action == "purchase":
            assert event.value == carts[event.session]
        else:
            assert event.value is None


def test_activity_is_unequal() -> None:
    counts = Counter(event.user_id for event in model(users=1_000).take_due(FOREVER_S, 50_000))
    most_active_tenth = sum(count for _, count in counts.most_common(100))

    assert most_active_tenth > 0.25 * 50_000


def test_the_rate_is_the_given_one_over_a_day_and_swings_within_it() -> None:
    day_s = 2_000.0
    shop = model(events_per_second=50.0, day_s=day_s)

    per_hour = [
        len(shop.take_due(day_s * (hour + 1) / 24, 1_000_000)) for hour in range(24)
    ]  # from 14:00 on

    assert sum(per_hour) == pytest.approx(50 * day_s, rel=0.02)
    assert per_hour[6] > 3 * per_hour[18]  # 20:00 against 08:00


def test_behaviour_shifts_at_the_drift() -> None:
    def conversion_and_price(shop: TrafficModel) -> tuple[float, float]:
        events = shop.take_due(FOREVER_S, 200_000)
        carts = [event.value for event in events if event.action == "cart"]
        purchases = sum(event.action == "purchase" for event in events)
        return purchases / len(carts), median(value for value in carts if value is not None)

    usual, usual_price = conversion_and_price(model())
    shifted, shifted_price = conversion_and_price(model(drift_at_s=0.0))

    assert shifted == pytest.approx(usual / 2, rel=0.15)
    assert shifted_price == pytest.approx(usual_price * DRIFT_PRICE_FACTOR, rel=0.1)


def test_nothing_changes_before_the_drift() -> None:
    drift_at_s = 50.0

    before = model().take_due(drift_at_s - 1, 100_000)
    with_drift = model(drift_at_s=drift_at_s).take_due(drift_at_s - 1, 100_000)

    assert facts(with_drift) == facts(before)


@given(st.integers(), st.integers(1, 2**53))
def test_habits_are_within_their_limits(seed: int, user_id: int) -> None:
    habits = compute_habits(seed, user_id)

    assert 0 <= habits.favourite_hour < 24
    assert 0.05 < habits.price_level < 20
    assert 0.4 <= habits.propensity <= 1.6
    assert 0.6 <= habits.curiosity <= 0.9
    assert habits.presence(habits.favourite_hour) == pytest.approx(1)
    assert 0.1 <= habits.presence((habits.favourite_hour + 12) % 24) < 0.2
