"""Bringing the data file's schema to this program's version."""

import hashlib
import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import resources

import attrs
import duckdb

from engine.errors import DataFileFailedError, NewerSchemaError

logger = logging.getLogger(__name__)

_NAME = re.compile(r"(?P<version>\d{4})_(?P<name>[a-z0-9_]+)\.sql")


@attrs.frozen
class Migration:
    """One numbered step."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def load_migrations() -> tuple[Migration, ...]:
    """Read the shipped migrations in order.

    Raises:
      ValueError: the numbers are not 1, 2, 3, … without gaps.
    """
    migrations = []
    for file in resources.files("engine.store.migrations").iterdir():
        match = _NAME.fullmatch(file.name)
        if match:
            sql = file.read_text(encoding="utf-8")
            migrations.append(Migration(int(match["version"]), match["name"], sql))
    migrations.sort(key=lambda migration: migration.version)
    if [m.version for m in migrations] != list(range(1, len(migrations) + 1)):
        raise ValueError(f"migrations are not numbered 1..n: {[m.version for m in migrations]}")
    return tuple(migrations)


def apply_migrations(
    connection: duckdb.DuckDBPyConnection, migrations: Sequence[Migration]
) -> None:
    """Run the migrations the file has not seen, each in a transaction of its own.

    Raises:
      NewerSchemaError: the file has a version this program does not know.
      DataFileFailedError: a migration fails, or one the file has seen was changed since.
    """
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations "
        "(version INTEGER PRIMARY KEY, name VARCHAR, sha256 VARCHAR, applied_at TIMESTAMP)"
    )
    applied = dict(connection.execute("SELECT version, sha256 FROM schema_migrations").fetchall())
    newest = max(applied, default=0)
    if newest > len(migrations):
        raise NewerSchemaError(
            f"the data file has schema version {newest}, this program knows {len(migrations)}; "
            "run the newer Trellis, or restore a backup made by this one"
        )
    for migration in migrations:
        if migration.version not in applied:
            _apply(connection, migration)
        elif applied[migration.version] != migration.sha256:
            raise DataFileFailedError(
                f"migration {migration.version} ({migration.name}) differs from the one this data "
                "file was made with; a shipped migration is never edited, add a new one"
            )


def _apply(connection: duckdb.DuckDBPyConnection, migration: Migration) -> None:
    connection.begin()
    try:
        connection.execute(migration.sql)
        connection.execute(
            "INSERT INTO schema_migrations VALUES (?, ?, ?, ?)",
            [
                migration.version,
                migration.name,
                migration.sha256,
                datetime.now(UTC).replace(tzinfo=None),
            ],
        )
        connection.commit()
    except duckdb.Error as error:
        # A failed commit has ended the transaction already; a failed statement has not.
        with suppress(duckdb.TransactionException):
            connection.rollback()
        raise DataFileFailedError(
            f"migration {migration.version} ({migration.name}) failed: {error}"
        ) from error
    logger.info("schema migrated", extra={"version": migration.version, "step": migration.name})
