"""Commands that messages name lead to the engine that was asked for."""

import shlex

import click
import pytest
from click.testing import CliRunner

from engine.cli.command_lines import write_command
from engine.cli.options import CommonOptions, common_options
from engine.logs import REDACTOR


@click.group()
@common_options
def program() -> None:
    """Stands for the program: options may be given to it, too."""


@program.command("named")
@common_options
@click.pass_obj
def named(_options: CommonOptions) -> None:
    click.echo(write_command("jobs", "watch", "01J"))


def said(*arguments: str) -> str:
    done = CliRunner().invoke(program, [*arguments], obj=CommonOptions())
    assert done.exit_code == 0, done.output
    return done.output.strip()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["named"], "python main.py jobs watch 01J"),
        (["named", "--config", "etc"], "python main.py --config etc jobs watch 01J"),
        (["--data", "/d", "named"], "python main.py --data /d jobs watch 01J"),
        (
            ["--config", "my etc", "--set", "a.b=1", "named", "--set", "c.d=x y", "--data", "d"],
            "python main.py --config 'my etc' --data d --set a.b=1 --set 'c.d=x y' jobs watch 01J",
        ),
    ],
)
def test_what_a_command_was_given_is_given_to_the_one_it_names(
    given: list[str], expected: str
) -> None:
    assert said(*given) == expected
    # And that, typed as it stands, says the same again.
    words = shlex.split(expected)[2:-3]
    assert said(*words, "named") == expected


def test_outside_of_a_command_there_is_nothing_to_add() -> None:
    assert write_command("status") == "python main.py status"


def test_secrets_are_not_shown() -> None:
    REDACTOR.add(["hush-hush"])
    assert "hush-hush" not in said("named", "--set", "security.auth_token=hush-hush")
