"""From scores to a verdict: both the size and the significance of a change count."""

import attrs
import pytest

from engine.tasks.drift.bins import Bins
from engine.tasks.drift.compare import Comparison
from engine.tasks.drift.report import write_report
from engine.tasks.drift.statistic import Statistic
from engine.tasks.drift.verdict import Reason, Thresholds, Verdict, judge
from engine.tasks.feature_columns import Kind

THRESHOLDS = Thresholds(psi=0.2, ks_statistic=0.1, missing_rate=0.1, alpha=0.01, share=0.2)


def numbers(
    feature: str = "x",
    *,
    psi: float | None = 0.0,
    ks: tuple[float, float] | None = (0.0, 1.0),
    missing: tuple[float, float, float] = (0.0, 0.0, 1.0),
) -> Comparison:
    return Comparison(
        feature=feature,
        kind=Kind.NUMERIC,
        reference_rows=1_000,
        current_rows=500,
        reference_missing_rate=missing[0],
        current_missing_rate=missing[1],
        missing_p_value=missing[2],
        reference_bins=Bins((1.0,)),
        current_bins=Bins((1.0,)),
        psi=psi,
        ks=None if ks is None else Statistic(*ks),
    )


def text(
    *, psi: float = 0.0, variation: float = 0.0, p_value: float = 1.0, new_share: float = 0.0
) -> Comparison:
    return attrs.evolve(
        numbers(psi=psi, ks=None),
        kind=Kind.CATEGORICAL,
        chi_squared=Statistic(1.0, p_value),
        total_variation=variation,
        new_categories=("new",) if new_share else (),
        new_share=new_share,
    )


def reasons(one: Comparison, thresholds: Thresholds = THRESHOLDS) -> tuple[Reason, ...]:
    return judge([one], None, thresholds).features[0].reasons


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (numbers(), ()),
        (numbers(psi=0.2, ks=(0.05, 0.009)), (Reason.PSI,)),
        (numbers(psi=0.19, ks=(0.1, 0.009)), (Reason.KS,)),
        (numbers(psi=0.3, ks=(0.3, 0.009)), (Reason.PSI, Reason.KS)),
        # Significant but small; large but by chance.
        (numbers(psi=0.19, ks=(0.09, 1e-30)), ()),
        (numbers(psi=3.0, ks=(0.9, 0.01)), ()),
        (numbers(psi=None, ks=None), ()),
        (text(psi=0.2, variation=0.1, p_value=1e-9), (Reason.PSI, Reason.CHI_SQUARED)),
        (text(psi=0.1, variation=0.1, p_value=1e-9), (Reason.CHI_SQUARED,)),
        (text(psi=0.5, variation=0.4, p_value=0.02), ()),
        (text(new_share=0.1), (Reason.NEW_CATEGORIES,)),
        (text(new_share=0.09), ()),
        (numbers(missing=(0.2, 0.31, 1e-9)), (Reason.MISSING_RATE,)),
        (numbers(missing=(0.2, 0.31, 0.02)), ()),
        (numbers(missing=(0.2, 0.29, 1e-9)), ()),
        # Fewer missing values do no harm.
        (numbers(missing=(0.9, 0.1, 1e-9)), ()),
    ],
)
def test_a_feature_drifts_by_size_and_significance(
    one: Comparison, expected: tuple[Reason, ...]
) -> None:
    assert reasons(one) == expected


def test_thresholds_of_zero_do_not_make_equal_features_drift() -> None:
    thresholds = attrs.evolve(THRESHOLDS, missing_rate=0.0, ks_statistic=0.0, share=0.0)
    assert reasons(numbers(), thresholds) == ()
    assert reasons(text(), thresholds) == ()
    assert judge([numbers()], None, thresholds).verdict is Verdict.STABLE


def test_many_features_make_a_chance_find_insignificant() -> None:
    suspect = numbers("a", psi=0.5, ks=(0.2, 0.004))
    assert judge([suspect], None, THRESHOLDS).features[0].drifted
    others = [numbers(str(number)) for number in range(4)]
    judgement = judge([suspect, *others], None, THRESHOLDS)
    assert not judgement.features[0].drifted
    assert judgement.features[0].adjusted_p_value == pytest.approx(0.02)


def test_missing_values_are_corrected_for_among_themselves() -> None:
    suspect = numbers("a", missing=(0.0, 0.2, 0.004), ks=None, psi=None)
    assert judge([suspect], None, THRESHOLDS).drifted == 1
    judgement = judge([suspect, *(numbers(str(n)) for n in range(4))], None, THRESHOLDS)
    assert judgement.drifted == 0


@pytest.mark.parametrize(
    ("drifted", "stable", "verdict"),
    [(0, 5, "STABLE"), (1, 4, "DRIFTED"), (1, 5, "STABLE"), (2, 8, "DRIFTED"), (1, 0, "DRIFTED")],
)
def test_the_input_drifts_by_the_share_of_its_features(
    drifted: int, stable: int, verdict: str
) -> None:
    features = [numbers(f"d{number}", psi=1.0, ks=(0.5, 1e-20)) for number in range(drifted)]
    features += [numbers(f"s{number}") for number in range(stable)]
    judgement = judge(features, None, THRESHOLDS)
    assert (judgement.verdict, judgement.drifted) == (verdict, drifted)


def test_drifted_predictions_suffice_and_are_no_feature() -> None:
    features = [numbers(str(number)) for number in range(9)]
    shifted = numbers("(prediction)", psi=1.0, ks=(0.5, 1e-20))
    judgement = judge(features, shifted, THRESHOLDS)
    assert (judgement.verdict, judgement.drifted) == (Verdict.DRIFTED, 0)
    assert judgement.prediction is not None
    assert judgement.prediction.drifted
    assert judgement.prediction.adjusted_p_value == pytest.approx(1e-19)
    assert judge(features, numbers("(prediction)"), THRESHOLDS).verdict is Verdict.STABLE


def test_severity_is_the_largest_score_in_units_of_its_threshold() -> None:
    judgement = judge(
        [numbers(psi=0.5, ks=(0.3, 1.0)), text(new_share=0.4), numbers(missing=(0.1, 0.2, 1.0))],
        None,
        THRESHOLDS,
    )
    assert [one.severity for one in judgement.features] == pytest.approx([3.0, 4.0, 1.0])


def test_a_report_names_what_has_drifted_before_what_only_looks_far_away() -> None:
    by_chance = numbers("a", psi=3.0, ks=(0.9, 0.5))
    moved, moved_far = numbers("b", psi=0.3, ks=(0.2, 1e-9)), numbers("c", psi=0.6, ks=(0.2, 1e-9))
    report = write_report(judge([by_chance, moved, moved_far], None, THRESHOLDS), 500, 1_000, {})
    assert [one["feature"] for one in report["features"]] == ["c", "b", "a"]
