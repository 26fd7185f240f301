"""A choice of features, ready to be computed: from cells to values with status."""

from collections.abc import Callable, Mapping, Sequence

from engine.features.definitions import BaseFeature, EventFeature, ExpressionFeature, Feature
from engine.features.exact import seconds_between
from engine.features.expression_python import compile_python
from engine.features.values import Cell, FeatureValue, Status

_Step = Callable[[Sequence[Cell], list[FeatureValue], int], FeatureValue]


class Selection:
    """Features in the order asked, with everything their formulas build on.

    Made by `FeatureSet.select`; immutable; compared by identity, so that it can key caches cheaply.

    Attributes:
      names: the features asked for.
      base: the features to read, each once; cells are given in this order.
      expressions: the formulas to compute, each after those it builds on.
    """

    def __init__(self, names: tuple[str, ...], features: Mapping[str, Feature]) -> None:
        closure = _close(names, features)
        self.names = names
        self.base: tuple[BaseFeature, ...] = tuple(
            feature for feature in closure if not isinstance(feature, ExpressionFeature)
        )
        self.expressions = tuple(
            feature for feature in closure if isinstance(feature, ExpressionFeature)
        )
        self.features: tuple[Feature, ...] = (*self.base, *self.expressions)
        self.slots: Mapping[str, int] = {
            feature.name: slot for slot, feature in enumerate(self.features)
        }
        self._outputs = tuple(self.slots[name] for name in names)
        self._steps = tuple(_make_step(feature, self.slots) for feature in self.features)
        self._moving = self._find_moving()
        self._ttls_us = tuple(feature.ttl_us for feature in self.base)

    @property
    def moves(self) -> bool:
        """Whether any value changes with time alone."""
        return bool(self._moving)

    def compute(self, cells: Sequence[Cell], as_of_us: int) -> list[FeatureValue]:
        """Compute every feature of the closure from the base features' cells at a time."""
        values: list[FeatureValue] = []
        for step in self._steps:
            values.append(step(cells, values, as_of_us))
        return values

    def refresh(
        self, values: Sequence[FeatureValue], cells: Sequence[Cell], as_of_us: int
    ) -> list[FeatureValue]:
        """Compute again, for another time, only what changes with time alone."""
        fresh = list(values)
        for slot in self._moving:
            fresh[slot] = self._steps[slot](cells, fresh, as_of_us)
        return fresh

    def output(self, values: Sequence[FeatureValue]) -> tuple[FeatureValue, ...]:
        """Pick what was asked for, in the order asked."""
        return tuple([values[slot] for slot in self._outputs])

    def fresh_until_us(self, cells: Sequence[Cell], as_of_us: int) -> float:
        """Return the first time after `as_of_us` at which a value becomes STALE."""
        return min(
            (
                event_time_us + ttl_us + 1
                for (_, event_time_us), ttl_us in zip(cells, self._ttls_us, strict=True)
                if ttl_us is not None
                and event_time_us is not None
                and as_of_us - event_time_us <= ttl_us
            ),
            default=float("inf"),
        )

    def _find_moving(self) -> tuple[int, ...]:
        moving: set[str] = set()
        for feature in self.features:
            if (
                not moving.isdisjoint(feature.inputs)
                if isinstance(feature, ExpressionFeature)
                else feature.moves
            ):
                moving.add(feature.name)
        return tuple(slot for name, slot in self.slots.items() if name in moving)


def _close(names: Sequence[str], features: Mapping[str, Feature]) -> list[Feature]:
    """Return the features and all that they build on, inputs first, each once."""
    closure: dict[str, Feature] = {}
    # A stack of its own: a chain of formulas may be longer than Python's calls may be deep.
    pending = list(reversed(names))
    while pending:
        name = pending[-1]
        feature = features[name]
        inputs = feature.inputs if isinstance(feature, ExpressionFeature) else ()
        missing = [other for other in inputs if other not in closure]
        if missing:
            pending += reversed(missing)
        else:
            closure[name] = feature
            pending.pop()
    return list(closure.values())


def _make_step(feature: Feature, slots: Mapping[str, int]) -> _Step:
    if isinstance(feature, ExpressionFeature):
        return _expression_step(feature, slots)
    if isinstance(feature, EventFeature) and feature.moves:
        return _seconds_since_step(feature, slots[feature.name])
    return _base_step(feature, slots[feature.name])


def _base_step(feature: BaseFeature, slot: int) -> _Step:
    name, ttl_us = feature.name, feature.ttl_us
    missing = FeatureValue(name, None, Status.MISSING, None)
    present, stale = Status.PRESENT, Status.STALE

    def step(cells: Sequence[Cell], values: list[FeatureValue], as_of_us: int) -> FeatureValue:
        value, event_time_us = cells[slot]
        if value is None:
            return missing
        if ttl_us is None or event_time_us is None or as_of_us - event_time_us <= ttl_us:
            return FeatureValue(name, value, present, event_time_us)
        return FeatureValue(name, value, stale, event_time_us)

    return step


def _seconds_since_step(feature: EventFeature, slot: int) -> _Step:
    plain = _base_step(feature, slot)
    name = feature.name

    def step(cells: Sequence[Cell], values: list[FeatureValue], as_of_us: int) -> FeatureValue:
        newest = plain(cells, values, as_of_us)
        event_time_us = newest.event_time_us
        if event_time_us is None:
            return newest
        seconds = seconds_between(event_time_us, as_of_us)
        return FeatureValue(name, seconds, newest.status, event_time_us)

    return step


def _expression_step(feature: ExpressionFeature, slots: Mapping[str, int]) -> _Step:
    name = feature.name
    inputs = tuple(slots[other] for other in feature.inputs)
    positions = {other: position for position, other in enumerate(feature.inputs)}
    evaluate = compile_python(feature.node, positions)
    missing = FeatureValue(name, None, Status.MISSING, None)

    def step(cells: Sequence[Cell], values: list[FeatureValue], as_of_us: int) -> FeatureValue:
        arguments = [values[slot] for slot in inputs]
        result = evaluate([argument.value for argument in arguments])
        if result is None:
            return missing
        times = [a.event_time_us for a in arguments if a.event_time_us is not None]
        stale = any(argument.status is Status.STALE for argument in arguments)
        return FeatureValue(
            name,
            result,
            Status.STALE if stale else Status.PRESENT,
            max(times, default=None),
        )

    return step
