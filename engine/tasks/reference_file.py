"""Reference statistics as an Arrow IPC file, a record batch a feature."""

from typing import Any, Final

import numpy as np
import pyarrow as pa

from engine.tasks.feature_columns import Kind
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
        for batch in batches:
            # Arrow goes where offsets point, and they come from the file.
            batch.validate(full=True)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise UnreadableReferenceError(
            f"this is no file of reference statistics: {error}"
        ) from None
    features: dict[str, FeatureReference] = {}
    prediction = None
    for batch in batches:
        _require(batch.num_rows == 1, "a feature has one row")
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
    kind, count = batch["kind"][0].as_py(), batch["count"][0].as_py()
    missing_rate = batch["missing_rate"][0].as_py()
    _require(count >= 0 and 0 <= missing_rate <= 1, "there are less than no rows")
    match kind:
        case Kind.NUMERIC:
            return _check_numeric(
                NumericReference(
                    count=count,
                    missing_rate=missing_rate,
                    sample=_values(batch, "sample"),
                    edges=_values(batch, "edges"),
                    shares=_values(batch, "shares"),
                    mean=_number(batch, "mean"),
                    std=_number(batch, "std"),
                )
            )
        case Kind.CATEGORICAL:
            return _check_categorical(
                CategoricalReference(
                    count=count,
                    missing_rate=missing_rate,
                    categories=tuple(_list(batch, "categories").to_pylist()),
                    counts=_values(batch, "counts").astype(np.int64),
                )
            )
        case _:
            raise UnreadableReferenceError(f"a feature is of no known kind: {kind[:20]!r}")


def _check_numeric(feature: NumericReference) -> NumericReference:
    sample, edges, shares = feature.sample, feature.edges, feature.shares
    _require(
        np.isfinite(sample).all()
        and (sample[:-1] <= sample[1:]).all()
        and len(sample) <= feature.count
        and bool(len(sample)) is bool(feature.count),
        "a sample is not one of its feature",
    )
    _require(
        np.isfinite(edges).all()
        and (edges[:-1] < edges[1:]).all()
        and len(shares) == len(edges) + 1
        and ((shares >= 0) & (shares <= 1)).all(),
        "bins and their shares do not go together",
    )
    return feature


def _check_categorical(feature: CategoricalReference) -> CategoricalReference:
    categories, counts = feature.categories, feature.counts
    _require(
        None not in categories
        and len(set(categories)) == len(categories) == len(counts)
        and (counts >= 0).all()
        and int(counts.sum()) <= feature.count,
        "categories and their counts do not go together",
    )
    return feature


def _list(batch: pa.RecordBatch, name: str) -> pa.Array:
    found = batch[name][0]
    _require(found.is_valid, f"a feature has no {name}")
    return found.values


def _values(batch: pa.RecordBatch, name: str) -> np.ndarray[Any, Any]:
    values = _list(batch, name)
    _require(not values.null_count, f"a value is missing among {name}")
    found: np.ndarray[Any, Any] = values.to_numpy()
    return found


def _number(batch: pa.RecordBatch, name: str) -> float:
    value = batch[name][0].as_py()
    _require(value is not None, f"a feature has no {name}")
    return float(value)


def _require(sound: Any, otherwise: str) -> None:
    if not sound:
        raise UnreadableReferenceError(f"this is no file of reference statistics: {otherwise}")
