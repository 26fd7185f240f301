"""The store's life: lock, open, migrate, write until closed, checkpoint, close."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import attrs
import duckdb
import trio

from engine.store.catalog import Table, read_catalog
from engine.store.datafile import cannot_open, hold_data_file
from engine.store.migrate import apply_migrations, load_migrations
from engine.store.reader import Reader
from engine.store.settings import StoreSettings
from engine.store.writer import Writer


@attrs.frozen
class Store:
    """The open data file."""

    writer: Writer
    reader: Reader


@asynccontextmanager
async def open_store(settings: StoreSettings) -> AsyncIterator[Store]:
    """Open the data file for this process and run its writer until the block ends.

    Raises:
      DataFileLockedError: another process holds the file.
      DataFileFailedError: the file cannot be opened, or a write failed (the block is cancelled).
      NewerSchemaError: the file needs a newer Trellis.
    Cancellation: at the end of the block, also when it is cancelled, the writer accepts nothing
      more, writes what had queued and checkpoints; that is bounded by the queue's size.
    """
    with hold_data_file(settings) as connection:
        try:
            apply_migrations(connection, load_migrations())
            catalog = read_catalog(connection)
            commit_seq = _last_commit_seq(connection, catalog.values())
        except duckdb.Error as error:
            # DuckDB opens a file that was cut short; it is found out by whoever reads what is gone.
            raise cannot_open(settings.path, error) from error
        writer = Writer(connection, catalog, settings, commit_seq=commit_seq)
        reader = Reader(connection, threads=settings.reader_threads)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_run_shielded, writer)
                try:
                    yield Store(writer, reader)
                finally:
                    writer.close()
        finally:
            reader.close()


async def _run_shielded(writer: Writer) -> None:
    # Ended by `close`, not by cancellation: what senders queued is written first.
    with trio.CancelScope(shield=True):
        await writer.run()


def _last_commit_seq(connection: duckdb.DuckDBPyConnection, tables: Iterable[Table]) -> int:
    highest = " UNION ALL ".join(f'SELECT max(commit_seq) AS seq FROM "{t.name}"' for t in tables)  # noqa: S608
    [(seq,)] = connection.execute(f"SELECT coalesce(max(seq), 0) FROM ({highest})").fetchall()  # noqa: S608
    return int(seq)
