"""Models as people and machines read them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import click

from engine.cli.tables import print_table
from engine.cli.times import show_time
from proto.trellis.v1.models_pb2 import Metric, Model, ModelSource, TrainedArtifact

_SOURCE_PREFIX: Final = "MODEL_SOURCE_"


def aliases_of(model: Model) -> dict[str, int]:
    """Return the versions that the aliases of a model point to."""
    return {alias.alias: alias.version for alias in model.aliases}


def print_models(models: Sequence[Model]) -> None:
    """Print a table with a line a model."""
    if not models:
        click.echo("no models")
        return
    print_table(
        ("model", "champion", "challenger", "latest", "source", "features", "description"),
        [
            (
                model.model,
                aliases_of(model).get("champion"),
                aliases_of(model).get("challenger"),
                model.latest_version,
                _source(model),
                len(model.features),
                model.description,
            )
            for model in models
        ],
    )


def print_model(model: Model) -> None:
    """Print all there is to say of a version."""
    facts: dict[str, object] = {
        "model": model.model,
        "version": model.version,
        "aliases": ", ".join(f"{name} {at}" for name, at in aliases_of(model).items()),
        "champion before": model.champion_before or None,
        "latest": model.latest_version,
        "source": _source(model),
        "created": show_time(model.created_at),
        "entity": model.entity,
        "features": ", ".join(model.features),
        "description": model.description,
    }
    if not model.HasField("trained"):
        _print_facts(facts)
        return
    trained = model.trained
    _print_facts(facts | _facts_of_training(trained))
    click.echo()
    print_metrics(trained)
    if trained.importance:
        click.echo()
        print_table(
            ("feature", "importance", "spread"),
            [(i.feature, f"{i.importance:.4f}", f"{i.spread:.4f}") for i in trained.importance],
        )


def print_metrics(trained: TrainedArtifact) -> None:
    """Print a version's metrics, beside those that its champion had on the same rows."""
    _print_beside(trained.metrics, {"champion then": trained.champion_metrics})


def print_quality(live: Sequence[Metric], trained: Sequence[Metric]) -> None:
    """Print what predictions turned out to be worth, beside what training had measured."""
    _print_beside(live, {"in training": trained})


def describe_model(model: Model) -> dict[str, Any]:
    """Return a version as it is printed for machines; None where there is nothing."""
    return {
        "model": model.model,
        "version": model.version,
        "latest_version": model.latest_version,
        "aliases": aliases_of(model),
        "champion_before": model.champion_before or None,
        "source": _source(model),
        "created_at": show_time(model.created_at),
        "entity": model.entity,
        "features": list(model.features),
        "description": model.description,
        "trained": _describe_training(model.trained) if model.HasField("trained") else None,
    }


def describe_metrics(metrics: Iterable[Metric]) -> dict[str, Any]:
    """Return metrics by name, each with its interval."""
    return {one.name: {"value": one.value, "low": one.low, "high": one.high} for one in metrics}


def _source(model: Model) -> str:
    return ModelSource.Name(model.source).removeprefix(_SOURCE_PREFIX).lower()


def _print_facts(facts: Mapping[str, object]) -> None:
    shown = [(name, fact) for name, fact in facts.items() if fact not in ("", None)]
    print_table(("field", "value"), shown)


def _facts_of_training(trained: TrainedArtifact) -> dict[str, object]:
    return {
        "estimator": f"{trained.estimator} ({trained.task})",
        "cause": trained.cause,
        "drift report": trained.drift_report_id,
        "job": trained.job_id,
        "trained from": show_time(trained.trained_from),
        "trained until": show_time(trained.trained_until),
        "commit": trained.training_commit_seq,
        "rows": f"{trained.rows_fitted:,} fitted, {trained.rows_tested:,} held out",
        "artifact": f"{trained.artifact} ({trained.size_bytes:,} bytes)",
        "sha256": trained.sha256,
    }


def _print_beside(metrics: Sequence[Metric], others: Mapping[str, Sequence[Metric]]) -> None:
    if not metrics and not any(others.values()):
        return
    beside = {title: {one.name: one for one in found} for title, found in others.items() if found}
    own = {one.name: one for one in metrics}
    names = dict.fromkeys([*own, *(name for found in beside.values() for name in found)])
    print_table(
        ("metric", "value", "95 % interval", *beside),
        [
            (
                name,
                *_value_and_interval(own.get(name)),
                *(_value_and_interval(found.get(name))[0] for found in beside.values()),
            )
            for name in names
        ],
    )


def _value_and_interval(metric: Metric | None) -> tuple[str, str]:
    if metric is None:
        return "", ""
    return f"{metric.value:.4f}", f"{metric.low:.4f} to {metric.high:.4f}"


def _describe_training(trained: TrainedArtifact) -> dict[str, Any]:
    return {
        "estimator": trained.estimator,
        "task": trained.task,
        "cause": trained.cause,
        "drift_report_id": trained.drift_report_id or None,
        "job_id": trained.job_id,
        "trained_from": show_time(trained.trained_from),
        "trained_until": show_time(trained.trained_until),
        "training_commit_seq": trained.training_commit_seq,
        "rows_fitted": trained.rows_fitted,
        "rows_tested": trained.rows_tested,
        "artifact": trained.artifact,
        "sha256": trained.sha256,
        "size_bytes": trained.size_bytes,
        "metrics": describe_metrics(trained.metrics),
        "champion_metrics": describe_metrics(trained.champion_metrics) or None,
        "importance": [
            {"feature": one.feature, "importance": one.importance, "spread": one.spread}
            for one in trained.importance
        ],
        "lineage": json.loads(trained.lineage_json or "{}"),
    }
