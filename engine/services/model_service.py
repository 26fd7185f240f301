"""`trellis.v1.ModelService`: models, the features they need, and which version answers."""

from typing import Literal

from engine.learning.alias_moves import AliasMoves
from engine.learning.live_quality import LiveQuality
from engine.models import (
    Measured,
    Model,
    ModelRegistry,
    ModelVersion,
    Source,
    TrainedArtifact,
)
from engine.services.arguments import read_page_size, read_page_token, read_time_us, read_version
from engine.services.feature_rows import set_time
from proto.trellis.v1 import models_pb2
from proto.trellis.v1.models_grpc import ModelServiceServicer

_PAGE_DEFAULT = 100
_PAGE_MAX = 1_000
_SOURCE = {
    Source.DECLARED: models_pb2.MODEL_SOURCE_DECLARED,
    Source.REGISTERED: models_pb2.MODEL_SOURCE_REGISTERED,
    Source.TRAINED: models_pb2.MODEL_SOURCE_TRAINED,
}
_DEFAULT_ENTITY = "user"
_AFTER = "after:"


class ModelService(ModelServiceServicer):  # type: ignore[misc]  # generated code has no types
    """Parses, asks the registry, encodes."""

    def __init__(self, models: ModelRegistry, aliases: AliasMoves, quality: LiveQuality) -> None:
        self._models = models
        self._aliases = aliases
        self._quality = quality

    async def RegisterModel(  # noqa: N802
        self, input_message: models_pb2.RegisterModelRequest
    ) -> models_pb2.RegisterModelResponse:
        """Keep a model or a new version of it. See `models.proto`."""
        request = input_message
        registration = await self._models.register(
            request.model,
            tuple(request.features),
            request.description,
            request.entity or _DEFAULT_ENTITY,
        )
        return models_pb2.RegisterModelResponse(
            model=self._encode(registration.version), created=registration.created
        )

    async def GetModel(  # noqa: N802
        self, input_message: models_pb2.GetModelRequest
    ) -> models_pb2.GetModelResponse:
        """Answer with one version of a model. See `models.proto`."""
        version = self._models.get(input_message.model, read_version(input_message.version))
        return models_pb2.GetModelResponse(model=self._encode(version))

    async def ListModels(  # noqa: N802
        self, input_message: models_pb2.ListModelsRequest
    ) -> models_pb2.ListModelsResponse:
        """Answer with a page of the models, by name. See `models.proto`."""
        size = read_page_size(input_message.page_size, default=_PAGE_DEFAULT, largest=_PAGE_MAX)
        # The token holds the last name of the page before: models that come or go move no page.
        token = input_message.page_token
        after = read_page_token(token, _AFTER)
        page = [model for model in self._models.list() if model.name > after][: size + 1]
        return models_pb2.ListModelsResponse(
            models=[_encode(model, model.default) for model in page[:size]],
            next_page_token=_token(page[size - 1]) if len(page) > size else "",
        )

    async def SetAlias(  # noqa: N802
        self, input_message: models_pb2.SetAliasRequest
    ) -> models_pb2.SetAliasResponse:
        """Point an alias to a version, or take it away. See `models.proto`."""
        request = input_message
        expected: int | Literal["any"] | None = "any"
        if request.HasField("expected_version"):
            expected = read_version(request.expected_version, "expected_version")
        before = await self._aliases.set_alias(
            request.model, request.alias, read_version(request.version), expected=expected
        )
        model = self._models.find(request.model)
        at = model.aliases.get(request.alias)
        version = model.default if at is None else model.find(at)
        return models_pb2.SetAliasResponse(
            model=_encode(model, version), previous_version=before or 0
        )

    async def GetQuality(  # noqa: N802
        self, input_message: models_pb2.GetQualityRequest
    ) -> models_pb2.GetQualityResponse:
        """Compare predictions with what came of them. See `models.proto`."""
        request = input_message
        since_us = read_time_us("since", request.since) if request.HasField("since") else 0
        measured = await self._quality.measure(
            request.model, read_version(request.version), since_us
        )
        trained = measured.version.trained
        return models_pb2.GetQualityResponse(
            model=request.model,
            model_version=measured.version.version,
            predictions=measured.quality.predictions,
            outcomes=measured.quality.outcomes,
            metrics=map(_encode_metric, measured.quality.metrics),
            trained_metrics=map(_encode_metric, () if trained is None else trained.metrics),
        )

    def _encode(self, version: ModelVersion) -> models_pb2.Model:
        return _encode(self._models.find(version.model), version)


def _token(last: Model) -> str:
    return _AFTER + last.name


def _encode(model: Model, version: ModelVersion) -> models_pb2.Model:
    message = models_pb2.Model(
        model=model.name,
        version=version.version,
        features=version.features,
        description=model.description,
        entity=model.entity,
        source=_SOURCE[version.source],
        latest_version=model.latest.version,
        champion_before=model.champion_before or 0,
        aliases=[
            models_pb2.ModelAlias(alias=alias, version=number)
            for alias, number in sorted(model.aliases.items())
        ],
    )
    set_time(message.created_at, version.created_at_us)
    if version.trained is not None:
        message.trained.CopyFrom(_encode_trained(version.trained))
    return message


def _encode_trained(trained: TrainedArtifact) -> models_pb2.TrainedArtifact:
    message = models_pb2.TrainedArtifact(
        estimator=trained.estimator,
        task=trained.task,
        artifact=trained.pipeline.name,
        sha256=trained.pipeline.sha256,
        size_bytes=trained.pipeline.size_bytes,
        training_commit_seq=trained.training_commit_seq,
        rows_fitted=trained.rows_fitted,
        rows_tested=trained.rows_tested,
        metrics=map(_encode_metric, trained.metrics),
        champion_metrics=map(_encode_metric, trained.champion_metrics or ()),
        importance=[
            models_pb2.FeatureImportance(
                feature=one.feature, importance=one.importance, spread=one.spread
            )
            for one in sorted(trained.importance, key=lambda one: -one.importance)
        ],
        job_id=trained.job_id,
        cause=trained.cause,
        drift_report_id=trained.drift_report_id or "",
        lineage_json=trained.lineage_json,
    )
    set_time(message.trained_from, trained.trained_from_us)
    set_time(message.trained_until, trained.trained_until_us)
    return message


def _encode_metric(metric: Measured) -> models_pb2.Metric:
    return models_pb2.Metric(name=metric.name, value=metric.value, low=metric.low, high=metric.high)
