"""Records of a CSV text, none of which can take others down with it."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

import attrs

from engine.tasks.parsing.limits import BATCH_ROWS, CSV_RESCAN_BYTES, MAX_ROW_BYTES, PIECE_BYTES
from engine.tasks.parsing.lines import LineBlock
from engine.tasks.parsing.refusals import Problem, Reason, Refusal, RefusedFileError, show_bytes


@attrs.define
class RecordBlock:
    """Records that follow one another. Where there is a problem, there are no fields."""

    numbers: list[int]
    """Of their first lines, from 1."""
    records: list[list[str]]
    problems: dict[int, Problem]
    """By position."""


class _RecordTooLargeError(Exception):
    """A record goes on past the bound; most often its quotes are not closed."""


class _LineTooLargeError(Exception):
    """A record starts with a line that was not kept."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def read_records(
    blocks: Iterable[LineBlock], *, careful_only: bool = False
) -> Iterator[RecordBlock]:
    """Yield the records of a CSV text, at most `BATCH_ROWS` at once; empty lines are none.

    A record that cannot be read is one line long: what follows its first line is read again.

    Args:
      careful_only: leave out the shortcut for lines without quotes. It makes no difference to what
        the records are.
    Raises:
      RefusedFileError: too much would have to be read again.
    """
    # Of the whole process. No field is longer than a record, and those are bounded here.
    csv.field_size_limit(2 * MAX_ROW_BYTES)
    iterator = iter(blocks)
    feed = _Feed(iterator)
    reader = csv.reader(feed, strict=True)
    for block in iterator:
        plain = None if careful_only else _read_plain(block)
        if plain is None:
            feed.add(block)
            yield from _read_carefully(feed, reader)
        elif plain.records:
            yield plain


def _read_plain(block: LineBlock) -> RecordBlock | None:
    """Return the records of lines that hold no quotes and nothing else that is unusual."""
    raw = b"\n".join(block.lines)
    if b'"' in raw or block.too_long:
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    if "\r" in text:
        text = text.replace("\r\n", "\n").removesuffix("\r")
        if "\r" in text:
            return None
    lines = text.split("\n")
    first = block.first_number
    if "" not in lines:
        numbers = list(range(first, first + len(lines)))
        return RecordBlock(numbers, [line.split(",") for line in lines], {})
    return RecordBlock(
        [number for number, line in enumerate(lines, first) if line],
        [line.split(",") for line in lines if line],
        {},
    )


def _read_carefully(feed: "_Feed", reader: Iterator[list[str]]) -> Iterator[RecordBlock]:
    """Yield records up to one that ends with a block's last line."""
    block = RecordBlock([], [], {})
    size = 0
    while not feed.is_empty:
        number = feed.begin()
        problem = None
        fields: list[str] = []
        try:
            fields = next(reader)
        except _LineTooLargeError as error:
            problem = error.problem
        except _RecordTooLargeError:
            detail = f"the row, or a quote in it, does not end within {MAX_ROW_BYTES} characters"
            problem = feed.give_up(Reason.UNCLOSED_QUOTE, detail)
        except csv.Error as error:
            problem = feed.give_up(*_explain(error, feed))
        if fields and feed.has_bad_bytes:
            problem = _find_bad_byte(fields)
        if problem is not None:
            block.problems[len(block.records)] = problem
            fields = []
        elif not fields:
            continue
        block.numbers.append(number)
        block.records.append(fields)
        size += feed.record_size
        if len(block.records) == BATCH_ROWS or size >= PIECE_BYTES:
            yield block
            block = RecordBlock([], [], {})
            size = 0
    if block.records:
        yield block


def _explain(error: csv.Error, feed: "_Feed") -> tuple[Reason, str]:
    if feed.is_at_end:
        return Reason.UNCLOSED_QUOTE, "a quote is not closed"
    if "\r" in feed.last_line.rstrip("\r\n"):
        return Reason.QUOTING, "a carriage return stands outside of quotes; end lines with \\n"
    return Reason.QUOTING, f"quotes do not enclose a whole field ({error})"


def _find_bad_byte(fields: Sequence[str]) -> Problem | None:
    text = ",".join(fields)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        byte = ord(text[error.start]) & 0xFF
        detail = f"byte {byte:#04x} is not UTF-8; save the file as UTF-8"
        return Problem(Reason.INVALID_UTF8, detail, _show_line(text))
    return None


def _show_line(line: str) -> str:
    return show_bytes(line[:1024].encode(errors="surrogateescape"))


class _Feed:
    """Lines for the csv module, of which those of the current record can be read again."""

    def __init__(self, blocks: Iterator[LineBlock]) -> None:
        self._blocks = blocks
        self._lines: list[str] = []
        self._too_long: dict[int, Problem] = {}
        self._first_number = 1
        self._start = 0
        self._at = 0
        self._rescanned = 0
        self.record_size = 0
        """Characters given out of the current record."""
        self.has_bad_bytes = False
        """Whether bytes that are no UTF-8 have been met; they are lone surrogates in the lines."""
        self.is_at_end = False
        """Whether the current record goes on at the end of the text."""

    @property
    def is_empty(self) -> bool:
        """Whether all lines held have been given out."""
        return self._at == len(self._lines)

    @property
    def last_line(self) -> str:
        """The line given out last."""
        return self._lines[self._at - 1]

    def add(self, block: LineBlock) -> None:
        """Take in the lines that are next; those before the current record are let go."""
        start = self._start
        kept = self._lines[start:]
        raw = b"\n".join(block.lines) + b"\n"
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = raw.decode(errors="surrogateescape")
            self.has_bad_bytes = True
        self._lines = kept + io.StringIO(text, newline="\n").readlines()
        self._too_long = {
            **{at - start: problem for at, problem in self._too_long.items() if at >= start},
            **{len(kept) + at: problem for at, problem in block.too_long.items()},
        }
        self._first_number = block.first_number - len(kept)
        self._at -= start
        self._start = 0

    def begin(self) -> int:
        """Let go of the record before; return the number of the line that is next."""
        self._start = self._at
        self.record_size = 0
        return self._first_number + self._at

    def give_up(self, reason: Reason, detail: str) -> Problem:
        """Return what is wrong with the current record, and go back to its second line."""
        line = self._lines[self._start]
        self._rescanned += self.record_size - len(line)
        if self._rescanned > CSV_RESCAN_BYTES:
            raise RefusedFileError(
                Refusal.MALFORMED_CSV,
                "the file is no CSV: too many rows have quotes that are not closed, such as that "
                f"on line {self._first_number + self._start}",
            )
        self._at = self._start + 1
        self.is_at_end = False
        return Problem(reason, detail, _show_line(line))

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        if self.is_empty:
            block = next(self._blocks, None)
            if block is None:
                self.is_at_end = True
                raise StopIteration
            self.add(block)
        at = self._at
        self._at += 1
        if at in self._too_long:
            if at > self._start:
                raise _RecordTooLargeError
            raise _LineTooLargeError(self._too_long[at])
        line = self._lines[at]
        self.record_size += len(line)
        if self.record_size > MAX_ROW_BYTES and at > self._start:
            raise _RecordTooLargeError
        return line
