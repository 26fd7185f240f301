"""From rows with labels to a model and what is known about it, with real estimators."""

import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from engine.config import ESTIMATORS, EstimatorSpec, LabelSpec, ModelSpec, Task
from engine.config.learning import CLASSIFICATION_METRICS, REGRESSION_METRICS
from engine.learning.payloads import request_training, write_training
from engine.models import Model, ModelVersion, Source
from engine.models.labels import History
from engine.models.policy import LOWER_IS_BETTER as LOWER_FOR_POLICY
from engine.models.policy import Cause
from engine.tasks import train
from engine.tasks.artifacts import load_pipeline
from engine.tasks.errors import JobCancelled, PermanentJobError
from engine.tasks.frames import to_frame
from engine.tasks.model_data import ArtifactError
from engine.tasks.reference_file import read_reference
from engine.tasks.training.metrics import LOWER_IS_BETTER
from engine.tasks.training.request import read_request
from engine.tasks.training.rows import read_rows
from engine.tasks.training.trainer import fit_model
from tests.support.training_rows import DAY_US, FEATURES, PlayedJob, make_payload, make_rows

LABELS = {Task.CLASSIFICATION: ("bool", "string"), Task.REGRESSION: ("double",)}
EVERY_MODEL = [(name, label) for name, known in ESTIMATORS.items() for label in LABELS[known.task]]
SMALL = {
    "DecisionTreeRegressor": {"max_depth": 4},
    "RandomForestClassifier": {"n_estimators": 25},
    "RandomForestRegressor": {"n_estimators": 25},
    "HistGradientBoostingClassifier": {"max_iter": 60, "max_leaf_nodes": 7},
    "HistGradientBoostingRegressor": {"max_iter": 60, "max_leaf_nodes": 7},
}


def payload_of(name: str, **changes: Any) -> dict[str, Any]:
    changes.setdefault("parameters", SMALL.get(name, {}))
    return make_payload(name, ESTIMATORS[name].task.value, **changes)


def refusal_of(job: PlayedJob) -> PermanentJobError:
    with pytest.raises(PermanentJobError) as refused:
        train.run(job)
    assert job.stored == {}
    return refused.value


@pytest.mark.parametrize(("name", "label"), EVERY_MODEL)
def test_every_estimator_learns_from_every_label_it_is_for(name: str, label: str) -> None:
    job = PlayedJob(make_rows(label), payload_of(name))
    result = train.run(job)
    values = {one["name"]: one["value"] for one in result["metrics"]}
    if ESTIMATORS[name].task is Task.CLASSIFICATION:
        assert set(values) == set(CLASSIFICATION_METRICS)
        assert values["roc_auc"] > 0.6
    else:
        assert set(values) == set(REGRESSION_METRICS)
        assert values["r2"] > 0.1
    for one in result["metrics"]:
        assert one["low"] <= one["value"] <= one["high"]
        assert all(math.isfinite(one[key]) for key in ("value", "low", "high"))
    assert {one["feature"] for one in result["importance"]} == set(FEATURES)
    assert result["rows_fitted"] + result["rows_tested"] + result["lineage"]["rows_in_gap"] == 2_000
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["artifact"]["size_bytes"] == len(job.stored["pipeline"])


@pytest.mark.parametrize(("name", "label"), EVERY_MODEL)
def test_the_stored_model_answers_as_its_pipeline_does_for_a_data_frame(
    name: str, label: str
) -> None:
    rows = make_rows(label)
    job = PlayedJob(rows, payload_of(name))
    result = train.run(job)
    model = load_pipeline(job.stored["pipeline"], result["artifact"]["sha256"])
    unseen = make_rows(label, rows=300, seed=5).set_column(
        7, "plan", pa.array([None, "gone", "pro"] * 100)
    )
    frame = to_frame(unseen, FEATURES, model.signature.types)
    found = model.predict(unseen)
    if found.probabilities is None:
        assert found.score.tolist() == model.pipeline.predict(frame).tolist()
    else:
        assert found.probabilities.tolist() == model.pipeline.predict_proba(frame).tolist()
        assert found.answers == model.pipeline.predict(frame).tolist()
    # One by one as all together: what is served does not depend on who else asks.
    alone = [model.predict(unseen.slice(row, 1)).score[0] for row in range(20)]
    assert alone == pytest.approx(found.score[:20].tolist(), rel=1e-12)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_same_rows_and_seed_give_the_same_bytes_and_numbers(name: str) -> None:
    label = LABELS[ESTIMATORS[name].task][0]
    jobs = [PlayedJob(make_rows(label), payload_of(name)) for _ in range(2)]
    first, second = (train.run(job) for job in jobs)
    assert first == second
    assert jobs[0].stored == jobs[1].stored


