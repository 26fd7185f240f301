"""How a model of `models.yaml` learns: its label, its training set, its estimator, its policy."""

# ruff: noqa: RUF009 - `described` describes a field, as attrs.field does; it is no shared default.

import datetime
from collections.abc import Mapping
from typing import Annotated

import attrs

from engine.config.estimators import ESTIMATORS, Task
from engine.config.fields import EVENTS_SOURCE, Period, Source, Where, described
from engine.config.kinds import Choice, Instant, Scalar, Switch
from engine.config.quantities import Integer, Number
from engine.config.setting_fields import Fraction, Identifier

LABEL_AGGREGATES = ("exists", "count", "sum")
SPLITS = ("time", "entity")
PROMOTIONS = ("better", "manual")
CLASSIFICATION_METRICS = ("roc_auc", "average_precision", "log_loss", "brier", "accuracy", "f1")
REGRESSION_METRICS = ("r2", "rmse", "mae")
METRICS = (*CLASSIFICATION_METRICS, *REGRESSION_METRICS)

_Share = Annotated[float, Number(0.01, 0.99)]
_Rows = Annotated[int, Integer(1, 10_000_000)]
_Finite = Annotated[float, Number(-1e12, 1e12)]


@attrs.frozen
class LabelSpec:
    """What a model predicts: what an entity does within a time, or a column of a dataset."""

    within: Period = described(
        "How far ahead the model looks. From events: those count that come after the observation, "
        "within this time. From a dataset: a row is the outcome of an observation this long before."
    )
    source: Source = described("Where outcomes come from.", default=EVENTS_SOURCE, key="from")
    where: Where = described(
        "Which events count; all of them without it.", default={}, mapping=True
    )
    aggregate: Annotated[str, Choice(LABEL_AGGREGATES)] = described(
        "From events: whether there is one, how many there are, or the sum of their `value`.",
        default="exists",
    )
    column: Identifier | None = described(
        "From a dataset: the column that holds the outcome.", default=None
    )

    @property
    def dataset(self) -> str | None:
        """The dataset of an uploaded label, else None."""
        return None if self.source == EVENTS_SOURCE else self.source.partition(".")[2]


@attrs.frozen
class ObservationsSpec:
    """Of whom, and as of when, the training set has rows.

    An uploaded label needs none of this: each of its rows is one.
    """

    every: Period = described("Observations are taken at multiples of this.", default=3600)
    last: Period = described("How far back the first one may lie.", default=30 * 86_400)
    at: tuple[Annotated[datetime.datetime, Instant()], ...] = described(
        "Observations are taken at these times instead.", default=()
    )
    active: Period = described(
        "An entity is observed if it had an event within this time before.", default=30 * 86_400
    )
    settle: Period | None = described(
        "Observations at multiples of `every` begin this long after the first event. Until then "
        "windows of features are still filling, and what a model learns there looks like drift "
        "once they are full. Best as long as the longest window of the model's features.",
        default=None,
    )
    most_rows: _Rows = described(
        "Of more rows so many are drawn at random, by the seed.", default=200_000
    )


@attrs.frozen
class EstimatorSpec:
    """A class of scikit-learn from the list that Trellis trusts."""

    class_name: Annotated[str, Choice(tuple(ESTIMATORS))] = described("Its name.", key="class")
    parameters: Mapping[Identifier, Annotated[bool | int | float | str | None, Scalar()]] = (
        described("Parameters of its constructor.", default={}, mapping=True)
    )

    @property
    def task(self) -> Task:
        """Whether it classifies or regresses."""
        return ESTIMATORS[self.class_name].task


@attrs.frozen
class SplitSpec:
    """What the model is judged by: rows it was not fitted on."""

    by: Annotated[str, Choice(SPLITS)] = described(
        "`time`: the latest rows, with a gap of the label's time before them. `entity`: all rows "
        "of some entities, chosen by a hash of their key and the seed.",
        default="time",
    )
    test_share: _Share = described("Share of the rows, or of the entities.", default=0.25)
    seed: Annotated[int, Integer(0, 2**31 - 1)] = described(
        "Of everything random in a training; the same data and seed give the same model.", default=1
    )
    least_rows: _Rows = described("With fewer rows to fit on, training fails.", default=100)


@attrs.frozen
class DriftSpec:
    """When the model's input has drifted from what it was trained on.

    A threshold that is not set here is that of the section `thresholds` of `app.yaml`.
    """

    every: Period | None = described("How often to look; never by itself without it.", default=None)
    window: Period = described("How far back the current window reaches.", default=86_400)
    least_rows: _Rows = described("With fewer rows in the window there is no verdict.", default=200)
    psi: Annotated[float, Number(0.001, 10)] | None = described(
        "Population stability index from which a feature has drifted.", default=None
    )
    ks_statistic: Fraction | None = described(
        "Kolmogorov-Smirnov distance, of categories total variation, from which a feature has "
        "drifted.",
        default=None,
    )
    missing_rate: Fraction | None = described(
        "Rise of the share of missing values, or share of values in new categories, from which a "
        "feature has drifted.",
        default=None,
    )
    alpha: Annotated[float, Number(1e-9, 0.5)] = described(
        "A distance counts only if chance explains it with less probability than this, corrected "
        "for the number of features.",
        default=0.01,
    )
    share: Fraction = described(
        "Share of the features that must have drifted for the model to count as drifted.",
        default=0.2,
    )


@attrs.frozen
class PolicySpec:
    """When the model is trained again, and when a new version takes over."""

    on_drift: Annotated[bool, Switch()] = described(
        "Whether a drift report past its threshold starts a training.", default=True
    )
    every: Period | None = described(
        "How often to train; only on drift and by call without it.", default=None
    )
    cool_down: Period = described(
        "Least time between trainings that were not called for by a person.", default=3600
    )
    promote: Annotated[str, Choice(PROMOTIONS)] = described(
        "`better`: a new version becomes champion if it beats the champion on the same held-out "
        "rows. `manual`: it becomes challenger.",
        default="better",
    )
    metric: Annotated[str, Choice(METRICS)] | None = described(
        "What counts; roc_auc or rmse without it.", default=None
    )
    least_gain: _Finite = described("By how much it must be better.", default=0.0)
    at_least: _Finite | None = described(
        "What the first version must reach to become champion.", default=None
    )
    shadow: Annotated[bool, Switch()] = described(
        "Whether the challenger scores every prediction too, unseen.", default=False
    )
    roll_back_below: _Finite | None = described(
        "The champion before takes over again when live quality (in `metric`) falls past this.",
        default=None,
    )
    least_outcomes: _Rows = described(
        "Live quality counts from so many known outcomes on.", default=200
    )
