"""What `features.yaml` and `models.yaml` define, as frozen classes."""

# ruff: noqa: RUF009 - `described` describes a field, as attrs.field does; it is no shared default.

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
    str,
    Text(
        "events, or uploads.NAME with the name of a dataset",
        r"events|uploads\.[a-z][a-z0-9_]{0,62}",
    ),
]
Expression = Annotated[str, Text("1 to 1000 characters on one line", r"[^\x00-\x1f\x7f]{1,1000}")]
Description = Annotated[str, Text("up to 1000 characters of text", r"[^\x00-\x08\x7f]{0,1000}")]
EntityType = Annotated[str, Choice(ENTITY_TYPES)]
ValueType = Annotated[str, Choice(VALUE_TYPES)]
Aggregate = Annotated[str, Choice(AGGREGATES)]
# Ten years; the shipped data spans 18 months.
Period = Annotated[int, WholeSeconds(1, 3650 * DAY_S)]
Where = Annotated[Mapping[str, str | tuple[str, ...]], Conditions()]


def described(
    meaning: str, *, default: Any = attrs.NOTHING, key: str | None = None, mapping: bool = False
) -> Any:
    """Return an attrs field with its meaning, and its key in the file where that differs."""
    metadata = {"meaning": meaning} if key is None else {"meaning": meaning, "key": key}
    converter = freeze_mapping if mapping else None
    return attrs.field(default=default, converter=converter, metadata=metadata)


@attrs.frozen
class EntitySpec:
    """Whose features these are."""

    key: Identifier = described("Column that identifies one; `user_id` in events.")
    type: EntityType = described("Type of that column.", default="int64")


@attrs.frozen
class UploadSpec:
    """A dataset that is uploaded: a row says what held for an entity from a time on."""

    entity: Identifier = described("Whom a row is about.")
    entity_key: Identifier = described("Column that says which one.")
    time_column: Identifier = described("Column that says from when on the row holds.")
    columns: Mapping[Identifier, ValueType] = described(
        "The other columns, as `name: type`.", mapping=True
    )


@attrs.frozen
class FeatureSpec:
    """One feature, as written. Exactly one of `source` and `expression` is set.

    `where` is empty or holds the actions that count, `{"action": ("click",)}`. `type` is set for
    features from uploads (the declared type of the column) and None for others, whose type follows
    from the aggregate or the expression.
    """

    name: Identifier
    source: Source | None = described(
        "Where the values come from; either this or `expression`.", default=None, key="from"
    )
    where: Where = described(
        "Which events count; all of them without it.", default={}, mapping=True
    )
    aggregate: Aggregate | None = described("What is made of the events.", default=None)
    column: Identifier | None = described(
        "Of what: `action` or `value` of events (numeric aggregates: `value`), or a column of the "
        "dataset. `count` and `seconds_since` have none.",
        default=None,
    )
    window_s: Period | None = described(
        "How far back events count; all time without it.", default=None, key="window"
    )
    tile_s: Period | None = described(
        "Grain of the window, which starts at a multiple of it; without it, one that suits.",
        default=None,
        key="tile",
    )
    ttl_s: Period | None = described(
        "Age from which a value is served as STALE; at most the window.", default=None, key="ttl"
    )
    type: ValueType | None = described(
        "For a feature from uploads only, where it may repeat the column's type.", default=None
    )
    expression: Expression | None = described(
        "Formula over other features of the same entity.", default=None
    )
    entity: Identifier = described("Whose feature it is.", default="user")
    description: Description = described("For people.", default="")

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
    """One model and the features it needs."""

    name: Identifier
    entity: Identifier = described("Whom it is about.")
    features: tuple[Identifier, ...] = described(
        "Its features, in the order of its input vector, each once."
    )
    description: Description = described("For people.", default="")


@attrs.frozen
class ModelsFile:
    """All of `models.yaml`, in the file's order."""

    models: Mapping[str, ModelSpec] = attrs.field(factory=dict, converter=freeze_mapping)
