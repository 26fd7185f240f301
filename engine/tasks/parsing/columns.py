"""Rows that come as columns: CSV and Parquet."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import attrs

from engine.tasks.parsing.batches import Batch, BatchBuilder
from engine.tasks.parsing.dataset import Dataset
from engine.tasks.parsing.refusals import Problem, Reject
from engine.tasks.parsing.rows import Row, define_row
from engine.tasks.parsing.times import Times

_NO_PROBLEMS: Mapping[int, Problem] = {}


@attrs.frozen
class Column:
    """Values of one column, None where there is none or a problem."""

    values: Sequence[Any]
    problems: Mapping[int, Problem] = _NO_PROBLEMS
    """By position."""

    @classmethod
    def of(cls, values: Sequence[Any]) -> Self:
        """Return the column of values among which problems stand."""
        problems = {at: value for at, value in enumerate(values) if isinstance(value, Problem)}
        if not problems:
            return cls(values)
        return cls([None if at in problems else value for at, value in enumerate(values)], problems)


class ColumnReader:
    """Makes batches of columns of one dataset."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._row_type: type[Row] = define_row(dataset, ())
        self._builder = BatchBuilder(dataset)

    def read(
        self,
        numbers: Sequence[int],
        keys: Column,
        times: Times,
        columns: Mapping[str, Column],
        rejects: Sequence[Reject],
    ) -> Batch:
        """Return the batch of at most `BATCH_ROWS` rows.

        Args:
          numbers: of the rows in the file.
          keys: the entity keys.
          times: of the rows.
          columns: the declared columns that the file has; the others are missing in every row.
          rejects: rows that stand among these, rejected already.
        """
        count = len(numbers)
        names = [name for name, _ in self._dataset.columns]
        absent = Column([None] * count)
        found = [keys, *(columns.get(name, absent) for name in names)]
        named = list(zip([self._dataset.entity_key, *names], found, strict=True))
        # Of a row with several faults the first column's is told.
        faults = {
            position: Reject.of(numbers[position], name, problem)
            for name, column in reversed(named)
            for position, problem in column.problems.items()
        }
        values = [found[0].values, [None] * count, *(column.values for column in found[1:])]
        rows = list(map(self._row_type, *values))
        if not faults:
            return self._builder.build(numbers, rows, times, rejects)
        kept = [position for position in range(count) if position not in faults]
        return self._builder.build(
            [numbers[position] for position in kept],
            [rows[position] for position in kept],
            times.take(kept),
            [*rejects, *faults.values()],
        )
