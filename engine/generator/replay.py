"""Reading recorded events from CSV and NDJSON files of any size, in bounded memory."""

import csv
from collections import Counter, deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Self

import attrs

from engine.errors import InvalidArgumentError
from engine.generator.rows import (
    REQUIRED_COLUMNS,
    RowProblem,
    encode_csv_row,
    encode_json_row,
)

_MAX_LINE_BYTES: Final = 1 << 20  # a longer line is no event; it is skipped without being held


@attrs.frozen
class SkippedRow:
    """A row that cannot be sent."""

    line: int
    problem: str


ReplayRow = tuple[bytes, bytes] | SkippedRow
"""A message's key and value, or why there is none."""


@contextmanager
def open_replay(path: Path) -> Iterator[Generator[ReplayRow, None, None]]:
    """Open a recorded file; its rows come in the file's order. Blocking.

    Args:
      path: a file of JSON objects, one a line, if its first character is `{`; else CSV with a
        header that names at least user_id, action and timestamp.
    Raises:
      InvalidArgumentError: the file cannot be read or its header lacks a column.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64)
            file.seek(0)
            is_json = start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")
            yield read_ndjson(file) if is_json else read_csv(file)
    except OSError as error:
        raise InvalidArgumentError("replay", f"{path}: {error.strerror or error}") from error


def read_ndjson(file: BinaryIO) -> Generator[ReplayRow, None, None]:
    """Yield the rows of a file with one JSON object a line; blank lines are passed over."""
    for number, line in enumerate(_read_lines(file), 1):
        if line is None:
            yield SkippedRow(number, f"longer than {_MAX_LINE_BYTES} bytes")
        elif line.strip():
            try:
                yield encode_json_row(line)
            except RowProblem as problem:
                yield SkippedRow(number, str(problem))


def read_csv(file: BinaryIO) -> Generator[ReplayRow, None, None]:
    """Yield the rows of a CSV file with a header; blank lines are passed over.

    A quoted field may span lines. When its quote is not closed, only the line it began on is
    skipped.

    Raises:
      InvalidArgumentError: the header cannot be read, lacks a column or has one twice.
    """
    lines = _CsvLines(file)
    rows = csv.reader(lines, strict=True)
    columns = _read_header(lines, rows, file)
    while True:
        line = lines.start_record()
        try:
            row = next(rows, None)
            if row is None:
                return
            if lines.is_overlong:
                yield SkippedRow(line, f"longer than {_MAX_LINE_BYTES} bytes")
            elif row:
                yield encode_csv_row(columns, row)
        except csv.Error as error:
            lines.keep_first_only()
            yield SkippedRow(line, f"not CSV, such as a quote that is not closed: {error}")
        except RowProblem as problem:
            yield SkippedRow(line, str(problem))


def _read_header(lines: "_CsvLines", rows: Iterator[list[str]], file: BinaryIO) -> list[str]:
    lines.start_record()
    try:
        columns = [column.strip() for column in next(rows, [])]
    except csv.Error as error:
        raise InvalidArgumentError(
            "replay", f"{file.name}: the header is not CSV: {error}"
        ) from error
    missing = [column for column in REQUIRED_COLUMNS if column not in columns]
    if missing:
        raise InvalidArgumentError(
            "replay",
            f"{file.name}: the header lacks {', '.join(missing)}; it has {', '.join(columns)}",
        )
    doubled = [column for column, count in Counter(columns).items() if count > 1]
    if doubled:
        raise InvalidArgumentError(
            "replay", f"{file.name}: the header has more than once: {', '.join(map(repr, doubled))}"
        )
    return columns


class _CsvLines:
    """Feeds a CSV reader, and gives back the lines that a record should not have taken.

    What a record takes is bounded by the reader's limit on a field, 128 KiB.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._lines = _read_lines(file)
        self._given_back: deque[bytes | None] = deque()
        self._taken: list[bytes | None] = []
        self._before = 0

    def start_record(self) -> int:
        """Return the number of the line that the next record begins on."""
        self._before += len(self._taken)
        self._taken.clear()
        return self._before + 1

    @property
    def is_overlong(self) -> bool:
        """Whether the record is a line too long to be read."""
        return self._taken == [None]

    def keep_first_only(self) -> None:
        """Give the lines of a broken record back, except for the one it began on."""
        self._given_back.extendleft(reversed(self._taken[1:]))
        del self._taken[1:]

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._given_back.popleft() if self._given_back else next(self._lines)
        if line is None and self._taken:
            # No field goes on over a line that cannot be read.
            self._given_back.appendleft(line)
            raise StopIteration
        self._taken.append(line)
        # A byte that is not UTF-8 becomes a lone surrogate, which the row's check finds; raising
        # here would end the file.
        return "\n" if line is None else line.decode(errors="surrogateescape")


def _read_lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Yield the lines; None for one that is too long."""
    first = True
    while line := file.readline(_MAX_LINE_BYTES):
        if first:
            line = line.removeprefix(b"\xef\xbb\xbf")
            first = False
        if len(line) < _MAX_LINE_BYTES or line.endswith(b"\n"):
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(_MAX_LINE_BYTES)
        yield None
