"""JSON for machines, in one shape.

A list of things is an array, one thing an object; names are those of the API, what is absent is
null, times are ISO 8601 in UTC. All of it is ASCII, whatever the locale. What comes bit by bit, or
may be more than fits in memory, is an object a line.
"""

import json
import math
from typing import Any

import click


def print_json(value: Any) -> None:
    """Print a value; numbers that JSON does not know are null."""
    click.echo(json.dumps(_plain(value), indent=2, allow_nan=False))


def write_json_line(value: Any) -> str:
    """Return a value as one line; numbers that JSON does not know are null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:  # there is such a number, which most values are not searched for
        return json.dumps(_plain(value), allow_nan=False)


def _plain(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {name: _plain(part) for name, part in value.items()}
        case list() | tuple():
            return [_plain(part) for part in value]
        case _:
            return value
