import duckdb
import pytest

from engine.errors import DataFileFailedError, NewerSchemaError
from engine.store.migrate import Migration, apply_migrations, load_migrations

ONE = Migration(1, "one", "CREATE TABLE one (a INTEGER);")
TWO = Migration(2, "two", "CREATE TABLE two (a INTEGER); INSERT INTO two VALUES (1);")


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def tables(connection: duckdb.DuckDBPyConnection) -> set[str]:
    rows = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    return {name for (name,) in rows}


def test_each_migration_runs_once(connection: duckdb.DuckDBPyConnection) -> None:
    apply_migrations(connection, [ONE])
    apply_migrations(connection, [ONE, TWO])
    apply_migrations(connection, [ONE, TWO])
    assert connection.execute("SELECT count(*) FROM two").fetchall() == [(1,)]
    rows = connection.execute("SELECT version, name FROM schema_migrations ORDER BY 1").fetchall()
    assert rows == [(1, "one"), (2, "two")]


def test_a_file_from_a_newer_program_is_refused(connection: duckdb.DuckDBPyConnection) -> None:
    apply_migrations(connection, [ONE, TWO])
    with pytest.raises(NewerSchemaError, match="schema version 2, this program knows 1"):
        apply_migrations(connection, [ONE])


def test_a_failing_migration_leaves_nothing_behind(connection: duckdb.DuckDBPyConnection) -> None:
    broken = Migration(2, "broken", "CREATE TABLE half (a INTEGER); SELECT * FROM nowhere;")
    with pytest.raises(DataFileFailedError, match=r"migration 2 \(broken\) failed"):
        apply_migrations(connection, [ONE, broken])
    assert tables(connection) == {"one", "schema_migrations"}
    apply_migrations(connection, [ONE, TWO])


def test_an_edited_migration_is_refused(connection: duckdb.DuckDBPyConnection) -> None:
    apply_migrations(connection, [ONE])
    edited = Migration(1, "one", "CREATE TABLE one (a BIGINT);")
    with pytest.raises(DataFileFailedError, match="migration 1"):
        apply_migrations(connection, [edited])


def test_the_shipped_migrations_run_on_an_empty_file(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    apply_migrations(connection, load_migrations())
    assert {"events", "kafka_offsets", "dead_letters", "models"} <= tables(connection)
