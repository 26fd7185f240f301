"""What jobs of the learning loop are asked for: their payloads, written and read back. Pure.

A payload holds all that decides what a job does, so that another attempt, or one after a restart
with other definitions, does the same.
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from engine.config import (
    EstimatorSpec,
    LabelSpec,
    ModelSpec,
    ObservationsSpec,
    SplitSpec,
    ThresholdsConfig,
)
from engine.config.estimators import ESTIMATORS
from engine.models import Model, ModelVersion
from engine.models.labels import History
from engine.models.policy import Cause, metric_of

TRAIN: Final = "train"
"""The type of job that trains."""
DETECT_DRIFT: Final = "detect_drift"
"""The type of job that looks for drift."""

_SECOND_US: Final = 1_000_000


@attrs.frozen
class TrainingRequest:
    """A training, as its job's payload has it."""

    model: str
    entity: str
    features: tuple[str, ...]
    label: LabelSpec
    estimator: EstimatorSpec
    observations: ObservationsSpec
    split: SplitSpec
    metric: str
    cause: Cause
    drift_report_id: str | None
    history: History
    champion_version: int | None
    champion_features: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The features of its rows: its own, then those that only the champion needs."""
        return tuple(dict.fromkeys((*self.features, *self.champion_features)))


def request_training(
    spec: ModelSpec,
    estimator: EstimatorSpec,
    model: Model,
    history: History,
    cause: Cause,
    drift_report_id: str | None,
) -> TrainingRequest:
    """Return the training of a declared model with a label, beside its champion of now."""
    assert spec.label is not None
    champion = model.champion
    return TrainingRequest(
        model=spec.name,
        entity=spec.entity,
        features=spec.features,
        label=spec.label,
        estimator=estimator,
        observations=spec.observations,
        split=spec.split,
        metric=metric_of(spec.policy, estimator.task),
        cause=cause,
        drift_report_id=drift_report_id,
        history=history,
        champion_version=None if champion is None else champion.version,
        champion_features=() if champion is None else champion.features,
    )


def write_training(request: TrainingRequest) -> dict[str, Any]:
    """Return the payload."""
    label = request.label
    return {
        "model": request.model,
        "entity": request.entity,
        "features": list(request.features),
        "label": {
            "from": label.source,
            "where": {key: list(values) for key, values in label.where.items()},
            "aggregate": label.aggregate,
            "column": label.column,
            "within_s": label.within,
        },
        "estimator": {
            "class": request.estimator.class_name,
            "module": ESTIMATORS[request.estimator.class_name].module,
            "parameters": dict(request.estimator.parameters),
        },
        "task": request.estimator.task.value,
        "observations": write_observations(request.observations),
        "split": attrs.asdict(request.split),
        "metric": request.metric,
        "cause": request.cause.value,
        "drift_report_id": request.drift_report_id,
        "commit_seq": request.history.commit_seq,
        "as_of_us": request.history.end_us,
        "champion_version": request.champion_version,
        "champion_features": list(request.champion_features),
    }


def read_training(payload: Mapping[str, Any]) -> TrainingRequest:
    """Return what a payload asks for. Raises KeyError or ValueError if it is not one of ours."""
    label, estimator = payload["label"], payload["estimator"]
    return TrainingRequest(
        model=payload["model"],
        entity=payload["entity"],
        features=tuple(payload["features"]),
        label=LabelSpec(
            within=label["within_s"],
            source=label["from"],
            where={key: tuple(values) for key, values in label["where"].items()},
            aggregate=label["aggregate"],
            column=label["column"],
        ),
        estimator=EstimatorSpec(estimator["class"], estimator["parameters"]),
        observations=read_observations(payload["observations"]),
        split=SplitSpec(**payload["split"]),
        metric=payload["metric"],
        cause=Cause(payload["cause"]),
        drift_report_id=payload["drift_report_id"],
        history=History(payload["commit_seq"], payload["as_of_us"]),
        champion_version=payload["champion_version"],
        champion_features=tuple(payload["champion_features"]),
    )


def write_observations(observations: ObservationsSpec) -> dict[str, Any]:
    """Return who is observed when, as JSON."""
    return {
        "every_s": observations.every,
        "last_s": observations.last,
        "at": _write_times(observations.at),
        "active_s": observations.active,
        "settle_s": observations.settle,
        "most_rows": observations.most_rows,
    }


def read_observations(written: Mapping[str, Any]) -> ObservationsSpec:
    """Return who is observed when."""
    return ObservationsSpec(
        every=written["every_s"],
        last=written["last_s"],
        at=tuple(map(datetime.datetime.fromisoformat, written["at"])),
        active=written["active_s"],
        settle=written.get("settle_s"),  # of which older payloads know nothing
        most_rows=written["most_rows"],
    )


def _write_times(times: Sequence[datetime.datetime]) -> list[str]:
    return [time.isoformat() for time in times]


@attrs.frozen
class DriftRequest:
    """A look for drift, as its job's payload has it. Times are microseconds UTC."""

    model: str
    version: int
    features: tuple[str, ...]
    observations: ObservationsSpec
    seed: int
    window_start_us: int
    window_end_us: int
    commit_seq: int
    thresholds: Mapping[str, float]
    cause: Cause

    @property
    def history(self) -> History:
        """What is looked at."""
        return History(self.commit_seq, self.window_end_us)


def request_drift_check(
    spec: ModelSpec,
    champion: ModelVersion,
    history: History,
    defaults: ThresholdsConfig,
    cause: Cause,
) -> DriftRequest:
    """Return a look at the latest window of history, against what the champion was trained on."""
    drift = spec.drift
    start_us = max(0, history.end_us - drift.window * _SECOND_US)
    return DriftRequest(
        model=spec.name,
        version=champion.version,
        features=champion.features,
        # Times that were chosen for training say nothing of the present.
        observations=attrs.evolve(spec.observations, last=drift.window, at=()),
        seed=spec.split.seed,
        window_start_us=start_us,
        window_end_us=history.end_us,
        commit_seq=history.commit_seq,
        thresholds={
            "psi": defaults.psi if drift.psi is None else drift.psi,
            "ks_statistic": (
                defaults.ks_statistic if drift.ks_statistic is None else drift.ks_statistic
            ),
            "missing_rate": (
                defaults.missing_rate if drift.missing_rate is None else drift.missing_rate
            ),
            "alpha": drift.alpha,
            "share": drift.share,
            "least_rows": drift.least_rows,
        },
        cause=cause,
    )


def write_drift_check(request: DriftRequest) -> dict[str, Any]:
    """Return the payload."""
    return {
        "model": request.model,
        "version": request.version,
        "features": list(request.features),
        "observations": write_observations(request.observations),
        "seed": request.seed,
        "window_start_us": request.window_start_us,
        "window_end_us": request.window_end_us,
        "commit_seq": request.commit_seq,
        "thresholds": dict(request.thresholds),
        "cause": request.cause.value,
    }


def read_drift_check(payload: Mapping[str, Any]) -> DriftRequest:
    """Return what a payload asks for. Raises KeyError or ValueError if it is not one of ours."""
    return DriftRequest(
        model=payload["model"],
        version=payload["version"],
        features=tuple(payload["features"]),
        observations=read_observations(payload["observations"]),
        seed=payload["seed"],
        window_start_us=payload["window_start_us"],
        window_end_us=payload["window_end_us"],
        commit_seq=payload["commit_seq"],
        thresholds=payload["thresholds"],
        cause=Cause(payload["cause"]),
    )
