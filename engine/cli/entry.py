"""The program's entry: its commands, and how an error becomes a message and an exit code."""

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Final, NoReturn

import click

from engine import early_stop
from engine.cli.group import LazyCommand, LazyGroup
from engine.cli.options import (
    COMPLETE_VARIABLE,
    DEBUG_VARIABLE,
    OPEN_FOR_DEBUGGERS,
    VALUE_OPTIONS,
    common_options,
)
from engine.cli.streams import OutputLostError, discard, open_streams, settle_streams
from engine.errors import InvalidArgumentError, TrellisError
from engine.logs import REDACTOR, escape_controls
from engine.own_process import keep_to_itself
from engine.version import VERSION

EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
"""As of a program that SIGINT has ended, by which shells know not to go on with what is next."""

_COMMANDS: Final = {
    "run": LazyCommand("engine.cli.run", "run", "Run the engine (the default)."),
    "generate": LazyCommand(
        "engine.cli.generate", "generate", "Send synthetic or recorded events to an engine."
    ),
    "status": LazyCommand("engine.cli.status", "status", "Show how a running engine is doing."),
    "features": LazyCommand(
        "engine.cli.features", "features", "Show the features of one entity, now or in the past."
    ),
    "models": LazyCommand(
        "engine.cli.models",
        "models",
        "List models; show, promote or roll back one, or its quality.",
    ),
    "predict": LazyCommand(
        "engine.cli.predict", "predict", "Show what a trained model predicts for one entity."
    ),
    "explain": LazyCommand(
        "engine.cli.explain", "explain", "Rebuild from history what a prediction was made of."
    ),
    "train": LazyCommand("engine.cli.train", "train", "Train a model now."),
    "drift": LazyCommand(
        "engine.cli.drift", "drift", "List the reports of drift, or look for it now."
    ),
    "dead-letters": LazyCommand(
        "engine.cli.dead_letters", "dead_letters", "List refused messages, or take them in again."
    ),
    "history": LazyCommand(
        "engine.cli.history",
        "history",
        "Show events or predictions of any age, also archived ones.",
    ),
    "upload": LazyCommand(
        "engine.cli.upload", "upload", "Upload a file whose rows become feature values."
    ),
    "jobs": LazyCommand(
        "engine.cli.jobs", "jobs", "List jobs; submit, show, watch, cancel or retry one."
    ),
    "workers": LazyCommand(
        "engine.cli.workers", "workers", "List the workers; show, replace or drain them."
    ),
    "worker": LazyCommand(
        "engine.cli.worker", "worker", "Run workers on this machine for an engine elsewhere."
    ),
    "backup": LazyCommand(
        "engine.cli.backup", "backup", "Copy the data of a running engine to a new folder."
    ),
    "restore": LazyCommand(
        "engine.cli.restore", "restore", "Make a data folder of a backup, and check it."
    ),
    "completion": LazyCommand(
        "engine.cli.completion", "completion", "Print what makes a shell complete this line."
    ),
    "check-config": LazyCommand(
        "engine.cli.check_config", "check_config", "Check and show the effective configuration."
    ),
    "compact": LazyCommand(
        "engine.cli.compact", "compact", "Write the data file of a stopped engine anew, smaller."
    ),
}


_DEFAULT: Final = "run"


def _prepare_signals(command: str) -> None:
    # Only the engine may be stopped before it began; another command would seem to have done it.
    if command != _DEFAULT:
        early_stop.disarm()


@click.group(
    cls=LazyGroup,
    lazy_commands=_COMMANDS,
    default=_DEFAULT,
    before_import=_prepare_signals,
    value_options=VALUE_OPTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Without a command the engine runs; `--demo` gives it traffic of its own. "
    "COMMAND --help shows its options and examples.",
)
@click.version_option(VERSION, message="trellis %(version)s")
@common_options
def cli() -> None:
    """Trellis: features, models and jobs over live events, in one process and one file."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program and exit.

    0 after a clean stop, 2 for bad usage or configuration, 130 when it was interrupted, else 1.

    Args:
      arguments: the command line without the program's name; by default the process's own.
    """
    keep_to_itself(debuggable=os.environ.get(DEBUG_VARIABLE) in OPEN_FOR_DEBUGGERS)
    open_streams()
    try:
        if COMPLETE_VARIABLE in os.environ:
            _complete()
        sys.exit(_run(arguments))
    finally:
        settle_streams()


def _complete() -> NoReturn:
    from engine.cli.completion import print_completions  # noqa: PLC0415  only who completes needs it

    print_completions(cli)
    sys.exit(0)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = cli.main(arguments, prog_name="python main.py", standalone_mode=False)
        sys.stdout.flush()
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001  every error ends here, as one message
        return _report(error)
    return code if isinstance(code, int) else 0


def _report(error: BaseException) -> int:
    if isinstance(error, OutputLostError):
        discard(sys.stdout)
    try:
        _tell(error)
    except OSError:
        # There is nowhere left to say it; the exit code still does.
        discard(sys.stderr)
    if isinstance(error, click.ClickException):
        return error.exit_code
    if isinstance(error, click.Abort) or _is_interrupt(error):
        return EXIT_INTERRUPTED
    return EXIT_USAGE if _is_usage(error) else EXIT_FAILURE


def _tell(error: BaseException) -> None:
    if isinstance(error, click.ClickException):
        error.show()
        return
    if isinstance(error, click.Abort) or _is_interrupt(error):
        return
    if isinstance(error, OutputLostError) and error.is_unread:
        return  # whoever read our output has had enough of it
    if os.environ.get(DEBUG_VARIABLE) == "1":
        sys.stderr.write(REDACTOR.scrub("".join(traceback.format_exception(error))))
    for line in dict.fromkeys(_messages(error)):
        sys.stderr.write(f"error: {REDACTOR.scrub(line)}\n")


def _messages(error: BaseException) -> Iterator[str]:
    match error:
        case BaseExceptionGroup():
            for part in error.exceptions:
                yield from _messages(part)
        case TrellisError():
            # A configuration error has one problem a line.
            yield from map(escape_controls, str(error).split("\n"))
        case _:
            what = escape_controls(f"{type(error).__name__}: {error}")
            yield f"unexpected {what} ({DEBUG_VARIABLE}=1 shows where)"


def _is_interrupt(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(KeyboardInterrupt) is not None
    return isinstance(error, KeyboardInterrupt)


def _is_usage(error: BaseException) -> bool:
    from engine.config import ConfigError  # noqa: PLC0415  costs 0.1 s that the overview saves

    if isinstance(error, BaseExceptionGroup):
        return all(_is_usage(part) for part in error.exceptions)
    return isinstance(error, ConfigError | InvalidArgumentError)
