"""The tables a write request may name, and the check that it fits them."""

from collections.abc import Mapping
from types import MappingProxyType

import attrs
import duckdb

from engine.errors import SchemaMismatchError
from engine.records import Append, AppendStream, Delete, Operation, Statement, Upsert
from engine.store.statements import check_statement

_FILLED_BY_WRITER = frozenset({"commit_seq", "ordinal"})


@attrs.frozen
class Table:
    """A table's columns in order, and its primary key if it has one."""

    name: str
    columns: tuple[str, ...]
    required: frozenset[str]
    primary_key: str | None

    @property
    def has_ordinal(self) -> bool:
        return "ordinal" in self.columns


def read_catalog(connection: duckdb.DuckDBPyConnection) -> Mapping[str, Table]:
    """Read the tables that requests may write: those with a `commit_seq`."""
    keys = dict(
        connection.execute(
            "SELECT table_name, constraint_column_names[1] FROM duckdb_constraints() "
            "WHERE constraint_type = 'PRIMARY KEY'"
        ).fetchall()
    )
    columns: dict[str, list[tuple[str, bool]]] = {}
    for table, column, nullable in connection.execute(
        "SELECT table_name, column_name, is_nullable FROM duckdb_columns() "
        "WHERE NOT internal ORDER BY table_name, column_index"
    ).fetchall():
        columns.setdefault(table, []).append((column, nullable))
    return MappingProxyType(
        {
            name: Table(
                name=name,
                columns=tuple(column for column, _ in found),
                required=frozenset(
                    column
                    for column, nullable in found
                    if not nullable and column not in _FILLED_BY_WRITER
                ),
                primary_key=keys.get(name),
            )
            for name, found in columns.items()
            if any(column == "commit_seq" for column, _ in found)
        }
    )


def check_operation(catalog: Mapping[str, Table], operation: Operation) -> None:
    """Refuse an operation that cannot fit its table, before it is queued.

    Raises:
      SchemaMismatchError: names the table and what differs.
    """
    if isinstance(operation, Statement):
        check_statement(operation)
        return
    table = catalog.get(operation.table)
    if table is None:
        raise SchemaMismatchError(
            f"no table {operation.table!r}; there are {', '.join(sorted(catalog))}"
        )
    if isinstance(operation, Delete):
        _check_keys(table, operation.keys.schema.names)
        return
    match operation:
        case Append() | AppendStream():
            schema = operation.data.schema if isinstance(operation, Append) else operation.schema
            given = tuple(schema.names)
            if missing := table.required.difference(given):
                raise SchemaMismatchError(f"{table.name}: missing columns {sorted(missing)}")
        case Upsert(columns=columns, rows=rows):
            given = tuple(columns)
            if table.primary_key is None or table.primary_key not in given:
                raise SchemaMismatchError(f"{table.name}: an Upsert needs its primary key column")
            for row in rows:
                if len(row) != len(given):
                    raise SchemaMismatchError(
                        f"{table.name}: a row has {len(row)} values for {len(given)} columns"
                    )
    unknown = [name for name in given if name not in table.columns or name in _FILLED_BY_WRITER]
    if unknown:
        raise SchemaMismatchError(f"{table.name}: no such columns to write: {unknown}")
    if len(set(given)) != len(given):
        raise SchemaMismatchError(f"{table.name}: a column is given twice: {list(given)}")


def _check_keys(table: Table, given: list[str]) -> None:
    if not given:
        raise SchemaMismatchError(f"{table.name}: a Delete needs columns to know its rows by")
    if unknown := [name for name in given if name not in table.columns]:
        raise SchemaMismatchError(f"{table.name}: no such columns to delete by: {unknown}")
    if len(set(given)) != len(given):
        raise SchemaMismatchError(f"{table.name}: a column is given twice: {given}")
