"""A change of a model as the rows that record it. Pure."""

import json
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from engine.clock import to_datetime
from engine.models.artifact_rows import row_of_artifact
from engine.models.definitions import Model, ModelVersion
from engine.records import Append, Operation, Statement, Upsert

DELETE_ALIAS = "delete_alias"
LOG: Final = "model_log"

_VERSIONS = pa.schema(
    [
        ("model", pa.string()),
        ("version", pa.int32()),
        ("source", pa.string()),
        ("created_at", pa.timestamp("us")),
    ]
)
_FEATURES = pa.schema(
    [
        ("model", pa.string()),
        ("version", pa.int32()),
        ("position", pa.int32()),
        ("feature", pa.string()),
    ]
)
_LOG = pa.schema(
    [
        ("logged_at", pa.timestamp("us")),
        ("model", pa.string()),
        ("version", pa.int32()),
        ("change", pa.string()),
        ("detail", pa.string()),
    ]
)


def rows_of_model(model: Model) -> Upsert:
    """Return the row of a model, new or changed."""
    return Upsert(
        "models",
        ("model", "description", "entity", "created_at"),
        [(model.name, model.description, model.entity, to_datetime(model.created_at_us))],
    )


def rows_of_version(version: ModelVersion) -> tuple[Operation, ...]:
    """Return the rows of a new version, trained or not."""
    row = {
        "model": version.model,
        "version": version.version,
        "source": version.source.value,
        "created_at": version.created_at_us,
    }
    features = [
        {
            "model": version.model,
            "version": version.version,
            "position": position,
            "feature": feature,
        }
        for position, feature in enumerate(version.features)
    ]
    rows = (
        Append("model_versions", pa.RecordBatch.from_pylist([row], schema=_VERSIONS)),
        Append("model_features", pa.RecordBatch.from_pylist(features, schema=_FEATURES)),
    )
    if version.trained is None:
        return rows
    return (*rows, row_of_artifact(version, version.trained))


def row_of_alias(at_us: int, model: str, alias: str, version: int | None) -> Operation:
    """Return what points an alias to a version, or with None takes it away."""
    if version is None:
        return Statement(DELETE_ALIAS, {"model_alias": f"{model}/{alias}"})
    return Upsert(
        "model_aliases",
        ("model_alias", "model", "alias", "version", "updated_at"),
        [(f"{model}/{alias}", model, alias, version, to_datetime(at_us))],
    )


def row_of_log(
    at_us: int, model: str, version: int | None, change: str, detail: Mapping[str, Any]
) -> Append:
    """Return the row that says what changed and when."""
    row = {
        "logged_at": at_us,
        "model": model,
        "version": version,
        "change": change,
        "detail": json.dumps(detail, ensure_ascii=False),
    }
    return Append(LOG, pa.RecordBatch.from_pylist([row], schema=_LOG))
