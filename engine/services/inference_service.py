"""`inference.GRPCInferenceService`, the Open Inference Protocol (KServe v2).

A model is asked either for entities, by the tensor `entity_key`, and gets its features from the
store as with Predict; or for rows that the caller has made, a tensor a feature, of which nothing is
kept. A tensor has a value a row.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from engine.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from engine.models import ModelRegistry, ModelVersion
from engine.rpc import current_request_id
from engine.services.inference_tensors import DATATYPES, Output, read_inputs, write_outputs
from engine.serving.plans import Plan
from engine.serving.predictor import Predictor
from engine.serving.rows import Score
from engine.serving.scoring import Scoring
from proto.inference import open_inference_grpc_pb2 as pb
from proto.inference.open_inference_grpc_grpc import GRPCInferenceServiceServicer

# ruff: noqa: N802 - the methods are named by the protocol

_NAME: Final = "trellis"
_API_VERSION: Final = "v1"
_PLATFORM: Final = "sklearn"
_KEY: Final = "entity_key"
_ROWS_MAX: Final = 1_000
_VERSION: Final = re.compile(r"[1-9][0-9]{0,8}")
_TENSOR = pb.ModelMetadataResponse.TensorMetadata


class InferenceService(GRPCInferenceServiceServicer):  # type: ignore[misc]  # generated, no types
    """Parses, asks serving, encodes."""

    def __init__(
        self,
        models: ModelRegistry,
        predictor: Predictor,
        scoring: Scoring,
        is_ready: Callable[[], bool],
    ) -> None:
        """Make it.

        Args:
          is_ready: whether the engine answers.
        """
        self._models = models
        self._predictor = predictor
        self._scoring = scoring
        self._is_ready = is_ready

    async def ServerLive(self, input_message: pb.ServerLiveRequest) -> pb.ServerLiveResponse:
        """Answer: who can is alive."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, input_message: pb.ServerReadyRequest) -> pb.ServerReadyResponse:
        """Tell whether the engine answers."""
        return pb.ServerReadyResponse(ready=self._is_ready())

    async def ModelReady(self, input_message: pb.ModelReadyRequest) -> pb.ModelReadyResponse:
        """Tell whether a worker has a version loaded."""
        try:
            plan = self._plan(input_message.name, input_message.version)
        except (NotFoundError, FailedPreconditionError):
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=self._scoring.is_loaded(plan.rows.key))

    async def ServerMetadata(
        self, input_message: pb.ServerMetadataRequest
    ) -> pb.ServerMetadataResponse:
        """Tell what answers."""
        return pb.ServerMetadataResponse(name=_NAME, version=_API_VERSION)

    async def ModelMetadata(
        self, input_message: pb.ModelMetadataRequest
    ) -> pb.ModelMetadataResponse:
        """Tell what a version takes and gives."""
        plan = self._plan(input_message.name, input_message.version)
        version = plan.version
        trained = [one for one in self._models.find(version.model).versions if one.trained]
        inputs = zip(version.features, plan.types, strict=True)
        return pb.ModelMetadataResponse(
            name=version.model,
            versions=[str(one.version) for one in trained],
            platform=_PLATFORM,
            inputs=[
                _TENSOR(name=name, datatype=DATATYPES[type_][0], shape=[-1])
                for name, type_ in inputs
            ],
            outputs=_describe_outputs(version),
            properties={_KEY: "instead of all inputs: entities, INT64 [-1]"},
        )

    async def ModelInfer(self, input_message: pb.ModelInferRequest) -> pb.ModelInferResponse:
        """Answer with predictions for entities, or of rows."""
        request = input_message
        plan = self._plan(request.model_name, request.model_version)
        inputs = read_inputs(request, _ROWS_MAX)
        version = plan.version
        wanted = _read_wanted(request, version)
        if set(inputs) == {_KEY} and _KEY not in plan.places:
            datatype, keys = inputs[_KEY]
            if datatype not in DATATYPES["int64"]:
                raise InvalidArgumentError("inputs", f"{_KEY!r} is INT64")
            made = await self._predictor.predict_many(
                version.model, version.version, keys, current_request_id()
            )
            scores = [one.score for one in made]
        else:
            rows = _to_rows(plan, inputs)
            _, found = await self._predictor.score_rows(version.model, version.version, rows)
            scores = [*found]
        response = pb.ModelInferResponse(
            model_name=version.model, model_version=str(version.version), id=request.id
        )
        outputs = [one for one in _outputs(scores) if one.name in wanted]
        write_outputs(response, outputs, raw=bool(request.raw_input_contents))
        return response

    def _plan(self, model: str, version: str) -> Plan:
        if version and not _VERSION.fullmatch(version):
            raise InvalidArgumentError("model_version", f"{version[:80]!r} is not a number from 1")
        return self._predictor.plan(model, int(version) if version else None)


def _to_rows(plan: Plan, inputs: dict[str, tuple[str, list[Any]]]) -> list[tuple[Any, ...]]:
    """Return rows in the order of the features; NaN is a missing value."""
    if inputs.keys() != plan.places.keys():
        missing = sorted(plan.places.keys() - inputs.keys())
        more = sorted(inputs.keys() - plan.places.keys())
        raise InvalidArgumentError(
            "inputs",
            f"a tensor for each feature is needed, or {_KEY!r} alone; missing: "
            f"{', '.join(missing)[:500] or 'none'}; too many: {', '.join(more)[:500] or 'none'}",
        )
    columns = []
    for name, type_ in zip(plan.version.features, plan.types, strict=True):
        datatype, values = inputs[name]
        if datatype not in DATATYPES[type_]:
            raise InvalidArgumentError(
                "inputs", f"{name!r} is {datatype[:20]}; {DATATYPES[type_][0]} is needed"
            )
        if type_ == "double":
            values = [value if math.isfinite(value) else None for value in values]
        columns.append(values)
    return [*zip(*columns, strict=True)]


def _read_wanted(request: pb.ModelInferRequest, version: ModelVersion) -> frozenset[str]:
    """Return the names of the outputs that are asked for, without any all of them.

    Raises:
      InvalidArgumentError: there is no such output.
    """
    known = [one.name for one in _describe_outputs(version)]
    wanted = frozenset(one.name for one in request.outputs)
    if not wanted <= set(known):
        raise InvalidArgumentError("outputs", f"there are {', '.join(known)}")
    return wanted or frozenset(known)


def _describe_outputs(version: ModelVersion) -> list[Any]:
    score = _TENSOR(name="score", datatype="FP64", shape=[-1])
    if version.trained is None or version.trained.task == "regression":
        return [score]
    return [
        score,
        _TENSOR(name="label", datatype="BYTES", shape=[-1]),
        _TENSOR(name="probabilities", datatype="FP64", shape=[-1, -1]),
        _TENSOR(name="classes", datatype="BYTES", shape=[-1]),
    ]


def _outputs(scores: Sequence[Score]) -> list[Output]:
    """Return the tensors of some predictions: classes are those of the probabilities' columns."""
    rows, classes = len(scores), scores[0].classes
    outputs = [Output("score", "FP64", (rows,), [one.score for one in scores])]
    if classes:
        flat = [value for one in scores for value in one.probabilities]
        outputs += [
            Output("label", "BYTES", (rows,), [one.label for one in scores]),
            Output("probabilities", "FP64", (rows, len(classes)), flat),
            Output("classes", "BYTES", (len(classes),), classes),
        ]
    return outputs
