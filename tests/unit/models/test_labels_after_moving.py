"""After events have moved, those are observed of whom everything is there, with the same labels."""

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import LabelSpec, ObservationsSpec
from engine.features.horizon import Horizon
from engine.models.labels import History
from tests.unit.models.test_labels import (
    SECOND,
    Event,
    events_strategy,
    history_strategy,
    label_strategy,
    labels_of,
    naive_labels,
    observations_strategy,
    open_reader,
)


def without_moved(events: list[Event], horizon: Horizon) -> list[Event]:
    """Return what is left where no feature rests on anything: each user's first event stays."""
    first = {e.user_id: e for e in sorted(events, key=lambda e: e.at_us, reverse=True)}
    return [e for e in events if e.at_us >= horizon.time_us or e is first[e.user_id]]


@settings(max_examples=80, deadline=None)
@given(
    events_strategy,
    label_strategy,
    observations_strategy,
    history_strategy,
    st.integers(0, 20).map(SECOND.__mul__),
)
def test_labels_are_those_of_all_events_from_where_they_are_complete(
    events: list[Event],
    label: LabelSpec,
    observations: ObservationsSpec,
    history: History,
    horizon_us: int,
) -> None:
    horizon = Horizon(horizon_us, 1)
    events = [attrs.evolve(event, commit_seq=1) for event in events]
    begin_us = horizon.earliest_us((), observations.active * SECOND)
    found = labels_of(
        open_reader(without_moved(events, horizon)),
        label,
        observations,
        attrs.evolve(history, begin_us=begin_us),
    )
    expected = naive_labels(events, label, observations, history)
    assert found == [row for row in expected if row[1] >= begin_us]


def test_uploaded_outcomes_that_are_observed_behind_the_horizon_are_left_out() -> None:
    rows = [(1, 10 * SECOND, {"age": 1}), (1, 20 * SECOND, {"age": 2})]
    label = LabelSpec(within=4, source="uploads.profiles", column="age")

    def observed(begin_us: int) -> list[int]:
        history = History(1, 30 * SECOND, begin_us)
        found = labels_of(open_reader((), rows), label, ObservationsSpec(), history)
        return [t // SECOND for _, t, _ in found]

    assert observed(0) == [6, 16]
    assert observed(6 * SECOND) == [6, 16]
    assert observed(6 * SECOND + 1) == [16]
