"""Reading recorded events from CSV and NDJSON files of any size, in bounded memory."""

import csv
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

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

    Raises:
      InvalidArgumentError: the header lacks a column.
    """
    overlong: set[int] = set()
    rows = csv.reader(_decode_lines(file, overlong))
    columns = [column.strip() for column in next(rows, [])]
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    if missing:
        raise InvalidArgumentError(
            "replay",
            f"{file.name}: the header lacks {', '.join(missing)}; it has {', '.join(columns)}",
        )
    while True:
        try:
            row = next(rows, None)
            if row is None:
                return
            if rows.line_num in overlong:
                overlong.remove(rows.line_num)
                yield SkippedRow(rows.line_num, f"longer than {_MAX_LINE_BYTES} bytes")
            elif row:
                yield encode_csv_row(columns, row)
        except (RowProblem, csv.Error) as problem:
            yield SkippedRow(rows.line_num, str(problem))


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


def _decode_lines(file: BinaryIO, overlong: set[int]) -> Iterator[str]:
    # A byte that is not UTF-8 becomes a lone surrogate, which the row's check finds; raising here
    # would end the file.
    for number, line in enumerate(_read_lines(file), 1):
        if line is None:
            overlong.add(number)
        yield "\n" if line is None else line.decode(errors="surrogateescape")
