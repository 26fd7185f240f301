"""From features.yaml to definitions: what only a look at the whole can find wrong."""

import pytest

from engine.config import ConfigError, EntitySpec, FeaturesFile, FeatureSpec
from engine.errors import InvalidArgumentError, NotFoundError
from engine.features import compile_feature_set
from engine.features.compilation import default_tile_s
from engine.features.definitions import EventFeature


def file_of(**features: str | FeatureSpec) -> FeaturesFile:
    specs = {
        name: FeatureSpec(name, expression=spec) if isinstance(spec, str) else spec
        for name, spec in features.items()
    }
    return FeaturesFile(entities={"user": EntitySpec("user_id")}, features=specs)


def count(name: str, window_s: int | None = None, tile_s: int | None = None) -> FeatureSpec:
    return FeatureSpec(name, source="events", aggregate="count", window_s=window_s, tile_s=tile_s)


@pytest.mark.parametrize(
    ("window_s", "tile_s"),
    [
        (1, 1),
        (60, 1),
        (300, 5),
        (900, 15),
        (3_600, 60),
        (86_400, 900),
        (7 * 86_400, 3_600),
        (30 * 86_400, 6 * 3_600),
        (365 * 86_400, 86_400),
    ],
)
def test_a_window_gets_the_largest_usual_tile_of_at_most_a_sixtieth(
    window_s: int, tile_s: int
) -> None:
    assert default_tile_s(window_s) == tile_s


def test_a_tile_that_is_written_is_kept() -> None:
    feature = compile_feature_set(file_of(n=count("n", 300, 10))).features["n"]
    assert isinstance(feature, EventFeature)
    assert (feature.window_us, feature.tile_us) == (300_000_000, 10_000_000)


def test_windows_start_at_a_tile_also_before_1970() -> None:
    feature = compile_feature_set(file_of(n=count("n", 5, 2))).features["n"]
    assert isinstance(feature, EventFeature)
    assert feature.window_start_us(-1) == -6_000_000
    assert feature.window_start_us(5_000_000) == 0
    assert feature.window_start_us(6_999_999) == 0
    assert feature.window_start_us(7_000_000) == 2_000_000


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        compile_feature_set(
            file_of(
                n=count("n"),
                event_time=count("event_time"),
                a__status=count("a__status"),
                bad="n +",
                views_5m=count("views_5m"),
                typo="view_5m * 2",
                uses_typo="typo + 1",
                one="two + n",
                two="three",
                three="one",
                outside="two * 2",
                own="own",
            )
        )
    problems = {problem.key: str(problem) for problem in caught.value.problems}
    assert set(problems) == {
        "features.event_time",
        "features.a__status",
        "features.bad.expression",
        "features.typo.expression",
        "features.one.expression",
        "features.own.expression",
    }
    assert "one -> two -> three -> one" in problems["features.one.expression"]
    assert "did you mean views_5m?" in problems["features.typo.expression"]


def test_formulas_may_stand_before_what_they_build_on() -> None:
    features = compile_feature_set(file_of(c="b == 2", b="a + 1", a="n / 2", n=count("n")))
    assert {name: feature.type for name, feature in features.features.items()} == {
        "n": "int64",
        "a": "double",
        "b": "double",
        "c": "bool",
    }
    assert [f.name for f in features.select(["c"]).features] == ["n", "a", "b", "c"]


def test_features_with_the_same_events_share_a_series() -> None:
    features = compile_feature_set(
        file_of(a=count("a", 300, 60), b=count("b", 3_600, 60), c=count("c", 300, 30), d=count("d"))
    )
    assert len(features.series) == 3


def test_an_unknown_name_is_refused_with_close_ones() -> None:
    features = compile_feature_set(file_of(clicks_5m=count("clicks_5m", 300)))
    with pytest.raises(NotFoundError, match="close to it: clicks_5m"):
        features.select(["click_5m"])


def test_a_selection_needs_names_and_each_once() -> None:
    features = compile_feature_set(file_of(a=count("a")))
    with pytest.raises(InvalidArgumentError, match="none named"):
        features.select([])
    with pytest.raises(InvalidArgumentError, match="'a' is named twice"):
        features.select(["a", "a"])


def test_the_same_names_give_the_same_selection() -> None:
    features = compile_feature_set(file_of(a=count("a")))
    assert features.select(["a"]) is features.select(("a",))
