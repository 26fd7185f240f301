"""The calls of `FeatureService` that predict: parses, asks serving, encodes."""

from collections.abc import Iterable
from typing import Final

from engine.errors import InvalidArgumentError
from engine.features.values import Value
from engine.models import ModelVersion
from engine.rpc import current_request_id
from engine.services.arguments import read_version
from engine.services.prediction_rows import PredictionEncoder, encode_explanation
from engine.serving.explaining import Explainer
from engine.serving.predictor import Predictor
from proto.trellis.v1 import features_pb2 as pb

_BATCH_KEYS_MAX: Final = 1_000
_ENCODERS_MAX: Final = 1_024
_NO_OVERRIDES: Final[dict[str, Value | None]] = {}


class PredictionCalls:
    """Predict, BatchPredict and ExplainPrediction."""

    def __init__(self, predictor: Predictor, explainer: Explainer) -> None:
        self._predictor = predictor
        self._explainer = explainer
        self._encoders: dict[tuple[str, int], PredictionEncoder] = {}

    async def predict(self, request: pb.PredictRequest) -> pb.PredictResponse:
        """Answer with one prediction."""
        if not request.HasField("entity_key"):
            raise InvalidArgumentError("entity_key", "is missing; 0 is a key too, so send it")
        made = await self._predictor.predict(
            request.model,
            read_version(request.version),
            request.entity_key,
            _read_overrides(request.overrides) if request.overrides else _NO_OVERRIDES,
            current_request_id(),
        )
        return self._encoder(made.version).encode_one(made)

    async def predict_many(self, request: pb.BatchPredictRequest) -> pb.BatchPredictResponse:
        """Answer with many predictions."""
        keys = tuple(request.entity_keys)
        if not 1 <= len(keys) <= _BATCH_KEYS_MAX:
            raise InvalidArgumentError(
                "entity_keys", f"{len(keys)} keys; a batch has 1 to {_BATCH_KEYS_MAX}"
            )
        made = await self._predictor.predict_many(
            request.model, read_version(request.version), keys, current_request_id()
        )
        return self._encoder(made[0].version).encode_many(made)

    async def explain(self, request: pb.ExplainPredictionRequest) -> pb.ExplainPredictionResponse:
        """Answer with what a prediction was made of."""
        if not request.prediction_id:
            raise InvalidArgumentError("prediction_id", "is missing")
        return encode_explanation(await self._explainer.explain(request.prediction_id))

    def _encoder(self, version: ModelVersion) -> PredictionEncoder:
        key = (version.model, version.version)
        encoder = self._encoders.get(key)
        if encoder is None:
            if len(self._encoders) >= _ENCODERS_MAX:
                self._encoders.clear()
            encoder = self._encoders[key] = PredictionEncoder(version)
        return encoder


def _read_overrides(overrides: Iterable[pb.FeatureOverride]) -> dict[str, Value | None]:
    read: dict[str, Value | None] = {}
    for one in overrides:
        if one.name in read:
            raise InvalidArgumentError("overrides", f"{one.name[:80]!r} is there twice")
        kind = one.WhichOneof("value")
        read[one.name] = None if kind is None else getattr(one, kind)
    return read
