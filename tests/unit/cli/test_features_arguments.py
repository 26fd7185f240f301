"""Which entity and options a line of the command `features` means."""

import click
import pytest
from click.testing import CliRunner

from engine.cli.features import features


def parse(line: str) -> tuple[int, dict[str, object]]:
    context = features.make_context("features", line.split())
    return context.params.pop("entity_key"), {k: v for k, v in context.params.items() if v}


@pytest.mark.parametrize("key", [0, 7, -5, -(2**63), 2**63 - 1])
@pytest.mark.parametrize(
    "line", ["{key} --json --feature a", "--feature a {key} --json", "--json --feature=a {key}"]
)
def test_any_key_may_stand_anywhere(key: int, line: str) -> None:
    assert parse(line.format(key=key)) == (key, {"as_json": True, "names": ("a",)})


def test_a_key_may_still_come_after_a_double_dash() -> None:
    assert parse("--json -- -5") == (-5, {"as_json": True})


def test_an_options_value_is_no_key() -> None:
    with pytest.raises(click.BadParameter, match="-1 is not in the range"):
        parse("--version -1 -5")
    assert parse("--as-of -1 5") == (5, {"as_of": "-1"})


@pytest.mark.parametrize("key", ["99999999999999999999", "-9223372036854775809"])
def test_a_key_beyond_64_bits_is_refused_with_the_range(key: str) -> None:
    result = CliRunner().invoke(features, [key])
    assert result.exit_code == 2
    assert "Invalid value for 'ENTITY_KEY'" in result.output
    assert "-9223372036854775808<=x<=9223372036854775807" in result.output


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--featuer a 5", "No such option"),
        ("-x 5", "No such option"),
        ("-5 -6", "unexpected extra argument"),
        ("", "Missing argument 'ENTITY_KEY'"),
        ("5 --version", "requires an argument"),
    ],
)
def test_mistakes_are_still_named(line: str, told: str) -> None:
    result = CliRunner().invoke(features, line.split())
    assert result.exit_code == 2
    assert told in result.output


def test_help_names_the_argument() -> None:
    result = CliRunner().invoke(features, ["--help"])
    assert result.exit_code == 0
    assert "[OPTIONS] ENTITY_KEY" in result.output
