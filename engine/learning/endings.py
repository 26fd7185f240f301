"""What the end of a training means: a new version, or a line in the model's log."""

import json
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from engine import tracing
from engine.clock import read_clock_us
from engine.config import ModelSpec, PolicySpec
from engine.errors import InvalidArgumentError
from engine.features.views import FeatureSet
from engine.jobs import ClaimedJob, EndedJob, RetriedJob
from engine.learning.payloads import TrainingRequest, read_training
from engine.learning.trainings import Trainings
from engine.models import (
    BlobRef,
    Importance,
    Measured,
    ModelRegistry,
    Promotion,
    Role,
    TrainedArtifact,
)
from engine.models.changes import row_of_log
from engine.models.definitions import DEFINITIONS
from engine.models.policy import decide_promotion
from engine.records import Operation

_MOST_METRICS = 100


class _Blob(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    sha256: str
    size_bytes: int


class _Metric(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    value: float
    low: float
    high: float


class _Importance(msgspec.Struct, forbid_unknown_fields=True):
    feature: str
    importance: float
    spread: float


class _Result(msgspec.Struct):
    """What a training returns."""

    artifact: _Blob
    reference: _Blob
    estimator: str
    task: str
    metrics: list[_Metric]
    champion_metrics: list[_Metric] | None
    importance: list[_Importance]
    rows_fitted: int
    rows_tested: int
    trained_from_us: int
    trained_until_us: int
    lineage: dict[str, Any]


class TrainingEndings:
    """Turns results into versions. Made before the jobs, whose hooks it holds."""

    def __init__(self, declared: Mapping[str, ModelSpec]) -> None:
        self._declared = declared
        self._models: ModelRegistry | None = None
        self._trainings: Trainings | None = None
        self._features: FeatureSet | None = None

    def attach(self, models: ModelRegistry, trainings: Trainings, features: FeatureSet) -> None:
        """Name what the hooks ask; before any worker runs, and any call is answered."""
        self._models = models
        self._features = features
        self._trainings = trainings

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Keep aliases where they are: a promotion is decided on, and then replaces, the champion.

        Cancellation: a checkpoint while a change of a model is under way.
        """
        assert self._models is not None
        async with self._models.holding_still():
            yield

    async def complete(self, job: ClaimedJob, result: Mapping[str, Any]) -> tuple[Operation, ...]:
        """Return the operations that make a version of a result, by the policy of now.

        Raises:
          InvalidArgumentError: the result is not one of a training.
          NotFoundError: the model is gone.
        """
        assert self._models is not None
        request = read_training(json.loads(job.payload_json))
        try:
            read = msgspec.convert(result, _Result)
        except msgspec.ValidationError as error:
            raise InvalidArgumentError("result", f"is not one of a training: {error}") from error
        self._note_definitions(request, read)
        trained = _to_artifact(job.job_id, request, read)
        with tracing.start("decide promotion") as span:
            promotion = self._decide(request, trained)
            span.set("trellis.model", request.model)
            span.set("trellis.promotion.role", promotion.role)
            span.set("trellis.reason", promotion.reason)
            change = self._models.plan_training(request.model, request.features, trained, promotion)
        return change.operations

    def fail(self, ended: EndedJob) -> tuple[Operation, ...]:
        """Return the line of the model's log that says why there is no new version."""
        request = read_training(json.loads(ended.payload_json))
        facts = {
            "job_id": ended.job_id,
            "cause": request.cause.value,
            "state": ended.state.value.lower(),
            "code": ended.code,
            "detail": ended.message,
        }
        return (row_of_log(read_clock_us(), request.model, None, "training failed", facts),)

    @asynccontextmanager
    async def begin_again(self, job: RetriedJob) -> AsyncIterator[tuple[Operation, ...]]:
        """Let a training run again, as the only one of its model.

        Raises:
          FailedPreconditionError: another one is under way.
        """
        assert self._trainings is not None
        request = read_training(json.loads(job.payload_json))
        async with self._trainings.beginning_again(request.model, job.job_id):
            yield ()

    def _note_definitions(self, request: TrainingRequest, result: _Result) -> None:
        """Keep what the features were defined as when the rows were read: as they are now.

        A champion that learnt from other definitions cannot serve with these, nor was it judged.
        """
        assert self._models is not None
        assert self._features is not None
        fingerprints = self._features.fingerprints
        result.lineage[DEFINITIONS] = {name: fingerprints[name] for name in request.features}
        champion = self._models.find(request.model).champion
        if champion is None or champion.trained is None:
            return
        if redefined := self._features.find_redefined(champion.trained.definitions):
            result.champion_metrics = []
            result.lineage["champion"] = {
                "version": champion.version,
                "code": "redefined",
                "detail": f"features are defined otherwise now: {', '.join(redefined)}",
            }

    def _decide(self, request: TrainingRequest, trained: TrainedArtifact) -> Promotion:
        assert self._models is not None
        champion = self._models.find(request.model).champion
        number = None if champion is None else champion.version
        if number != request.champion_version:
            return Promotion(
                Role.CHALLENGER,
                f"the champion changed while it was trained: it is version {number} now",
            )
        spec = self._declared.get(request.model)
        policy = PolicySpec() if spec is None else spec.policy
        return decide_promotion(policy, request.metric, trained.metrics, trained.champion_metrics)


def _to_artifact(job_id: str, request: TrainingRequest, result: _Result) -> TrainedArtifact:
    if len(result.metrics) > _MOST_METRICS:
        raise InvalidArgumentError("result", f"has more than {_MOST_METRICS} metrics")
    champion = result.champion_metrics
    return TrainedArtifact(
        job_id=job_id,
        cause=request.cause.value,
        drift_report_id=request.drift_report_id,
        estimator=result.estimator,
        task=result.task,
        pipeline=_to_blob(result.artifact),
        reference=_to_blob(result.reference),
        trained_from_us=result.trained_from_us,
        trained_until_us=result.trained_until_us,
        training_commit_seq=request.history.commit_seq,
        rows_fitted=result.rows_fitted,
        rows_tested=result.rows_tested,
        metrics=tuple(map(_to_measured, result.metrics)),
        champion_metrics=None if champion is None else tuple(map(_to_measured, champion)),
        importance=tuple(
            Importance(one.feature, one.importance, one.spread) for one in result.importance
        ),
        lineage_json=json.dumps(result.lineage, ensure_ascii=False),
    )


def _to_blob(blob: _Blob) -> BlobRef:
    return BlobRef(blob.name, blob.sha256, blob.size_bytes)


def _to_measured(metric: _Metric) -> Measured:
    if not all(map(math.isfinite, (metric.value, metric.low, metric.high))):
        raise InvalidArgumentError("result", f"{metric.name} is no number")
    return Measured(metric.name, metric.value, metric.low, metric.high)
