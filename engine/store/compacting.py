"""The data file written anew, without the room of rows that are gone.

A checkpoint makes room of deleted rows for new ones, within the file; to the disk it gives back
only what lies at the file's end. A file that is to be small again after much was deleted from it is
copied, table by table, to one beside it, which takes its place once every row was found in it.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import attrs
import duckdb
import pyarrow as pa

from engine.errors import DataFileFailedError, DataLossError, NotFoundError, ResourceExhaustedError
from engine.store.datafile import connect_data_file, lock_data_file
from engine.store.migrate import apply_migrations, load_migrations
from engine.store.settings import StoreSettings
from engine.store.snapshot import count_rows

Progress = Callable[[int], None]
"""Told how many more rows are copied."""

_SUFFIX: Final = ".compact"
_BATCH_ROWS: Final = 100_000
_STAGED: Final = "rows_to_copy"


@attrs.frozen
class Compacted:
    """What became of the file."""

    before_bytes: int
    after_bytes: int
    rows: int


def count_stored_rows(settings: StoreSettings) -> int:
    """Return how many rows the data file holds. Raises as `compact_data_file`."""
    with lock_data_file(_existing(settings.path)), closing(connect_data_file(settings)) as file:
        return sum(count_rows(file).values())


def compact_data_file(settings: StoreSettings, progress: Progress) -> Compacted:
    """Write the data file anew and put it in the old one's place, at once and for good, or not.

    The new one has the schema of this program's version.

    Raises:
      NotFoundError: there is no data file.
      DataFileLockedError: an engine uses it.
      ResourceExhaustedError: the disk has no room for both files.
      DataLossError: the new file does not hold the rows of the old one, which stays.
      DataFileFailedError: one of them cannot be read or written; the old one stays.
      NewerSchemaError: the file needs a newer Trellis.
    """
    path = _existing(settings.path)
    draft = path.with_name(path.name + _SUFFIX)
    with lock_data_file(path):
        before_bytes = path.stat().st_size
        _remove(draft)
        try:
            rows = _copy(settings, attrs.evolve(settings, path=draft), progress)
            _require_no_log(path)
            _require_no_log(draft)
            _sync(draft)
            draft.replace(path)
            _sync(path.parent)
        except (duckdb.Error, OSError) as error:
            raise DataFileFailedError(f"{path} cannot be compacted: {error}; it stays") from error
        finally:
            _remove(draft)
        return Compacted(before_bytes, path.stat().st_size, rows)


def _copy(old: StoreSettings, new: StoreSettings, progress: Progress) -> int:
    with closing(connect_data_file(old)) as source:
        apply_migrations(source, load_migrations())
        source.execute("CHECKPOINT")
        _require_room(source, old.path)
        with closing(connect_data_file(new)) as target:
            apply_migrations(target, load_migrations())
            rows = 0
            for name in count_rows(target):
                rows += _copy_table(source, target, name, progress)
            if (missing := count_rows(source)) != (found := count_rows(target)):
                raise DataLossError(f"the copy of {old.path} has {found} rows, not {missing}")
            target.execute("CHECKPOINT")
        return rows


def _copy_table(
    source: duckdb.DuckDBPyConnection,
    target: duckdb.DuckDBPyConnection,
    name: str,
    progress: Progress,
) -> int:
    # Names come from the migrations, which also write rows of their own.
    target.execute(f'DELETE FROM "{name}"')  # noqa: S608
    with closing(source.cursor()) as cursor:
        reader = cursor.sql(f'SELECT * FROM "{name}"').to_arrow_reader(_BATCH_ROWS)  # noqa: S608
        counted = pa.RecordBatchReader.from_batches(reader.schema, _counted(reader, progress))
        target.register(_STAGED, counted)
        target.execute(f'INSERT INTO "{name}" BY NAME SELECT * FROM {_STAGED}')  # noqa: S608
        target.unregister(_STAGED)
    # A sum of hashes does not mind the order; equal rows do not cancel each other out in it.
    check = f'SELECT count(*), sum(hash("{name}")::HUGEINT) FROM "{name}"'  # noqa: S608
    [expected] = source.execute(check).fetchall()
    [found] = target.execute(check).fetchall()
    if expected != found:
        raise DataLossError(f"the copy of table {name} differs from it; the data file stays")
    return int(found[0])


def _counted(reader: pa.RecordBatchReader, progress: Progress) -> Iterator[pa.RecordBatch]:
    for batch in reader:
        yield batch
        progress(batch.num_rows)


def _require_room(source: duckdb.DuckDBPyConnection, path: Path) -> None:
    [(used_bytes,)] = source.execute(
        "SELECT block_size * used_blocks FROM pragma_database_size()"
    ).fetchall()
    free_bytes = shutil.disk_usage(path.parent).free
    if free_bytes < used_bytes:
        raise ResourceExhaustedError(
            f"the disk of {path.parent} has {free_bytes:,} bytes free; the new file needs up to "
            f"{used_bytes:,} beside the old one"
        )


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise NotFoundError("data file", str(path))
    return path


def _require_no_log(path: Path) -> None:
    # It would be taken for the log of whichever file has the name.
    log = path.with_name(path.name + ".wal")
    if log.exists():
        raise DataFileFailedError(f"{log} is still there after a checkpoint; nothing is replaced")


def _remove(draft: Path) -> None:
    for suffix in ("", ".wal"):
        draft.with_name(draft.name + suffix).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
