"""Fitting an estimator in steps, so that progress shows and a cancellation is noticed."""

import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from engine.tasks.artifacts.container import check_size
from engine.tasks.artifacts.soundness import trees_of
from engine.tasks.errors import PermanentJobError

_TREES: Final = 10
_ITERATIONS: Final = 25
"""Between two steps data is binned anew, which costs about as much as an iteration."""
_NODE_BYTES: Final = 64  # of a tree, beside the values in it
_NOTES_MAX: Final = 10
_NOTE_CHARS: Final = 300

Advance = Callable[[], None]


def fit_estimator(
    estimator: Any, values: NDArray[np.float64], labels: NDArray[Any], advance: Advance
) -> list[str]:
    """Fit; the same values, labels and parameters give the same estimator.

    Forests and boosted trees are fitted some trees at a time, logistic regression (lbfgs) tells of
    each iteration. The others take seconds at most, and are cancelled between theirs only.

    Args:
      values: rows by columns, all finite.
      advance: called after each step; what it raises ends the fit.
    Returns: what scikit-learn had to remark, such as that it did not converge.
    Raises:
      PermanentJobError: bad_parameters: scikit-learn does not take them for this data; or
        artifact_too_large: the trees grow beyond what is kept, or would fit into memory.
    """
    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ConvergenceWarning)
        try:
            _fit(estimator, values, labels, advance)
            _forget_threads(estimator)
        except (ValueError, TypeError, OverflowError) as error:
            # The values are finite and the labels are checked, so it is what was configured.
            raise PermanentJobError(
                "bad_parameters",
                f"{type(estimator).__name__} cannot be fitted like this: {error}",
            ) from error
    notes = dict.fromkeys(" ".join(str(one.message).split())[:_NOTE_CHARS] for one in remarks)
    return list(notes)[:_NOTES_MAX]


def _fit(
    estimator: Any, values: NDArray[np.float64], labels: NDArray[Any], advance: Advance
) -> None:
    parameters = estimator.get_params()
    if _is_more(parameters.get("n_estimators"), _TREES):
        _fit_in_steps(estimator, values, labels, advance, "n_estimators", _TREES)
    elif "max_bins" in parameters and _is_more(parameters["max_iter"], _ITERATIONS):
        _fit_in_steps(estimator, values, labels, advance, "max_iter", _ITERATIONS)
    elif parameters.get("solver") == "lbfgs" and hasattr(estimator, "set_callbacks"):
        estimator.set_callbacks(_Steps(advance))
        try:
            estimator.fit(values, labels)
        finally:
            estimator.set_callbacks()
    else:
        estimator.fit(values, labels)
        _check_trees(estimator)
        advance()


def _fit_in_steps(
    estimator: Any,
    values: NDArray[np.float64],
    labels: NDArray[Any],
    advance: Advance,
    counter: str,
    step: int,
) -> None:
    most = estimator.get_params()[counter]
    estimator.set_params(warm_start=True)
    for count in (*range(step, most, step), most):
        estimator.set_params(**{counter: count})
        estimator.fit(values, labels)
        _check_trees(estimator)
        advance()
        if getattr(estimator, "n_iter_", count) < count:
            break  # it has stopped early, of its own accord
    estimator.set_params(**{counter: most}, warm_start=False)


def _forget_threads(estimator: Any) -> None:
    """Have the artifact say nothing of how many threads there were: the model is the same."""
    mapper = getattr(estimator, "_bin_mapper", None)
    if mapper is not None:
        mapper.n_threads = 1


def _check_trees(estimator: Any) -> None:
    """Refuse while it is small what would be too large in the end."""
    check_size(
        sum(tree.node_count * _NODE_BYTES + tree.value.nbytes for tree in trees_of(estimator))
    )


def _is_more(count: Any, step: int) -> bool:
    return isinstance(count, int) and not isinstance(count, bool) and count > step


class _Steps:
    """Tells of the iterations of a fit; a callback of scikit-learn."""

    def __init__(self, advance: Advance) -> None:
        self._advance = advance

    def setup(self, estimator: Any, context: Any) -> None:
        """The fit begins."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """The fit has ended."""

    def on_fit_task_begin(self, estimator: Any, context: Any, **_: Any) -> None:
        """An iteration begins."""

    def on_fit_task_end(self, estimator: Any, context: Any, **_: Any) -> None:
        """An iteration has ended."""
        self._advance()
