"""What a training is asked for: the payload of its job, as `engine.learning` writes it."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from engine.config import Task
from engine.tasks.errors import PermanentJobError


class Label(msgspec.Struct, frozen=True):
    """What is predicted. The rest of the definition was used to make the rows."""

    within_s: Annotated[float, msgspec.Meta(ge=0)]


class Estimator(msgspec.Struct, frozen=True):
    """A class of the allow-list, and the parameters that were set."""

    class_name: str = msgspec.field(name="class")
    parameters: dict[str, bool | int | float | str | None]


class Split(msgspec.Struct, frozen=True):
    """Which rows the model is judged by."""

    by: str
    test_share: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    seed: Annotated[int, msgspec.Meta(ge=0)]
    least_rows: Annotated[int, msgspec.Meta(ge=1)]


class TrainingRequest(msgspec.Struct, frozen=True):
    """A training. Times in microseconds since 1970 UTC."""

    model: str
    features: tuple[str, ...]
    label: Label
    estimator: Estimator
    task: Task
    split: Split
    metric: str
    commit_seq: int
    as_of_us: int
    champion_version: int | None = None


def read_request(payload: Mapping[str, Any]) -> TrainingRequest:
    """Return the request.

    Raises:
      PermanentJobError: the payload is none of a training.
    """
    try:
        return msgspec.convert(payload, TrainingRequest)
    except msgspec.ValidationError as error:
        raise PermanentJobError("bad_payload", f"this is no training: {error}") from None