def test_another_seed_gives_another_forest() -> None:
    jobs = [
        PlayedJob(make_rows(), payload_of("RandomForestClassifier", split={"seed": seed}))
        for seed in (1, 2)
    ]
    assert train.run(jobs[0])["artifact"] != train.run(jobs[1])["artifact"]


def test_an_estimator_fitted_in_steps_is_the_one_fitted_at_once() -> None:
    rows = make_rows()
    job = PlayedJob(rows, payload_of("RandomForestClassifier"))
    train.run(job)
    model = load_pipeline(job.stored["pipeline"])
    forest = model.pipeline[1]
    assert len(forest.estimators_) == 25
    assert forest.warm_start is False
    fitted_until_us = train.run(job)["trained_until_us"]
    times_us = rows["event_time"].cast(pa.int64()).to_numpy()
    fitted = rows.filter(pa.array(times_us <= fitted_until_us))
    frame = to_frame(fitted, FEATURES, model.signature.types)
    again = type(forest)(n_estimators=25, random_state=7)
    values = model.pipeline[0].transform(frame)
    again.fit(values, fitted["label"].to_numpy())
    assert again.predict_proba(values).tolist() == forest.predict_proba(values).tolist()


def test_long_fits_tell_of_their_progress() -> None:
    steps = []
    rows = read_rows(make_rows(), Task.CLASSIFICATION)
    for name, parameters in (
        ("LogisticRegression", {"C": 1.0}),
        ("RandomForestClassifier", {"n_estimators": 45}),
        ("HistGradientBoostingClassifier", {"max_iter": 120, "max_leaf_nodes": 3}),
    ):
        steps.append(0)

        def advance() -> None:
            steps[-1] += 1

        fit_model(read_request(payload_of(name, parameters=parameters)), rows, advance)
    columns_dumped_loaded = 3
    iterations, forests, boosts = (count - columns_dumped_loaded for count in steps)
    assert iterations > 5
    assert forests == 5
    assert boosts == 5


@pytest.mark.parametrize("step", [1, 3, 5, 8, 12, 500, 1_020])
def test_a_cancelled_training_stores_nothing(step: int) -> None:
    job = PlayedJob(make_rows(), end_at=step, end_by=JobCancelled)
    with pytest.raises(JobCancelled):
        train.run(job)
    assert job.stored == {}


def test_shuffled_labels_teach_nothing() -> None:
    values = []
    for seed in range(4):
        rows = make_rows(rows=4_000, seed=seed)
        order = np.random.default_rng(seed).permutation(rows.num_rows)
        shuffled = rows.set_column(2, "label", rows["label"].take(pa.array(order)))
        result = train.run(PlayedJob(shuffled, payload_of("HistGradientBoostingClassifier")))
        values.append(next(m["value"] for m in result["metrics"] if m["name"] == "roc_auc"))
    assert abs(np.mean(values) - 0.5) < 0.03


def test_no_row_of_the_gap_is_fitted_on_or_judged_by() -> None:
    rows = make_rows(rows=4_000)
    within_us = 10 * DAY_US
    label = make_payload()["label"] | {"within_s": within_us // 1_000_000}
    result = train.run(PlayedJob(rows, make_payload(label=label)))
    lineage = result["lineage"]
    assert result["trained_until_us"] + within_us <= lineage["tested_from_us"]
    times_us = rows["event_time"].cast(pa.int64()).to_numpy()
    in_gap = (times_us > lineage["tested_from_us"] - within_us) & (
        times_us < lineage["tested_from_us"]
    )
    assert lineage["rows_in_gap"] == in_gap.sum() > 100
    assert result["rows_tested"] == pytest.approx(1_000, abs=2)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"rows": 90}, "too_little_data", "least_rows asks for 100"),
        ({"rows": 0}, "too_little_data", "0 rows to fit on"),
        ({"label": pa.array([True] * 2_000)}, "one_class", "true in all"),
        ({"label": pa.array([True, False] * 700 + [False] * 600)}, "one_class", "to judge by"),
        ({"label": pa.array(["a"] * 2_000)}, "one_class", "'a' in all"),
        ({"label": pa.array([str(n) for n in range(2_000)])}, "too_many_classes", "at most 100"),
        ({"label": pa.array([1.0] * 2_000)}, "bad_label", "double"),
        ({"label": pa.nulls(2_000, pa.bool_())}, "too_little_data", "2000 without a label"),
    ],
)
def test_rows_that_teach_nothing_are_refused(change: dict[str, Any], code: str, words: str) -> None:
    rows = make_rows()
    if "rows" in change:
        rows = rows.slice(0, change["rows"])
    else:
        rows = rows.set_column(2, "label", change["label"])
    refused = refusal_of(PlayedJob(rows))
    assert refused.code == code
    assert words in str(refused)


