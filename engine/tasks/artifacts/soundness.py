"""What is looked at in a pipeline once its objects are made and before it is first used.

The types were looked at before; here it is whether they were put together as Trellis does, and
whether trees are trees: the code that walks them does not check where it goes.
"""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from engine.config import ESTIMATORS
from engine.tasks.artifacts.refusals import MALFORMED, ArtifactRefusedError
from engine.tasks.artifacts.signature import Signature
from engine.tasks.frames import TEXT

NUMERIC: Final = "numeric"
CATEGORICAL: Final = "categorical"
COLUMNS: Final = "columns"
ESTIMATOR: Final = "estimator"

_NUMERIC_STEPS: Final = ([SimpleImputer], [SimpleImputer, StandardScaler])
_LEAF: Final = -1


def check_pipeline(pipeline: Any, signature: Signature) -> None:
    """Refuse a pipeline that Trellis would not have built, or that contradicts its signature.

    Raises:
      ArtifactRefusedError: says what is wrong.
      Exception: an object lacks what it always has.
    """
    _require(type(pipeline) is Pipeline and pipeline.memory is None, "it is no pipeline")
    _require([name for name, _ in pipeline.steps] == [COLUMNS, ESTIMATOR], "its steps are others")
    columns, estimator = pipeline[0], pipeline[1]
    _check_columns(columns, signature)
    known = ESTIMATORS.get(type(estimator).__name__)
    _require(known is not None and known.task.value == signature.task, "its task is another")
    _require(
        _typed(_classes_of(estimator)) == _typed(signature.classes),
        "its classes are not those of its signature",
    )
    _require(getattr(estimator, "n_jobs", None) is None, "it would start processes")
    _check_trees(estimator)


def _check_columns(columns: Any, signature: Signature) -> None:
    _require(type(columns) is ColumnTransformer and columns.n_jobs is None, "it has no columns")
    _require(
        tuple(columns.feature_names_in_.tolist()) == signature.features,
        "its features are not those of its signature",
    )
    for name, transformer, features in columns.transformers_:
        if transformer == "drop":
            continue
        texts = {signature.types[feature] == TEXT for feature in features}
        if name == NUMERIC:
            kinds = [type(step) for _, step in transformer.steps]
            sound = kinds in _NUMERIC_STEPS and transformer.memory is None and texts == {False}
        else:
            sound = name == CATEGORICAL and type(transformer) is OneHotEncoder and texts == {True}
        _require(sound, "its columns are treated in another way than ours")


def _check_trees(estimator: Any) -> None:
    width = int(estimator.n_features_in_)
    for tree in trees_of(estimator):
        _require(
            tree.node_count == tree.capacity and tree.n_features == width, "it holds a broken tree"
        )
        left, right = tree.children_left, tree.children_right
        inner = left != _LEAF
        _check_nodes(left[inner], right[inner], tree.feature[inner], np.flatnonzero(inner), tree)
    for predictors in getattr(estimator, "_predictors", ()):
        for predictor in predictors:
            nodes = predictor.nodes
            _require(not nodes["is_categorical"].any(), "it holds a tree with categories")
            inner = nodes["is_leaf"] == 0
            walked = nodes[inner]
            _require(bool((walked["feature_idx"] < width).all()), "a tree asks for no feature")
            _check_children(walked["left"], np.flatnonzero(inner), len(nodes))
            _check_children(walked["right"], np.flatnonzero(inner), len(nodes))
    mapper = getattr(estimator, "_bin_mapper", None)
    _require(mapper is None or not np.any(mapper.is_categorical_), "it holds categories")


def _check_nodes(
    left: NDArray[Any], right: NDArray[Any], feature: NDArray[Any], place: NDArray[Any], tree: Any
) -> None:
    _check_children(left, place, tree.node_count)
    _check_children(right, place, tree.node_count)
    sound = (feature >= 0) & (feature < tree.n_features)
    _require(bool(sound.all()), "a tree asks for no feature")


def _check_children(child: NDArray[Any], place: NDArray[Any], count: int) -> None:
    """A child comes after its node, so that every way down ends."""
    child = child.astype(np.int64)
    _require(bool(((child > place) & (child < count)).all()), "a tree leads nowhere")


def trees_of(estimator: Any) -> Iterable[Any]:
    """Yield the trees of a fitted tree or forest; others have none of this kind."""
    for one in getattr(estimator, "estimators_", [estimator]):
        tree = getattr(one, "tree_", None)
        if tree is not None:
            yield tree


def _classes_of(estimator: Any) -> tuple[Any, ...] | None:
    classes = getattr(estimator, "classes_", None)
    return None if classes is None else tuple(classes.tolist())


def _typed(classes: tuple[Any, ...] | None) -> list[tuple[type, Any]] | None:
    """Tell False from 0."""
    return None if classes is None else [(type(one), one) for one in classes]


def _require(sound: bool, otherwise: str) -> None:
    if not sound:
        raise ArtifactRefusedError(MALFORMED, otherwise)
