"""The pipeline of a training before it is fitted: how columns are treated, and the estimator."""

import importlib
from collections.abc import Mapping
from typing import Any, Final

import attrs
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from engine.config import ESTIMATORS
from engine.tasks.artifacts.soundness import CATEGORICAL, NUMERIC
from engine.tasks.errors import PermanentJobError
from engine.tasks.frames import TEXT
from engine.tasks.training.request import Estimator

LEAST_CATEGORY_ROWS: Final = 10
"""A rarer category is treated like one never seen: a weight of its own would be chance."""
CATEGORIES_MAX: Final = 64
"""Of one feature; the less frequent ones are treated as one."""

_SCALED: Final = ("sklearn.linear_model", "sklearn.naive_bayes")
"""Estimators that are sensitive to the unit of a feature; trees are not."""


@attrs.frozen
class UsableFeatures:
    """The features that a model can learn from, and why the others are none."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    left_out: Mapping[str, str]


def find_usable(frame: pd.DataFrame, types: Mapping[str, str]) -> UsableFeatures:
    """Leave out the features that are the same in every row to fit on.

    A feature with one value that is missing at times is kept: its being missing says something.

    Raises:
      PermanentJobError: no_usable_feature; there is none left.
    """
    left_out = {}
    kinds: dict[bool, list[str]] = {True: [], False: []}
    for name in frame.columns:
        present = frame[name].dropna()
        if not len(present):
            left_out[name] = "missing in every row"
        elif len(present) == len(frame) and present.nunique() == 1:
            left_out[name] = "the same in every row"
        else:
            kinds[types[name] == TEXT].append(name)
    if not kinds[True] and not kinds[False]:
        reasons = "; ".join(f"{name} is {reason}" for name, reason in left_out.items())
        raise PermanentJobError("no_usable_feature", f"there is nothing to learn from: {reasons}")
    return UsableFeatures(tuple(kinds[False]), tuple(kinds[True]), left_out)


def build_columns(usable: UsableFeatures, class_name: str) -> ColumnTransformer:
    """Return the treatment of columns, to be fitted.

    Numbers: the median for what is missing, with a column that says where it was; scaled to mean 0
    and deviation 1 for estimators that need it. Text: a column a category, one for what is
    missing, one for all rare and unknown ones.
    """
    steps: list[tuple[str, Any]] = [
        ("impute", SimpleImputer(strategy="median", add_indicator=True))
    ]
    if ESTIMATORS[class_name].module in _SCALED:
        steps.append(("scale", StandardScaler()))
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        min_frequency=LEAST_CATEGORY_ROWS,
        max_categories=CATEGORIES_MAX,
        sparse_output=False,
    )
    treatments = [
        (NUMERIC, Pipeline(steps), usable.numeric),
        (CATEGORICAL, encoder, usable.categorical),
    ]
    return ColumnTransformer(
        [(name, treatment, list(names)) for name, treatment, names in treatments if names],
        remainder="drop",
        sparse_threshold=0,
        verbose_feature_names_out=False,
    )


def build_estimator(wanted: Estimator, seed: int) -> Any:
    """Return the estimator, to be fitted, with the seed wherever it takes one.

    Raises:
      PermanentJobError: bad_estimator or bad_parameters; it, or one of them, is not on the list.
    """
    known = ESTIMATORS.get(wanted.class_name)
    if known is None:
        raise PermanentJobError(
            "bad_estimator", f"{wanted.class_name[:80]!r} is none of {', '.join(ESTIMATORS)}"
        )
    unknown = sorted(wanted.parameters.keys() - known.parameters)
    if unknown:
        raise PermanentJobError(
            "bad_parameters", f"{wanted.class_name} does not take {', '.join(unknown)[:200]}"
        )
    estimator = getattr(importlib.import_module(known.module), wanted.class_name)()
    parameters = dict(wanted.parameters)
    if "random_state" in estimator.get_params():
        parameters["random_state"] = seed
    return estimator.set_params(**parameters)


def classes_of(estimator: Any) -> tuple[bool | str, ...] | None:
    """Return the classes of a fitted classifier, in the order of its probabilities."""
    classes: np.ndarray[Any, Any] | None = getattr(estimator, "classes_", None)
    return None if classes is None else tuple(classes.tolist())