def test_a_constant_number_is_refused() -> None:
    rows = make_rows("double").set_column(2, "label", pa.array([4.5] * 2_000))
    refused = refusal_of(PlayedJob(rows, payload_of("Ridge")))
    assert refused.code == "constant_label"
    assert "4.5 in all" in str(refused)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (pa.array([3.5] * 2_000), "the same in every row"),
        (pa.array(["x"] * 2_000), "the same in every row"),
        (pa.nulls(2_000, pa.float64()), "missing in every row"),
        (pa.nulls(2_000, pa.string()), "missing in every row"),
        (pa.array([math.nan, math.inf] * 1_000), "missing in every row"),
    ],
)
def test_a_feature_that_says_nothing_is_left_out_and_named(column: pa.Array, reason: str) -> None:
    rows = make_rows().set_column(4, "spend", column)
    result = train.run(PlayedJob(rows))
    assert result["lineage"]["features_left_out"] == {"spend": reason}
    [importance] = [one for one in result["importance"] if one["feature"] == "spend"]
    assert importance["importance"] == 0


def test_a_value_that_is_missing_at_times_says_something() -> None:
    rows = make_rows()
    known = pa.array([1.0 if one else None for one in rows["label"].to_pylist()])
    result = train.run(PlayedJob(rows.set_column(4, "spend", known)))
    assert result["lineage"]["features_left_out"] == {}
    assert result["importance"][0]["feature"] == "spend"


def test_nothing_to_learn_from_is_refused() -> None:
    rows = make_rows().select(["entity_key", "event_time", "label"])
    for name in FEATURES:
        rows = rows.append_column(name, pa.array([1.0] * 2_000))
    refused = refusal_of(PlayedJob(rows))
    assert refused.code == "no_usable_feature"
    assert "spend is the same in every row" in str(refused)


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("LogisticRegression", {"C": -1.0}, "'C' parameter"),
        ("LogisticRegression", {"solver": "liblinear", "l1_ratio": 0.5}, "liblinear"),
        ("LogisticRegression", {"n_jobs": 4}, "does not take n_jobs"),
        ("RandomForestClassifier", {"n_estimators": "many"}, "n_estimators"),
        ("HistGradientBoostingClassifier", {"max_iter": 0}, "max_iter"),
        ("Perceptron", {}, "is none of LogisticRegression"),
    ],
)
def test_parameters_that_do_not_work_are_refused(
    name: str, parameters: dict[str, Any], words: str
) -> None:
    refused = refusal_of(PlayedJob(make_rows(), make_payload(name, parameters=parameters)))
    assert refused.code in ("bad_parameters", "bad_estimator")
    assert words in str(refused)


