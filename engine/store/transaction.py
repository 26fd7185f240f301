"""One transaction: a group of requests becomes rows. Runs in the writer's thread."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, TypeVar

import attrs
import duckdb
import numpy as np
import pyarrow as pa

from engine.records import Append, AppendStream, Delete, Statement, Upsert, WriteRequest
from engine.store.catalog import Table
from engine.store.statements import run_statement

T = TypeVar("T")

_STAGED = "trellis_staged_batch"
_ORDINAL = pa.field("ordinal", pa.int64(), nullable=False)

FILE_FAILURES = (
    duckdb.FatalException,
    duckdb.InternalException,
    duckdb.IOException,
    duckdb.SerializationException,
)
"""After one of these the file's state is unknown: nothing more may be acknowledged."""


class FileFailure(Exception):  # noqa: N818 - an outcome of this module, not an error of the tree
    """The disk or the file failed, not the request."""


@attrs.frozen
class AppendStep:
    """Batches of one table and schema, in request order."""

    table: str
    batches: tuple[pa.RecordBatch, ...]


@attrs.frozen
class UpsertStep:
    """Rows of one table and column list, at most one a key."""

    table: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@attrs.define
class _AppendRun:
    schema: pa.Schema
    batches: list[pa.RecordBatch] = attrs.field(factory=list)

    @property
    def has_rows(self) -> bool:
        return any(batch.num_rows for batch in self.batches)

    def step(self, table: str) -> AppendStep:
        return AppendStep(table, tuple(self.batches))


@attrs.define
class _UpsertRun:
    columns: tuple[str, ...]
    rows_by_key: dict[Any, tuple[Any, ...]] = attrs.field(factory=dict)

    @property
    def has_rows(self) -> bool:
        return bool(self.rows_by_key)

    def step(self, table: str) -> UpsertStep:
        return UpsertStep(table, self.columns, tuple(self.rows_by_key.values()))


def plan_steps(
    requests: Sequence[WriteRequest], catalog: Mapping[str, Table]
) -> tuple[AppendStep | UpsertStep, ...]:
    """Merge the requests' operations so that a group costs few statements.

    Each table's rows keep their order. Neighbouring appends of one schema become one step, and so
    do neighbouring upserts of the same columns; in those the last row of a key wins, since DuckDB's
    upserting appender silently keeps the *first* of two rows with the same key in one flush.
    """
    runs: dict[str, list[_AppendRun | _UpsertRun]] = {}
    for request in requests:
        for operation in request.operations:
            if isinstance(operation, AppendStream | Statement | Delete):
                continue
            of_table = runs.setdefault(operation.table, [])
            last = of_table[-1] if of_table else None
            match operation:
                case Append(data=data):
                    if not isinstance(last, _AppendRun) or last.schema != data.schema:
                        last = _AppendRun(data.schema)
                        of_table.append(last)
                    last.batches.append(data)
                case Upsert(table=table, columns=columns, rows=rows):
                    if not isinstance(last, _UpsertRun) or last.columns != columns:
                        last = _UpsertRun(columns)
                        of_table.append(last)
                    key_index = columns.index(str(catalog[table].primary_key))
                    last.rows_by_key.update((row[key_index], row) for row in rows)
    return tuple(
        run.step(table) for table, of_table in runs.items() for run in of_table if run.has_rows
    )


def write_group(
    connection: duckdb.DuckDBPyConnection,
    catalog: Mapping[str, Table],
    requests: Sequence[WriteRequest],
    commit_seq: int,
) -> None:
    """Write all requests in one transaction, stamped with `commit_seq`.

    Raises:
      FileFailure: the disk or the file failed; whether the rows are in is unknown.
      duckdb.Error: a request does not fit; nothing was written.
    """
    connection.begin()
    try:
        _write_operations(connection, catalog, requests, commit_seq)
    except FILE_FAILURES as error:
        raise FileFailure(str(error)) from error
    except BaseException:
        connection.rollback()
        raise
    try:
        # A failing commit ends the transaction: there is nothing left to roll back. DuckDB reports
        # a full disk here as a fault of the transaction, so the kind of error tells nothing.
        connection.commit()
    except duckdb.Error as error:
        raise FileFailure(str(error)) from error
    for stream in _of_type(AppendStream, requests):
        stream.source.close()


