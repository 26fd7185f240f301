"""What people and machines read of a prediction that was explained."""

import pytest

from engine.cli.explanation_text import describe_explanation, print_explanation
from engine.clock import to_us
from engine.features.values import FeatureValue, Status
from engine.services.prediction_rows import encode_explanation
from engine.serving.explaining import Comparison, EventBehind, ExplainedFeature, Explanation
from engine.serving.rows import Score

MADE_US = 1_750_000_000_000_000
DAY_US = 86_400_000_000
HORIZON_US = MADE_US - MADE_US % DAY_US
EVENT_US = HORIZON_US + 1_500_000


def same(name: str, value: int) -> ExplainedFeature:
    rebuilt = FeatureValue(name, value, Status.PRESENT, EVENT_US)
    return ExplainedFeature(name, value, "P", rebuilt, Comparison.EQUAL)


def without(name: str, value: int | None, comparison: Comparison) -> ExplainedFeature:
    return ExplainedFeature(name, value, "M" if value is None else "P", None, comparison)


def differing(name: str) -> ExplainedFeature:
    rebuilt = FeatureValue(name, 4, Status.PRESENT, EVENT_US)
    return ExplainedFeature(name, 3, "P", rebuilt, Comparison.DIFFERENT)


def explained(*features: ExplainedFeature, moved_before_us: int | None = HORIZON_US) -> Explanation:
    behind = (EventBehind("view", EVENT_US, None, 3, ("views",)),)
    score = Score("true", 0.75, ("false", "true"), (0.25, 0.75))
    return Explanation("01P", "buys", 2, MADE_US, 7, 5, score, features, behind, moved_before_us)


def shown(capsys: pytest.CaptureFixture[str], explanation: Explanation) -> list[str]:
    print_explanation(encode_explanation(explanation), 20)
    return capsys.readouterr().out.splitlines()


MOVED = (
    same("views", 2),
    without("spend", 9, Comparison.EVENTS_MOVED),
    without("rate", None, Comparison.EVENTS_MOVED),
)


def test_what_is_on_record_is_shown_beside_what_could_be_rebuilt(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = shown(capsys, explained(*MOVED))
    assert lines[0] == "prediction 01P: true, 0.7500"
    assert lines[3:8] == [
        "feature  given  rebuilt  equal         event time",
        "views    2      2        yes           2025-06-15T00:00:01.500000Z",
        "spend    9               events moved",
        "rate     null            events moved",
        "",
    ]
    assert lines[8] == "not all checked: 1 of 3 values are the same"
    assert lines[9] == (
        "not rebuilt: spend, rate; events before 2025-06-15T00:00:00.000000Z have been moved to "
        "archives; to read them: python main.py history events --user 7"
    )
    assert "events behind it, the latest first, those not moved:" in lines


def test_machines_read_why_a_value_was_not_compared() -> None:
    found = describe_explanation(encode_explanation(explained(*MOVED)))
    assert found["reproduced"] is False
    assert found["events_moved_before"] == "2025-06-15T00:00:00.000000Z"
    assert found["label"] == "true"
    assert [
        (one["name"], one["given"], one["rebuilt"], one["equal"], one["comparison"])
        for one in found["features"]
    ] == [
        ("views", 2, 2, True, "equal"),
        ("spend", 9, None, False, "events_moved"),
        ("rate", None, None, False, "events_moved"),
    ]


def test_a_difference_is_told_before_what_was_not_compared(
    capsys: pytest.CaptureFixture[str],
) -> None:
    gone = without("gone", 1, Comparison.UNDEFINED)
    lines = shown(capsys, explained(differing("views"), gone, moved_before_us=None))
    assert any(line.startswith("NOT reproduced") for line in lines)
    assert "not rebuilt: gone; not defined any more in features.yaml" in lines
    assert not any("moved" in line for line in lines)


def test_values_that_the_caller_had_set_do_not_count(capsys: pytest.CaptureFixture[str]) -> None:
    set_by_caller = without("rate", 1, Comparison.OVERRIDDEN)
    lines = shown(capsys, explained(same("views", 2), set_by_caller, moved_before_us=None))
    assert "reproduced: every value is the same to the last bit" in lines
    assert "events behind it, the latest first:" in lines


def test_times_of_messages_are_those_of_the_explanation() -> None:
    found = encode_explanation(explained(*MOVED))
    assert to_us(found.events_moved_before.ToDatetime()) == HORIZON_US
    assert not found.features[1].HasField("rebuilt")
    assert not found.features[1].given.HasField("event_time")
    assert found.features[0].given == found.features[0].rebuilt
