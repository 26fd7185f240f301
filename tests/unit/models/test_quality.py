"""Live quality is measured as scikit-learn does, of predictions whose outcome is known."""

import math

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import sklearn.metrics as sk
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.config import LabelSpec, Task
from engine.models.labels import History
from engine.models.quality import Quality, fetch_quality, measure
from engine.store.migrate import apply_migrations, load_migrations
from engine.store.reader import Reader

SECOND = 1_000_000
shares = st.integers(0, 8).map(lambda eighths: eighths / 8)


def values(scores, outcomes, task):
    measured = measure(pa.chunked_array([scores]), pa.chunked_array([outcomes]), task)
    assert all(one.low <= one.high for one in measured)
    return {one.name: one.value for one in measured}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(shares, st.booleans()), min_size=1, max_size=40))
def test_classes_are_measured_as_scikit_learn_does(rows):
    scores, outcomes = map(list, zip(*rows, strict=True))
    found = values(scores, outcomes, Task.CLASSIFICATION)
    expected = {
        "log_loss": sk.log_loss(outcomes, scores, labels=[False, True]),
        "brier": sk.brier_score_loss(outcomes, scores, labels=[False, True], pos_label=True),
        "accuracy": sk.accuracy_score(outcomes, [score > 0.5 for score in scores]),
    }
    if len(set(outcomes)) > 1:
        expected["roc_auc"] = sk.roc_auc_score(outcomes, scores)
    assert found == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60, deadline=None)
@example([(0.0, 2.3834281573316025e-159), (1.0, 0.0)])  # a spread of next to nothing
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=2, max_size=40))
def test_numbers_are_measured_as_scikit_learn_does(rows):
    scores, outcomes = map(list, zip(*rows, strict=True))
    found = values(scores, outcomes, Task.REGRESSION)
    assert found["rmse"] == pytest.approx(math.sqrt(sk.mean_squared_error(outcomes, scores)))
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(outcomes, scores))
    spread = float(((np.array(outcomes) - np.mean(outcomes)) ** 2).sum())
    if spread > 1e-3:
        assert found["r2"] == pytest.approx(sk.r2_score(outcomes, scores), rel=1e-6)


def open_reader(predictions, buys):
    connection = duckdb.connect()
    apply_migrations(connection, load_migrations())
    for number, (user, at_s, score, shadow) in enumerate(predictions):
        connection.execute(
            "INSERT INTO predictions VALUES (?, make_timestamp(?), 'buyer', 2, ?, "
            "make_timestamp(?), 1, '[]', '', 'true', ?, NULL, ?, NULL, 1)",
            (f"P{number}", at_s * SECOND, user, at_s * SECOND, score, shadow),
        )
    for number, (user, at_s) in enumerate(buys):
        connection.execute(
            "INSERT INTO events VALUES (?, 'buy', make_timestamp(?), make_timestamp(0), NULL, "
            "NULL, 't', 0, ?, 1)",
            (user, at_s * SECOND, number),
        )
    return Reader(connection, threads=1)


async def quality_of(reader, end_s, since_s=0, version=2):
    return await fetch_quality(
        reader,
        "buyer",
        version,
        LabelSpec(within=10, where={"action": ("buy",)}),
        Task.CLASSIFICATION,
        History(1, end_s * SECOND),
        since_s * SECOND,
    )


PREDICTIONS = [(1, 10, 0.75, False), (2, 12, 0.25, False), (1, 12, 0.5, True), (2, 50, 1.0, False)]


async def test_predictions_count_once_their_outcome_is_known():
    reader = open_reader(PREDICTIONS, [(1, 20), (2, 12), (2, 23)])
    assert await quality_of(reader, 19) == Quality(3, 0)
    quality = await quality_of(reader, 22)
    assert (quality.predictions, quality.outcomes) == (3, 2)
    measured = {one.name: one.value for one in quality.metrics}
    # One bought in time; the other at the moment itself, and too late.
    assert measured["brier"] == pytest.approx((0.25**2 + 0.25**2) / 2)
    assert measured["roc_auc"] == 1.0


async def test_predictions_of_another_time_or_version_do_not_count():
    reader = open_reader(PREDICTIONS, [(1, 20)])
    assert (await quality_of(reader, 60, since_s=11)).outcomes == 2
    assert await quality_of(reader, 60, version=1) == Quality(0, 0)
