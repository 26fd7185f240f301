"""Rows and predictions as Arrow streams, the way they travel between engine and worker.

Predictions come with a column a class, its probability, and `label`, the class's place among them;
or, of a regression, with the one column `score`. The schema's metadata names the classes.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from engine.errors import TrellisError
from engine.serving.rows import Row, Score

CLASSES_KEY: Final = b"trellis.classes"
LABEL: Final = "label"
SCORE: Final = "score"
_BINARY: Final = 2


class BadPredictionsError(TrellisError):
    """What a worker sent are no predictions of its batch."""


def encode_rows(schema: pa.Schema, rows: Sequence[Row]) -> bytes:
    """Return rows as a stream of one batch."""
    columns = zip(*(row.values for row in rows), strict=True)
    arrays = [
        pa.array(values, type=field.type) for field, values in zip(schema, columns, strict=True)
    ]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
    return bytes(sink.getvalue())


def decode_scores(content: bytes, rows: int) -> list[Score]:
    """Return the scores in a stream.

    Raises:
      BadPredictionsError: it is none, or not of so many rows.
    """
    try:
        with pa.ipc.open_stream(content) as reader:
            table = reader.read_all()
        if table.num_rows != rows:
            raise BadPredictionsError(f"{table.num_rows} predictions of {rows} rows")
        if table.column_names == [SCORE]:
            return [Score("", float(value), (), ()) for value in table.column(SCORE).to_pylist()]
        classes = tuple(json.loads(table.schema.metadata[CLASSES_KEY]))
        labels = table.column(LABEL).to_pylist()
        columns = [table.column(str(place)).to_pylist() for place in range(len(classes))]
        return [
            _score(classes, label, probabilities)
            for label, *probabilities in zip(labels, *columns, strict=True)
        ]
    except (pa.ArrowException, KeyError, IndexError, TypeError, ValueError) as error:
        raise BadPredictionsError(f"not predictions: {error!r}") from error


def _score(classes: tuple[str, ...], label: int, probabilities: Sequence[Any]) -> Score:
    score = probabilities[1 if len(classes) == _BINARY else label]
    return Score(classes[label], float(score), classes, tuple(probabilities))
