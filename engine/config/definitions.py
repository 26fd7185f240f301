"""What `features.yaml` and `models.yaml` define, as frozen classes."""

from collections.abc import Mapping

import attrs

from engine.config.sections import freeze_mapping

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


@attrs.frozen
class EntitySpec:
    """Whose features these are: the column that identifies one, and its type."""

    key: str
    type: str = "int64"


@attrs.frozen
class UploadSpec:
    """A dataset that is uploaded: a row says what held for an entity from a time on."""

    entity: str
    entity_key: str
    time_column: str
    columns: Mapping[str, str] = attrs.field(converter=freeze_mapping)


@attrs.frozen
class FeatureSpec:
    """One feature, as written. Exactly one of `source` and `expression` is set.

    `where` is empty or holds the actions that count, `{"action": ("click",)}`. `type` is set for
    features from uploads (the declared type of the column) and None for others, whose type follows
    from the aggregate or the expression.
    """

    name: str
    source: str | None = None
    where: Mapping[str, str | tuple[str, ...]] = attrs.field(factory=dict, converter=freeze_mapping)
    aggregate: str | None = None
    column: str | None = None
    window_s: int | None = None
    tile_s: int | None = None
    ttl_s: int | None = None
    type: str | None = None
    expression: str | None = None
    entity: str = "user"
    description: str = ""

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

    name: str
    entity: str
    features: tuple[str, ...]
    description: str = ""


@attrs.frozen
class ModelsFile:
    """All of `models.yaml`, in the file's order."""

    models: Mapping[str, ModelSpec] = attrs.field(factory=dict, converter=freeze_mapping)
