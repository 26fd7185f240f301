"""Named statements of a transaction, for what is neither an append nor an upsert."""

from typing import Final

import duckdb

from engine.errors import SchemaMismatchError
from engine.records import Statement
from engine.store.queries import load_queries

_STATEMENTS: Final = load_queries("engine.store")


def check_statement(statement: Statement) -> None:
    """Refuse a statement that does not exist, before it is queued.

    Raises:
      SchemaMismatchError: names the statement.
    """
    if statement.name not in _STATEMENTS:
        raise SchemaMismatchError(
            f"no statement {statement.name!r}; there are {', '.join(sorted(_STATEMENTS))}"
        )


def run_statement(connection: duckdb.DuckDBPyConnection, statement: Statement) -> None:
    """Run a statement inside the open transaction.

    Raises:
      duckdb.Error: it does not fit; nothing of the transaction may be committed.
    """
    connection.execute(_STATEMENTS[statement.name], dict(statement.parameters)).fetchall()
