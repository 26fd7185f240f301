"""Rows of a recorded file into messages; what is wrong with the others."""

import datetime
import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Final

import msgspec

REQUIRED_COLUMNS: Final = ("user_id", "action", "timestamp")

_INT64_RANGE: Final = range(-(2**63), 2**63)
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,18})", re.ASCII)
_FRACTION: Final = re.compile(
    r"-?(?:0|[1-9][0-9]{0,300})(?=[.eE])(?:\.[0-9]{1,300})?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII
)
_ENCODER: Final = msgspec.json.Encoder()


class RowProblem(Exception):  # noqa: N818  says what a row has, caught where rows are read
    """A row cannot become a message; the text says why."""


def encode_csv_row(columns: Sequence[str], row: Sequence[str]) -> tuple[bytes, bytes]:
    """Return key and value of a row's message.

    Numbers become JSON numbers, empty fields are left out, columns other than user_id, action,
    timestamp and value become further fields.

    Raises:
      RowProblem: the row does not fit.
    """
    if len(row) != len(columns):
        raise RowProblem(f"{len(row)} fields, the header has {len(columns)}")
    fields = dict(zip(columns, row, strict=True))
    _check_text(fields)
    message: dict[str, Any] = {
        name: text if name == "action" else _number_or_text(text)
        for name, text in fields.items()
        if text
    }
    key = _check_fields(message)
    return key, _ENCODER.encode(message)


def encode_json_row(line: bytes) -> tuple[bytes, bytes]:
    """Return key and value of a line's message; the value is the line as it stands.

    Raises:
      RowProblem: the row does not fit.
    """
    value = line.strip()
    try:
        message = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RowProblem(f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise RowProblem("not a JSON object")
    return _check_fields(message), value


def _check_text(fields: Mapping[str, str]) -> None:
    try:
        "".join(fields.values()).encode()
    except UnicodeEncodeError as error:
        raise RowProblem("not UTF-8") from error


def _number_or_text(text: str) -> int | float | str:
    """Return what JSON would call a number as one; `007`, `nan` and `1,5` stay text."""
    if _INTEGER.fullmatch(text):
        integer = int(text)
        return integer if integer in _INT64_RANGE else text
    return float(text) if _FRACTION.fullmatch(text) and isfinite(float(text)) else text


def _check_fields(message: Mapping[str, Any]) -> bytes:
    """Check what a replay can check, and return the message's key."""
    for name in REQUIRED_COLUMNS:
        if message.get(name) in (None, ""):
            raise RowProblem(f"{name} is missing")
    user_id = message["user_id"]
    if type(user_id) is not int or user_id not in _INT64_RANGE:
        raise RowProblem(f"user_id is no 64-bit integer: {_show(user_id)}")
    if not isinstance(message["action"], str):
        raise RowProblem(f"action is no text: {_show(message['action'])}")
    _check_timestamp(message["timestamp"])
    value = message.get("value")
    if value is not None and type(value) not in {int, float}:
        raise RowProblem(f"value is no number: {_show(value)}")
    return b"%d" % user_id


def _check_timestamp(timestamp: object) -> None:
    if type(timestamp) in {int, float}:
        return
    try:
        datetime.datetime.fromisoformat(str(timestamp))
    except ValueError as error:
        raise RowProblem(f"timestamp is no ISO 8601 time: {_show(timestamp)}") from error


def _show(found: object) -> str:
    text = repr(found)
    return text if len(text) <= 60 else f"{text[:60]}…"
