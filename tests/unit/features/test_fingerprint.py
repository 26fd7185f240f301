"""A fingerprint changes with what a feature's values follow from, and with nothing else."""

import pytest

from engine.config import EntitySpec, FeaturesFile, FeatureSpec
from engine.features import compile_feature_set
from engine.features.views import FeatureSet

VIEWS = FeatureSpec("views", "events", {"action": ("view", "click")}, "count", window_s=60)
SPEND = FeatureSpec("spend", "events", {"action": ("buy",)}, "sum", column="value")
RATE = FeatureSpec("rate", expression="spend / views")


def compiled(*specs: FeatureSpec) -> FeatureSet:
    features = {spec.name: spec for spec in specs}
    return compile_feature_set(
        FeaturesFile(entities={"user": EntitySpec("user_id")}, features=features)
    )


BEFORE = compiled(VIEWS, SPEND, RATE).fingerprints


def views(*, actions: tuple[str, ...] = ("view", "click"), window_s: int = 60) -> FeatureSpec:
    return FeatureSpec("views", "events", {"action": actions}, "count", window_s=window_s)


@pytest.mark.parametrize(
    "spec",
    [
        views(window_s=61),
        views(actions=("view",)),
        FeatureSpec("views", "events", {}, "count", window_s=60),
        FeatureSpec(
            "views", "events", {"action": ("view", "click")}, "sum", column="value", window_s=60
        ),
        FeatureSpec("views", "events", {"action": ("view", "click")}, "count"),
        FeatureSpec("views", expression="spend + 1"),
    ],
    ids=["window", "actions", "all actions", "aggregate", "all time", "formula"],
)
def test_another_definition_has_another_fingerprint_as_have_the_formulas_over_it(
    spec: FeatureSpec,
) -> None:
    features = compiled(spec, SPEND, RATE)
    assert features.find_redefined(BEFORE) == ["views", "rate"]


@pytest.mark.parametrize(
    "specs",
    [
        (RATE, SPEND, VIEWS),
        (
            FeatureSpec("views", "events", {"action": ("click", "view")}, "count", window_s=60),
            SPEND,
        ),
        (
            FeatureSpec(
                "views", "events", {"action": ("view", "click")}, "count", window_s=60, ttl_s=9
            ),
        ),
        (VIEWS, SPEND, FeatureSpec("rate", expression=" (spend)/views ")),
    ],
    ids=["order", "order of actions", "ttl", "spelling"],
)
def test_the_same_values_have_the_same_fingerprint(specs: tuple[FeatureSpec, ...]) -> None:
    assert compiled(*specs).find_redefined(BEFORE) == []


def test_another_formula_has_another_fingerprint() -> None:
    for text in ("views / spend", "spend / (views + 0)", "spend / views if views > 0 else 1.0"):
        features = compiled(VIEWS, SPEND, FeatureSpec("rate", expression=text))
        assert features.find_redefined(BEFORE) == ["rate"]


def test_formulas_over_formulas_are_looked_at_once_each() -> None:
    specs = [VIEWS, FeatureSpec("f0", expression="views + 1")]
    specs += [FeatureSpec(f"f{n}", expression=f"f{n - 1} + f{n - 1}") for n in range(1, 60)]
    assert len(set(compiled(*specs).fingerprints.values())) == 61


def test_names_do_not_count() -> None:
    renamed = compiled(
        FeatureSpec("seen", "events", {"action": ("view", "click")}, "count", window_s=60),
        SPEND,
        FeatureSpec("rate", expression="spend / seen"),
    )
    assert renamed.fingerprints["seen"] == BEFORE["views"]
    assert renamed.find_redefined(BEFORE) == []
