"""What `features.yaml` and `models.yaml` define, as frozen classes."""

from collections.abc import Mapping
from typing import Annotated, Any

import attrs

from engine.config.kinds import Choice, Conditions, Text, WholeSeconds
from engine.config.sections import DAY_S, Identifier, freeze_mapping

EVENTS_SOURCE = "events"
UPLOADS_PREFIX = "uploads."

AGGREGATES = (
    "count",
    "sum",
    "mean",
    "min",
    "max",
    "last",
    "first",
    "distinct_count",
    "seconds_since",
)
EVENT_COLUMNS = ("action", "value")
ENTITY_TYPES = ("int64",)
VALUE_TYPES = ("int64", "double", "string", "bool")

Source = Annotated[
    str, Text("events, or uploads.<dataset>", r"events|uploads\.[a-z][a-z0-9_]{0,62}")
]
Expression = Annotated[str, Text("1 to 1000 characters on one line", r"[^\x00-\x1f\x7f]{1,1000}")]
Description = Annotated[str, Text("up to 1000 characters of text", r"[^\x00-\x08\x7f]{0,1000}")]
EntityType = Annotated[str, Choice(ENTITY_TYPES)]
ValueType = Annotated[str, Choice(VALUE_TYPES)]
Aggregate = Annotated[str, Choice(AGGREGATES)]
# Ten years; the shipped data spans 18 months.
Period = Annotated[int, WholeSeconds(1, 3650 * DAY_S)]
Where = Annotated[Mapping[str, str | tuple[str, ...]], Conditions()]


def _from_key(key: str) -> dict[str, Any]:
    """Name the key in the file where it differs from the attribute."""
    return {"key": key}


@attrs.frozen
class EntitySpec:
    """Whose features these are: the column that identifies one, and its type."""

    key: Identifier
    type: EntityType = "int64"


@attrs.frozen
class UploadSpec:
    """A dataset that is uploaded: a row says what held for an entity from a time on."""

    entity: Identifier
    entity_key: Identifier
    time_column: Identifier
    columns: Mapping[Identifier, ValueType] = attrs.field(converter=freeze_mapping)


@attrs.frozen
class FeatureSpec:
    """One feature, as written. Exactly one of `source` and `expression` is set.

    `where` is empty or holds the actions that count, `{"action": ("click",)}`. `type` is set for
    features from uploads (the declared type of the column) and None for others, whose type follows
    from the aggregate or the expression.
    """

    name: Identifier
    source: Source | None = attrs.field(default=None, metadata=_from_key("from"))
    where: Where = attrs.field(factory=dict, converter=freeze_mapping)
    aggregate: Aggregate | None = None
    column: Identifier | None = None
    window_s: Period | None = attrs.field(default=None, metadata=_from_key("window"))
    tile_s: Period | None = attrs.field(default=None, metadata=_from_key("tile"))
    ttl_s: Period | None = attrs.field(default=None, metadata=_from_key("ttl"))
    type: ValueType | None = None
    expression: Expression | None = None
    entity: Identifier = "user"
    description: Description = ""

    @property
    def upload(self) -> str | None:
        """The dataset of a feature from uploads, else None."""
        if self.source is None or not self.source.startswith(UPLOADS_PREFIX):
            return None
        return self.source.removeprefix(UPLOADS_PREFIX)


@attrs.frozen
class FeaturesFile:
    """All of `features.yaml`, in the file's order."""

    entities: Mapping[str, EntitySpec] = attrs.field(factory=dict, converter=freeze_mapping)
    uploads: Mapping[str, UploadSpec] = attrs.field(factory=dict, converter=freeze_mapping)
    features: Mapping[str, FeatureSpec] = attrs.field(factory=dict, converter=freeze_mapping)


@attrs.frozen
class ModelSpec:
    """One model and the features it needs, in the order of its input vector."""

    name: Identifier
    entity: Identifier
    features: tuple[Identifier, ...]
    description: Description = ""


@attrs.frozen
class ModelsFile:
    """All of `models.yaml`, in the file's order."""

    models: Mapping[str, ModelSpec] = attrs.field(factory=dict, converter=freeze_mapping)
