"""Reading the data file beside the writer: a few threads, each with a cursor of its own.

Every query runs in a read-only transaction, so that no module can open a write path by the way,
and is fetched whole, because an open result would hold checkpoints off without a word.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs
import duckdb
import outcome
import pyarrow as pa
import trio

from engine.errors import DeadlineExceededError, StoreError

T = TypeVar("T")
Parameters = Sequence[Any] | Mapping[str, Any]

_INTERRUPT_INTERVAL_S = 0.02
"""An interrupt that comes just before a query starts is forgotten by DuckDB, so it is repeated."""


@attrs.define(eq=False)
class _Query:
    """A query on its way through a thread."""

    cursor: duckdb.DuckDBPyConnection
    given_up: bool = False
    done: trio.Event = attrs.field(factory=trio.Event)


class Reader:
    """A pool of read-only cursors. Made by `open_store`; used from the Trio thread."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, *, threads: int) -> None:
        self._connection = connection
        self._idle = [connection.cursor() for _ in range(threads)]
        self._limiter = trio.CapacityLimiter(threads)

    async def fetch_rows(
        self, sql: str, parameters: Parameters = (), *, timeout_s: float | None = None
    ) -> list[tuple[Any, ...]]:
        """Run a query and return its rows as Python objects; for small results.

        Args:
          sql: one SELECT, with `?` or `$name` parameters.
          timeout_s: time to wait for a thread and the result, in seconds; None waits on.
        Raises:
          DeadlineExceededError: not finished in `timeout_s`; the query was interrupted.
          StoreError: DuckDB refused the query.
        Cancellation: the query is interrupted and its thread awaited.
        """
        return await self._run(lambda c: c.execute(sql, parameters).fetchall(), timeout_s, {})

    async def fetch_arrow(
        self,
        sql: str,
        parameters: Parameters = (),
        *,
        timeout_s: float | None = None,
        tables: Mapping[str, pa.Table] | None = None,
    ) -> pa.Table:
        """Run a query and return its result as an Arrow table; for large results.

        Args:
          tables: relations that the query may name besides those of the file.
        Raises and cancellation: as `fetch_rows`.
        """
        return await self._run(
            lambda c: c.sql(sql, params=parameters).to_arrow_table(), timeout_s, tables or {}
        )

    async def fetch_snapshot(
        self,
        queries: Sequence[tuple[str, Parameters]],
        *,
        timeout_s: float | None = None,
    ) -> list[pa.Table]:
        """Run queries in one transaction, so that all of them see the same commit.

        Args:
          queries: each with its parameters.
        Returns: the results as Arrow tables, in the order of the queries.
        Raises and cancellation: as `fetch_rows`.
        """
        return await self._run(
            lambda c: [c.sql(sql, params=given).to_arrow_table() for sql, given in queries],
            timeout_s,
            {},
        )

    def close(self) -> None:
        """Close the cursors. No query may be under way."""
        while self._idle:
            self._idle.pop().close()

    async def _run(
        self,
        fetch: Callable[[duckdb.DuckDBPyConnection], T],
        timeout_s: float | None,
        tables: Mapping[str, pa.Table],
    ) -> T:
        with trio.move_on_after(float("inf") if timeout_s is None else timeout_s):
            async with self._limiter:
                return await self._run_on(self._idle.pop(), fetch, tables)
        raise DeadlineExceededError(f"the query did not finish within {timeout_s:g} s")

    async def _run_on(
        self,
        cursor: duckdb.DuckDBPyConnection,
        fetch: Callable[[duckdb.DuckDBPyConnection], T],
        tables: Mapping[str, pa.Table],
    ) -> T:
        query = _Query(cursor)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_interrupt_when_cancelled, query)
                # The thread itself is not abandoned: the cursor must be free when this returns.
                with trio.CancelScope(shield=True):
                    result = await trio.to_thread.run_sync(
                        outcome.capture, _fetch_read_only, query, fetch, tables
                    )
                query.done.set()
        finally:
            if query.given_up:
                # The interrupt may have hit the rollback: a fresh cursor has no transaction open.
                cursor.close()
                cursor = self._connection.cursor()
            self._idle.append(cursor)
        # A cancelled query ends as interrupted; the cancellation itself is what the caller sees.
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            return result.unwrap()
        except duckdb.Error as error:
            raise StoreError(f"query failed: {error}") from error


async def _interrupt_when_cancelled(query: _Query) -> None:
    try:
        await query.done.wait()
    except trio.Cancelled:
        query.given_up = True
        with trio.CancelScope(shield=True):
            while not query.done.is_set():
                query.cursor.interrupt()
                with trio.move_on_after(_INTERRUPT_INTERVAL_S):
                    await query.done.wait()
        raise


def _fetch_read_only(
    query: _Query,
    fetch: Callable[[duckdb.DuckDBPyConnection], T],
    tables: Mapping[str, pa.Table],
) -> T:
    cursor = query.cursor
    for name, table in tables.items():
        cursor.register(name, table)
    try:
        cursor.execute("BEGIN TRANSACTION READ ONLY")
        try:
            if query.given_up:
                raise duckdb.InterruptException("given up before it began")
            return fetch(cursor)
        finally:
            cursor.execute("ROLLBACK")
    finally:
        for name in tables:
            cursor.unregister(name)
