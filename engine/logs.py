"""Structured logging over the standard library: one event, one line.

A message is a short constant name of what happened, facts travel in `extra`. Lines are JSON when a
machine reads them and aligned, coloured text on a terminal. Whatever is written here passes
`scrub`, so that a secret which slipped into a message, a value or a traceback is not printed.
"""

import json
import logging
import math
import re
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Protocol, TextIO
from urllib.parse import quote, quote_plus, unquote, urlsplit

from engine.request_context import REQUEST_ID
from engine.tracing.spans import current_trace_id

MASK = "***"

_MIN_SECRET_CHARS = 4  # masking shorter ones would shred every line and hide nothing
_MAX_VALUE_CHARS = 4_096  # a rejected 10 MB message must not become a 10 MB log line
_MAX_TRACEBACK_CHARS = 65_536
_MAX_INT_BITS = 256  # Python refuses to print integers of more than 4,300 digits
_MAX_DEPTH = 4

# Libraries that narrate at INFO; their warnings are wanted, their chatter is not.
_CHATTY_LOGGERS = ("aiokafka", "asyncio", "azure", "hypercorn", "kafka", "purerpc", "urllib3")

_RECORD_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_LINE_FIELDS = frozenset({"ts", "level", "logger", "event", "exc"})

# C0 and C1 controls would break a line or drive the terminal; line and paragraph separators break
# it for some readers; bidirectional controls make a line read as something else.
_CONTROLS = [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F)]
_CONTROLS += range(0x2066, 0x206A)
_ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CONTROLS}
_ESCAPES |= {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t", ord("\\"): "\\\\"}
_PLAIN_VALUE = re.compile(r"[^\s\"'=\\]+")

_COLOURS = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


def escape_controls(text: str) -> str:
    """Return the text on one line, with every character spelt out that a terminal would act on."""
    return text.translate(_ESCAPES)


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


class Redactor:
    """Masks known secrets, whole or in the forms they take when quoted, in any text."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, secrets: Iterable[str]) -> None:
        """Mask these from now on.

        Args:
          secrets: revealed values; from a URL its password and from a connection string its keys
            are masked on their own too, as libraries print them apart.
        """
        with self._lock:
            for secret in secrets:
                for part in {secret, *_fragments(secret)}:
                    self._known.update(f for f in _spellings(part) if len(f) >= _MIN_SECRET_CHARS)
            # Longest first: a secret that contains another is masked as a whole.
            ordered = sorted(self._known, key=lambda text: (-len(text), text))
            self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def scrub(self, text: str) -> str:
        """Return the text with every known secret replaced by `***`."""
        pattern = self._pattern
        return text if pattern is None else pattern.sub(MASK, text)


def _fragments(secret: str) -> set[str]:
    found: set[str] = set()
    try:
        password = urlsplit(secret).password
    except ValueError:
        password = None
    if password:
        found |= {password, unquote(password)}
    for pair in secret.split(";"):
        name, separator, value = pair.partition("=")
        if separator and name.strip().lower().endswith(("key", "signature", "password", "token")):
            found.add(value)
            # Of a SAS token, URLs and messages repeat the signature apart from the rest.
            signatures = [p[4:] for p in value.split("&") if p.startswith("sig=")]
            found.update(signatures, map(unquote, signatures))
    return found


def _spellings(secret: str) -> set[str]:
    return {
        secret,
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        quote(secret, safe=""),
        quote_plus(secret),
        escape_controls(secret),
    }


REDACTOR = Redactor()
"""The process's one redactor: logging is global to the process, and so is what it must not say."""


class _Formatter(logging.Formatter):
    """Turns a record into clean facts; subclasses lay them out."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        try:
            return self._render(record, self._facts(record))
        except Exception as error:  # noqa: BLE001  a record that cannot be laid out is still told
            return f'{{"event": "log record unreadable", "error": "{type(error).__name__}"}}'

    def _facts(self, record: logging.LogRecord) -> dict[str, Any]:
        facts = {
            f"{name}_" if name in _LINE_FIELDS else self._text(name): self._clean(value)
            for name, value in record.__dict__.items()
            if name not in _RECORD_FIELDS
        }
        # What is logged on behalf of a call is found by the call's id.
        for name, identity in (("request_id", REQUEST_ID.get()), ("trace_id", current_trace_id())):
            if identity:
                facts.setdefault(name, identity)
        return facts

    def _event(self, record: logging.LogRecord) -> str:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001  wrong arguments in some library's log call
            message = f"{record.msg} {record.args}"
        return self._text(message)

    def _exception(self, record: logging.LogRecord) -> str | None:
        if record.exc_info and record.exc_info[0] is not None:
            text = _format_exception(record.exc_info)
        elif record.exc_text:
            text = record.exc_text
        elif record.stack_info:
            text = record.stack_info
        else:
            return None
        return self._text(text, _MAX_TRACEBACK_CHARS)

    def _clean(self, value: Any, depth: int = 0) -> Any:
        match value:
            case int() if value.bit_length() > _MAX_INT_BITS:
                return f"<integer of {value.bit_length()} bits>"
            case None | bool() | int():
                return value
            case float():
                return value if math.isfinite(value) else str(value)
            case str():
                return self._text(value)
            case Mapping() if depth < _MAX_DEPTH:
                return {
                    self._text(str(key)): self._clean(item, depth + 1)
                    for key, item in value.items()
                }
            case list() | tuple() | set() | frozenset() if depth < _MAX_DEPTH:
                return [self._clean(item, depth + 1) for item in value]
            case _:
                return self._text(_describe(value))

    def _text(self, text: str, limit_chars: int = _MAX_VALUE_CHARS) -> str:
        # Scrub before cutting, or the visible half of a secret would no longer be recognised.
        clean = self._redactor.scrub(text)
        if len(clean) <= limit_chars:
            return clean
        return f"{clean[:limit_chars]}… ({len(clean) - limit_chars} more characters)"

    def _render(self, record: logging.LogRecord, facts: dict[str, Any]) -> str:
        raise NotImplementedError


def _describe(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001  a broken __str__ must not cost the event
        return f"<{type(value).__name__}: {type(error).__name__} in __str__>"


def _format_exception(
    exc_info: tuple[type[BaseException], BaseException, TracebackType | None]
    | tuple[None, None, None],
) -> str:
    return "".join(traceback.format_exception(*exc_info)).rstrip("\n")


def _utc(record: logging.LogRecord, layout: str) -> str:
    return time.strftime(layout, time.gmtime(record.created))


class JsonFormatter(_Formatter):
    """One JSON object a line: ts, level, logger, event, the facts, exc."""

    def _render(self, record: logging.LogRecord, facts: dict[str, Any]) -> str:
        line: dict[str, Any] = {
            "ts": f"{_utc(record, '%Y-%m-%dT%H:%M:%S')}.{_microseconds(record):06d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": self._event(record),
            **facts,
        }
        exception = self._exception(record)
        if exception is not None:
            line["exc"] = exception
        # Plain ASCII: no separator or control character of any script can break the line.
        return json.dumps(line, ensure_ascii=True)


class HumanFormatter(_Formatter):
    """Aligned columns and `name=value` facts; a traceback follows, indented."""

    def __init__(self, redactor: Redactor, *, colour: bool) -> None:
        super().__init__(redactor)
        self._colour = colour

    def _render(self, record: logging.LogRecord, facts: dict[str, Any]) -> str:
        moment = f"{_utc(record, '%H:%M:%S')}.{_microseconds(record) // 1000:03d}"
        level = self._paint(f"{record.levelname:<8}", _COLOURS.get(record.levelname, "0"))
        event = self._paint(f"{escape_controls(self._event(record)):<28}", "1")
        values = " ".join(
            f"{self._paint(escape_controls(name), '36')}={_human_value(value)}"
            for name, value in facts.items()
        )
        source = self._paint(record.name.removeprefix("engine."), "2")
        line = f"{self._paint(moment, '2')} {level} {event} {values} {source}"
        exception = self._exception(record)
        if exception is not None:
            # The bar keeps a crafted message from passing for an event of its own.
            rows = (escape_controls(row) for row in exception.splitlines())
            line += "".join(f"\n    | {row}" for row in rows)
        return line

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text


def _microseconds(record: logging.LogRecord) -> int:
    return int(record.created % 1 * 1_000_000)


def _human_value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and not _PLAIN_VALUE.fullmatch(text):
        return '"' + escape_controls(text).replace('"', '\\"') + '"'
    return escape_controls(text)


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
