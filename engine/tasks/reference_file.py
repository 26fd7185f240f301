"""Reference statistics as an Arrow IPC file, a record batch a feature."""

from typing import Any, Final

import numpy as np
import pyarrow as pa

from engine.tasks.feature_columns import FloatArray, Kind
from engine.tasks.reference import (
    CategoricalReference,
    FeatureReference,
    NumericReference,
    Reference,
)

_FORMAT: Final = b"1"
_FORMAT_KEY: Final = b"trellis.reference.format"
_ROWS_KEY: Final = b"trellis.reference.rows"
_SCHEMA: Final = pa.schema(
    [
        # Null for the prediction.
        pa.field("feature", pa.string()),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("missing_rate", pa.float64(), nullable=False),
        # Of numeric ones.
        pa.field("sample", pa.list_(pa.float64())),
        pa.field("edges", pa.list_(pa.float64())),
        pa.field("shares", pa.list_(pa.float64())),
        pa.field("mean", pa.float64()),
        pa.field("std", pa.float64()),
        # Of categorical ones.
        pa.field("categories", pa.list_(pa.string())),
        pa.field("counts", pa.list_(pa.int64())),
    ]
)
_COMPRESSION: Final = "zstd"
"""Sorted samples of counts shrink to next to nothing."""


class UnreadableReferenceError(ValueError):
    """The bytes are no reference statistics of a format that is known here."""


def write_reference(reference: Reference) -> bytes:
    """Return the file's bytes."""
    metadata = {_FORMAT_KEY: _FORMAT, _ROWS_KEY: str(reference.rows).encode()}
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=_COMPRESSION)
    with pa.ipc.new_file(sink, _SCHEMA.with_metadata(metadata), options=options) as writer:
        for name, feature in reference.features.items():
            writer.write_batch(_to_batch(name, feature))
        if reference.prediction is not None:
            writer.write_batch(_to_batch(None, reference.prediction))
    return bytes(sink.getvalue())


def read_reference(content: bytes) -> Reference:
    """Return the statistics.

    Raises:
      UnreadableReferenceError: these bytes are something else.
    """
    try:
        with pa.ipc.open_file(pa.py_buffer(content)) as reader:
            metadata = reader.schema.metadata or {}
            if metadata.get(_FORMAT_KEY) != _FORMAT or not reader.schema.equals(_SCHEMA):
                raise UnreadableReferenceError("no file of reference statistics")
            rows = int(metadata[_ROWS_KEY])
            batches = [reader.get_batch(place) for place in range(reader.num_record_batches)]
    except (pa.ArrowException, OSError, KeyError) as error:
        raise UnreadableReferenceError(
            f"this is no file of reference statistics: {error}"
        ) from None
    features: dict[str, FeatureReference] = {}
    prediction = None
    for batch in batches:
        name = batch["feature"][0].as_py()
        if name is None:
            prediction = _from_batch(batch)
        else:
            features[name] = _from_batch(batch)
    return Reference(rows, features, prediction)


def _to_batch(name: str | None, feature: FeatureReference) -> pa.RecordBatch:
    columns: dict[str, Any] = dict.fromkeys(_SCHEMA.names)
    columns |= {
        "feature": name,
        "kind": str(feature.kind),
        "count": feature.count,
        "missing_rate": feature.missing_rate,
    }
    match feature:
        case NumericReference():
            columns |= {
                "sample": feature.sample,
                "edges": feature.edges,
                "shares": feature.shares,
                "mean": feature.mean,
                "std": feature.std,
            }
        case CategoricalReference():
            columns |= {"categories": list(feature.categories), "counts": feature.counts}
    return pa.record_batch(
        [pa.array([columns[field.name]], field.type) for field in _SCHEMA], schema=_SCHEMA
    )


def _from_batch(batch: pa.RecordBatch) -> FeatureReference:
    count, missing_rate = batch["count"][0].as_py(), batch["missing_rate"][0].as_py()
    if batch["kind"][0].as_py() == Kind.CATEGORICAL:
        return CategoricalReference(
            count=count,
            missing_rate=missing_rate,
            categories=tuple(batch["categories"][0].as_py()),
            counts=batch["counts"][0].values.to_numpy().astype(np.int64),
        )
    return NumericReference(
        count=count,
        missing_rate=missing_rate,
        sample=_floats(batch, "sample"),
        edges=_floats(batch, "edges"),
        shares=_floats(batch, "shares"),
        mean=batch["mean"][0].as_py(),
        std=batch["std"][0].as_py(),
    )


def _floats(batch: pa.RecordBatch, name: str) -> FloatArray:
    values: FloatArray = batch[name][0].values.to_numpy()
    return values
