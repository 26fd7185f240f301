"""For how long rows must stay in the data file, so that what looks back finds all it looks at."""

from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from engine.config import ConfigError, EngineConfig, ModelSpec, Problem
from engine.config.units import format_duration
from engine.features.compilation import FEATURES_FILE
from engine.features.definitions import EventFeature
from engine.features.horizon import Horizon
from engine.features.keeping import SLACK_US
from engine.features.resting import KeptRules, is_covered
from engine.features.views import FeatureSet

_SECOND_US: Final = 1_000_000
_DAY_S: Final = 86_400
_TILE_SHARE: Final = 60
"""A window's tile, where none is given, is at most this part of it."""

_EVENTS_KEY: Final = "retention.events_days"
_PREDICTIONS_KEY: Final = "retention.predictions_days"


@attrs.frozen
class _Need:
    """For how long rows are needed, for what, and what else could be changed."""

    seconds: int
    what: str
    instead: str


def find_short_retention(config: EngineConfig, feature_set: FeatureSet) -> list[Problem]:
    """Return what looks back further than rows stay: settings and definitions against each other.

    Times that are named (`observations.at`, the times of uploaded outcomes) are not judged: they
    lie where they lie, and a training leaves out those that are behind the horizon.
    """
    trained = [spec for spec in config.models.models.values() if spec.label is not None]
    needs = [*_needs_of_features(feature_set)]
    for spec in trained:
        needs += _needs_of_model(spec, feature_set)
    problems = _judge(config, _EVENTS_KEY, config.retention.events_days, needs)
    predictions = [need for spec in trained for need in _needs_of_predictions(spec)]
    return problems + _judge(
        config, _PREDICTIONS_KEY, config.retention.predictions_days, predictions
    )


def check_moved(
    feature_set: FeatureSet, horizon: Horizon, kept: Iterable[KeptRules], now_us: int
) -> None:
    """Check that the data file still holds what today's definitions rest on.

    Args:
      kept: what had to stay, of each archive of events.
    Raises:
      ConfigError: features need events that were moved when none rested on them; all at once.
    """
    if not horizon.commit_seq:
        return
    rules = list(kept)
    age_us = max(0, now_us - horizon.time_us)
    longest_s = age_us // _SECOND_US * _TILE_SHARE // (_TILE_SHARE + 1)
    # Whole days, or hours, are what people write.
    unit_s = _DAY_S if longest_s >= _DAY_S else 3_600
    longest = format_duration(longest_s // unit_s * unit_s)
    since = horizon.describe()
    problems = []
    for feature in feature_set.events:
        if feature.window_us is None:
            if not all(is_covered(feature, one) for one in rules):
                found = f"a feature without a window over events of which those before {since} have"
                problems.append((feature, "window", f"{found} been moved"))
        elif horizon.earliest_us([feature]) > now_us:
            window = format_duration(feature.window_us / _SECOND_US)
            found = f"{window}, which reaches back to events before {since}, which have been moved"
            problems.append((feature, "window", found))
    if problems:
        raise ConfigError(
            Problem(
                FEATURES_FILE,
                f"features.{feature.name}.{key}",
                found,
                f"a window of at most {longest}, which grows day by day as events stay; or the "
                "definition as it was",
            )
            for feature, key, found in problems
        )


def _needs_of_features(feature_set: FeatureSet) -> Iterator[_Need]:
    for feature in feature_set.events:
        if feature.window_us is not None:
            window = format_duration(feature.window_us / _SECOND_US)
            yield _Need(
                _reach_s([feature]),
                f"features.{feature.name} reaches back ({window} and its tile)",
                "a shorter window there",
            )


def _needs_of_model(spec: ModelSpec, feature_set: FeatureSet) -> Iterator[_Need]:
    label, observations = spec.label, spec.observations
    assert label is not None
    known = [name for name in spec.features if name in feature_set.features]
    base = feature_set.select(known).base if known else ()
    reach_s = max(
        _reach_s(one for one in base if isinstance(one, EventFeature)), int(observations.active)
    )
    name = f"models.{spec.name}"
    if label.dataset is None and not observations.at:
        yield _Need(
            int(label.within + observations.last) + reach_s,
            f"a training of {name} looks back (observations.last, what its features and "
            "observations.active look back before, and label.within)",
            "a shorter observations.last there",
        )
    yield _Need(
        int(spec.drift.window) + reach_s,
        f"a look for drift of {name} reaches back (drift.window, and what its features and "
        "observations.active look back before)",
        "a shorter drift.window there",
    )


def _needs_of_predictions(spec: ModelSpec) -> Iterator[_Need]:
    label = spec.label
    assert label is not None
    yield _Need(
        int(spec.drift.window),
        f"a look for drift of models.{spec.name} reaches back (drift.window)",
        "a shorter drift.window there",
    )
    if label.dataset is None:
        # One that goes as soon as its outcome is known says nothing of the version.
        yield _Need(
            2 * int(label.within),
            f"predictions of models.{spec.name} wait for their outcomes, and are compared with "
            "them (twice label.within)",
            "a shorter label.within there",
        )


def _judge(
    config: EngineConfig, key: str, days: int | None, needs: Iterable[_Need]
) -> list[Problem]:
    """Return a problem for each need that rows do not stay for."""
    if days is None:
        return []
    origin = config.origins.get(key, "app.yaml")
    return [
        Problem(
            origin,
            key,
            f"{days}, less than {need.what}",
            f"at least {-(-need.seconds // _DAY_S)}, or {need.instead}",
        )
        for need in needs
        if need.seconds > days * _DAY_S
    ]


def _reach_s(features: Iterable[EventFeature]) -> int:
    """Return how far back windows begin at most, and how far behind the clock a read may be."""
    reaches_us = [
        feature.window_us + feature.tile_us + SLACK_US
        for feature in features
        if feature.window_us is not None and feature.tile_us is not None
    ]
    return -(-max(reaches_us, default=0) // _SECOND_US)
