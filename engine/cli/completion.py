"""`completion`: what a shell needs to complete this command line, and the answers to it.

The shell runs the program with the line so far in its environment. Nothing is ever said of what
goes wrong then: who presses the tabulator has not asked for a message in the middle of a line.
"""

import os
import shlex
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final

import attrs
import click
from click.shell_completion import CompletionItem, ShellComplete, split_arg_string

from engine.cli.examples import examples
from engine.cli.options import COMPLETE_VARIABLE
from engine.logs import escape_controls

_LINE_VARIABLE: Final = "_TRELLIS_LINE"
"""The command line up to the cursor."""
_SKIP_VARIABLE: Final = "_TRELLIS_SKIP"
"""How many of its words name the program."""
_ALIAS_VARIABLE: Final = "_TRELLIS_ALIAS"
"""What the program's name is an alias of."""

_MAIN: Final = Path(__file__).resolve().parents[2] / "main.py"
_SCRIPTS: Final = {"bash": "bash.sh", "zsh": "zsh.sh", "fish": "fish.fish"}
_CURSOR: Final = "\x00"


@click.command(
    "completion",
    epilog=examples("completion bash", "completion zsh", "completion fish"),
)
@click.argument("shell", type=click.Choice([*_SCRIPTS]))
def completion(*, shell: str) -> None:
    """Print a script that has SHELL complete commands, options and names.

    Write it to a file and source that in ~/.bashrc or ~/.zshrc; fish reads what is in
    ~/.config/fish/conf.d. It works for `python main.py` by any path to this main.py, and for an
    alias or function named `trellis`. Names of models, workers and jobs are those of the running
    engine; without one, there are none.
    """
    click.echo(make_script(shell), nl=False)


def make_script(shell: str) -> str:
    """Return the script for a shell, for this Python and this main.py."""
    text = (resources.files("engine.cli") / "completions" / _SCRIPTS[shell]).read_text("utf-8")
    quote = _quote_for_fish if shell == "fish" else shlex.quote
    names = dict.fromkeys(["python", "python3", f"python3.{sys.version_info.minor}"])
    return (
        text.replace("@PYTHON@", quote(sys.executable))
        .replace("@REAL_MAIN@", quote(str(_MAIN)))
        .replace("@MAIN@", quote(str(_MAIN)))
        .replace("@NAMES@", " ".join(names))
    )


def _quote_for_fish(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


@attrs.frozen
class _Asked:
    """What stands on the line: whole words behind the program's name, and the one begun."""

    words: list[str]
    begun: str


def print_completions(program: click.Command, environ: Mapping[str, str] = os.environ) -> None:
    """Print what the word at the cursor may become: kind, value and help, a line each.

    Kinds: `plain`; `open`, to which more is to be added; `file` and `dir`, which shells know best.
    """
    try:
        shell = environ[COMPLETE_VARIABLE]
        asked = _read_line(environ)
        completer = ShellComplete(program, {}, "python main.py", COMPLETE_VARIABLE)
        found = completer.get_completions(asked.words, asked.begun)
        prefix = _prefix(shell, asked.begun)
        lines = [_show(item, prefix) for item in found]
    except Exception:  # noqa: BLE001 - see above
        return
    sys.stdout.write("".join(lines))


def _read_line(environ: Mapping[str, str]) -> _Asked:
    # With something at the cursor there is always a word there, be it empty so far.
    words = split_arg_string(environ[_LINE_VARIABLE] + _CURSOR)
    *whole, begun = words[int(environ[_SKIP_VARIABLE]) :]
    return _Asked(
        [*_options_of_alias(environ.get(_ALIAS_VARIABLE, "")), *whole], begun.removesuffix(_CURSOR)
    )


def _options_of_alias(text: str) -> list[str]:
    """Return what an alias says behind `main.py`."""
    words = split_arg_string(text)
    places = [place for place, word in enumerate(words) if Path(word).name == _MAIN.name]
    return words[places[0] + 1 :] if places else []


def _prefix(shell: str, begun: str) -> str:
    """Return what fish wants repeated of `--option=value`; others complete the value alone."""
    option, equals, _ = begun.partition("=")
    return option + equals if shell == "fish" and begun.startswith("--") and equals else ""


def _show(item: CompletionItem[str], prefix: str) -> str:
    kind = item.type
    if kind == "plain" and item.value.endswith("="):
        kind = "open"
    help_text = " ".join((item.help or "").split())
    return "\t".join(map(escape_controls, (kind, prefix + str(item.value), help_text))) + "\n"
