"""Why a row, or a whole file, is not taken."""

import enum

import attrs

from engine.errors import TrellisError
from engine.intake.rejection import show


class Reason(enum.StrEnum):
    """Why one row is rejected. Stable codes: they are stored with the row's number. Add codes,
    never change one. Where intake has a code for the same thing, it is the same code.
    """

    # The row as a whole
    ROW_TOO_LARGE = "row_too_large"
    BYTE_ORDER_MARK = "byte_order_mark"
    INVALID_UTF8 = "invalid_utf8"
    INVALID_UNICODE = "invalid_unicode"
    INVALID_JSON = "invalid_json"
    NOT_A_NUMBER = "not_a_number"
    NUMBER_RANGE = "number_range"
    TOO_DEEP = "too_deep"
    NOT_AN_OBJECT = "not_an_object"
    TOO_MANY_COLUMNS = "too_many_columns"
    COLUMN_COUNT = "column_count"
    UNCLOSED_QUOTE = "unclosed_quote"
    QUOTING = "quoting"
    # One of its columns
    KEY_MISSING = "key_missing"
    VALUE_TYPE = "value_type"
    VALUE_RANGE = "value_range"
    STRING_TOO_LONG = "string_too_long"
    STRING_NUL = "string_nul"
    TIMESTAMP_MISSING = "timestamp_missing"
    TIMESTAMP_TYPE = "timestamp_type"
    TIMESTAMP_FORMAT = "timestamp_format"
    TIMESTAMP_UNIT = "timestamp_unit"
    TIMESTAMP_TOO_OLD = "timestamp_too_old"
    TIMESTAMP_IN_FUTURE = "timestamp_in_future"


class Refusal(enum.StrEnum):
    """Why a whole file is refused. Stable codes, like `Reason`."""

    EMPTY_FILE = "empty_file"
    COMPRESSED = "compressed"
    UNSUPPORTED_FORMAT = "unsupported_format"
    UNSUPPORTED_ENCODING = "unsupported_encoding"
    MALFORMED_JSON = "malformed_json"
    MALFORMED_CSV = "malformed_csv"
    MALFORMED_PARQUET = "malformed_parquet"
    UNSUPPORTED_TYPE = "unsupported_type"
    MISSING_COLUMN = "missing_column"
    DUPLICATE_COLUMN = "duplicate_column"
    TOO_MANY_COLUMNS = "too_many_columns"
    TOO_MANY_ROWS = "too_many_rows"
    TOO_LARGE = "too_large"
    NO_GOOD_ROWS = "no_good_rows"


_EXCERPT_BYTES = 80
"""More than `show` keeps, so that what is cut shows as cut."""


def show_bytes(raw: bytes) -> str:
    """Return the start of a row as one short printable line, whatever it holds."""
    return show(raw[:_EXCERPT_BYTES].decode(errors="backslashreplace"))


@attrs.frozen
class Problem:
    """What is wrong with one value or row, before it is known where it stands."""

    reason: Reason
    detail: str
    """For the person who sent the file; printable ASCII."""
    excerpt: str = ""
    """What was found: bounded, quoted, printable ASCII."""


@attrs.frozen
class Reject:
    """A row that is not taken."""

    row: int
    """From 1: the line on which it starts (NDJSON, CSV), or its place among the rows."""
    column: str
    """The declared column at fault; empty where it is the whole row."""
    reason: Reason
    detail: str
    excerpt: str

    @classmethod
    def of(cls, row: int, column: str, problem: Problem) -> "Reject":
        """Return the problem with its place."""
        return cls(row, column, problem.reason, problem.detail, problem.excerpt)


class RefusedFileError(TrellisError):
    """A file cannot be read, or is not for this dataset; it would fail the same way again."""

    def __init__(self, code: Refusal, message: str) -> None:
        super().__init__(message)
        self.code = code
