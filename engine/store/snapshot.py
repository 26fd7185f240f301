"""What a copy of the data file has to consist of to be the state of one commit."""

from collections.abc import Mapping
from pathlib import Path

import attrs
import duckdb


@attrs.frozen
class Snapshot:
    """The data file at a commit, for as long as checkpoints are held off.

    Attributes:
      backup_id: who holds them off.
      path: the data file; its log lies beside it, with `.wal` after its name.
      data_bytes: size of the data file.
      wal_bytes: length of the log up to the commit; what follows is later.
      commit_seq: the commit's sequence number.
      row_counts: rows of each table, by its name.
    """

    backup_id: str
    path: Path
    data_bytes: int
    wal_bytes: int
    commit_seq: int
    row_counts: Mapping[str, int]


def count_rows(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Return the number of rows of every table, by its name; about a millisecond each.

    Raises: duckdb.Error.
    """
    names = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE NOT internal AND NOT temporary "
        "ORDER BY table_name"
    ).fetchall()
    counts = {}
    for (name,) in names:
        # The name comes from the catalogue, and DuckDB's own quoting holds for any.
        quoted = '"' + name.replace('"', '""') + '"'
        [(count,)] = connection.execute(f"SELECT count(*) FROM {quoted}").fetchall()  # noqa: S608
        counts[name] = int(count)
    return counts
