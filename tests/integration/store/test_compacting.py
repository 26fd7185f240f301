"""The data file written anew: smaller, the same rows, and never half of it."""

import sys
from pathlib import Path

import duckdb
import pytest
import trio

from engine.errors import DataFileLockedError, NotFoundError
from engine.store import StoreSettings, open_store
from engine.store.compacting import compact_data_file, count_stored_rows
from engine.store.snapshot import count_rows
from tests.support.engine_process import ROOT
from tests.support.retention_world import (
    DAY_US,
    NOW_US,
    all_events,
    make_dead_letters,
    make_events,
    make_predictions,
    open_world,
)

ROWS = 60_000


@pytest.fixture
async def purged(tmp_path: Path) -> StoreSettings:
    """A data file most of whose rows were moved away, and others came after."""
    folder = tmp_path / "data"
    async with open_world(folder) as world:
        table = all_events(3)
        await world.write(make_predictions([NOW_US] * 20), make_dead_letters([NOW_US] * 20))
        for day in range(5):
            start_us = NOW_US - (9 - day) * DAY_US
            times_us = range(start_us, start_us + ROWS * 1_000_000, 1_000_000)
            await world.write(make_events(times_us, first_offset=day * ROWS))
        await world.write(make_events([NOW_US] * 100, first_offset=5 * ROWS))
    async with open_world(folder) as world:
        await world.retention(table).move_due(table)
    return StoreSettings(path=folder / "trellis.duckdb")


def read_all(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with duckdb.connect(str(path), read_only=True) as file:
        # As text: what is no number equals itself then.
        return {
            name: file.execute(f"SELECT CAST(t AS VARCHAR) FROM {name} AS t ORDER BY 1").fetchall()
            for name in count_rows(file)
        }


def schema_of(path: Path) -> list[tuple[object, ...]]:
    with duckdb.connect(str(path), read_only=True) as file:
        return [
            *file.execute("SELECT table_name, sql FROM duckdb_tables() ORDER BY 1").fetchall(),
            *file.execute(
                "SELECT table_name, constraint_type, constraint_text FROM duckdb_constraints() "
                "ORDER BY ALL"
            ).fetchall(),
        ]


async def test_compacted_file_is_smaller_and_holds_the_same(purged: StoreSettings) -> None:
    rows, schema = read_all(purged.path), schema_of(purged.path)
    before_bytes = purged.path.stat().st_size
    told: list[int] = []
    done = compact_data_file(purged, told.append)
    assert done.before_bytes == before_bytes
    assert done.after_bytes == purged.path.stat().st_size < before_bytes / 2
    assert done.rows == sum(told) == sum(map(len, rows.values())) == count_stored_rows(purged)
    assert read_all(purged.path) == rows
    assert schema_of(purged.path) == schema
    assert sorted(path.name for path in purged.path.parent.iterdir()) == [
        "blobs",
        "trellis.duckdb",
        "trellis.duckdb.lock",
    ]
    assert purged.path.stat().st_mode & 0o777 == 0o600
    async with open_world(purged.path.parent) as world:
        # Commits are numbered on, keys are still keys.
        last = world.store.writer.commit_seq
        assert await world.write(make_dead_letters([NOW_US])) == last + 1
        assert (await world.rows("dead_letters")).total() == 20


async def test_file_of_a_running_engine_is_refused_and_stays(purged: StoreSettings) -> None:
    async with open_store(purged):
        with pytest.raises(DataFileLockedError, match="is in use by process"):
            compact_data_file(purged, lambda _: None)
    assert count_stored_rows(purged) > 0


def test_without_a_data_file_none_is_made(settings: StoreSettings) -> None:
    with pytest.raises(NotFoundError, match="data file"):
        compact_data_file(settings, lambda _: None)
    assert not settings.path.parent.exists()


async def test_killed_while_it_writes_the_old_file_is_there_and_the_next_try_succeeds(
    purged: StoreSettings,
) -> None:
    rows = read_all(purged.path)
    told = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    program = (
        "from pathlib import Path\n"
        "from engine.store import StoreSettings\n"
        "from engine.store.compacting import compact_data_file\n"
        "def tell(rows):\n"
        f"    {told}\n"
        f"compact_data_file(StoreSettings(path=Path({str(purged.path)!r})), tell)\n"
    )
    killed = await trio.run_process([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert killed.returncode == -9
    assert purged.path.with_name("trellis.duckdb.compact").exists()
    assert read_all(purged.path) == rows
    compact_data_file(purged, lambda _: None)
    assert read_all(purged.path) == rows
    assert not purged.path.with_name("trellis.duckdb.compact").exists()


def failing(_: int) -> None:
    raise OSError(28, "No space left on device")


async def test_failed_copy_leaves_the_old_file_alone(purged: StoreSettings) -> None:
    rows = read_all(purged.path)
    with pytest.raises(Exception, match="No space left"):
        compact_data_file(purged, failing)
    assert read_all(purged.path) == rows
    assert not purged.path.with_name("trellis.duckdb.compact").exists()


async def test_command_compacts_and_says_by_how_much(purged: StoreSettings) -> None:
    command = [sys.executable, "main.py", "--data", str(purged.path.parent), "compact"]
    done = await trio.run_process(
        command, cwd=ROOT, capture_stdout=True, capture_stderr=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"{purged.path}: " in done.stdout.decode()
    assert " bytes, before " in done.stdout.decode()
