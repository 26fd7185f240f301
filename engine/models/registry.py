"""Which model needs which features: kept in DuckDB, answered from memory."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import attrs
import trio

from engine.errors import FailedPreconditionError, NotFoundError
from engine.models.changes import now_us, row_of_log, rows_of_model, rows_of_version
from engine.models.definitions import (
    Model,
    ModelVersion,
    Source,
    check_description,
    check_features,
    check_name,
    close_names,
)
from engine.records import Operation, Receipt, WriteRequest
from engine.store.queries import load_queries

logger = logging.getLogger(__name__)

DEFAULT_ENTITY = "user"


class ModelWriter(Protocol):
    """What the registry needs of the store's writer."""

    async def submit(self, request: WriteRequest) -> Receipt:
        """Write a request in one transaction and wait for its commit."""


class ModelReader(Protocol):
    """What the registry needs of the store's reader."""

    async def fetch_rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""


class DeclaredModel(Protocol):
    """A model as `models.yaml` declares it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def entity(self) -> str:
        """The entity its features describe."""

    @property
    def features(self) -> tuple[str, ...]:
        """The features it needs, in order."""

    @property
    def description(self) -> str:
        """What it is for."""


@attrs.frozen
class Registration:
    """What came of registering: the version with the asked features, and whether it is new."""

    version: ModelVersion
    created: bool


@attrs.frozen
class SyncReport:
    """What a start changed: names of models by what happened to them."""

    created: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


@attrs.frozen
class _Change:
    model: Model
    operations: tuple[Operation, ...]
    created_version: bool


class ModelRegistry:
    """All models in memory, as committed; changes go through the writer first.

    Used from the Trio thread only. `load` before anything else.
    """

    def __init__(
        self,
        writer: ModelWriter,
        reader: ModelReader,
        entity_of: Mapping[str, str],
        clock_us: Callable[[], int] = now_us,
    ) -> None:
        """Make an empty registry.

        Args:
          entity_of: the entity of each defined feature, by feature name.
          clock_us: the present, UTC, microseconds.
        """
        self._writer = writer
        self._reader = reader
        self._entity_of = entity_of
        self._clock_us = clock_us
        self._models: dict[str, Model] = {}
        self._declared: frozenset[str] = frozenset()
        self._changing = trio.Lock()

    async def load(self) -> None:
        """Read all models from the data file. Raises StoreError."""
        queries = load_queries("engine.models")
        versions: dict[str, list[ModelVersion]] = {}
        for name, number, source, created_at_us, features in await self._reader.fetch_rows(
            queries["model_versions"]
        ):
            version = ModelVersion(name, number, tuple(features), Source(source), created_at_us)
            versions.setdefault(name, []).append(version)
        aliases: dict[str, dict[str, int]] = {}
        for name, alias, number in await self._reader.fetch_rows(queries["model_aliases"]):
            aliases.setdefault(name, {})[alias] = number
        for name, entity, description, created_at_us in await self._reader.fetch_rows(
            queries["models"]
        ):
            self._models[name] = Model(
                name,
                entity,
                description,
                created_at_us,
                tuple(versions[name]),
                aliases.get(name, {}),
            )
        self._report_lost_features()

    def get(self, name: str, version: int | None = None) -> ModelVersion:
        """Return a version of a model.

        Args:
          version: a number from 1; None or 0 for the champion, or without one the latest.
        Raises:
          InvalidArgumentError: the version is negative.
          NotFoundError: no such model or version; names close ones.
        """
        model = self.find(name)
        return model.find(version) if version else model.default

    def find(self, name: str) -> Model:
        """Return a model with all its versions. Raises NotFoundError, which names close ones."""
        model = self._models.get(name)
        if model is None:
            raise NotFoundError("model", name[:80], close_names(name, self._models))
        return model

    def list(self) -> tuple[Model, ...]:
        """Return all models, by name."""
        return tuple(self._models[name] for name in sorted(self._models))

    async def register(
        self,
        name: str,
        features: Sequence[str],
        description: str = "",
        entity: str = DEFAULT_ENTITY,
    ) -> Registration:
        """Keep a model, or a new version of it if its latest has other features.

        Registering twice is registering once. An empty description leaves the one that is there.

        Args:
          features: 1 to 256 defined features of `entity`, in the order of the input vector.
        Raises:
          InvalidArgumentError: the name, the list or the description is not acceptable.
          NotFoundError: the entity or a feature is not defined; names close ones.
          FailedPreconditionError: the model is of another entity, or `models.yaml` declares it
            with other features.
          UnavailableError: the engine is shutting down.
        Cancellation: a checkpoint while another registration is under way; then nothing is kept.
        """
        check_name(name)
        check_description(description)
        check_features(features, entity, self._entity_of)
        async with self._changing:
            known = self._models.get(name)
            asked = tuple(features)
            if name in self._declared and known is not None and known.latest.features != asked:
                raise FailedPreconditionError(
                    f"the model {name!r} is declared in models.yaml; change its features there"
                )
            change = self._plan(name, asked, description, entity, Source.REGISTERED)
            await self._apply([change])
            return Registration(change.model.latest, change.created_version)

    async def sync_declared(self, declared: Mapping[str, DeclaredModel]) -> SyncReport:
        """Bring what `models.yaml` declares into the registry, in one transaction.

        A declaration that is gone from the file leaves its model as it is: versions that were
        served stay reproducible.

        Raises: as `register`.
        """
        async with self._changing:
            changes = []
            for name, spec in declared.items():
                check_name(name)
                check_description(spec.description)
                check_features(spec.features, spec.entity, self._entity_of)
                changes.append(
                    self._plan(name, spec.features, spec.description, spec.entity, Source.DECLARED)
                )
            new = tuple(c.model.name for c in changes if c.model.name not in self._models)
            report = SyncReport(
                created=new,
                changed=tuple(
                    c.model.name for c in changes if c.operations and c.model.name not in new
                ),
                removed=tuple(
                    model.name
                    for model in self.list()
                    if model.latest.source is Source.DECLARED and model.name not in declared
                ),
            )
            await self._apply(changes)
            self._declared = frozenset(declared)
        self._log_sync(report)
        return report

    def _plan(
        self, name: str, features: tuple[str, ...], description: str, entity: str, source: Source
    ) -> _Change:
        """Decide what changes; nothing does yet."""
        at_us = self._clock_us()
        known = self._models.get(name)
        if known is not None and known.entity != entity:
            raise FailedPreconditionError(
                f"the model {name!r} is for the entity {known.entity!r}, not {entity!r}; "
                "take another name"
            )
        if known is None:
            version = ModelVersion(name, 1, features, source, at_us)
            model = Model(name, entity, description, at_us, (version,))
            log = row_of_log(at_us, name, 1, "created", _facts(version, model))
            return _Change(model, (rows_of_model(model), *rows_of_version(version), log), True)
        model = attrs.evolve(known, description=description or known.description)
        operations: list[Operation] = []
        if model.description != known.description:
            operations.append(rows_of_model(model))
        created_version = features != known.latest.features
        if created_version:
            version = ModelVersion(name, known.latest.version + 1, features, source, at_us)
            model = attrs.evolve(model, versions=(*known.versions, version))
            operations.extend(rows_of_version(version))
        if operations:
            what = "version added" if created_version else "described"
            facts = _facts(model.latest, model)
            operations.append(row_of_log(at_us, name, model.latest.version, what, facts))
        return _Change(model, tuple(operations), created_version)

    async def _apply(self, changes: Sequence[_Change]) -> None:
        operations = tuple(operation for change in changes for operation in change.operations)
        if operations:
            # Were the wait given up, the commit could still happen and memory would not know of
            # it: the next version would get the same number. The writer answers or fails for sure.
            with trio.CancelScope(shield=True):
                await self._writer.submit(WriteRequest(operations))
        for change in changes:
            self._models[change.model.name] = change.model

    def _report_lost_features(self) -> None:
        for model in self.list():
            lost = [name for name in model.default.features if name not in self._entity_of]
            if lost:
                logger.warning(
                    "model needs undefined features", extra={"model": model.name, "lost": lost}
                )

    def _log_sync(self, report: SyncReport) -> None:
        for name in (*report.created, *report.changed):
            latest = self._models[name].latest
            facts = {"model": name, "version": latest.version, "features": list(latest.features)}
            logger.info("declared model changed", extra=facts)
        for name in report.removed:
            logger.warning("model is no longer declared; it stays as it is", extra={"model": name})


def _facts(version: ModelVersion, model: Model) -> dict[str, Any]:
    return {
        "description": model.description,
        "features": list(version.features),
        "source": version.source.value,
    }
