"""Rows that are JSON objects, wherever they stand."""

from collections.abc import Mapping, Sequence

from engine.tasks.parsing.batches import Batch, BatchBuilder
from engine.tasks.parsing.dataset import Dataset
from engine.tasks.parsing.refusals import Problem, Reject
from engine.tasks.parsing.rows import BlankRowError, Row, RowDecoder, RowProblemError
from engine.tasks.parsing.times import TimeRules, read_times
from engine.tasks.parsing.unknown import UnknownColumns


class ObjectReader:
    """Reads JSON objects of one file into batches."""

    def __init__(self, dataset: Dataset, rules: TimeRules, unknown: UnknownColumns) -> None:
        self._decoder = RowDecoder(dataset, unknown)
        self._builder = BatchBuilder(dataset)
        self._rules = rules

    def read(
        self,
        numbers: Sequence[int],
        raws: Sequence[bytes],
        problems: Mapping[int, Problem],
    ) -> Batch:
        """Return the batch of at most `BATCH_ROWS` rows.

        Args:
          numbers: of the rows in the file.
          raws: a row each; one that is empty or blank is no row.
          problems: rows that could not even be kept, by position; their `raws` are empty.
        """
        kept: list[int] = []
        rows: list[Row] = []
        rejects: list[Reject] = []
        decode = self._decoder.decode
        for position, (number, raw) in enumerate(zip(numbers, raws, strict=True)):
            try:
                rows.append(decode(raw))
            except RowProblemError as error:
                rejects.append(Reject.of(number, error.column, error.problem))
            except BlankRowError:
                if position in problems:
                    rejects.append(Reject.of(number, "", problems[position]))
            else:
                kept.append(number)
        times = read_times([row.time for row in rows], self._rules)
        return self._builder.build(kept, rows, times, rejects)
