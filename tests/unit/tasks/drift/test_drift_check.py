"""A look at a whole window: what is compared, what cannot be, and what comes of it."""

import math
import sys

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.tasks.drift import (
    ANSWER_COLUMN,
    SCORE_COLUMN,
    KindChangedError,
    NothingToCompareError,
    Thresholds,
    check_drift,
    compare_feature,
)
from engine.tasks.drift.compare import LEAST_VALUES
from engine.tasks.reference import make_reference
from engine.tasks.reference_file import read_reference, write_reference

THRESHOLDS = Thresholds(psi=0.2, ks_statistic=0.1, missing_rate=0.1, alpha=0.01, share=0.2)
ROWS = 2_000


def training(seed: int = 1, shift: float = 0.0) -> pa.Table:
    random = np.random.default_rng(seed)
    return pa.table(
        {
            "spend": random.lognormal(size=ROWS) + shift,
            "clicks": random.poisson(1.2, ROWS),
            "active": random.random(ROWS) < 0.7,
            "plan": random.choice(["free", "pro", "team"], ROWS, p=[0.6, 0.3, 0.1]),
            "constant": np.full(ROWS, 7.0),
        }
    )


FEATURES = training().column_names


def check(
    window: pa.Table, reference_of: pa.Table, features: list[str] = FEATURES, **more: pa.Array
) -> dict:
    reference = read_reference(write_reference(make_reference(reference_of, seed=1, **more)))
    return check_drift(window, features, reference, THRESHOLDS, lambda name: None)


def scores_of(result: dict) -> dict[str, dict]:
    return {one["feature"]: one for one in result["features"]}


def replaced(table: pa.Table, name: str, values: object) -> pa.Table:
    position = table.column_names.index(name)
    column = values if isinstance(values, pa.Array) else pa.array(values)
    return table.set_column(position, name, column)


def test_another_window_of_the_same_is_stable() -> None:
    result = check(training(2), training(1))
    assert (result["verdict"], result["features_drifted"]) == ("STABLE", 0)
    assert (result["rows"], result["reference_rows"]) == (ROWS, ROWS)
    assert (result["features_checked"], result["not_compared"]) == (5, {})
    for one in result["features"]:
        assert not one["drifted"]
        assert one["psi"] < 0.05


