"""A round holds as many payloads as fit, in order, and always one."""

from engine.intake.rounds import take_round


def test_round_ends_before_the_payload_that_does_not_fit() -> None:
    assert take_round([("a", 4), ("b", 6), ("c", 1)], max_bytes=10) == ["a", "b"]


def test_payload_larger_than_a_round_goes_alone() -> None:
    assert take_round([("a", 11), ("b", 0)], max_bytes=10) == ["a"]


def test_nothing_makes_no_round() -> None:
    assert take_round([]) == []
