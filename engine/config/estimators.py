"""The estimators that a model may name: what they are for, and which parameters may be set.

A class is here because its artifacts hold nothing but numbers and classes that are trusted too.
Parameters that Trellis sets itself (seeds, threads, output) are left out. A test compares the names
with the installed scikit-learn, which the engine's own process never imports.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import attrs


class Task(StrEnum):
    """What a model predicts: one of a few classes, or a number."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"


@attrs.frozen
class Estimator:
    """A class of scikit-learn: its module, its task, the parameters that may be set."""

    module: str
    task: Task
    parameters: frozenset[str]


def _estimator(module: str, task: Task, parameters: str) -> Estimator:
    return Estimator(f"sklearn.{module}", task, frozenset(parameters.split()))


_TREE = (
    "ccp_alpha max_depth max_features max_leaf_nodes min_impurity_decrease min_samples_leaf "
    "min_samples_split min_weight_fraction_leaf criterion"
)
_FOREST = f"{_TREE} bootstrap max_samples n_estimators"
_BOOSTING = (
    "early_stopping l2_regularization learning_rate loss max_bins max_depth max_features max_iter "
    "max_leaf_nodes min_samples_leaf n_iter_no_change tol validation_fraction"
)
_CLASSES = Task.CLASSIFICATION
_NUMBERS = Task.REGRESSION

ESTIMATORS: Mapping[str, Estimator] = MappingProxyType(
    {
        "LogisticRegression": _estimator(
            "linear_model",
            _CLASSES,
            "C class_weight fit_intercept intercept_scaling l1_ratio max_iter solver tol",
        ),
        "GaussianNB": _estimator("naive_bayes", _CLASSES, "var_smoothing"),
        "DecisionTreeClassifier": _estimator("tree", _CLASSES, f"{_TREE} class_weight splitter"),
        "RandomForestClassifier": _estimator("ensemble", _CLASSES, f"{_FOREST} class_weight"),
        "HistGradientBoostingClassifier": _estimator(
            "ensemble", _CLASSES, f"{_BOOSTING} class_weight"
        ),
        "LinearRegression": _estimator("linear_model", _NUMBERS, "fit_intercept positive tol"),
        "Ridge": _estimator(
            "linear_model", _NUMBERS, "alpha fit_intercept max_iter positive solver tol"
        ),
        "PoissonRegressor": _estimator(
            "linear_model", _NUMBERS, "alpha fit_intercept max_iter solver tol"
        ),
        "DecisionTreeRegressor": _estimator("tree", _NUMBERS, f"{_TREE} splitter"),
        "RandomForestRegressor": _estimator("ensemble", _NUMBERS, _FOREST),
        "HistGradientBoostingRegressor": _estimator("ensemble", _NUMBERS, f"{_BOOSTING} quantile"),
    }
)
"""By the name of the class."""
