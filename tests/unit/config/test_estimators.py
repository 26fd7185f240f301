"""The estimators that may be named are those of the installed scikit-learn."""

import importlib

import pytest

from engine.config import ESTIMATORS, Task


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_is_what_the_table_says(name: str) -> None:
    known = ESTIMATORS[name]
    estimator = getattr(importlib.import_module(known.module), name)()
    assert known.parameters <= estimator.get_params().keys()
    predicts_classes = hasattr(estimator, "predict_proba")
    assert predicts_classes == (known.task is Task.CLASSIFICATION)
