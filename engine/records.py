"""What travels between the parts: write requests, receipts, commits.

Times are UTC, microseconds since 1970-01-01 (`int` fields end in `_us`). Columnar data is Arrow,
because it crosses threads and enters DuckDB without holding the interpreter lock.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Protocol

import attrs
import pyarrow as pa

EVENTS_SCHEMA = pa.schema(
    [
        pa.field("user_id", pa.int64(), nullable=False),
        pa.field("action", pa.string(), nullable=False),
        pa.field("event_time", pa.timestamp("us"), nullable=False),
        pa.field("ingest_time", pa.timestamp("us"), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("properties", pa.string()),
        pa.field("topic", pa.string(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
    ]
)
"""Columns of an `Append` to `events`; the writer adds `commit_seq`."""

FEATURE_HISTORY_SCHEMA = pa.schema(
    [
        pa.field("entity_key", pa.int64(), nullable=False),
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("fields", pa.string()),
        pa.field("event_time", pa.timestamp("us"), nullable=False),
    ]
)
"""Columns of an `Append` to `feature_history`; the writer adds `commit_seq`.

One row an uploaded row: `fields` is a JSON object of its columns. A row a column would multiply the
keys that a point-in-time join has to sort.
"""

LATEST_ROWS_SCHEMA = pa.schema(
    [
        pa.field("entity_key", pa.int64(), nullable=False),
        pa.field("event_us", pa.int64(), nullable=False),
        pa.field("fields", pa.large_string()),
    ]
)
"""Columns of `LatestRows`."""

_VALUE_BYTES = 16
"""What a value of fixed size is taken to weigh in a queue."""


@attrs.frozen
class Append:
    """Rows to add to a table. `data` has the table's columns without `commit_seq`.

    In a table with a primary key, a row whose key exists makes the whole request fail: so a thing
    that must happen once is guarded by a row that can be added once.
    """

    table: str
    data: pa.RecordBatch

    @property
    def row_count(self) -> int:
        return int(self.data.num_rows)

    @property
    def size_bytes(self) -> int:
        return int(self.data.nbytes)


@attrs.frozen
class Upsert:
    """Rows to insert or, where the table's primary key exists, to replace.

    `columns` must hold the primary key; columns of the table that are not named keep their value
    on a replaced row and take their default on a new one.
    """

    table: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]

    @property
    def row_count(self) -> int:
        return len(self.rows)

    @property
    def size_bytes(self) -> int:
        return sum(
            _VALUE_BYTES + (len(value) if isinstance(value, str | bytes) else 0)
            for row in self.rows
            for value in row
        )


class RowSource(Protocol):
    """Rows that lie somewhere else than in memory. Its methods run in the writer's thread."""

    def read(self) -> Generator[pa.RecordBatch, None, None]:
        """Yield the rows from the first, each time anew; what it raises refuses the request."""

    def close(self) -> None:
        """Let go of the rows: they are committed."""


@attrs.frozen
class LatestRows:
    """What an `AppendStream` to `feature_history` leaves of each entity: its last row.

    `rows` has LATEST_ROWS_SCHEMA, one row an entity in the order of their keys. A big upload has
    millions: as Python objects they would take a gigabyte, and seconds to make.
    """

    dataset: str
    rows: pa.RecordBatch


@attrs.frozen
class AppendStream:
    """Rows to add to a table that are too many to be held in memory, as `Append` otherwise.

    `schema` is that of the rows. They come after those of every `Append` of the same transaction.
    `applies` tells the online store of rows of `feature_history`, which it does not see here.
    """

    table: str
    schema: pa.Schema
    source: RowSource
    row_count: int
    applies: LatestRows | None = None

    @property
    def size_bytes(self) -> int:
        return 0 if self.applies is None else int(self.applies.rows.nbytes)


@attrs.frozen
class Statement:
    """A statement of `engine/store/statements.sql`, by name, with its parameters.

    `row_count` is the sender's estimate of the rows touched, `size_bytes` of their weight.
    """

    name: str
    parameters: Mapping[str, Any]
    row_count: int = 1
    size_bytes: int = _VALUE_BYTES


@attrs.frozen
class Delete:
    """Rows to delete from a table: those whose columns named in `keys` equal a row of it.

    `expected_rows` is how many those are. Found to be another number, the whole request is refused:
    so rows that were copied elsewhere are deleted exactly or not at all.
    """

    table: str
    keys: pa.RecordBatch
    expected_rows: int

    @property
    def row_count(self) -> int:
        # What waits is bounded for the sake of rows to be written, which take ten times as long.
        return 0

    @property
    def size_bytes(self) -> int:
        return int(self.keys.nbytes)


Operation = Append | AppendStream | Upsert | Statement | Delete


@attrs.frozen
class WriteRequest:
    """Operations that land together, in one transaction, or not at all."""

    operations: tuple[Operation, ...]

    @property
    def row_count(self) -> int:
        return sum(operation.row_count for operation in self.operations)

    @property
    def size_bytes(self) -> int:
        return sum(operation.size_bytes for operation in self.operations)


@attrs.frozen
class Receipt:
    """Proof of a commit: every row of the request is on disk under `commit_seq`."""

    commit_seq: int
    row_count: int


@attrs.frozen
class Commit:
    """What one transaction wrote, in the order it was written; handed to commit listeners."""

    commit_seq: int
    requests: tuple[WriteRequest, ...]


class RequestWriter(Protocol):
    """What the other parts need of the writer; `engine.store.Writer` is one."""

    async def submit(self, request: WriteRequest) -> Receipt:
        """Write a request in one transaction and wait for its commit."""
