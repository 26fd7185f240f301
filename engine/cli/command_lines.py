"""Commands that messages name: they can be typed as they stand."""

import shlex
from pathlib import Path

import click

from engine.cli.options import DEFAULT_CONFIG_DIR, CommonOptions
from engine.logs import REDACTOR


def write_command(*arguments: str, data_dir: Path | None = None) -> str:
    """Return a command line for the engine that the command under way is about.

    Options that it was given to find its configuration and data are given to this one, too;
    secrets among them are not shown.

    Args:
      arguments: the command's name and what follows it; none: an engine.
      data_dir: a data folder to be named, whether one was given or not.
    """
    context = click.get_current_context(silent=True)
    found = None if context is None else context.find_object(CommonOptions)
    options = found or CommonOptions()
    words = ["python", "main.py"]
    if options.config_dir != DEFAULT_CONFIG_DIR:
        words += ["--config", str(options.config_dir)]
    folder = data_dir or options.data_dir
    if folder is not None:
        words += ["--data", str(folder)]
    for override in options.overrides:
        words += ["--set", override]
    return REDACTOR.scrub(shlex.join([*words, *arguments]))
