"""Models in memory, brought along by what was committed. Pure.

Whatever writes a row of a model, memory follows the commit and nothing else: a request that was
refused, or whose sender was cancelled, leaves it as the file.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import attrs
import pyarrow as pa

from engine.clock import to_us
from engine.models import artifact_rows
from engine.models.changes import DELETE_ALIAS
from engine.models.definitions import CHAMPION, Model, ModelVersion, Source
from engine.models.succession import step
from engine.records import Append, Operation, Statement, Upsert


def follow(models: Mapping[str, Model], operations: Iterable[Operation]) -> dict[str, Model]:
    """Return the models that operations change, as they are then, by name."""
    changed: dict[str, Model] = {}

    def known(name: str) -> Model:
        return changed.get(name) or models[name]

    for operation in operations:
        match operation:
            case Upsert(table="models"):
                for row in _rows_of_upsert(operation):
                    changed[row["model"]] = _take_model(
                        changed.get(row["model"]) or models.get(row["model"]), row
                    )
            case Append(table="model_versions"):
                for row in _rows_of_append(operation):
                    changed[row["model"]] = _take_version(known(row["model"]), row)
            case Append(table="model_features"):
                for row in sorted(_rows_of_append(operation), key=lambda row: row["position"]):
                    changed[row["model"]] = _take_feature(known(row["model"]), row)
            case Append(table=artifact_rows.TABLE):
                for row in _rows_of_append(operation):
                    changed[row["model"]] = _take_artifact(known(row["model"]), row)
            case Upsert(table="model_aliases"):
                for row in _rows_of_upsert(operation):
                    changed[row["model"]] = _take_alias(known(row["model"]), row)
            case Statement(name=name, parameters=parameters) if name == DELETE_ALIAS:
                owner, _, alias = parameters["model_alias"].rpartition("/")
                model = known(owner)
                aliases = {name: at for name, at in model.aliases.items() if name != alias}
                changed[owner] = attrs.evolve(model, aliases=aliases)
            case _:
                pass
    return changed


def _take_model(known: Model | None, row: Mapping[str, Any]) -> Model:
    if known is None:
        return Model(row["model"], row["entity"], row["description"], row["created_at"], ())
    return attrs.evolve(known, entity=row["entity"], description=row["description"])


def _take_version(model: Model, row: Mapping[str, Any]) -> Model:
    version = ModelVersion(
        row["model"], row["version"], (), Source(row["source"]), row["created_at"]
    )
    versions = sorted((*model.versions, version), key=lambda one: one.version)
    return attrs.evolve(model, versions=tuple(versions))


def _take_feature(model: Model, row: Mapping[str, Any]) -> Model:
    version = model.find(row["version"])
    return _replace(model, attrs.evolve(version, features=(*version.features, row["feature"])))


def _take_artifact(model: Model, row: Mapping[str, Any]) -> Model:
    version = model.find(row["version"])
    return _replace(model, attrs.evolve(version, trained=artifact_rows.read_artifact(row)))


def _take_alias(model: Model, row: Mapping[str, Any]) -> Model:
    alias, version = row["alias"], row["version"]
    champions = step(model.champions, version) if alias == CHAMPION else model.champions
    aliases = {**model.aliases, alias: version}
    return attrs.evolve(model, aliases=aliases, champions=champions)


def _replace(model: Model, version: ModelVersion) -> Model:
    versions = tuple(version if one.version == version.version else one for one in model.versions)
    return attrs.evolve(model, versions=versions)


def _rows_of_upsert(operation: Upsert) -> Iterable[dict[str, Any]]:
    for row in operation.rows:
        yield {
            name: to_us(value) if isinstance(value, datetime) else value
            for name, value in zip(operation.columns, row, strict=True)
        }


def _rows_of_append(operation: Append) -> list[dict[str, Any]]:
    data = operation.data
    columns = [
        column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        for column in data.columns
    ]
    rows: list[dict[str, Any]] = pa.RecordBatch.from_arrays(columns, data.schema.names).to_pylist()
    return rows
