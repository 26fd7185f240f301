"""JSON for machines, in one shape.

A list of things is an array, one thing an object; names are those of the API, what is absent is
null, times are ISO 8601 in UTC. All of it is ASCII, whatever the locale.
"""

import json
import math
from typing import Any

import click


def print_json(value: Any) -> None:
    """Print a value; numbers that JSON does not know are null."""
    click.echo(json.dumps(_plain(value), indent=2, allow_nan=False))


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
