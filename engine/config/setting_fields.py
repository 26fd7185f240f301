"""What settings have in common: their types, and how a field is declared."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

import attrs

from engine.config.kinds import Address, FilePath, Text
from engine.config.quantities import Duration, Integer, Number
from engine.config.secret_kinds import SecretText, SecretToken
from engine.config.secrets import Secret

Value = TypeVar("Value")

KIB = 2**10
MIB = 2**20
GIB = 2**30
DAY_S = 86_400

# Short enough for a metric label, and valid as a name in Python, SQL and the expression grammar.
Identifier = Annotated[
    str,
    Text(
        "a name of 1 to 63 lower-case letters, digits and underscores that starts with a letter",
        r"[a-z][a-z0-9_]{0,62}",
    ),
]
Port = Annotated[int, Integer(0, 65_535)]
Count = Annotated[int, Integer(1, 1_000_000)]
Rows = Annotated[int, Integer(1, 10_000_000)]
Threads = Annotated[int, Integer(1, 256)]
Days = Annotated[int, Integer(1, 36_500)]
ShortDuration = Annotated[float, Duration(0.01, 3600)]
Fraction = Annotated[float, Number(0, 1)]
Path_ = Annotated[Path, FilePath()]
Password = Annotated[Secret, SecretText()]
BearerToken = Annotated[Secret, SecretToken()]
Host = Annotated[str, Address()]


def setting(default: Value, meaning: str) -> Value:
    """Return an attrs field with its default and the sentence that documents it."""
    field: Any = attrs.field(default=default, metadata={"meaning": meaning})
    return field  # type: ignore[no-any-return]


def freeze_mapping(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a read-only copy, since a frozen class with a dict inside is not frozen."""
    return MappingProxyType(dict(mapping))


def mapping_setting(meaning: str) -> Any:
    """Return an attrs field for a mapping that is empty by default and read-only always."""
    return attrs.field(
        factory=lambda: MappingProxyType({}),
        converter=freeze_mapping,
        metadata={"meaning": meaning},
    )
