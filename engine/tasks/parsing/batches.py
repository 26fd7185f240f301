"""From rows to batches with the columns of `feature_history`."""

from collections.abc import Sequence
from typing import Any

import attrs
import msgspec
import numpy as np
import pyarrow as pa

from engine.intake.rejection import show
from engine.records import FEATURE_HISTORY_SCHEMA
from engine.tasks.parsing.dataset import Dataset
from engine.tasks.parsing.limits import BATCH_ROWS, MAX_ROW_BYTES
from engine.tasks.parsing.refusals import Problem, Reason, Reject
from engine.tasks.parsing.rows import Row
from engine.tasks.parsing.times import Times

_NUL = b"\\u0000"
_BASE_FIELDS = len(Row.__struct_fields__)
_LINE_BREAK = ord("\n")

_encode_lines = msgspec.json.Encoder().encode_lines
_encode = msgspec.json.Encoder().encode


@attrs.frozen
class Batch:
    """Rows that stand together in a file, told apart."""

    rows: pa.RecordBatch
    """The good ones, in the file's order; columns of `FEATURE_HISTORY_SCHEMA`."""
    rejects: tuple[Reject, ...]
    """The others, in the file's order."""

    @property
    def row_count(self) -> int:
        return int(self.rows.num_rows) + len(self.rejects)


class BatchBuilder:
    """Makes batches of one dataset."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._names = pa.repeat(pa.scalar(dataset.name, pa.string()), BATCH_ROWS)
        self._field_count = _BASE_FIELDS + len(dataset.columns)

    def build(
        self,
        numbers: Sequence[int],
        rows: Sequence[Row],
        times: Times,
        rejects: Sequence[Reject],
    ) -> Batch:
        """Return a batch of at most `BATCH_ROWS` rows. The rows themselves are used up.

        Args:
          numbers: of the rows in the file.
          times: of the rows.
          rejects: rows that stand among these, rejected already.
        """
        keys = [row.key for row in rows]
        problems = self._find_problems(keys, times)
        self._keep_columns_only(rows)
        encoded = _encode_lines(rows)
        ends = np.flatnonzero(np.frombuffer(encoded, np.uint8) == _LINE_BREAK)
        if _NUL in encoded or (len(ends) and np.diff(ends, prepend=0).max() > MAX_ROW_BYTES):
            for position, row in enumerate(rows):
                if position not in problems and (found := self._find_text_problem(row)):
                    problems[position] = found
        rejects = sorted(
            [
                *rejects,
                *(Reject.of(numbers[at], *problem) for at, problem in problems.items()),
            ],
            key=lambda reject: reject.row,
        )
        if problems:
            kept = [position for position in range(len(rows)) if position not in problems]
            keys = [keys[position] for position in kept]
            encoded = _encode_lines([rows[position] for position in kept])
            ends = np.flatnonzero(np.frombuffer(encoded, np.uint8) == _LINE_BREAK)
            times = times.take(kept)
        batch = pa.RecordBatch.from_arrays(
            [
                pa.array(keys, pa.int64()),
                self._names.slice(0, len(keys)),
                _to_texts(encoded, ends),
                pa.array(times.microseconds, pa.int64()).cast(pa.timestamp("us")),
            ],
            schema=FEATURE_HISTORY_SCHEMA,
        )
        return Batch(batch, tuple(rejects))

    def _find_problems(
        self, keys: Sequence[int | None], times: Times
    ) -> dict[int, tuple[str, Problem]]:
        problems = {
            position: (self._dataset.time_column, problem)
            for position, problem in times.problems.items()
        }
        if None in keys:
            problem = Problem(Reason.KEY_MISSING, "the row does not say whom it is about")
            for position, key in enumerate(keys):
                if key is None:
                    problems[position] = (self._dataset.entity_key, problem)
        return problems

    def _keep_columns_only(self, rows: Sequence[Row]) -> None:
        """Empty what is no part of the row's text."""
        for row in rows:
            row.key = row.time = None
        for row in rows:
            # Rows of one batch can differ in this: columns nobody declared are learned on the way.
            for field in row.__struct_fields__[self._field_count :]:
                setattr(row, field, None)

    def _find_text_problem(self, row: Row) -> tuple[str, Problem] | None:
        for number, (name, type_) in enumerate(self._dataset.columns):
            text = getattr(row, f"c{number}")
            if type_ == "string" and text is not None and "\x00" in text:
                detail = "the text holds a NUL character"
                return name, Problem(Reason.STRING_NUL, detail, show(text))
        size_bytes = len(_encode(row))
        if size_bytes > MAX_ROW_BYTES:
            detail = f"the row takes {size_bytes} bytes, allowed are {MAX_ROW_BYTES}"
            return "", Problem(Reason.ROW_TOO_LARGE, detail)
        return None


def _to_texts(encoded: bytes, ends: Any) -> pa.Array:
    """Return the lines as a column, sharing one buffer: no text of a row holds a line break."""
    offsets = np.zeros(len(ends) + 1, np.int32)
    offsets[1:] = ends - np.arange(len(ends))
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(encoded.replace(b"\n", b""))]
    return pa.Array.from_buffers(pa.string(), len(ends), buffers)
