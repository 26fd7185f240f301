"""What came of a training as a row, and back. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import pyarrow as pa

from engine.models.definitions import BlobRef, Importance, Measured, ModelVersion, TrainedArtifact
from engine.records import Append

TABLE: Final = "model_artifacts"

_SCHEMA = pa.schema(
    [
        ("version_key", pa.string()),
        ("model", pa.string()),
        ("version", pa.int32()),
        ("job_id", pa.string()),
        ("cause", pa.string()),
        ("drift_report_id", pa.string()),
        ("estimator", pa.string()),
        ("task", pa.string()),
        ("artifact", pa.string()),
        ("artifact_sha256", pa.string()),
        ("artifact_bytes", pa.int64()),
        ("reference", pa.string()),
        ("reference_sha256", pa.string()),
        ("reference_bytes", pa.int64()),
        ("trained_from", pa.timestamp("us")),
        ("trained_until", pa.timestamp("us")),
        ("training_commit_seq", pa.int64()),
        ("rows_fitted", pa.int64()),
        ("rows_tested", pa.int64()),
        ("metrics", pa.string()),
        ("champion_metrics", pa.string()),
        ("importance", pa.string()),
        ("lineage", pa.string()),
        ("created_at", pa.timestamp("us")),
    ]
)


def row_of_artifact(version: ModelVersion, trained: TrainedArtifact) -> Append:
    """Return the row of a trained version; its key lets each version have one."""
    row = {
        "version_key": f"{version.model}/{version.version}",
        "model": version.model,
        "version": version.version,
        "job_id": trained.job_id,
        "cause": trained.cause,
        "drift_report_id": trained.drift_report_id,
        "estimator": trained.estimator,
        "task": trained.task,
        "artifact": trained.pipeline.name,
        "artifact_sha256": trained.pipeline.sha256,
        "artifact_bytes": trained.pipeline.size_bytes,
        "reference": trained.reference.name,
        "reference_sha256": trained.reference.sha256,
        "reference_bytes": trained.reference.size_bytes,
        "trained_from": trained.trained_from_us,
        "trained_until": trained.trained_until_us,
        "training_commit_seq": trained.training_commit_seq,
        "rows_fitted": trained.rows_fitted,
        "rows_tested": trained.rows_tested,
        "metrics": _write(trained.metrics),
        "champion_metrics": (
            None if trained.champion_metrics is None else _write(trained.champion_metrics)
        ),
        "importance": _write(trained.importance),
        "lineage": trained.lineage_json,
        "created_at": version.created_at_us,
    }
    return Append(TABLE, pa.RecordBatch.from_pylist([row], schema=_SCHEMA))


def read_artifact(row: Mapping[str, Any]) -> TrainedArtifact:
    """Return what a row says; times in it are microseconds."""
    champion = row["champion_metrics"]
    return TrainedArtifact(
        job_id=row["job_id"],
        cause=row["cause"],
        drift_report_id=row["drift_report_id"],
        estimator=row["estimator"],
        task=row["task"],
        pipeline=BlobRef(row["artifact"], row["artifact_sha256"], row["artifact_bytes"]),
        reference=BlobRef(row["reference"], row["reference_sha256"], row["reference_bytes"]),
        trained_from_us=row["trained_from"],
        trained_until_us=row["trained_until"],
        training_commit_seq=row["training_commit_seq"],
        rows_fitted=row["rows_fitted"],
        rows_tested=row["rows_tested"],
        metrics=_read(Measured, row["metrics"]),
        champion_metrics=None if champion is None else _read(Measured, champion),
        importance=_read(Importance, row["importance"]),
        lineage_json=row["lineage"],
    )


def _write(items: Sequence[Measured] | Sequence[Importance]) -> str:
    return json.dumps([attrs.asdict(item) for item in items], allow_nan=False)


def _read(cls: Any, text: str) -> tuple[Any, ...]:
    return tuple(cls(**item) for item in json.loads(text))
