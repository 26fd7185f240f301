"""Users as the Console shows them, times in microseconds, UTC. Pure."""

import msgspec

from engine.errors import InvalidArgumentError
from engine.features.values import FeatureValue

_KEY_LEAST, _KEY_MOST = -(2**63), 2**63 - 1


class EntityFeature(msgspec.Struct, frozen=True):
    """A feature's value now; `value` is JSON, in which no digit is lost."""

    name: str
    value: str
    status: str
    event_time_us: int | None


class EntityEvent(msgspec.Struct, frozen=True):
    """An event of an entity."""

    event_time_us: int
    action: str
    value: float | None
    properties: str
    commit_seq: int


class EntityPrediction(msgspec.Struct, frozen=True):
    """A prediction for an entity."""

    prediction_id: str
    predicted_at_us: int
    model: str
    version: int
    prediction: str
    score: float
    shadow: bool


class Entity(msgspec.Struct, frozen=True):
    """What is known of one user. The key is text, since JavaScript's numbers end at 53 bits."""

    entity_key: str
    as_of_us: int
    commit_seq: int
    features: tuple[EntityFeature, ...]
    events: tuple[EntityEvent, ...]
    predictions: tuple[EntityPrediction, ...]
    moved_before_us: int
    """Events before it may have been moved to the blob store; 0 if none have."""


def show_feature(feature: FeatureValue) -> EntityFeature:
    """Return a feature's value."""
    return EntityFeature(
        feature.name,
        msgspec.json.encode(feature.value).decode(),
        feature.status.value,
        feature.event_time_us,
    )


def read_key(text: str) -> int:
    """Return the key of an entity, which is a whole number of 64 bits.

    Raises: InvalidArgumentError: it is none.
    """
    # Python reads digits of any script, and so many of them that it takes seconds.
    if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 20):
        raise InvalidArgumentError("key", "is a whole number")
    key = int(text)
    if not _KEY_LEAST <= key <= _KEY_MOST:
        raise InvalidArgumentError("key", "does not fit 64 bits")
    return key
