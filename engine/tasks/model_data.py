"""What jobs of models exchange with the engine: rows, parts of versions, batches to score."""

from collections.abc import Iterable, Iterator
from typing import Literal, Protocol

import attrs

from engine.tasks.errors import OutOfReachError
from engine.tasks.hand import Job

Part = Literal["pipeline", "reference"]
"""Of a trained version: what predicts, and the statistics of what it was trained on."""


class ArtifactError(Exception):
    """A part of a version cannot be had.

    `code` is `artifact_missing`, `artifact_corrupt` or, where trying again may help,
    `artifact_unavailable`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ArtifactUnavailableError(ArtifactError, OutOfReachError):
    """The part cannot be had just now."""

    def __init__(self, message: str) -> None:
        super().__init__("artifact_unavailable", message)


@attrs.frozen
class StoredPart:
    """Where a part was put; its name holds its SHA-256."""

    name: str
    sha256: str
    size_bytes: int


@attrs.frozen
class ScoredBatch:
    """What came of a batch: predictions as an Arrow stream, or why there are none."""

    number: int
    predictions: bytes = b""
    error_code: str = ""
    error: str = ""


@attrs.frozen
class NextBatch:
    """What to do next.

    `number` 0: nothing. `rows`, an Arrow stream, empty: only load the version. `forget`: versions,
    as `model/version`, that are not needed any more. `leave`: hand the job back.
    """

    number: int
    model: str
    version: int
    rows: bytes
    forget: tuple[str, ...]
    leave: bool
    request_ids: tuple[str, ...] = ()
    """Of some of the calls that the rows are for."""
    trace_ids: tuple[str, ...] = ()
    """Of some of the traces that these are part of."""


class ModelData(Protocol):
    """The engine, to jobs of models. Calls raise as those of `EngineLink`."""

    def read_rows(self, job: Job) -> Iterator[bytes]:
        """Yield the rows that a job asks for, an Arrow stream."""

    def read_part(self, job: Job, model: str, version: int, part: Part) -> Iterator[bytes]:
        """Yield a part of a version. Raises ArtifactError, too."""

    def store_part(self, job: Job, part: Part, content: Iterable[bytes]) -> StoredPart:
        """Store a part of what the job makes. Raises ArtifactError, too: other bytes arrived."""

    def exchange_batch(
        self, job: Job, scored: ScoredBatch | None, wait_s: float, loaded: Iterable[str]
    ) -> NextBatch:
        """Deliver a batch and wait for the next one."""
