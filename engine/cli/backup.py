"""`backup`: a copy of the data while the engine runs."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs
import click

from engine.cli.byte_progress import show_bytes
from engine.cli.command_lines import write_command
from engine.cli.control_port import open_control_service
from engine.cli.examples import examples
from engine.cli.json_output import print_json
from engine.cli.options import CommonOptions, common_options
from engine.cli.running import find_engine
from engine.errors import TrellisError
from engine.store.backup_files import BackupFile, Draft, Manifest, Progress, make_backup_folder
from engine.store.restoring import DATA_FILE
from proto.trellis.v1.backup_grpc import BackupServiceServicer
from proto.trellis.v1.backup_pb2 import (
    BeginBackupRequest,
    BeginBackupResponse,
    EndBackupRequest,
    KeepBackupRequest,
)

_NICENESS: Final = 10
"""Processors, and disks that mind it, serve the engine first."""
_OBJECTS: Final = Path("blobs/objects")
"""In a backup; the same place as in a data folder with the default `paths.blobs`."""


@attrs.define
class _Keeper:
    """Says that the copy goes on, every third of the lease."""

    service: Any
    begun: BeginBackupResponse
    show: Callable[[int], None]
    _kept_s: float = attrs.field(factory=time.monotonic)

    def __call__(self, done_bytes: int) -> None:
        self.show(done_bytes)
        if (time.monotonic() - self._kept_s) * 3_000 >= self.begun.lease_ms:
            self.service.KeepBackup(KeepBackupRequest(backup_id=self.begun.backup_id))
            self._kept_s = time.monotonic()


@click.command("backup", epilog=examples("backup /backups/monday", "backup monday --json"))
@common_options
@click.argument("path", metavar="PATH", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def backup(options: CommonOptions, /, *, path: Path, as_json: bool) -> None:
    """Copy the running engine's data to the new folder PATH, as of one commit.

    The engine goes on taking events in. PATH appears when all of it is on the disk; `restore` makes
    a data folder of it. Artifacts are part of it unless they are in Azure.
    """
    config = options.load()
    started_s = time.monotonic()
    os.nice(_NICENESS)
    engine = find_engine(config.paths.data)
    try:
        with (
            make_backup_folder(path.absolute()) as draft,
            open_control_service(engine, BackupServiceServicer, config) as service,
        ):
            manifest = _copy(service, draft, config.paths.blobs)
    except OSError as error:
        raise TrellisError(
            f"the backup to {path} failed, and nothing is left of it: {error}"
        ) from error
    _show(path, manifest, time.monotonic() - started_s, as_json)


def _copy(service: Any, draft: Draft, blobs: Path) -> Manifest:
    begun: BeginBackupResponse = service.BeginBackup(BeginBackupRequest())
    data_file = Path(begun.data_file)
    with show_bytes("data file", begun.data_bytes + begun.wal_bytes) as show:
        keeper = _Keeper(service, begun, show)
        files = [draft.copy(data_file, DATA_FILE, begun.data_bytes, keeper)]
        if begun.wal_bytes:
            # Read from its start to the length it had at that commit; it only grows meanwhile.
            wal = data_file.with_name(data_file.name + ".wal")
            files.append(draft.copy(wal, f"{DATA_FILE}.wal", begun.wal_bytes, keeper))
    # Answered with an error if anything was changed under the copy.
    service.EndBackup(EndBackupRequest(backup_id=begun.backup_id))
    # After the data file: an artifact is stored before the rows that name it.
    files += _copy_artifacts(draft, blobs / "objects")
    return draft.finish(
        datetime.now(UTC), begun.commit_seq, tuple(files), dict(sorted(begun.row_counts.items()))
    )


def _copy_artifacts(draft: Draft, objects: Path) -> list[BackupFile]:
    """Copy what the blob folder holds; each file there is whole, and is replaced as a whole."""
    sizes = {path: path.stat().st_size for path in sorted(objects.rglob("*")) if path.is_file()}
    with show_bytes("artifacts", sum(sizes.values())) as show:
        return [_copy_artifact(draft, objects, path, size, show) for path, size in sizes.items()]


def _copy_artifact(
    draft: Draft, objects: Path, path: Path, size_bytes: int, show: Progress
) -> BackupFile:
    return draft.copy(path, str(_OBJECTS / path.relative_to(objects)), size_bytes, show)


def _show(path: Path, manifest: Manifest, took_s: float, as_json: bool) -> None:
    size_bytes = sum(file.size_bytes for file in manifest.files)
    if as_json:
        facts = {
            "path": str(path),
            "commit_seq": manifest.commit_seq,
            "files": len(manifest.files),
            "size_bytes": size_bytes,
            "rows": sum(manifest.rows.values()),
            "took_s": round(took_s, 3),
        }
        print_json(facts)
        return
    click.echo(
        f"{path}: commit {manifest.commit_seq:,}, {sum(manifest.rows.values()):,} rows, "
        f"{len(manifest.files)} files, {size_bytes:,} bytes in {took_s:.1f} s\n"
        f"to make a data folder of it: {write_command('restore', str(path), 'NEW_FOLDER')}"
    )
