"""The job `detect_drift`: the current window of a model against what it was trained on."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

import msgspec

from engine.tasks.drift import NothingToCompareError, Thresholds, check_drift
from engine.tasks.errors import PermanentJobError
from engine.tasks.model_data import ArtifactError, Part
from engine.tasks.reference import Reference
from engine.tasks.reference_file import UnreadableReferenceError, read_reference
from engine.tasks.row_stream import UnreadableRowsError, read_table

_UNAVAILABLE: Final = "artifact_unavailable"
"""The code of an `ArtifactError` that trying again may mend."""


class _ThresholdsPayload(msgspec.Struct, frozen=True):
    psi: float
    ks_statistic: float
    missing_rate: float
    alpha: float
    share: float
    least_rows: int


class _Payload(msgspec.Struct, frozen=True):
    """What of the job's payload is needed here; the engine reads the rest for the rows."""

    model: str
    version: int
    features: list[str]
    window_start_us: int
    window_end_us: int
    thresholds: _ThresholdsPayload


class DriftJob(Protocol):
    """What of a `JobContext` this job needs."""

    payload: Mapping[str, Any]

    def advance(
        self, amount: int = 1, *, total: int | None = None, note: str | None = None
    ) -> None:
        """Say that the job has come further."""

    def count(self, name: str, amount: float = 1) -> None:
        """Count something for the metrics."""

    def read_rows(self) -> Iterator[bytes]:
        """Yield the window's rows, an Arrow stream."""

    def read_part(self, model: str, version: int, part: Part = "pipeline") -> bytes:
        """Return a part of the version."""


def run(job: DriftJob) -> dict[str, Any]:
    """Compare the window with the reference of the model's version and return the report.

    Raises:
      PermanentJobError: too few rows, no feature to compare, or a reference that is missing or not
        what was registered.
      ArtifactError: the reference cannot be had for now.
    """
    payload = msgspec.convert(job.payload, _Payload)
    # The reference, each feature and, at most, the prediction.
    total = len(payload.features) + 2
    job.advance(0, total=total, note="reading the reference")
    reference = _read_reference(job, payload)
    job.advance(note="reading the window")
    try:
        window = read_table(job.read_rows(), lambda rows: job.advance(0, note=f"{rows} rows"))
    except UnreadableRowsError as error:
        raise PermanentJobError("bad_rows", str(error)) from None
    if window.num_rows < max(1, payload.thresholds.least_rows):
        raise PermanentJobError(
            "too_little_data",
            f"the window has {window.num_rows} rows; a verdict needs "
            f"{max(1, payload.thresholds.least_rows)}",
        )
    given = payload.thresholds
    thresholds = Thresholds(
        psi=given.psi,
        ks_statistic=given.ks_statistic,
        missing_rate=given.missing_rate,
        alpha=given.alpha,
        share=given.share,
    )
    try:
        report = check_drift(
            window,
            payload.features,
            reference,
            thresholds,
            lambda feature: job.advance(note=feature),
        )
    except NothingToCompareError as error:
        raise PermanentJobError("nothing_to_compare", str(error)) from None
    return {
        "model": payload.model,
        "version": payload.version,
        "window_start_us": payload.window_start_us,
        "window_end_us": payload.window_end_us,
        **report,
        "thresholds": msgspec.structs.asdict(given),
    }


def _read_reference(job: DriftJob, payload: _Payload) -> Reference:
    version = f"{payload.model}/{payload.version}"
    try:
        return read_reference(job.read_part(payload.model, payload.version, "reference"))
    except ArtifactError as error:
        if error.code == _UNAVAILABLE:
            raise
        job.count("artifacts_refused")
        raise PermanentJobError(error.code, f"the reference of {version}: {error}") from None
    except UnreadableReferenceError as error:
        job.count("artifacts_refused")
        raise PermanentJobError("bad_reference", f"{version}: {error}") from None
