"""What a change of a model writes. Pure: the model as it is goes in, operations come out."""

from collections.abc import Callable
from typing import Any

import attrs

from engine.errors import FailedPreconditionError
from engine.models.changes import row_of_alias, row_of_log, rows_of_model, rows_of_version
from engine.models.definitions import (
    CHALLENGER,
    CHAMPION,
    Model,
    ModelVersion,
    Source,
)
from engine.models.policy import Promotion, Role
from engine.records import Operation


@attrs.frozen
class Change:
    """What is to be written of a model; nothing if all is as asked."""

    name: str
    operations: tuple[Operation, ...] = ()
    new_version: int | None = None


@attrs.frozen
class TrainedChange:
    """A trained version that is to be, and the operations that make it one."""

    version: ModelVersion
    operations: tuple[Operation, ...]


def plan_model(asked: Model, known: Model | None, reserve: Callable[[], int]) -> Change:
    """Plan a model, or what is new of one: its description, or a version with other features.

    Args:
      asked: with one version, which says its features and source, and when it is asked for.
      known: as it is; None if there is none. An empty description leaves the one it has.
      reserve: returns the number that a new version takes.
    Raises:
      FailedPreconditionError: it is for another entity.
    """
    wanted = asked.latest
    at_us = asked.created_at_us
    if known is None:
        log = row_of_log(at_us, asked.name, wanted.version, "created", _facts(wanted, asked))
        rows = (rows_of_model(asked), *rows_of_version(wanted), log)
        return Change(asked.name, rows, wanted.version)
    if known.entity != asked.entity:
        raise FailedPreconditionError(
            f"the model {asked.name!r} is for the entity {known.entity!r}, not {asked.entity!r}; "
            "take another name"
        )
    model = attrs.evolve(known, description=asked.description or known.description)
    operations: list[Operation] = []
    if model.description != known.description:
        operations.append(rows_of_model(model))
    new_version = None
    latest = known.latest
    if wanted.features != latest.features:
        new_version = reserve()
        latest = attrs.evolve(wanted, version=new_version)
        operations.extend(rows_of_version(latest))
    if operations:
        what = "described" if new_version is None else "version added"
        facts = _facts(latest, model)
        operations.append(row_of_log(at_us, asked.name, latest.version, what, facts))
    return Change(asked.name, tuple(operations), new_version)


def plan_trained(model: Model, version: ModelVersion, promotion: Promotion) -> TrainedChange:
    """Plan a new, trained version of a model, and what becomes of it."""
    trained = version.trained
    assert trained is not None
    facts = {
        "job_id": trained.job_id,
        "cause": trained.cause,
        "drift_report_id": trained.drift_report_id,
        "metrics": {one.name: one.value for one in trained.metrics},
    }
    alias = CHAMPION if promotion.role is Role.CHAMPION else CHALLENGER
    operations = (
        *rows_of_version(version),
        row_of_log(version.created_at_us, model.name, version.version, "trained", facts),
        *_point(model, alias, version.version, promotion.reason, version.created_at_us),
    )
    if alias == CHAMPION and CHALLENGER in model.aliases:
        # It waited to be better than the champion of before.
        reason = f"version {version.version} is champion"
        operations += _take_away(model, CHALLENGER, reason, version.created_at_us)
    return TrainedChange(version, operations)


def plan_alias(
    model: Model, alias: str, version: int | None, reason: str, at_us: int
) -> tuple[Operation, ...]:
    """Plan where an alias points from now on; None takes it away."""
    if version is None:
        return _take_away(model, alias, reason, at_us)
    operations = _point(model, alias, version, reason, at_us)
    if alias == CHAMPION and version == model.aliases.get(CHALLENGER):
        operations += _take_away(model, CHALLENGER, f"version {version} is champion", at_us)
    return operations


def _point(
    model: Model, alias: str, version: int, reason: str, at_us: int
) -> tuple[Operation, ...]:
    facts = {"alias": alias, "before": model.aliases.get(alias), "reason": reason}
    return (
        row_of_alias(at_us, model.name, alias, version),
        row_of_log(at_us, model.name, version, "alias set", facts),
    )


def _take_away(model: Model, alias: str, reason: str, at_us: int) -> tuple[Operation, ...]:
    facts = {"alias": alias, "before": model.aliases.get(alias), "reason": reason}
    return (
        row_of_alias(at_us, model.name, alias, None),
        row_of_log(at_us, model.name, None, "alias removed", facts),
    )


def _facts(version: ModelVersion, model: Model) -> dict[str, Any]:
    source: Source = version.source
    return {
        "description": model.description,
        "features": list(version.features),
        "source": source.value,
    }
