"""Models as the Console shows them, times in microseconds, UTC. Pure."""

from collections.abc import Sequence

import msgspec

from engine.models import Measured, ModelVersion, TrainedArtifact
from engine.models import Model as KnownModel

_MOST_VERSIONS = 20


class Metric(msgspec.Struct, frozen=True):
    """A metric with its interval of 95 % confidence."""

    name: str
    value: float
    low: float
    high: float


class Training(msgspec.Struct, frozen=True):
    """Where a trained version came from."""

    job_id: str
    cause: str
    drift_report_id: str | None
    estimator: str
    task: str
    artifact: str
    sha256: str
    size_bytes: int
    trained_from_us: int
    trained_until_us: int
    training_commit_seq: int
    rows_fitted: int
    rows_tested: int
    metrics: tuple[Metric, ...]
    champion_metrics: tuple[Metric, ...]
    importance: tuple[tuple[str, float], ...]
    lineage: str


class Version(msgspec.Struct, frozen=True):
    """A version of a model."""

    version: int
    source: str
    created_at_us: int
    aliases: tuple[str, ...]
    features: tuple[str, ...]
    trained: Training | None


class ModelChange(msgspec.Struct, frozen=True):
    """A line of a model's log."""

    at_us: int
    version: int | None
    change: str
    detail: str


class ModelSummary(msgspec.Struct, frozen=True):
    """A model in a few words."""

    name: str
    entity: str
    description: str
    champion: int | None
    trainable: bool
    versions: int
    changed_at_us: int
    """When its latest version was made."""
    metric: Metric | None
    """The first of the champion's, by which versions are compared."""


class Model(msgspec.Struct, frozen=True):
    """A model, its latest version first."""

    name: str
    entity: str
    description: str
    champion: int | None
    champion_before: int | None
    """What can be rolled back to."""
    trainable: bool
    versions: tuple[Version, ...]
    versions_left_out: int
    changes: tuple[ModelChange, ...]


def show_model(
    model: KnownModel,
    changes: Sequence[ModelChange],
    *,
    trainable: bool,
) -> Model:
    """Return a model with its latest versions, and its champion however old that is.

    Args:
      changes: of this model, the latest first.
      trainable: whether a training can be asked for.
    """
    champion = model.champion
    aliases: dict[int, list[str]] = {}
    for alias, number in sorted(model.aliases.items()):
        aliases.setdefault(number, []).append(alias)
    shown = [
        version
        for place, version in enumerate(reversed(model.versions))
        if place < _MOST_VERSIONS or version.version in aliases
    ]
    return Model(
        name=model.name,
        entity=model.entity,
        description=model.description,
        champion=None if champion is None else champion.version,
        champion_before=model.champion_before,
        trainable=trainable,
        versions=tuple(
            _show_version(version, aliases.get(version.version, ())) for version in shown
        ),
        versions_left_out=len(model.versions) - len(shown),
        changes=tuple(changes),
    )


def summarise_model(model: KnownModel, *, trainable: bool) -> ModelSummary:
    """Return a model in a few words; with hundreds of them, all versions of all are megabytes."""
    champion = model.champion
    trained = None if champion is None else champion.trained
    return ModelSummary(
        name=model.name,
        entity=model.entity,
        description=model.description,
        champion=None if champion is None else champion.version,
        trainable=trainable,
        versions=len(model.versions),
        changed_at_us=model.latest.created_at_us,
        metric=None if trained is None or not trained.metrics else _show_metric(trained.metrics[0]),
    )


def _show_version(version: ModelVersion, aliases: Sequence[str]) -> Version:
    return Version(
        version=version.version,
        source=version.source.value,
        created_at_us=version.created_at_us,
        aliases=tuple(aliases),
        features=version.features,
        trained=None if version.trained is None else _show_training(version.trained),
    )


def _show_training(trained: TrainedArtifact) -> Training:
    return Training(
        job_id=trained.job_id,
        cause=trained.cause,
        drift_report_id=trained.drift_report_id,
        estimator=trained.estimator,
        task=trained.task,
        artifact=trained.pipeline.name,
        sha256=trained.pipeline.sha256,
        size_bytes=trained.pipeline.size_bytes,
        trained_from_us=trained.trained_from_us,
        trained_until_us=trained.trained_until_us,
        training_commit_seq=trained.training_commit_seq,
        rows_fitted=trained.rows_fitted,
        rows_tested=trained.rows_tested,
        metrics=tuple(map(_show_metric, trained.metrics)),
        champion_metrics=tuple(map(_show_metric, trained.champion_metrics or ())),
        importance=tuple(
            (one.feature, one.importance)
            for one in sorted(trained.importance, key=lambda one: -one.importance)
        ),
        lineage=trained.lineage_json,
    )


def _show_metric(metric: Measured) -> Metric:
    return Metric(metric.name, metric.value, metric.low, metric.high)
