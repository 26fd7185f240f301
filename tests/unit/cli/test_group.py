"""Which command a command line means, and what an overview costs."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from engine.cli.entry import _COMMANDS, cli
from engine.cli.group import LazyCommand, LazyGroup
from engine.cli.options import _COMMON, _TRAFFIC, VALUE_OPTIONS, CommonOptions, common_options
from engine.cli.run import run
from engine.version import VERSION


@click.command
@common_options
@click.option("--demo", is_flag=True)
@click.option("--rate", type=int)
@click.pass_obj
def start(options: CommonOptions, /, *, demo: bool, rate: int | None) -> None:
    """Tell what was asked for."""
    click.echo(f"start {options.overrides} {options.data_dir} {demo} {rate}")


@click.command
@common_options
@click.argument("what", required=False)
@click.pass_obj
def other(options: CommonOptions, /, *, what: str | None) -> None:
    """Tell what was asked for."""
    click.echo(f"other {options.overrides} {options.data_dir} {what}")


@click.group(
    cls=LazyGroup,
    lazy_commands={
        "start": LazyCommand(__name__, "start", "Starts."),
        "other": LazyCommand("engine.cli.nowhere", "other", "Is elsewhere."),
    },
    default="start",
    value_options=("--set", "--data", "--config", "--rate"),
)
@common_options
def program() -> None:
    """A program."""


@pytest.fixture
def _other_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        program._lazy_commands,
        "other",
        LazyCommand(__name__, "other", "Is here."),
    )


@pytest.mark.usefixtures("_other_here")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", "start [] None False None"),
        ("--demo", "start [] None True None"),
        ("start --demo", "start [] None True None"),
        ("--set a.b=1 --demo --rate 5", "start ['a.b=1'] None True 5"),
        ("--set a.b=1 start --set c.d=2", "start ['a.b=1', 'c.d=2'] None False None"),
        ("--data one start --data two", "start [] two False None"),
        ("--data one other", "other [] one None"),
        ("--data=one other start", "other [] one start"),
        ("--data other", "start [] other False None"),
        ("--set other=1 --rate=5", "start ['other=1'] None False 5"),
    ],
)
def test_the_command_and_its_options(line: str, expected: str) -> None:
    result = CliRunner().invoke(program, line.split())

    assert result.output.strip() == expected


def test_a_misspelt_command_is_not_taken_for_the_default_one() -> None:
    result = CliRunner().invoke(program, ["strat"])

    assert result.exit_code == 2
    assert "No such command 'strat'" in result.output


def test_the_overview_imports_no_command() -> None:
    result = CliRunner().invoke(program, ["--help"])

    assert result.exit_code == 0
    assert "Is elsewhere." in result.output


@pytest.mark.parametrize(
    ("line", "about"),
    [("--help", "COMMAND"), ("--data one --help", "COMMAND"), ("--demo --help", "--rate")],
)
def test_help_is_about_what_the_other_options_are_of(line: str, about: str) -> None:
    result = CliRunner().invoke(program, line.split())

    assert result.exit_code == 0
    assert about in result.output


@pytest.mark.parametrize("line", [["--version"], ["--set", "a.b=1", "--version"]])
def test_the_version_is_told_without_a_command(line: list[str]) -> None:
    result = CliRunner().invoke(cli, line)

    assert (result.exit_code, result.output) == (0, f"trellis {VERSION}\n")


def test_the_overview_of_the_program_loads_none_of_the_engines_parts() -> None:
    code = (
        "import sys; from engine.cli.entry import cli\n"
        "try: cli.main(['--help'], standalone_mode=False)\n"
        "finally: print(sorted({'trio', 'duckdb', 'pyarrow', 'rich', 'yaml'} & sys.modules.keys()))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )

    assert done.stdout.rstrip().endswith("[]")


def test_every_command_exists_and_can_explain_itself() -> None:
    for name in _COMMANDS:
        result = CliRunner().invoke(cli, [name, "--help"])

        assert result.exit_code == 0, name
        # A machine that only has workers has no configuration; a backup and a shell need none.
        needs_none = name in ("worker", "restore", "completion")
        assert ("--config DIR" in result.output) != needs_none, name


def test_all_value_options_of_run_are_known_to_the_group() -> None:
    taking_values = {
        option
        for parameter in (*cli.params, *run.params)
        if isinstance(parameter, click.Option) and not parameter.is_flag
        for option in parameter.opts
    }

    assert taking_values == set(VALUE_OPTIONS)
    assert len(VALUE_OPTIONS) == len(_COMMON) + len(_TRAFFIC)
