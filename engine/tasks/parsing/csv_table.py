"""CSV: a header line that names the columns, then a row a line or, where quoted, several.

Commas separate, double quotes enclose, doubled quotes stand for one. An empty field is a missing
value, whatever its type. Texts are data and stay as they are, also those a spreadsheet would take
for a formula.
"""

from collections.abc import Iterator, Sequence

from engine.intake.rejection import show
from engine.tasks.parsing.batches import Batch
from engine.tasks.parsing.columns import ColumnReader
from engine.tasks.parsing.csv_records import RecordBlock, read_records
from engine.tasks.parsing.dataset import Dataset
from engine.tasks.parsing.lines import read_lines
from engine.tasks.parsing.names import check_names
from engine.tasks.parsing.refusals import Problem, Reason, Refusal, RefusedFileError, Reject
from engine.tasks.parsing.source import TextSource
from engine.tasks.parsing.text_columns import Texts, read_text_column
from engine.tasks.parsing.times import TimeRules, read_text_times
from engine.tasks.parsing.unknown import UnknownColumns
from engine.tasks.parsing.values import BLANKS

_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_SHOWN_FIELDS = 20


def read_csv(
    source: TextSource, dataset: Dataset, rules: TimeRules, unknown: UnknownColumns
) -> Iterator[Batch]:
    """Yield the rows of a CSV text.

    Raises:
      RefusedFileError: the header cannot be read or lacks the key or the time, or quotes are in
        disorder throughout.
    """
    blocks = read_records(read_lines(source.read()))
    first = next(blocks, None)
    if first is None:
        raise RefusedFileError(Refusal.EMPTY_FILE, "the file holds no rows: it is blank")
    table = _Table(_read_header(first), dataset, rules, unknown)
    yield table.read(first, start=1)
    for block in blocks:
        yield table.read(block)


def _read_header(block: RecordBlock) -> Sequence[str]:
    problem = block.problems.get(0)
    if problem is not None:
        raise RefusedFileError(
            Refusal.MALFORMED_CSV, f"the header on line {block.numbers[0]}: {problem.detail}"
        )
    names = [name.strip(BLANKS) for name in block.records[0]]
    if len(names) == 1:
        for separator, called in _OTHER_SEPARATORS.items():
            if separator in names[0]:
                raise RefusedFileError(
                    Refusal.MALFORMED_CSV,
                    f"the header {show(names[0])} seems to be separated by {called}; use commas",
                )
    return names


class _Table:
    def __init__(
        self, header: Sequence[str], dataset: Dataset, rules: TimeRules, unknown: UnknownColumns
    ) -> None:
        check_names(header, dataset, unknown)
        self._width = len(header)
        self._places = {name: header.index(name) for name in dataset.names if name in header}
        self._dataset = dataset
        self._rules = rules
        self._reader = ColumnReader(dataset)

    def read(self, block: RecordBlock, start: int = 0) -> Batch:
        """Return the rows of a block from a position on."""
        numbers: list[int] = []
        rows: list[list[str]] = []
        rejects: list[Reject] = []
        for position in range(start, len(block.records)):
            fields = block.records[position]
            if len(fields) == self._width:
                numbers.append(block.numbers[position])
                rows.append(fields)
            else:
                problem = block.problems.get(position) or self._miscounted(fields)
                rejects.append(Reject.of(block.numbers[position], "", problem))
        columns = {
            name: read_text_column(self._texts(rows, name), type_)
            for name, type_ in self._dataset.columns
            if name in self._places
        }
        return self._reader.read(
            numbers,
            read_text_column(self._texts(rows, self._dataset.entity_key), "int64"),
            read_text_times(self._texts(rows, self._dataset.time_column), self._rules),
            columns,
            rejects,
        )

    def _texts(self, rows: Sequence[list[str]], name: str) -> Texts:
        place = self._places[name]
        return [row[place] or None for row in rows]

    def _miscounted(self, fields: Sequence[str]) -> Problem:
        detail = f"the row has {len(fields)} fields, the header {self._width}"
        return Problem(Reason.COLUMN_COUNT, detail, show(",".join(fields[:_SHOWN_FIELDS])))