@pytest.mark.parametrize(
    ("name", "values", "reasons"),
    [
        ("spend", np.random.default_rng(3).lognormal(1.0, size=ROWS), ["psi", "ks"]),
        ("clicks", np.random.default_rng(3).poisson(3, ROWS), ["psi", "ks"]),
        ("active", np.random.default_rng(3).random(ROWS) < 0.3, ["psi", "ks"]),
        ("plan", ["free", "pro", "team", "team"] * (ROWS // 4), ["psi", "chi_squared"]),
        ("plan", ["free"] * 1_200 + ["pro"] * 590 + ["beta"] * 210, None),
        ("constant", np.full(ROWS, 7.5), ["psi", "ks"]),
        ("spend", [None if row % 3 else 1.0 for row in range(ROWS)], None),
    ],
)
def test_what_has_moved_is_found_and_named_first(
    name: str, values: object, reasons: list[str] | None
) -> None:
    result = check(replaced(training(2), name, values), training(1))
    first, *others = result["features"]
    assert (first["feature"], first["drifted"]) == (name, True)
    assert reasons is None or first["reasons"] == reasons
    assert not any(one["drifted"] for one in others)
    assert result["verdict"] == "DRIFTED"
    assert result["features_drifted"] == 1


def test_missing_values_and_new_categories_are_reasons() -> None:
    window = replaced(training(2), "active", [None, True, False, True] * (ROWS // 4))
    window = replaced(window, "plan", ["free"] * 1_300 + ["pro"] * 400 + ["beta"] * 300)
    scores = scores_of(check(window, training(1)))
    assert "missing_rate" in scores["active"]["reasons"]
    assert (scores["active"]["reference_missing_rate"], scores["active"]["current_rows"]) == (
        0.0,
        1_500,
    )
    assert scores["active"]["current_missing_rate"] == 0.25
    assert "new_categories" in scores["plan"]["reasons"]
    assert scores["plan"]["new_categories"] == ["beta"]


def test_a_shift_is_measured_in_standard_deviations() -> None:
    before = training(1)
    std = float(np.std(before["spend"].to_numpy()))
    result = check(replaced(before, "spend", before["spend"].to_numpy() + 0.5 * std), before)
    assert scores_of(result)["spend"]["wasserstein"] == pytest.approx(0.5)
    # A constant has none.
    assert scores_of(result)["constant"]["wasserstein"] is None


def test_too_few_values_are_not_judged() -> None:
    before = training(1)
    few = [100.0] * (LEAST_VALUES - 1)
    window = pa.table({"spend": pa.array([*few, *[None] * 5], pa.float64())})
    found = scores_of(check(window, before, ["spend"]))["spend"]
    assert (found["psi"], found["ks_statistic"], found["adjusted_p_value"]) == (None, None, None)
    assert found["current"]["shares"][-1] == 1.0
    enough = pa.table({"spend": [*few, 100.0]})
    assert scores_of(check(enough, before, ["spend"]))["spend"]["drifted"]


def test_predictions_are_compared_where_there_are_any() -> None:
    random = np.random.default_rng(4)
    prediction = pa.array(random.random(ROWS))
    window = training(2)
    same = window.append_column(SCORE_COLUMN, pa.array([None, *random.random(ROWS - 1)]))
    result = check(same, training(1), prediction=prediction)
    assert (result["verdict"], result["features_checked"]) == ("STABLE", 5)
    assert scores_of(result)["(prediction)"]["current_rows"] == ROWS - 1
    moved = window.append_column(SCORE_COLUMN, pa.array(random.random(ROWS) ** 3))
    result = check(moved, training(1), prediction=prediction)
    assert (result["verdict"], result["features_drifted"]) == ("DRIFTED", 0)
    assert result["prediction_drifted"]
    assert result["features"][0]["feature"] == "(prediction)"
    none = window.append_column(SCORE_COLUMN, pa.nulls(ROWS, pa.float64()))
    for table in (window, none):
        result = check(table, training(1), prediction=prediction)
        assert "(prediction)" not in scores_of(result)
        assert not result["prediction_drifted"]


def test_of_more_than_two_classes_the_predicted_class_is_compared() -> None:
    random = np.random.default_rng(5)

    def answers(shares: list[float]) -> pa.Array:
        return pa.array(random.choice(["a", "b", "c"], ROWS, p=shares))

    window = training(2).append_column(SCORE_COLUMN, pa.array(random.random(ROWS)))
    before = answers([0.5, 0.3, 0.2])
    same = window.append_column(ANSWER_COLUMN, answers([0.5, 0.3, 0.2]))
    result = check(same, training(1), prediction=before)
    found = scores_of(result)["(prediction)"]
    assert (result["verdict"], found["kind"], found["missing_p_value"]) == (
        "STABLE",
        "categorical",
        None,
    )
    moved = window.append_column(ANSWER_COLUMN, answers([0.1, 0.3, 0.6]))
    result = check(moved, training(1), prediction=before)
    assert result["prediction_drifted"]
    assert scores_of(result)["(prediction)"]["reasons"] == ["psi", "chi_squared"]


def test_how_surely_values_are_missing_more_often_is_reported() -> None:
    window = training(2)
    some = pa.array([None if place % 3 == 0 else 1.0 for place in range(ROWS)], pa.float64())
    at = window.column_names.index("spend")
    found = scores_of(check(window.set_column(at, "spend", some), training(1)))
    assert found["spend"]["missing_p_value"] < 1e-9
    assert found["spend"]["missing_p_value"] <= found["spend"]["adjusted_missing_p_value"] < 1e-8
    other = found["clicks"]
    assert other["missing_p_value"] <= other["adjusted_missing_p_value"] <= 1


def test_what_cannot_be_compared_is_reported_beside_the_rest() -> None:
    window = replaced(training(2), "clicks", ["1"] * ROWS).drop_columns(["active"])
    window = window.append_column("added", pa.nulls(ROWS, pa.float64()))
    result = check(window, training(1), [*FEATURES, "added"])
    assert result["not_compared"] == {
        "clicks": "kind_changed",
        "active": "not_in_window",
        "added": "no_reference",
    }
    assert sorted(scores_of(result)) == ["constant", "plan", "spend"]
    assert result["verdict"] == "STABLE"
    with pytest.raises(NothingToCompareError, match="added \\(no_reference\\)"):
        check(window, training(1), ["added"])
    with pytest.raises(NothingToCompareError, match="there is none"):
        check(window, training(1), [])


def test_a_column_without_a_type_is_all_missing() -> None:
    for name in ("spend", "plan"):
        window = replaced(training(2), name, pa.nulls(ROWS))
        found = scores_of(check(window, training(1)))[name]
        assert found["reasons"] == ["missing_rate"]


def test_numbers_are_not_compared_with_text() -> None:
    reference = make_reference(training(), seed=1)
    with pytest.raises(KindChangedError, match="spend was numeric"):
        compare_feature("spend", pa.chunked_array([["a"]]), reference.features["spend"], ROWS)
    with pytest.raises(KindChangedError, match="plan was categorical"):
        compare_feature("plan", pa.chunked_array([[1.0]]), reference.features["plan"], ROWS)


def test_each_feature_is_announced_before_it_is_compared() -> None:
    noted: list[str] = []
    reference = make_reference(training(), seed=1)
    check_drift(training(2), FEATURES, reference, THRESHOLDS, noted.append)
    assert noted == FEATURES


HUGE = sys.float_info.max
AWKWARD = st.floats() | st.sampled_from([0.0, 1.0, HUGE, -HUGE, 1.7e308, 5e-324]) | st.none()


@settings(deadline=None)
@given(st.lists(AWKWARD, min_size=1, max_size=60), st.lists(AWKWARD, min_size=1, max_size=60))
@example([-HUGE] * 20, [HUGE] * 20)
@example([HUGE] * 20, [-HUGE, HUGE] * 20)
@example([-HUGE, HUGE] * 20, [0.0] * 20)
def test_any_numbers_make_a_report_of_valid_json(
    before: list[float | None], after: list[float | None]
) -> None:
    result = check(
        pa.table({"x": pa.array(after, pa.float64())}),
        pa.table({"x": pa.array(before, pa.float64())}),
        ["x"],
    )
    (one,) = msgspec.json.decode(msgspec.json.encode(result))["features"]
    values = [value for value in after if value is not None and math.isfinite(value)]
    assert one["current_rows"] == len(values)
    for name, value in one.items():
        decoded = result["features"][0][name]
        assert value == (list(decoded) if isinstance(decoded, tuple) else decoded), name


def test_a_report_on_256_features_stays_below_a_mebibyte() -> None:
    random = np.random.default_rng(5)
    nasty = [f'"\\é{number:04d}' + '"\\' * 30 for number in range(200)]
    before, after = {}, {}
    for number in range(256):
        name = f"feature_{number:03d}".ljust(63, "x")
        if number % 2:
            before[name], after[name] = random.normal(size=(2, 500)) * 1e-300
        else:
            before[name] = nasty[:100] * 5
            after[name] = nasty[100:] * 5
    result = check(pa.table(after), pa.table(before), list(before), prediction=pa.array([1.0] * 50))
    assert len(result["features"]) == 256
    assert len(msgspec.json.encode(result)) < 2**20
