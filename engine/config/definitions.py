"""What `features.yaml` and `models.yaml` define, as frozen classes."""

# ruff: noqa: RUF009 - `described` describes a field, as attrs.field does; it is no shared default.

from collections.abc import Mapping

import attrs

from engine.config.fields import (
    UPLOADS_PREFIX,
    Aggregate,
    Description,
    EntityType,
    Expression,
    Period,
    Source,
    ValueType,
    Where,
    described,
)
from engine.config.learning import (
    DriftSpec,
    EstimatorSpec,
    LabelSpec,
    ObservationsSpec,
    PolicySpec,
    SplitSpec,
)
from engine.config.setting_fields import Fraction, Identifier, freeze_mapping


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
    """One model, the features it needs, and how it learns. Without a label it is a list of features
    and is never trained.
    """

    name: Identifier
    entity: Identifier = described("Whom it is about.")
    features: tuple[Identifier, ...] = described(
        "Its features, in the order of its input vector, each once."
    )
    description: Description = described("For people.", default="")
    label: LabelSpec | None = described("What it predicts.", default=None)
    estimator: EstimatorSpec | None = described(
        "What learns it; LogisticRegression, or Ridge for a label that is a number, without it.",
        default=None,
    )
    observations: ObservationsSpec = described(
        "What its training set has rows of.", default=ObservationsSpec()
    )
    split: SplitSpec = described("What it is judged by.", default=SplitSpec())
    drift: DriftSpec = described("When its input has drifted.", default=DriftSpec())
    policy: PolicySpec = described(
        "When it is trained again, and what a new version must do.", default=PolicySpec()
    )
    log_share: Fraction = described("Share of its predictions that is kept.", default=1.0)


@attrs.frozen
class ModelsFile:
    """All of `models.yaml`, in the file's order."""

    models: Mapping[str, ModelSpec] = attrs.field(factory=dict, converter=freeze_mapping)
