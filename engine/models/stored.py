"""All models as the data file has them."""

from typing import Any, Protocol

import pyarrow as pa

from engine.models.artifact_rows import read_artifact
from engine.models.definitions import Model, ModelVersion, Source
from engine.models.succession import walk
from engine.store.queries import load_queries

_QUERIES = load_queries("engine.models")


class ModelReader(Protocol):
    """What is needed of the store's reader."""

    async def fetch_rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""

    async def fetch_arrow(self, sql: str) -> pa.Table:
        """Run a query and return its result as an Arrow table."""


async def read_models(reader: ModelReader) -> dict[str, Model]:
    """Return all models by name.

    Raises:
      StoreError: a query failed.
    Cancellation: the query is interrupted.
    """
    versions = await _read_versions(reader)
    aliases: dict[str, dict[str, int]] = {}
    for name, alias, number in await reader.fetch_rows(_QUERIES["model_aliases"]):
        aliases.setdefault(name, {})[alias] = number
    champions: dict[str, list[int]] = {}
    for name, number in await reader.fetch_rows(_QUERIES["champions"]):
        champions.setdefault(name, []).append(number)
    return {
        name: Model(
            name,
            entity,
            description,
            created_at_us,
            tuple(versions[name]),
            aliases.get(name, {}),
            walk(champions.get(name, ())),
        )
        for name, entity, description, created_at_us in await reader.fetch_rows(_QUERIES["models"])
    }


async def _read_versions(reader: ModelReader) -> dict[str, list[ModelVersion]]:
    artifacts = {
        (row["model"], row["version"]): read_artifact(row)
        for row in (await reader.fetch_arrow(_QUERIES["model_artifacts"])).to_pylist()
    }
    versions: dict[str, list[ModelVersion]] = {}
    for name, number, source, created_at_us, features in await reader.fetch_rows(
        _QUERIES["model_versions"]
    ):
        trained = artifacts.get((name, number))
        version = ModelVersion(
            name, number, tuple(features), Source(source), created_at_us, trained
        )
        versions.setdefault(name, []).append(version)
    return versions
