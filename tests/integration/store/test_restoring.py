"""What a restored data folder does not take over from the engine that was backed up."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.errors import BackendUnavailableError
from engine.store.backup_files import BackupFile, make_backup_folder
from engine.store.restoring import DATA_FILE, restore_backup
from engine.store.snapshot import Snapshot
from tests.support.retention_world import (
    DAY_US,
    NOW_US,
    RetentionWorld,
    all_events,
    make_events,
    open_world,
)


class _NeverReadAgain:
    """A blob store that goes away once something was stored."""

    def __init__(self, store: object) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def get_bytes(self, name: str, max_bytes: int) -> bytes:
        raise BackendUnavailableError("blobs", "gone")


def back_up(world: RetentionWorld, snapshot: Snapshot, target: Path) -> None:
    """Copy the files of a snapshot and all blobs, in this order, as the command does."""
    with make_backup_folder(target) as draft:
        files: list[BackupFile] = []
        for path, size_bytes, name in (
            (snapshot.path, snapshot.data_bytes, DATA_FILE),
            (snapshot.path.with_name(f"{DATA_FILE}.wal"), snapshot.wal_bytes, f"{DATA_FILE}.wal"),
        ):
            if size_bytes:
                files.append(draft.copy(path, name, size_bytes, lambda _: None))
        for path in (world.folder / "blobs/objects").iterdir():
            name = f"blobs/objects/{path.name}"
            files.append(draft.copy(path, name, path.stat().st_size, lambda _: None))
        draft.finish(
            datetime.now(UTC), snapshot.commit_seq, tuple(files), dict(snapshot.row_counts)
        )


async def test_restored_folder_keeps_archives_and_forgets_those_under_way(tmp_path: Path) -> None:
    table = all_events(3)
    async with open_world(tmp_path / "data") as world:
        await world.write(make_events([NOW_US - 9 * DAY_US] * 100))
        await world.retention(table).move_due(table)
        await world.write(make_events([NOW_US - 8 * DAY_US] * 50, first_offset=100))
        before = await world.rows("events") + await world.archived("events")
        intact = world.blobs
        world.blobs = _NeverReadAgain(intact)  # type: ignore[assignment]
        with pytest.raises(BackendUnavailableError):
            await world.retention(table).move_due(table)
        world.blobs = intact
        assert len(await world.blob_names()) == 2
        snapshot = await world.store.writer.begin_snapshot()
        # Stored after the data file was described, before the artifacts are copied.
        await world.retention(table).move_due(table)
        back_up(world, snapshot, tmp_path / "backup")
        world.store.writer.checkpoint_hold.release()
    restored = restore_backup(tmp_path / "backup", tmp_path / "restored", lambda _: None)
    assert restored.rows > 50
    async with open_world(tmp_path / "restored") as world:
        assert [archive["state"] for archive in await world.archives("events")] == ["stored"]
        assert len(await world.blob_names()) == 1
        assert await world.rows("events") + await world.archived("events") == before
        await world.retention(table).move_due(table)
        assert await world.rows("events") + await world.archived("events") == before
