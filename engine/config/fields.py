"""What fields of definitions have in common: their types, and how they are described."""

from collections.abc import Mapping
from typing import Annotated, Any

import attrs

from engine.config.event_conditions import Conditions
from engine.config.kinds import Choice, Text
from engine.config.quantities import WholeSeconds
from engine.config.setting_fields import DAY_S, freeze_mapping

EVENTS_SOURCE = "events"
UPLOADS_PREFIX = "uploads."

AGGREGATES = (
    "count",
    "sum",
    "mean",
    "min",
    "max",
    "last",
    "first",
    "distinct_count",
    "seconds_since",
)
EVENT_COLUMNS = ("action", "value")
ENTITY_TYPES = ("int64",)
VALUE_TYPES = ("int64", "double", "string", "bool")

Source = Annotated[
    str,
    Text(
        "events, or uploads.NAME with the name of a dataset",
        r"events|uploads\.[a-z][a-z0-9_]{0,62}",
    ),
]
Expression = Annotated[str, Text("1 to 1000 characters on one line", r"[^\x00-\x1f\x7f]{1,1000}")]
Description = Annotated[str, Text("up to 1000 characters of text", r"[^\x00-\x08\x7f]{0,1000}")]
EntityType = Annotated[str, Choice(ENTITY_TYPES)]
ValueType = Annotated[str, Choice(VALUE_TYPES)]
Aggregate = Annotated[str, Choice(AGGREGATES)]
# Ten years; the shipped data spans 18 months.
Period = Annotated[int, WholeSeconds(1, 3650 * DAY_S)]
Where = Annotated[Mapping[str, str | tuple[str, ...]], Conditions()]


def described(
    meaning: str, *, default: Any = attrs.NOTHING, key: str | None = None, mapping: bool = False
) -> Any:
    """Return an attrs field with its meaning, and its key in the file where that differs."""
    metadata = {"meaning": meaning} if key is None else {"meaning": meaning, "key": key}
    converter = freeze_mapping if mapping else None
    return attrs.field(default=default, converter=converter, metadata=metadata)
