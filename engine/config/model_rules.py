"""What a model's definition must hold together, beyond the kinds of its values."""

from collections.abc import Iterator, Sequence, Set

from engine.config.definitions import FeaturesFile, ModelSpec
from engine.config.estimators import ESTIMATORS, Task
from engine.config.files import FEATURES_FILE
from engine.config.learning import (
    CLASSIFICATION_METRICS,
    REGRESSION_METRICS,
    EstimatorSpec,
    LabelSpec,
)
from engine.config.structure import Mismatch

_DEFAULT_ESTIMATOR = {
    Task.CLASSIFICATION: EstimatorSpec("LogisticRegression"),
    Task.REGRESSION: EstimatorSpec("Ridge"),
}


def check_model(
    model: ModelSpec, features: FeaturesFile, named: Set[str] | None
) -> Sequence[Mismatch]:
    """Return what is wrong with a model.

    Args:
      features: the sound definitions it may refer to.
      named: every feature's name, sound or not; None if the file could not be read.
    """
    if named is None:
        return []
    found = [*_check_entity(model, features), *_check_features(model, features, named)]
    if model.label is not None:
        found += [mismatch.below("label") for mismatch in _check_label(model, features)]
    found += [mismatch.below("estimator") for mismatch in _check_estimator(model, features)]
    found += [mismatch.below("policy") for mismatch in _check_policy(model, features)]
    return found


def task_of(label: LabelSpec, features: FeaturesFile) -> Task:
    """Return what a label asks of an estimator: text and yes or no are classes."""
    if label.dataset is None:
        return Task.CLASSIFICATION if label.aggregate == "exists" else Task.REGRESSION
    upload = features.uploads.get(label.dataset)
    type_ = upload.columns.get(label.column or "") if upload is not None else None
    return Task.REGRESSION if type_ in {"double", "int64"} else Task.CLASSIFICATION


def estimator_of(model: ModelSpec, features: FeaturesFile) -> EstimatorSpec:
    """Return the estimator of a model with a label, the default one if it names none."""
    assert model.label is not None
    return model.estimator or _DEFAULT_ESTIMATOR[task_of(model.label, features)]


def _check_entity(model: ModelSpec, features: FeaturesFile) -> Iterator[Mismatch]:
    entities = tuple(features.entities)
    if entities and model.entity not in entities:
        found = f"the unknown entity {model.entity}"
        yield Mismatch(("entity",), found, ", ".join(entities), entities, model.entity)


def _check_features(
    model: ModelSpec, features: FeaturesFile, named: Set[str]
) -> Iterator[Mismatch]:
    if not model.features:
        yield Mismatch(("features",), "an empty list", "one feature at least")
    for index, name in enumerate(model.features):
        path = ("features", index)
        feature = features.features.get(name)
        if name in model.features[:index]:
            yield Mismatch(path, f"{name} a second time", "each feature once")
        elif name not in named:
            known = tuple(sorted(named))
            allowed = f"a feature of {FEATURES_FILE}"
            yield Mismatch(path, f"the unknown feature {name}", allowed, known, name)
        elif (
            feature is not None
            and model.entity in features.entities
            and feature.entity != model.entity
        ):
            found = f"{name}, a feature of {feature.entity}"
            yield Mismatch(path, found, f"a feature of {model.entity}")


def _check_label(model: ModelSpec, features: FeaturesFile) -> Iterator[Mismatch]:
    label = model.label
    assert label is not None
    dataset = label.dataset
    if dataset is None:
        if label.column is not None:
            yield Mismatch(("column",), label.column, "none, for a label from events")
        return
    for field, plain in (("where", not label.where), ("aggregate", label.aggregate == "exists")):
        if not plain:
            yield Mismatch((field,), "a value", "none, for a label from a dataset")
    known = tuple(features.uploads)
    upload = features.uploads.get(dataset)
    if upload is None:
        found = f"the unknown dataset {dataset}"
        yield Mismatch(("from",), found, f"a dataset of {FEATURES_FILE}", known, dataset)
        return
    if upload.entity != model.entity:
        found = f"{dataset}, a dataset about {upload.entity}"
        yield Mismatch(("from",), found, f"a dataset about {model.entity}")
    columns = tuple(upload.columns)
    if label.column is None:
        yield Mismatch(("column",), "nothing", ", ".join(columns))
    elif label.column not in columns:
        found = f"the unknown column {label.column}"
        yield Mismatch(("column",), found, ", ".join(columns), columns, label.column)


def _check_estimator(model: ModelSpec, features: FeaturesFile) -> Iterator[Mismatch]:
    estimator = model.estimator
    if estimator is None:
        return
    if model.label is None:
        yield Mismatch((), "an estimator", "none, for a model without a label")
        return
    task = task_of(model.label, features)
    fit = tuple(name for name, known in ESTIMATORS.items() if known.task is task)
    if estimator.class_name not in fit:
        found = f"{estimator.class_name}, for {estimator.task}"
        yield Mismatch(("class",), found, f"one for {task}: {', '.join(fit)}")
    known = tuple(sorted(ESTIMATORS[estimator.class_name].parameters))
    for name in estimator.parameters:
        if name not in known:
            found = f"a parameter that {estimator.class_name} does not take"
            yield Mismatch(("parameters", name), found, ", ".join(known), known, name)


def _check_policy(model: ModelSpec, features: FeaturesFile) -> Iterator[Mismatch]:
    policy = model.policy
    if policy.metric is None or model.label is None:
        return
    task = task_of(model.label, features)
    fit = CLASSIFICATION_METRICS if task is Task.CLASSIFICATION else REGRESSION_METRICS
    if policy.metric not in fit:
        found = f"{policy.metric}, which is not for {task}"
        yield Mismatch(("metric",), found, ", ".join(fit))
