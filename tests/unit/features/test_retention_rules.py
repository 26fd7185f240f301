"""What looks back further than rows stay is refused by name, with the ways out."""

from collections.abc import Sequence
from typing import Any

import pytest

from engine.config import (
    ConfigError,
    DriftSpec,
    EngineConfig,
    EntitySpec,
    FeaturesFile,
    FeatureSpec,
    LabelSpec,
    ModelsFile,
    ModelSpec,
    ObservationsSpec,
    RetentionConfig,
)
from engine.features import compile_feature_set
from engine.features.horizon import Horizon
from engine.features.resting import describe_rules
from engine.features.retention_rules import check_moved, find_short_retention

DAY_S = 86_400
DAY_US = DAY_S * 1_000_000


def events(name: str, aggregate: str = "count", window_days: int | None = None) -> FeatureSpec:
    return FeatureSpec(
        name,
        source="events",
        where={"action": "buy"},
        aggregate=aggregate,
        column="value" if aggregate == "sum" else None,
        window_s=None if window_days is None else window_days * DAY_S,
    )


def file_of(*specs: FeatureSpec) -> FeaturesFile:
    return FeaturesFile(
        entities={"user": EntitySpec(key="user_id")}, features={spec.name: spec for spec in specs}
    )


def keys_found(
    specs: Sequence[FeatureSpec],
    *,
    events_days: int | None = None,
    predictions_days: int | None = None,
    **model: Any,
) -> list[tuple[str, str, str]]:
    """Return key, subject and the number that would do, of what is found."""
    spec = ModelSpec(
        "buys",
        entity="user",
        features=tuple(one.name for one in specs),
        **{"label": LabelSpec(within=DAY_S), **model},
    )
    config = EngineConfig(
        features=file_of(*specs),
        models=ModelsFile({"buys": spec} if model else {}),
        retention=RetentionConfig(events_days=events_days, predictions_days=predictions_days),
    )
    found = find_short_retention(config, compile_feature_set(config.features))
    return [
        (problem.key, problem.found.partition("less than ")[2].partition(" (")[0], problem.allowed)
        for problem in found
    ]


def test_without_retention_everything_may_look_back_as_far_as_it_likes() -> None:
    assert keys_found([events("far", window_days=900)]) == []


def test_events_must_stay_for_a_window_with_its_tile() -> None:
    features = [events("near", window_days=3), events("far", window_days=30), events("all")]
    # A window of 30 days has a tile of six hours.
    assert keys_found(features, events_days=31) == []
    assert keys_found(features, events_days=30) == [
        (
            "retention.events_days",
            "features.far reaches back",
            "at least 31, or a shorter window there",
        )
    ]


def test_events_must_stay_for_what_a_training_and_a_look_for_drift_reach_back() -> None:
    features = [events("far", window_days=30)]
    model = {
        "observations": ObservationsSpec(last=20 * DAY_S, active=DAY_S),
        "drift": DriftSpec(window=10 * DAY_S),
    }
    assert keys_found(features, events_days=52, **model) == []
    assert keys_found(features, events_days=51, **model) == [
        (
            "retention.events_days",
            "a training of models.buys looks back",
            "at least 52, or a shorter observations.last there",
        )
    ]
    assert [found[1] for found in keys_found(features, events_days=40, **model)] == [
        "a training of models.buys looks back",
        "a look for drift of models.buys reaches back",
    ]
    # Whoever is observed by what he did in the last 60 days must have that looked up.
    model["observations"] = ObservationsSpec(last=DAY_S, active=60 * DAY_S)
    assert [found[2][:11] for found in keys_found(features, events_days=52, **model)] == [
        "at least 62",
        "at least 70",
    ]


def test_predictions_must_stay_for_drift_and_until_their_outcome_is_known() -> None:
    model = {
        "label": LabelSpec(within=3 * DAY_S),
        "drift": DriftSpec(window=5 * DAY_S),
        "observations": ObservationsSpec(),
    }
    assert keys_found([events("all")], predictions_days=6, **model) == []
    assert [found[:2] for found in keys_found([events("all")], predictions_days=4, **model)] == [
        ("retention.predictions_days", "a look for drift of models.buys reaches back"),
        (
            "retention.predictions_days",
            "predictions of models.buys wait for their outcomes, and are compared with them",
        ),
    ]


@pytest.mark.parametrize("moved", [False, True])
def test_a_window_that_reaches_behind_the_horizon_is_refused_at_the_start(moved: bool) -> None:
    now_us = 20_000 * DAY_US
    horizon = Horizon(now_us - 40 * DAY_US, 7) if moved else Horizon()
    features = compile_feature_set(
        file_of(events("fits", window_days=30), events("far", window_days=60))
    )
    if not moved:
        check_moved(features, horizon, [], now_us)
        return
    with pytest.raises(ConfigError) as refused:
        check_moved(features, horizon, [[]], now_us)
    [problem] = refused.value.problems
    assert (problem.file, problem.key) == ("features.yaml", "features.far.window")
    assert "60d" in problem.found
    assert "at most 39d" in problem.allowed
    check_moved(compile_feature_set(file_of(events("far", window_days=39))), horizon, [[]], now_us)


def test_a_feature_without_a_window_must_have_been_kept_by_every_archive() -> None:
    now_us = 20_000 * DAY_US
    horizon = Horizon(now_us - 40 * DAY_US, 7)
    first = compile_feature_set(file_of(events("spent", "sum")))
    then = compile_feature_set(file_of(events("spent", "sum"), events("bought")))
    both = [describe_rules(first.events), describe_rules(then.events)]
    check_moved(first, horizon, both, now_us)
    with pytest.raises(ConfigError) as refused:
        check_moved(then, horizon, both, now_us)
    [problem] = refused.value.problems
    assert problem.key == "features.bought.window"
    assert "without a window" in problem.found
    assert "at most 39d" in problem.allowed
