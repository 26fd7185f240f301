"""Features as the Console shows them, times in microseconds, UTC. Pure."""

from collections.abc import Iterable, Mapping

import msgspec

from engine.console.feature_times import DAYS_LOOKED_BACK, FeatureTimes
from engine.features.definitions import EventFeature, ExpressionFeature, Feature, UploadFeature
from engine.models import Model

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


class FeatureState(msgspec.Struct, frozen=True):
    """A feature, and what it was last fed with."""

    name: str
    entity: str
    definition: str
    newest_us: int | None
    """The newest event or upload that it looks at; None: there was none for a long time."""
    delay_s: float | None
    """From then to when reads reflected it; None if that was before the engine's start."""
    ttl_s: float | None
    stale: bool
    """Nobody's value can be within its ttl."""
    models: tuple[str, ...]
    """Whose champion, or else latest version, asks for it."""


class FeatureStates(msgspec.Struct, frozen=True):
    """All features by name, and how many days back "newest" looks."""

    features: tuple[FeatureState, ...]
    days: int


def show_features(
    features: Mapping[str, Feature], times: FeatureTimes, models: Iterable[Model]
) -> FeatureStates:
    """Return all features by name, each with what fed it last and who asks for it."""
    users: dict[str, list[str]] = {}
    for model in models:
        for name in model.default.features:
            users.setdefault(name, []).append(model.name)
    return FeatureStates(
        tuple(
            _show(features[name], times, tuple(sorted(users.get(name, ()))))
            for name in sorted(features)
        ),
        DAYS_LOOKED_BACK,
    )


def _show(feature: Feature, times: FeatureTimes, models: tuple[str, ...]) -> FeatureState:
    fed = times.find(feature)
    ttl_us = None if isinstance(feature, ExpressionFeature) else feature.ttl_us
    return FeatureState(
        name=feature.name,
        entity=feature.entity,
        definition=describe_feature(feature),
        newest_us=None if fed is None else fed.event_time_us,
        delay_s=None if fed is None else fed.delay_s,
        ttl_s=None if ttl_us is None else ttl_us / 1e6,
        stale=times.is_stale(feature),
        models=models,
    )


def describe_feature(feature: Feature) -> str:
    """Return in a few words what a feature is."""
    if isinstance(feature, ExpressionFeature):
        return f"formula of {', '.join(feature.inputs)}"
    if isinstance(feature, UploadFeature):
        return f"column {feature.column} of upload {feature.dataset}"
    return _describe_aggregate(feature)


def _describe_aggregate(feature: EventFeature) -> str:
    of = "all events" if feature.actions is None else ", ".join(sorted(feature.actions))
    what = feature.aggregate if feature.column is None else f"{feature.aggregate} {feature.column}"
    span = (
        "" if feature.window_us is None else f" over {_describe_span(feature.window_us // 10**6)}"
    )
    return f"{what} of {of}{span}"


def _describe_span(seconds: int) -> str:
    return next(
        (f"{seconds // length} {unit}" for length, unit in _UNITS if seconds % length == 0),
        f"{seconds} s",
    )
