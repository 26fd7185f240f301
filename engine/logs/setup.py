"""Where everything that is logged in this process goes."""

import logging
import sys
from collections.abc import Iterable, Mapping
from typing import Protocol, TextIO

from engine.logs.lines import HumanFormatter, JsonFormatter
from engine.logs.redaction import REDACTOR

# Libraries that narrate at INFO; their warnings are wanted, their chatter is not.
_CHATTY_LOGGERS = ("aiokafka", "asyncio", "azure", "hypercorn", "kafka", "purerpc", "urllib3")


class LogSettings(Protocol):
    """What logging needs of the configuration."""

    @property
    def format(self) -> str:
        """`json`, `human`, or `auto`: human on a terminal."""

    @property
    def level(self) -> str:
        """The lowest level that is written, by its standard name."""

    @property
    def levels(self) -> Mapping[str, str]:
        """Another lowest level for a package of the engine, by its name below `engine`."""


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to whatever `sys.stderr` is now, so that a live display may stand in for it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        raise AttributeError("the stream of this handler is always sys.stderr")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the base class's name
        """Drop the line: when standard error is gone there is nowhere to say so."""


def configure_logging(settings: LogSettings, *, secrets: Iterable[str] = ()) -> None:
    """Send everything logged in this process to standard error; calling again replaces it.

    Args:
      settings: layout and lowest levels.
      secrets: revealed secret values to mask; more may be added later by `REDACTOR.add`.
    Raises:
      ValueError: a level's name is not known.
    """
    REDACTOR.add(secrets)
    on_terminal = sys.stderr.isatty()
    human = settings.format == "human" or (settings.format == "auto" and on_terminal)
    handler = _StderrHandler()
    handler.setFormatter(
        HumanFormatter(REDACTOR, colour=on_terminal) if human else JsonFormatter(REDACTOR)
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    level = _level(settings.level)
    root.setLevel(level)
    for name in _CHATTY_LOGGERS:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    for part, wanted in settings.levels.items():
        logging.getLogger(f"engine.{part}").setLevel(_level(wanted))
    logging.captureWarnings(capture=True)


def _level(name: str) -> int:
    try:
        return logging.getLevelNamesMapping()[name.upper()]
    except KeyError:
        raise ValueError(f"no log level is named {name!r}") from None
