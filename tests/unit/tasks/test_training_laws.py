"""Whatever the rows are, a training ends in the same model each time, or with a known reason."""

import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import event, given, settings
from hypothesis import strategies as st

from engine.tasks import train
from engine.tasks.artifacts import load_pipeline
from engine.tasks.errors import PermanentJobError
from engine.tasks.reference_file import read_reference
from tests.support.training_rows import DAY_US, PlayedJob, make_payload

REASONS = {
    "bad_parameters",
    "constant_label",
    "no_usable_feature",
    "one_class",
    "too_little_data",
    "too_many_classes",
    "values_too_large",
}
NUMBERS = st.sampled_from([0.0, -0.0, 1.0, 1e-300, 1e9, -1e154, 1.7e308, math.nan, math.inf])
COLUMNS: dict[str, st.SearchStrategy[Any]] = {
    "double": st.none() | NUMBERS | st.floats(-10, 10),
    "int64": st.none() | st.integers(-3, 3) | st.just(2**63 - 1),
    "bool": st.none() | st.booleans(),
    "string": st.none() | st.sampled_from(["", "a", "b", "None", "nan", "\x00", "ü" * 50]),
}
ARROW = {"double": pa.float64(), "int64": pa.int64(), "bool": pa.bool_(), "string": pa.string()}
TASKS = {
    "bool": ("classification", ["LogisticRegression", "GaussianNB", "DecisionTreeClassifier"]),
    "string": ("classification", ["LogisticRegression", "GaussianNB", "DecisionTreeClassifier"]),
    "double": ("regression", ["Ridge", "LinearRegression", "DecisionTreeRegressor"]),
}


@st.composite
def trainings(draw: st.DrawFn) -> PlayedJob:
    rows = draw(st.sampled_from([0, 12, 40, 60, 80]))
    kinds = draw(st.lists(st.sampled_from([*COLUMNS]), min_size=1, max_size=4))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def column(kind: str, choices: int) -> pa.Array:
        # A few drawn values, repeated: so columns are constant, missing or rare at times.
        values = draw(st.lists(COLUMNS[kind], min_size=1, max_size=choices))
        return pa.array(
            [values[place] for place in random.integers(0, len(values), rows)], ARROW[kind]
        )

    label = draw(st.sampled_from([*TASKS]))
    task, names = TASKS[label]
    features = [f"f{number}" for number in range(len(kinds))]
    table = pa.table(
        {
            "entity_key": pa.array(random.integers(0, 20, rows), pa.int64()),
            "event_time": pa.array(
                np.sort(random.integers(0, 50, rows)) * DAY_US, pa.timestamp("us")
            ),
            "label": column(label, 4),
            **{name: column(kind, 12) for name, kind in zip(features, kinds, strict=True)},
        }
    )
    split = {"by": draw(st.sampled_from(["time", "entity"])), "least_rows": 10, "test_share": 0.3}
    payload = make_payload(draw(st.sampled_from(names)), task, features=features, split=split)
    return PlayedJob(table, payload)


def run_or_refuse(job: PlayedJob) -> dict[str, Any] | None:
    refused = ""
    try:
        return train.run(job)
    except PermanentJobError as error:
        refused = error.code
    assert refused in REASONS
    assert job.stored == {}
    event(refused)
    return None


@settings(max_examples=60, deadline=None)
@given(trainings())
def test_any_rows_make_the_same_model_each_time_or_are_refused_for_a_reason(job: PlayedJob) -> None:
    result = run_or_refuse(job)
    if result is None:
        return
    event("trained")
    # What a database cannot keep, such as NaN, is not in it.
    json.dumps(result, allow_nan=False)
    again = PlayedJob(job.rows, job.payload)
    assert train.run(again) == result
    assert again.stored == job.stored
    read_reference(job.stored["reference"])
    model = load_pipeline(job.stored["pipeline"], result["artifact"]["sha256"])
    found = model.predict(job.rows)
    assert len(found.answers) == job.rows.num_rows
    if found.probabilities is not None:
        finite = np.isfinite(found.probabilities)
        np.testing.assert_allclose(
            found.probabilities[finite.all(axis=1)].sum(axis=1), 1, rtol=1e-9
        )
