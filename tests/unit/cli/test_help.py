"""The help of every command, and its examples, which are commands that can be typed."""

import re
import shlex
from pathlib import Path

import click
import pytest

from engine.cli.entry import _COMMANDS, cli

ROOT = Path(__file__).resolve().parents[3]
LINES = re.compile(r"python main\.py\b(.*)")


def command_of(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def parse(words: list[str]) -> str:
    """Return the name of the command that words mean; as the program does, short of running it."""
    with cli.make_context("python main.py", words) as context:
        rest = [*context._protected_args, *context.args]
        name, command, arguments = cli.resolve_command(context, rest)
        assert name is not None
        assert command is not None
        command.make_context(name, arguments, parent=context).close()
        return name


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_has_examples_that_can_be_typed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    examples = LINES.findall(command_of(name).epilog or "")
    assert examples
    for example in examples:
        assert parse(shlex.split(example)) == name


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_option_and_command_says_what_it_does(name: str) -> None:
    command = command_of(name)
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.opts


@pytest.mark.parametrize("name", _COMMANDS)
def test_the_overview_is_short(name: str) -> None:
    assert len(_COMMANDS[name].summary) <= 70
    assert _COMMANDS[name].summary.endswith(".")


def test_an_example_that_is_wrong_would_be_noticed() -> None:
    with pytest.raises(click.UsageError):
        parse(shlex.split("jobs list --stat dead"))
