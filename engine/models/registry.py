"""Which model needs which features: kept in DuckDB, answered from memory."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Literal, Protocol

import attrs
import trio

from engine import metrics
from engine.clock import Clock, read_clock_us
from engine.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from engine.models.definitions import (
    ALIASES,
    CHAMPION,
    Model,
    ModelVersion,
    Source,
    TrainedArtifact,
    check_description,
    check_features,
    check_name,
    close_names,
)
from engine.models.following import follow
from engine.models.planning import Change, TrainedChange, plan_alias, plan_model, plan_trained
from engine.models.policy import Promotion
from engine.models.stored import ModelReader, read_models
from engine.records import Commit, Operation, Receipt, WriteRequest

logger = logging.getLogger(__name__)

DEFAULT_ENTITY = "user"


class ModelWriter(Protocol):
    """What the registry needs of the store's writer."""

    async def submit(self, request: WriteRequest) -> Receipt:
        """Write a request in one transaction and wait for its commit."""

    def add_commit_listener(self, listener: Callable[[Commit], None]) -> None:
        """Call `listener` after every commit, before its senders are answered."""


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


class ModelRegistry:
    """All models in memory, as committed: it follows what the writer has written.

    Used from the Trio thread only. `load` before anything else.
    """

    def __init__(
        self,
        writer: ModelWriter,
        reader: ModelReader,
        entity_of: Mapping[str, str],
        clock_us: Clock = read_clock_us,
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
        self._reserved: dict[str, int] = {}
        self._changing = trio.Lock()
        writer.add_commit_listener(self._follow)

    async def load(self) -> None:
        """Read all models from the data file. Raises StoreError."""
        self._models = await read_models(self._reader)
        for model in self._models.values():
            _show_model(model)
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
            await self._write(change.operations)
            created = change.new_version is not None
            model = self._models[name]
            return Registration(model.find(change.new_version or model.latest.version), created)

    @asynccontextmanager
    async def holding_still(self) -> AsyncIterator[None]:
        """Keep models as they are while the block runs, save for what it has written itself.

        Cancellation: a checkpoint while a change is under way.
        """
        async with self._changing:
            yield

    def plan_training(
        self,
        name: str,
        features: tuple[str, ...],
        trained: TrainedArtifact,
        promotion: Promotion,
    ) -> TrainedChange:
        """Plan a new, trained version, and what becomes of it; nothing is changed yet.

        The operations belong into the transaction that ends the training's job; until that has
        landed, from before it was decided what is to become of the version, `holding_still` keeps
        aliases where they are. If it is refused, the version's number is skipped.

        Raises:
          NotFoundError: there is no such model.
        """
        model = self.find(name)
        number = self._reserve_version(name)
        version = ModelVersion(name, number, features, Source.TRAINED, self._clock_us(), trained)
        return plan_trained(model, version, promotion)

    def check_alias(
        self, name: str, alias: str, version: int | None, expected: int | Literal["any"] | None
    ) -> int | None:
        """Return where an alias points, if it may be moved. Arguments and errors: `set_alias`."""
        if alias not in ALIASES:
            raise InvalidArgumentError("alias", f"{alias[:80]!r} is none of {', '.join(ALIASES)}")
        model = self.find(name)
        before = model.aliases.get(alias)
        if expected not in ("any", before):
            raise FailedPreconditionError(
                f"the {alias} of {name!r} is {_shown(before)}, not {_shown(expected)}; look at "
                "it again"
            )
        if version is None and alias == CHAMPION:
            raise InvalidArgumentError("version", "a champion is replaced, not taken away")
        if version is not None and model.find(version).trained is None:
            raise FailedPreconditionError(
                f"version {version} of {name!r} is a list of features; train it first"
            )
        return before

    async def set_alias(
        self,
        name: str,
        alias: str,
        version: int | None,
        *,
        expected: int | Literal["any"] | None = "any",
        reason: str = "by call",
    ) -> int | None:
        """Point an alias to a trained version, or take it away.

        Args:
          version: where to; None takes it away, of which `champion` is spared.
          expected: refuse unless it points there now; None: nowhere.
          reason: for the model's log.
        Returns: where it pointed before.
        Raises:
          InvalidArgumentError: there is no such alias, or it cannot be taken away.
          NotFoundError: no such model or version.
          FailedPreconditionError: the version was never trained, or the alias points elsewhere.
          UnavailableError: the engine is shutting down.
        Cancellation: a checkpoint while another change is under way; then nothing is changed.
        """
        async with self._changing:
            before = self.check_alias(name, alias, version, expected)
            model = self.find(name)
            if version == before:
                return before
            await self._write(plan_alias(model, alias, version, reason, self._clock_us()))
        logger.info(
            "alias removed" if version is None else "alias set",
            extra={
                "model": name,
                "version": version,
                "alias": alias,
                "before": before,
                "reason": reason,
            },
        )
        return before

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
            new = tuple(c.name for c in changes if c.name not in self._models)
            report = SyncReport(
                created=new,
                changed=tuple(c.name for c in changes if c.operations and c.name not in new),
                removed=tuple(
                    model.name
                    for model in self.list()
                    if model.declared is not None and model.name not in declared
                ),
            )
            await self._write(tuple(one for change in changes for one in change.operations))
            self._declared = frozenset(declared)
        self._log_sync(report)
        return report

    def _plan(
        self, name: str, features: tuple[str, ...], description: str, entity: str, source: Source
    ) -> Change:
        at_us = self._clock_us()
        first = ModelVersion(name, 1, features, source, at_us)
        return plan_model(
            Model(name, entity, description, at_us, (first,)),
            self._models.get(name),
            lambda: self._reserve_version(name),
        )

    def _reserve_version(self, name: str) -> int:
        """Return a number that no version has, nor one whose commit is still to come."""
        number = max(self._models[name].latest.version, self._reserved.get(name, 0)) + 1
        self._reserved[name] = number
        return number

    async def _write(self, operations: tuple[Operation, ...]) -> None:
        if operations:
            # Were the wait given up, the lock would be free before memory knows of the commit.
            with trio.CancelScope(shield=True):
                await self._writer.submit(WriteRequest(operations))

    def _follow(self, commit: Commit) -> None:
        for request in commit.requests:
            changed = follow(self._models, request.operations)
            self._models.update(changed)
            for model in changed.values():
                _show_model(model)

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


def _show_model(model: Model) -> None:
    """Bring the gauges along; an alias that points nowhere is 0."""
    for alias in ALIASES:
        if alias in model.aliases or model.latest.trained is not None:
            metrics.MODEL_VERSION.labels(model.name, alias).set(model.aliases.get(alias, 0))
    trained = [version.created_at_us for version in model.versions if version.trained is not None]
    if trained:
        metrics.MODEL_TRAINED_TIMESTAMP_SECONDS.labels(model.name).set(trained[-1] / 1_000_000)


def _shown(version: int | str | None) -> str:
    return "nowhere" if version is None else f"version {version}"
