"""A record as a line: clean facts first, then their layout."""

import json
import logging
import math
import re
import time
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from engine.logs.escaping import escape_controls
from engine.logs.redaction import Redactor
from engine.request_context import REQUEST_ID
from engine.tracing.spans import current_trace_id

_MAX_VALUE_CHARS = 4_096  # a rejected 10 MB message must not become a 10 MB log line
_MAX_TRACEBACK_CHARS = 65_536
_MAX_INT_BITS = 256  # Python refuses to print integers of more than 4,300 digits
_MAX_DEPTH = 4

_RECORD_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_LINE_FIELDS = frozenset({"ts", "level", "logger", "event", "exc"})

_PLAIN_VALUE = re.compile(r"[^\s\"'=\\]+")

_COLOURS = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


def extras_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return the facts that came with a record, as they were given."""
    return {name: value for name, value in record.__dict__.items() if name not in _RECORD_FIELDS}


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
            for name, value in extras_of(record).items()
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
