"""From `features.yaml`, already checked key by key, to definitions that can be computed.

What is judged here is what only a reader of the whole can judge: formulas, the features they name,
circles among them, and names that a training set could not hold.
"""

from collections.abc import Iterator, Mapping

from engine.config import ConfigError, FeaturesFile, FeatureSpec, Problem
from engine.features.definitions import (
    EventFeature,
    ExpressionFeature,
    Feature,
    UploadFeature,
)
from engine.features.expression import ExpressionError, find_references, parse_expression
from engine.features.views import FeatureSet

FEATURES_FILE = "features.yaml"

RESERVED_NAMES = ("entity_key", "event_time")
RESERVED_MARK = "__"
"""A training set has the columns `entity_key`, `event_time` and `<feature>__status`."""

_SECOND_US = 1_000_000
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400
_TILES_S = (1, 5, 15, _MINUTE_S, 5 * _MINUTE_S, 15 * _MINUTE_S, _HOUR_S, 6 * _HOUR_S, _DAY_S)
_LEAST_TILES = 60
"""A window holds at least this many tiles (unless it is under a minute), so that rounding its start
down to a tile adds less than two per cent."""

_TYPES = {
    "count": "int64",
    "distinct_count": "int64",
    "sum": "double",
    "mean": "double",
    "min": "double",
    "max": "double",
    "seconds_since": "double",
}
_COLUMN_TYPES = {"action": "string", "value": "double"}


def compile_feature_set(file: FeaturesFile) -> FeatureSet:
    """Compile every definition.

    Raises:
      ConfigError: formulas that do not parse, mix types, name unknown features or form a circle;
        reserved names. All problems at once.
    """
    problems = [*_check_names(file.features)]
    compiled: dict[str, Feature] = {}
    for spec in file.features.values():
        if spec.expression is None:
            compiled[spec.name] = _compile_base(spec)
    waiting = {spec.name: spec for spec in file.features.values() if spec.expression is not None}
    references: dict[str, tuple[str, ...]] = {}
    for name, spec in list(waiting.items()):
        try:
            references[name] = find_references(_text(spec))
        except ExpressionError as error:
            problems.append(_problem(name, error))
            del waiting[name]
    failed: set[str] = file.features.keys() - compiled.keys() - waiting.keys()
    while ready := [name for name in waiting if not waiting.keys() & {*references[name]}]:
        for name in ready:
            spec = waiting.pop(name)
            if failed & {*references[name]}:
                # Its own formula cannot be judged before the one it builds on is put right.
                failed.add(name)
                continue
            try:
                compiled[name] = _compile_expression(spec, references[name], compiled)
            except ExpressionError as error:
                failed.add(name)
                problems.append(_problem(name, error))
    problems += _describe_circles(waiting, references)
    if problems:
        raise ConfigError(problems)
    return FeatureSet(compiled)


def default_tile_s(window_s: int) -> int:
    """Return the tile of a window that names none: the largest usual one of at most a sixtieth."""
    fitting = [tile_s for tile_s in _TILES_S if tile_s * _LEAST_TILES <= window_s]
    return fitting[-1] if fitting else _TILES_S[0]


def _compile_base(spec: FeatureSpec) -> EventFeature | UploadFeature:
    ttl_us = None if spec.ttl_s is None else spec.ttl_s * _SECOND_US
    if spec.upload is not None:
        assert spec.column is not None
        assert spec.type is not None
        return UploadFeature(
            name=spec.name,
            entity=spec.entity,
            dataset=spec.upload,
            column=spec.column,
            ttl_us=ttl_us,
            type=spec.type,
        )
    assert spec.aggregate is not None
    window_s = spec.window_s
    tile_s = None if window_s is None else spec.tile_s or default_tile_s(window_s)
    return EventFeature(
        name=spec.name,
        entity=spec.entity,
        aggregate=spec.aggregate,
        actions=_actions(spec),
        column=spec.column,
        window_us=None if window_s is None else window_s * _SECOND_US,
        tile_us=None if tile_s is None else tile_s * _SECOND_US,
        ttl_us=ttl_us,
        type=_TYPES.get(spec.aggregate) or _COLUMN_TYPES[spec.column or "action"],
    )


def _actions(spec: FeatureSpec) -> frozenset[str] | None:
    actions = spec.where.get("action")
    if actions is None:
        return None
    return frozenset((actions,) if isinstance(actions, str) else actions)


def _compile_expression(
    spec: FeatureSpec, references: tuple[str, ...], compiled: Mapping[str, Feature]
) -> ExpressionFeature:
    types = {
        feature.name: feature.type for feature in compiled.values() if feature.entity == spec.entity
    }
    node = parse_expression(_text(spec), types)
    return ExpressionFeature(
        name=spec.name, entity=spec.entity, node=node, inputs=references, type=node.type
    )


def _text(spec: FeatureSpec) -> str:
    assert spec.expression is not None
    return spec.expression


def _check_names(features: Mapping[str, FeatureSpec]) -> Iterator[Problem]:
    for name in features:
        if name in RESERVED_NAMES or RESERVED_MARK in name:
            yield Problem(
                FEATURES_FILE,
                f"features.{name}",
                f"the reserved name {name}",
                f"names other than {', '.join(RESERVED_NAMES)} and without {RESERVED_MARK!r}",
            )


def _describe_circles(
    waiting: Mapping[str, FeatureSpec], references: Mapping[str, tuple[str, ...]]
) -> Iterator[Problem]:
    """Yield each circle once, at the feature of it that stands first in the file."""
    seen: set[str] = set()
    for start in waiting:
        path: list[str] = []
        name = start
        while name not in path and name not in seen:
            path.append(name)
            name = next(other for other in references[name] if other in waiting)
        if name in path:
            circle = path[path.index(name) :]
            yield Problem(
                FEATURES_FILE,
                f"features.{circle[0]}.expression",
                f"a circle: {' -> '.join([*circle, circle[0]])}",
                "formulas that do not lead back to themselves",
            )
        seen.update(path)


def _problem(name: str, error: ExpressionError) -> Problem:
    return Problem(
        FEATURES_FILE, f"features.{name}.expression", error.found, error.allowed, error.nearest
    )
