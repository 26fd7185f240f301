"""What `history` refuses before it looks for an engine."""

import pytest
from click.testing import CliRunner

from engine.cli.entry import cli


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument"),
        (["everything"], "is not one of"),
        (["events", "--json", "--parquet", "x"], "not both"),
        (["archives", "--user", "3"], "go with events and predictions"),
        (["archives", "--parquet", "x"], "go with events and predictions"),
        (["events", "--limit", "0"], "0 is not in the range"),
        (["events", "--user", "x"], "not a valid integer"),
        (["events", "--timeout", "0s"], "more than 0s"),
        (["events", "--parquet", "/"], "is a directory"),
    ],
)
def test_what_cannot_be_meant_is_told_as_wrong_usage(arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(cli, ["history", *arguments])
    assert done.exit_code == 2
    assert message in done.output


def test_a_time_that_is_none_is_named() -> None:
    done = CliRunner().invoke(cli, ["history", "events", "--from", "yesterday"])
    assert "--from: 'yesterday' is no ISO 8601 time" in str(done.exception)


def test_help_has_an_example() -> None:
    done = CliRunner().invoke(cli, ["history", "--help"])
    assert done.exit_code == 0
    assert "python main.py history events --user 42" in done.output
    assert "default: 1h" in done.output
