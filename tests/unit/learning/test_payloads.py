"""A payload holds all that a training is; reading it back gives the same."""

import datetime
import json

from hypothesis import given
from hypothesis import strategies as st

from engine.config import EstimatorSpec, LabelSpec, ObservationsSpec, SplitSpec
from engine.learning.payloads import TrainingRequest, read_training, write_training
from engine.models.labels import History
from engine.models.policy import Cause

names = st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True)
seconds = st.integers(1, 10**8)
labels = st.builds(
    LabelSpec,
    within=seconds,
    source=st.just("events") | names.map("uploads.".__add__),
    where=st.just({}) | st.lists(names, min_size=1, max_size=3).map(lambda a: {"action": tuple(a)}),
    aggregate=st.sampled_from(["exists", "count", "sum"]),
    column=st.none() | names,
)
epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
moments = st.integers(0, 2**51).map(lambda us: epoch + datetime.timedelta(microseconds=us))
requests = st.builds(
    TrainingRequest,
    model=names,
    entity=names,
    features=st.lists(names, min_size=1).map(tuple),
    label=labels,
    estimator=st.builds(
        EstimatorSpec,
        st.sampled_from(["LogisticRegression", "Ridge"]),
        st.dictionaries(names, st.none() | st.booleans() | st.integers(0, 9) | st.floats(0, 1)),
    ),
    observations=st.builds(
        ObservationsSpec,
        every=seconds,
        last=seconds,
        at=st.lists(moments, max_size=3).map(tuple),
        active=seconds,
        most_rows=st.integers(1, 10**6),
    ),
    split=st.builds(
        SplitSpec,
        by=st.sampled_from(["time", "entity"]),
        test_share=st.floats(0.01, 0.99),
        seed=st.integers(0, 2**31 - 1),
        least_rows=st.integers(1, 1000),
    ),
    metric=names,
    cause=st.sampled_from(Cause),
    drift_report_id=st.none() | names,
    history=st.builds(History, st.integers(0, 10**9), st.integers(0, 2**50)),
    champion_version=st.none() | st.integers(1, 9),
    champion_features=st.lists(names).map(tuple),
)


@given(requests)
def test_a_training_is_the_same_after_its_payload_was_stored(request: TrainingRequest) -> None:
    assert read_training(json.loads(json.dumps(write_training(request)))) == request


@given(requests)
def test_its_rows_have_each_feature_once_its_own_first(request: TrainingRequest) -> None:
    columns = request.columns
    assert len(set(columns)) == len(columns)
    assert columns[: len(dict.fromkeys(request.features))] == tuple(dict.fromkeys(request.features))
    assert set(columns) == {*request.features, *request.champion_features}
