"""Named statements of a transaction, for what is neither an append nor an upsert."""

from collections.abc import Mapping
from typing import Any, Final

import duckdb

from engine.errors import SchemaMismatchError
from engine.records import Statement
from engine.store.queries import load_queries

_STATEMENTS: Final = load_queries("engine.store")
_FILLS: Final[Mapping[str, str]] = {"move_staged_rows": "feature_history"}
"""Statements that add rows to a table with ordinals, and which."""


def check_statement(statement: Statement) -> None:
    """Refuse a statement that does not exist, before it is queued.

    Raises:
      SchemaMismatchError: names the statement.
    """
    if statement.name not in _STATEMENTS:
        raise SchemaMismatchError(
            f"no statement {statement.name!r}; there are {', '.join(sorted(_STATEMENTS))}"
        )


def run_statement(
    connection: duckdb.DuckDBPyConnection,
    statement: Statement,
    commit_seq: int,
    ordinals: dict[str, int],
) -> None:
    """Run a statement inside the open transaction.

    Args:
      ordinals: next free ordinal by table in this commit; moved on by what the statement adds.
    Raises:
      duckdb.Error: it does not fit; nothing of the transaction may be committed.
    """
    sql = _STATEMENTS[statement.name]
    parameters: dict[str, Any] = dict(statement.parameters)
    table = _FILLS.get(statement.name)
    if table is not None:
        parameters |= {"commit_seq": commit_seq, "ordinal": ordinals.get(table, 0)}
    changed = connection.execute(sql, parameters).fetchall()
    if table is not None:
        ordinals[table] = ordinals.get(table, 0) + int(changed[0][0])