@pytest.mark.parametrize("name", ["RandomForestClassifier", "DecisionTreeClassifier"])
def test_trees_beyond_what_is_kept_are_refused_while_they_grow(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.tasks.artifacts.container.MAX_BYTES", 20_000)
    parameters = {"n_estimators": 10_000} if name.startswith("Random") else {}
    refused = refusal_of(PlayedJob(make_rows(), payload_of(name, parameters=parameters)))
    assert refused.code == "artifact_too_large"
    assert "limit the depth" in str(refused)


def test_labels_that_an_estimator_cannot_take_are_refused() -> None:
    rows = make_rows("double").set_column(2, "label", pa.array(np.linspace(-1, 1, 2_000)))
    refused = refusal_of(PlayedJob(rows, payload_of("PoissonRegressor")))
    assert refused.code == "bad_parameters"
    assert "PoissonRegressor" in str(refused)


def test_values_near_the_greatest_number_are_refused() -> None:
    rows = make_rows()
    huge = pa.array([1.7e308, -1.7e308] * 1_000)
    refused = refusal_of(PlayedJob(rows.set_column(4, "spend", huge)))
    assert refused.code == "values_too_large"


def test_a_fit_that_does_not_converge_is_remarked_on() -> None:
    result = train.run(
        PlayedJob(make_rows(), payload_of("LogisticRegression", parameters={"max_iter": 1}))
    )
    [remark] = result["lineage"]["remarks"]
    assert "failed to converge" in remark


def test_rows_without_a_label_are_left_out_and_counted() -> None:
    rows = make_rows("double")
    label = pa.array([None, math.nan, *rows["label"].to_pylist()[2:]])
    result = train.run(PlayedJob(rows.set_column(2, "label", label), payload_of("Ridge")))
    assert result["lineage"]["rows_unlabelled"] == 2


def trained(name: str = "GaussianNB", label: str = "bool", **changes: Any) -> bytes:
    job = PlayedJob(make_rows(label, seed=9), payload_of(name, **changes))
    train.run(job)
    return job.stored["pipeline"]


def test_the_champion_is_judged_by_the_same_rows_with_its_own_features() -> None:
    champion = trained(features=["visits", "spend"])
    job = PlayedJob(
        make_rows(),
        make_payload(champion_version=3, champion_features=["visits", "spend"]),
        parts={("buyer", 3): champion},
    )
    result = train.run(job)
    rows = job.rows.filter(
        pa.array(
            job.rows["event_time"].cast(pa.int64()).to_numpy()
            >= result["lineage"]["tested_from_us"]
        )
    )
    score = load_pipeline(champion).predict(rows).score
    [found] = [one for one in result["champion_metrics"] if one["name"] == "roc_auc"]
    assert found["value"] == pytest.approx(roc_auc_score(rows["label"].to_numpy(), score))
    assert result["lineage"]["champion"] == {"version": 3}


@pytest.mark.parametrize(
    ("part", "code"),
    [
        (b"nothing of ours", "malformed_artifact"),
        (ArtifactError("artifact_missing", "there is none"), "artifact_missing"),
        (ArtifactError("artifact_corrupt", "its hash is another"), "artifact_corrupt"),
    ],
)
def test_a_champion_that_is_no_use_does_not_keep_the_model_from_being_trained(
    part: bytes | ArtifactError, code: str
) -> None:
    job = PlayedJob(make_rows(), make_payload(champion_version=3), parts={("buyer", 3): part})
    result = train.run(job)
    assert result["champion_metrics"] == []
    assert result["lineage"]["champion"]["code"] == code
    assert job.counts == {"artifacts_refused": 1}


def test_a_champion_of_another_task_cannot_be_judged() -> None:
    parts = {("buyer", 3): trained("Ridge", "double")}
    result = train.run(PlayedJob(make_rows(), make_payload(champion_version=3), parts=parts))
    assert result["champion_metrics"] == []
    assert result["lineage"]["champion"]["code"] == "schema_mismatch"


def test_a_champion_that_cannot_be_had_for_now_fails_the_attempt() -> None:
    parts = {("buyer", 3): ArtifactError("artifact_unavailable", "the blob store is away")}
    job = PlayedJob(make_rows(), make_payload(champion_version=3), parts=parts)
    with pytest.raises(ArtifactError):
        train.run(job)
    assert job.stored == {}


def test_the_reference_is_of_the_fitted_rows_and_of_predictions_for_the_others() -> None:
    job = PlayedJob(make_rows())
    result = train.run(job)
    reference = read_reference(job.stored["reference"])
    assert list(reference.features) == list(FEATURES)
    assert reference.rows == result["rows_fitted"]
    assert reference.prediction is not None
    assert reference.prediction.count == result["rows_tested"]


def test_the_classes_of_many_are_what_drifts_in_predictions() -> None:
    job = PlayedJob(make_rows("string"))
    train.run(job)
    prediction = read_reference(job.stored["reference"]).prediction
    assert prediction is not None
    assert prediction.kind == "categorical"


def test_what_the_engine_asks_for_is_what_a_training_reads() -> None:
    spec = ModelSpec(
        name="buyer", entity="user", features=("recency",), label=LabelSpec(within=3_600)
    )
    model = Model(
        "buyer", "user", "", 0, (ModelVersion("buyer", 1, ("recency",), Source.DECLARED, 0),)
    )
    asked = request_training(
        spec, EstimatorSpec("GaussianNB"), model, History(5, 6), Cause.CALL, None
    )
    read = read_request(json.loads(json.dumps(write_training(asked))))
    assert read.label.within_s == 3_600
    assert read.split.least_rows == spec.split.least_rows
    assert (read.estimator.class_name, read.task) == ("GaussianNB", Task.CLASSIFICATION)


def test_a_payload_of_something_else_is_refused() -> None:
    refused = refusal_of(PlayedJob(make_rows(), {"model": "buyer"}))
    assert refused.code == "bad_payload"


def test_the_policy_and_the_importance_agree_on_what_is_better() -> None:
    assert LOWER_IS_BETTER == LOWER_FOR_POLICY
