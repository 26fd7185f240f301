"""Data files of every earlier schema, and of a later one, met by the present program."""

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from engine.errors import NewerSchemaError
from engine.store import StoreSettings, open_store
from engine.store.migrate import apply_migrations, load_migrations
from tests.support.engine_process import ANY_FREE_PORTS, ROOT, EngineProcess

MIGRATIONS = load_migrations()
COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
ORDER BY ALL
"""
EVENT = """
INSERT INTO events VALUES
(7, 'view', now()::TIMESTAMP - INTERVAL 1 MINUTE, now()::TIMESTAMP, NULL, NULL, 'topic', 0, 0, 41)
"""


def make_file(path: Path, version: int) -> None:
    """Make the data file of an earlier version, with one event."""
    path.parent.mkdir(parents=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        apply_migrations(connection, MIGRATIONS[:version])
        connection.execute(EVENT)


def make_newer(path: Path) -> None:
    make_file(path, len(MIGRATIONS))
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "INSERT INTO schema_migrations VALUES (?, 'later', '', now())", [len(MIGRATIONS) + 1]
        )


def columns_of(path: Path) -> list[tuple[object, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(COLUMNS).fetchall()


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
async def test_file_of_an_earlier_version_becomes_one_of_today_and_keeps_its_rows(
    settings: StoreSettings, tmp_path: Path, version: int
) -> None:
    make_file(settings.path, version)
    async with open_store(settings) as store:
        assert await store.reader.fetch_rows("SELECT user_id, action FROM events") == [(7, "view")]
        assert store.writer.commit_seq == 41
    make_file(tmp_path / "new" / "trellis.duckdb", len(MIGRATIONS))
    assert columns_of(settings.path) == columns_of(tmp_path / "new" / "trellis.duckdb")


async def test_file_of_a_later_version_is_refused_with_both_versions(
    settings: StoreSettings,
) -> None:
    make_newer(settings.path)
    newest = len(MIGRATIONS)
    with pytest.raises(NewerSchemaError, match=f"version {newest + 1}, .* knows {newest};"):
        async with open_store(settings):
            pass


def test_engine_goes_on_with_the_first_versions_file(tmp_path: Path) -> None:
    make_file(tmp_path / "data" / "trellis.duckdb", 1)
    with EngineProcess(tmp_path / "data") as engine:
        shown = subprocess.run(
            [
                *(sys.executable, "main.py", "--data", str(engine.data_dir)),
                *("features", "7", "--feature", "views_5m"),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        assert engine.stop() == 0
    [line] = [line for line in shown.splitlines() if line.startswith("views_5m")]
    assert line.split()[1:3] == ["1", "present"]


def test_engine_refuses_a_later_versions_file_and_leaves_it_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "data" / "trellis.duckdb"
    make_newer(path)
    before = path.read_bytes()
    settings = [argument for port in ANY_FREE_PORTS for argument in ("--set", port)]
    done = subprocess.run(
        [sys.executable, "main.py", "--data", str(path.parent), *settings],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "run the newer Trellis, or restore a backup" in done.stderr
    assert path.read_bytes() == before
