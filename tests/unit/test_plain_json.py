"""What payloads and results of jobs may hold."""

import math

import pytest

from engine.plain_json import MOST_LEVELS, NotPlainError, check_plain


def nested(levels, innermost=1):
    value = innermost
    for level in range(levels):
        value = {"a": value} if level % 2 else [value]
    return value


def test_values_of_all_kinds_are_plain():
    check_plain({"a": [1, 2.5, None, True, "x", {"b": (1e308, -0.0)}], "c": {}, "": []})


def test_only_what_is_nested_too_deep_is_refused():
    check_plain(nested(MOST_LEVELS))
    with pytest.raises(NotPlainError, match="deeper than 100 levels"):
        check_plain(nested(MOST_LEVELS + 1))


def test_depth_that_no_recursion_could_bear_is_refused():
    with pytest.raises(NotPlainError, match="deeper than 100 levels"):
        check_plain(nested(100_000))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_does_not_have_is_refused_with_its_place(number):
    with pytest.raises(NotPlainError, match=rf"^metrics\[1\]\.auc is {number},"):
        check_plain({"rows": 5, "metrics": [{"auc": 0.5}, {"auc": number}]})
