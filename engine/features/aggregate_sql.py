"""Aggregates as DuckDB SQL: the same rules as `accumulators`, `series` and `exact`, bit for bit.

An *item* is a column of the events that some features look at: NULL unless the event counts and
has a value. A *raw* aggregate is computed from items over a window; a feature's value and event
time are expressions over raw aggregates. The text is the same for one entity (aggregates with a
FILTER) and for a training set (aggregates OVER a window); `Raws` writes whichever is asked for.
"""

from collections.abc import Callable, Iterable

import attrs

from engine.features.definitions import EventFeature
from engine.features.sql import quote_texts

_MICROS_LIMIT = "9223372036854775807"
_MICROS_LIMIT_AS_DOUBLE = "9223372036854775808::DOUBLE"


@attrs.frozen
class Item:
    """A column of events: what counts of them for some features."""

    name: str
    actions: frozenset[str] | None
    column: str | None

    @property
    def sql(self) -> str:
        """The item as an expression over the table `events`."""
        counts = "TRUE" if self.actions is None else f"action IN ({quote_texts(self.actions)})"
        match self.column:
            case None:
                return f"CASE WHEN {counts} THEN TRUE END"
            case "value":
                # Adding zero turns -0.0 into 0.0.
                return f"CASE WHEN {counts} AND isfinite(value) THEN value + 0.0::DOUBLE END"
            case column:
                return f"CASE WHEN {counts} THEN {column} END"


class Items:
    """The items of some features, each once."""

    def __init__(self, features: Iterable[EventFeature]) -> None:
        keys = dict.fromkeys((feature.actions, feature.column) for feature in features)
        self._items = {key: Item(f"item{number}", *key) for number, key in enumerate(keys)}

    def of(self, actions: frozenset[str] | None, column: str | None) -> Item:
        """Return the item that looks at these events and this column."""
        return self._items[actions, column]

    @property
    def names(self) -> list[str]:
        """The items' column names."""
        return [item.name for item in self._items.values()]

    @property
    def sql(self) -> str:
        """All items as a SELECT list over the table `events`, led by a comma."""
        return "".join(f",\n    {item.sql} AS {item.name}" for item in self._items.values())


def micros_sql(item: Item) -> str:
    """Return the item in units of 1e-6 as a 64-bit integer."""
    scaled = f"{item.name} * 1e6::DOUBLE"
    return (
        f"CASE WHEN {scaled} >= {_MICROS_LIMIT_AS_DOUBLE} THEN {_MICROS_LIMIT} "
        f"WHEN {scaled} <= -{_MICROS_LIMIT_AS_DOUBLE} THEN -{_MICROS_LIMIT} "
        f"ELSE CAST({scaled} AS BIGINT) END"
    )


class Raws:
    """Collects raw aggregates, each once, and names them.

    Args:
      render: writes an aggregate: its call, an optional condition on the events taken in, and the
        feature whose window it has.
    """

    def __init__(self, render: Callable[[str, str | None, EventFeature], str]) -> None:
        self._render = render
        self._names: dict[str, str] = {}

    def add(self, call: str, condition: str | None, feature: EventFeature) -> str:
        """Return the column name of an aggregate."""
        return self._names.setdefault(
            self._render(call, condition, feature), f"raw{len(self._names)}"
        )

    @property
    def sql(self) -> str:
        """All raw aggregates as a SELECT list, led by a comma."""
        return "".join(f",\n    {sql} AS {name}" for sql, name in self._names.items())


@attrs.frozen
class CellSql:
    """A feature's cell over raw aggregates: its value and its event time."""

    value: str
    event_time: str


def cell_sql(feature: EventFeature, item: Item, raws: Raws) -> CellSql:
    """Return the cell of a feature, adding the raw aggregates it needs.

    The value of seconds_since is the newest event time, as in the cells of the online store.
    """

    def raw(call: str, condition: str | None = None) -> str:
        return raws.add(call, condition, feature)

    name = item.name
    taken = f"{name} IS NOT NULL"
    newest = raw("max(t)", taken)
    match feature.aggregate:
        case "count":
            return CellSql(raw(f"count({name})"), newest)
        case "distinct_count":
            return CellSql(raw(f"count(DISTINCT {name})"), newest)
        case "seconds_since":
            return CellSql(newest, newest)
        case "sum":
            return CellSql(from_micros_sql(raw(f"sum({micros_sql(item)})")), newest)
        case "mean":
            total = from_micros_sql(raw(f"sum({micros_sql(item)})"))
            # NULL over no events: 0 / 0 is not asked for.
            number = f"nullif({raw(f'count({name})')}, 0)"
            return CellSql(f"{total} / {number}::DOUBLE", newest)
        case "min" | "max" as least_or_most:
            return CellSql(raw(f"{least_or_most}({name})"), newest)
        case "last":
            return CellSql(raw(f"arg_max({name}, place)"), newest)
        case "first":
            return CellSql(raw(f"arg_min({name}, place)"), raw("min(t)", taken))
    raise AssertionError(f"aggregate {feature.aggregate}")


def from_micros_sql(total: str) -> str:
    """Return a HUGEINT sum of units of 1e-6 as a double, by the rule of `exact.from_micros`."""
    limit = f"{_MICROS_LIMIT}::HUGEINT"
    whole = f"least(abs({total}) // 1000000::HUGEINT, {limit})::BIGINT::DOUBLE"
    return (
        f"(CASE WHEN {total} IS NULL THEN 0.0::DOUBLE "
        f"WHEN {total} BETWEEN -{limit} AND {limit} THEN {total}::BIGINT::DOUBLE / 1e6::DOUBLE "
        f"WHEN {total} > 0 THEN {whole} ELSE -{whole} END)"
    )


def needs_place(features: Iterable[EventFeature]) -> bool:
    """Return whether a feature asks which of two simultaneous events came first."""
    return any(feature.aggregate in ("first", "last") for feature in features)