def _write_operations(
    connection: duckdb.DuckDBPyConnection,
    catalog: Mapping[str, Table],
    requests: Sequence[WriteRequest],
    commit_seq: int,
) -> None:
    next_ordinals: dict[str, int] = {}
    for step in plan_steps(requests, catalog):
        match step:
            case AppendStep(table=name, batches=batches):
                data = pa.Table.from_batches(batches)
                first = next_ordinals.get(name, 0)
                next_ordinals[name] = first + data.num_rows
                if catalog[name].has_ordinal:
                    data = data.append_column("ordinal", _ordinals(first, data.num_rows))
                _insert(connection, name, data, commit_seq)
            case UpsertStep():
                _upsert(connection, step, commit_seq)
    for stream in _of_type(AppendStream, requests):
        name = stream.table
        first = next_ordinals.get(name, 0)
        next_ordinals[name] = first + stream.row_count
        # Closed here: a failed insert leaves its reader, and with it the source in use.
        with closing(stream.source.read()) as rows:
            reader = pa.RecordBatchReader.from_batches(stream.schema, rows)
            if catalog[name].has_ordinal:
                reader = _numbered(reader, first)
            _insert(connection, name, reader, commit_seq)
    for delete in _of_type(Delete, requests):
        _delete(connection, delete)
    for statement in _of_type(Statement, requests):
        run_statement(connection, statement)


def _of_type(kind: type[T], requests: Sequence[WriteRequest]) -> Iterator[T]:
    for request in requests:
        for operation in request.operations:
            if isinstance(operation, kind):
                yield operation


def _numbered(batches: pa.RecordBatchReader, first: int) -> pa.RecordBatchReader:
    schema = batches.schema.append(_ORDINAL)

    def number() -> Iterator[pa.RecordBatch]:
        ordinal = first
        for batch in batches:
            columns = [*batch.columns, _ordinals(ordinal, batch.num_rows)]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
            ordinal += batch.num_rows

    return pa.RecordBatchReader.from_batches(schema, number())


def _ordinals(first: int, count: int) -> pa.Array:
    return pa.array(np.arange(first, first + count, dtype=np.int64))


def _insert(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    data: pa.Table | pa.RecordBatchReader,
    commit_seq: int,
) -> None:
    names = ", ".join(_quoted(data.schema.names))
    # Left registered if the insert fails: an aborted transaction refuses even to drop the view, and
    # the next batch takes its place.
    connection.register(_STAGED, data)
    connection.execute(
        f'INSERT INTO "{table}" ({names}, commit_seq) '  # noqa: S608 - names from the catalogue
        f"SELECT {names}, $commit_seq FROM {_STAGED}",
        {"commit_seq": commit_seq},
    )
    connection.unregister(_STAGED)


def _upsert(connection: duckdb.DuckDBPyConnection, step: UpsertStep, commit_seq: int) -> None:
    with connection.appender(
        step.table, columns=[*step.columns, "commit_seq"], action="upsert"
    ) as appender:
        appender.append_rows([(*row, commit_seq) for row in step.rows])


def _delete(connection: duckdb.DuckDBPyConnection, delete: Delete) -> None:
    names = ", ".join(_quoted(delete.keys.schema.names))
    connection.register(_STAGED, pa.Table.from_batches([delete.keys]))
    [(found,)] = connection.execute(
        f'DELETE FROM "{delete.table}" '  # noqa: S608 - names from the catalogue
        f"WHERE ({names}) IN (SELECT ({names}) FROM {_STAGED})"
    ).fetchall()
    connection.unregister(_STAGED)
    if found != delete.expected_rows:
        # As DuckDB's own error of a request that does not fit, which this is.
        raise duckdb.ConstraintException(
            f"{delete.table}: {delete.expected_rows:,} rows were to be deleted, {found:,} are there"
        )


def _quoted(names: Sequence[str]) -> Iterator[str]:
    return (f'"{name}"' for name in names)
