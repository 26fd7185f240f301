"""One transaction: a group of requests becomes rows. Runs in the writer's thread."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import duckdb
import numpy as np
import pyarrow as pa

from engine.records import Append, Statement, Upsert, WriteRequest
from engine.store.catalog import Table
from engine.store.statements import run_statement

_STAGED = "trellis_staged_batch"

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
            if isinstance(operation, Statement):
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
        ordinals: dict[str, int] = {}
        for step in plan_steps(requests, catalog):
            match step:
                case AppendStep(table=table):
                    first = ordinals.get(table, 0)
                    ordinals[table] = first + _append(
                        connection, catalog[table], step, commit_seq, first
                    )
                case UpsertStep():
                    _upsert(connection, step, commit_seq)
        for request in requests:
            for operation in request.operations:
                if isinstance(operation, Statement):
                    run_statement(connection, operation, commit_seq, ordinals)
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


def _append(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    step: AppendStep,
    commit_seq: int,
    first_ordinal: int,
) -> int:
    data = pa.Table.from_batches(step.batches)
    if table.has_ordinal:
        ordinals = np.arange(first_ordinal, first_ordinal + data.num_rows, dtype=np.int64)
        data = data.append_column("ordinal", pa.array(ordinals))
    names = ", ".join(_quoted(data.schema.names))
    # Left registered if the insert fails: an aborted transaction refuses even to drop the view, and
    # the next batch takes its place.
    connection.register(_STAGED, data)
    connection.execute(
        f'INSERT INTO "{table.name}" ({names}, commit_seq) '  # noqa: S608 - names from the catalogue
        f"SELECT {names}, $commit_seq FROM {_STAGED}",
        {"commit_seq": commit_seq},
    )
    connection.unregister(_STAGED)
    return int(data.num_rows)


def _upsert(connection: duckdb.DuckDBPyConnection, step: UpsertStep, commit_seq: int) -> None:
    with connection.appender(
        step.table, columns=[*step.columns, "commit_seq"], action="upsert"
    ) as appender:
        appender.append_rows([(*row, commit_seq) for row in step.rows])


def _quoted(names: Sequence[str]) -> Iterator[str]:
    return (f'"{name}"' for name in names)
