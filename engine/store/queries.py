"""Named SQL: a `.sql` file holds queries, each under a `-- name:` line and a description."""

import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

_HEADER = re.compile(r"^-- name: *(?P<name>[a-z][a-z0-9_]*) *$", re.MULTILINE)


def load_queries(package: str) -> Mapping[str, str]:
    """Read every named query of the `.sql` files that lie directly in a package.

    Args:
      package: dotted name, such as `engine.features`.
    Returns: SQL text by name, the header line left out.
    Raises:
      ValueError: a name is used twice, or text stands before the first name.
    """
    queries: dict[str, str] = {}
    for file in sorted(resources.files(package).iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".sql"):
            continue
        before, *parts = _HEADER.split(file.read_text(encoding="utf-8"))
        if before.strip():
            raise ValueError(f"{package}/{file.name}: SQL before the first '-- name:' line")
        for name, sql in zip(parts[::2], parts[1::2], strict=True):
            if name in queries:
                raise ValueError(f"{package}/{file.name}: query {name!r} is defined twice")
            queries[name] = sql.strip()
    return MappingProxyType(queries)
