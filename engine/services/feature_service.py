"""`trellis.v1.FeatureService`: feature values of entities, now or at a past moment."""

from typing import Protocol

from engine.errors import FailedPreconditionError, InvalidArgumentError
from engine.features.reads import FeatureReads
from engine.models import ModelRegistry
from engine.services.arguments import read_time_us, read_version
from engine.services.feature_rows import RowEncoder
from engine.services.prediction_calls import PredictionCalls
from proto.trellis.v1.features_grpc import FeatureServiceServicer
from proto.trellis.v1.features_pb2 import (
    BatchGetFeaturesRequest,
    BatchGetFeaturesResponse,
    BatchPredictRequest,
    BatchPredictResponse,
    ExplainPredictionRequest,
    ExplainPredictionResponse,
    GetFeaturesRequest,
    GetFeaturesResponse,
    PredictRequest,
    PredictResponse,
)

_FEATURES_MAX = 256
_BATCH_KEYS_MAX = 1_000
_ENCODERS_MAX = 1_024  # a few kilobytes each; beyond that the cache starts again


class CommitCounter(Protocol):
    """Knows the last commit; the store's writer is one."""

    @property
    def commit_seq(self) -> int:
        """The sequence number of the last commit."""


class FeatureService(FeatureServiceServicer):  # type: ignore[misc]  # generated code has no types
    """Parses, asks the feature store, encodes."""

    def __init__(
        self,
        features: FeatureReads,
        models: ModelRegistry,
        commits: CommitCounter,
        predictions: PredictionCalls,
    ) -> None:
        self._features = features
        self._models = models
        self._commits = commits
        self._predictions = predictions
        self._encoders: dict[tuple[str, int], RowEncoder] = {}

    async def GetFeatures(self, input_message: GetFeaturesRequest) -> GetFeaturesResponse:  # noqa: N802
        """Answer with one entity's features. See `features.proto`."""
        request = input_message
        encoder = self._encoder(request)
        if not request.HasField("entity_key"):
            raise InvalidArgumentError("entity_key", "is missing; 0 is a key too, so send it")
        row = await self._features.get(
            request.entity_key, encoder.names, _as_of_us(request), self._commit_seq(request)
        )
        return encoder.encode_row(row)

    async def BatchGetFeatures(  # noqa: N802
        self, input_message: BatchGetFeaturesRequest
    ) -> BatchGetFeaturesResponse:
        """Answer with many entities' features. See `features.proto`."""
        request = input_message
        encoder = self._encoder(request)
        keys = tuple(request.entity_keys)
        if not 1 <= len(keys) <= _BATCH_KEYS_MAX:
            raise InvalidArgumentError(
                "entity_keys", f"{len(keys)} keys; a batch has 1 to {_BATCH_KEYS_MAX}"
            )
        rows = await self._features.get_many(keys, encoder.names, _as_of_us(request))
        return encoder.encode_rows(rows)

    async def Predict(self, input_message: PredictRequest) -> PredictResponse:  # noqa: N802
        """Answer with one prediction. See `features.proto`."""
        return await self._predictions.predict(input_message)

    async def BatchPredict(  # noqa: N802
        self, input_message: BatchPredictRequest
    ) -> BatchPredictResponse:
        """Answer with many predictions. See `features.proto`."""
        return await self._predictions.predict_many(input_message)

    async def ExplainPrediction(  # noqa: N802
        self, input_message: ExplainPredictionRequest
    ) -> ExplainPredictionResponse:
        """Answer with what a prediction was made of. See `features.proto`."""
        return await self._predictions.explain(input_message)

    def _encoder(self, request: GetFeaturesRequest | BatchGetFeaturesRequest) -> RowEncoder:
        if bool(request.model) == bool(request.features):
            raise InvalidArgumentError("model", "set exactly one of model and features")
        if request.features:
            return RowEncoder(_read_features(request))
        version = self._models.get(request.model, read_version(request.version))
        key = (version.model, version.version)
        encoder = self._encoders.get(key)
        if encoder is None:
            if len(self._encoders) >= _ENCODERS_MAX:
                self._encoders.clear()
            encoder = self._encoders[key] = RowEncoder(version.features, *key)
        return encoder

    def _commit_seq(self, request: GetFeaturesRequest) -> int | None:
        if not request.HasField("commit_seq"):
            return None
        if request.commit_seq < 0:
            raise InvalidArgumentError("commit_seq", f"{request.commit_seq} is below 0")
        if request.commit_seq > self._commits.commit_seq:
            raise FailedPreconditionError(
                f"commit_seq {request.commit_seq} is later than the last commit, "
                f"{self._commits.commit_seq}; ask again once it is there, or leave it out"
            )
        return int(request.commit_seq)


def _read_features(request: GetFeaturesRequest | BatchGetFeaturesRequest) -> tuple[str, ...]:
    if request.version:
        raise InvalidArgumentError("version", "belongs to a model; a list of features has none")
    names = tuple(request.features)
    if len(names) > _FEATURES_MAX:
        raise InvalidArgumentError(
            "features", f"{len(names)} names; at most {_FEATURES_MAX} at once"
        )
    return names


def _as_of_us(request: GetFeaturesRequest | BatchGetFeaturesRequest) -> int | None:
    return read_time_us("as_of", request.as_of) if request.HasField("as_of") else None
