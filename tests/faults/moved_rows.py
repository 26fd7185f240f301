"""The rows of a data folder, wherever they are: in the file or in an archive, and once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from engine.backends.blobs.footer import FOOTER_BYTES

MOVED_TABLES: Final = ("events", "predictions")
_MOST_SHOWN: Final = 3


@contextmanager
def reading(data_dir: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the data file of a stopped engine, with a table `memory.all_<table>` for each whose
    rows move.

    Raises:
      FileNotFoundError: an archive that counts is not there.
    """
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{data_dir / 'trellis.duckdb'}' AS trellis (READ_ONLY)")
        connection.execute("USE trellis")
        for table in MOVED_TABLES:
            _collect(connection, data_dir, table)
        yield connection


def find_misplaced(connection: duckdb.DuckDBPyConnection, table: str, expected: Path) -> list[str]:
    """Compare the rows of a table with those it was filled with.

    Args:
      connection: of `reading`.
      expected: a Parquet file with these rows; others, committed later, do not matter.
    """
    [(last,)] = connection.execute(
        f"SELECT max(commit_seq) FROM read_parquet('{expected}')"
    ).fetchall()
    there = f"SELECT * FROM memory.all_{table} WHERE commit_seq <= {last}"
    wanted = f"SELECT * FROM read_parquet('{expected}')"
    if add_up(connection, there) == add_up(connection, wanted):
        return []
    found = []
    for what, query in (
        ("missing", f"{wanted} EXCEPT ALL {there}"),
        ("more than once, or altered", f"{there} EXCEPT ALL {wanted}"),
    ):
        [(count,)] = connection.execute(f"SELECT count(*) FROM ({query})").fetchall()
        if count:
            some = connection.execute(f"{query} LIMIT {_MOST_SHOWN}").fetchall()
            found.append(f"{count} rows of {table} are {what}, such as {some}")
    return found


def add_up(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[int, int]:
    """Return how many rows there are, and the sum of their hashes: the same for the same rows."""
    [sums] = connection.execute(
        f"SELECT count(*), coalesce(sum(hash(one)::HUGEINT), 0) FROM ({query}) AS one"
    ).fetchall()
    return sums


def _collect(connection: duckdb.DuckDBPyConnection, data_dir: Path, table: str) -> None:
    archives = connection.execute(
        "SELECT blob, row_count FROM archives WHERE table_name = ? AND state = 'stored'", [table]
    ).fetchall()
    connection.execute(f"CREATE TABLE memory.all_{table} AS SELECT * FROM {table}")
    for blob, row_count in archives:
        rows = _read_archive(data_dir, blob)
        if rows.num_rows != row_count:
            raise ValueError(f"{blob} has {rows.num_rows} rows, not {row_count}")
        connection.register("archived", rows)
        connection.execute(f"INSERT INTO memory.all_{table} BY NAME SELECT * FROM archived")
        connection.unregister("archived")


def _read_archive(data_dir: Path, blob: str) -> pa.Table:
    content = (data_dir / "blobs/objects" / blob.replace("/", "+")).read_bytes()
    return pq.read_table(pa.BufferReader(content[:-FOOTER_BYTES]))
