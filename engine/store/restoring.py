"""A backup becomes a data folder, once it has been opened and counted."""

from pathlib import Path
from typing import Final

import attrs
import duckdb

from engine.errors import DataLossError
from engine.store.backup_files import (
    Progress,
    copy_checked,
    make_backup_folder,
    read_manifest,
    require_free,
)
from engine.store.snapshot import count_rows

DATA_FILE: Final = "trellis.duckdb"
_OBJECTS: Final = "blobs/objects"
"""Where a backup has artifacts and archives, if they are in a folder."""


@attrs.frozen
class Restored:
    """What a restored folder holds."""

    commit_seq: int
    rows: int
    files: int


def restore_backup(backup: Path, target: Path, progress: Progress) -> Restored:
    """Make the data folder `target` from a backup, checked to the last row; or leave nothing.

    Args:
      target: a folder that does not exist or is empty. One that an engine uses is not.
    Raises:
      AlreadyExistsError: `target` holds something.
      DataLossError: the backup is not whole, or its data file cannot be opened or holds other rows
        than it did.
      FailedPreconditionError: there is no folder to make `target` in.
      OSError: the disk takes no more.
    """
    require_free(target)
    manifest = read_manifest(backup)
    with make_backup_folder(target) as draft:
        copy_checked(backup, manifest, draft.folder, progress)
        archives = _check_rows(draft.folder / DATA_FILE, manifest.rows)
        for path in (draft.folder / _OBJECTS).glob("archive+*"):
            # Copied after the data file: what was archived since, whose rows the latter has.
            if path.name.replace("+", "/") not in archives:
                path.unlink()
    return Restored(manifest.commit_seq, sum(manifest.rows.values()), len(manifest.files))


def _check_rows(path: Path, expected: dict[str, int]) -> frozenset[str]:
    """Check the rows of all tables; forget archives that are planned, and return the others' blobs.

    The planned ones are the running engine's business: it has stored some of them since, perhaps in
    an account that both use, where an engine on the restored file would take them for the leftovers
    of one that was killed.
    """
    if not path.is_file():
        raise DataLossError(f"the backup holds no {path.name}")
    try:
        # Writing, so that the log is taken in here and now: what is restored has been read whole.
        with duckdb.connect(str(path), config={"enable_external_access": False}) as connection:
            found = count_rows(connection)
            archives = _settle_archives(connection) if "archives" in found else frozenset()
            connection.execute("CHECKPOINT")
    except duckdb.Error as error:
        raise DataLossError(f"the backup's data file cannot be opened: {error}") from error
    path.chmod(0o600)
    wrong = [
        f"{table}: {found.get(table, 0):,}, not {expected.get(table, 0):,}"
        for table in sorted(found.keys() | expected.keys())
        if found.get(table) != expected.get(table)
    ]
    if wrong:
        raise DataLossError(f"the backup holds other rows than when it was made: {wrong}")
    return archives


def _settle_archives(connection: duckdb.DuckDBPyConnection) -> frozenset[str]:
    connection.execute("DELETE FROM archives WHERE state = 'planned'")
    return frozenset(blob for (blob,) in connection.execute("SELECT blob FROM archives").fetchall())
