"""Features as compiled: everything checked, all times in microseconds."""

import attrs

from engine.features.expression import Node


@attrs.frozen
class EventFeature:
    """An aggregate of an entity's events."""

    name: str
    entity: str
    aggregate: str
    actions: frozenset[str] | None
    """The actions that count; None for all."""
    column: str | None
    """None for aggregates of the events as such (count, seconds_since)."""
    window_us: int | None
    """None for all time."""
    tile_us: int | None
    """None exactly when `window_us` is."""
    ttl_us: int | None
    type: str

    @property
    def moves(self) -> bool:
        """Whether the value changes as time passes, without any event."""
        return self.aggregate == "seconds_since"

    def window_start_us(self, as_of_us: int) -> int | None:
        """Return the oldest event time that counts at a time, or None for all."""
        if self.window_us is None or self.tile_us is None:
            return None
        return (as_of_us - self.window_us) // self.tile_us * self.tile_us


@attrs.frozen
class UploadFeature:
    """A column of the latest row that was uploaded for an entity."""

    name: str
    entity: str
    dataset: str
    """As in `feature_history.dataset`."""
    column: str
    """A key of the object in `feature_history.fields`."""
    ttl_us: int | None
    type: str

    moves = False


@attrs.frozen
class ExpressionFeature:
    """A formula over other features."""

    name: str
    entity: str
    node: Node
    inputs: tuple[str, ...]
    """Names of the features in the formula, each once."""
    type: str


BaseFeature = EventFeature | UploadFeature
Feature = BaseFeature | ExpressionFeature
