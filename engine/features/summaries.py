"""All-time accumulators as DuckDB sums them up, one row an entity, turned into objects when needed.

At start there may be hundreds of thousands of entities, most of which nobody reads for a while, so
a summary stays a row of an Arrow table until its entity is first looked at.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import pyarrow as pa

from engine.features.accumulators import AnyAccumulator, Count, Distinct, First, Last, Total
from engine.features.aggregate_sql import Item, micros_sql
from engine.features.series import Series
from engine.store.queries import load_queries

_QUERIES = load_queries("engine.features")


def write_summaries(series: Sequence[Series], restriction: str) -> str:
    """Write the query for the summaries of all series without a window.

    It takes the parameter commit_seq. A row has user_id, first_us and the columns of `Summaries`.
    """
    items: list[str] = []
    columns: list[str] = []
    for number, one in enumerate(series):
        if one.tile_us is None:
            item = Item(f"item{number}", one.actions, one.column)
            items.append(f",\n        {item.sql} AS {item.name}")
            columns += [
                f",\n    {sql} AS summary{number}_{part}"
                for part, sql in enumerate(_FORMS[one.family].write(item))
            ]
    return _QUERIES["summaries"].format(
        items="".join(items), summaries="".join(columns), restriction=restriction
    )


class Summaries:
    """The result of that query."""

    def __init__(self, series: Sequence[Series], table: pa.Table) -> None:
        self._columns: dict[int, list[pa.Array]] = {}
        self._restore: dict[int, Callable[..., AnyAccumulator]] = {}
        for number, one in enumerate(series):
            if one.tile_us is None:
                prefix = f"summary{number}_"
                names = [name for name in table.column_names if name.startswith(prefix)]
                self._columns[number] = [table[name].combine_chunks() for name in names]
                self._restore[number] = _FORMS[one.family].restore

    def restore(self, row: int) -> Iterator[tuple[int, AnyAccumulator]]:
        """Yield the accumulators of a row by series number; series without events are left out."""
        for number, columns in self._columns.items():
            # The newest event time comes last and is NULL when there was no event.
            if columns[-1][row].is_valid:
                yield number, self._restore[number](*(column[row].as_py() for column in columns))


@attrs.frozen
class _Form:
    """How a family is written as columns and restored from them, the newest time last."""

    write: Callable[[Item], Sequence[str]]
    restore: Callable[..., AnyAccumulator]


def _newest(item: Item) -> str:
    return f"max(t) FILTER (WHERE {item.name} IS NOT NULL)"


def _write_end(function: str) -> Callable[[Item], Sequence[str]]:
    def write(item: Item) -> Sequence[str]:
        row = (
            f'{function}((t, commit_seq, partition, "offset", {item.name})) '
            f"FILTER (WHERE {item.name} IS NOT NULL)"
        )
        return [*(f"({row})[{position}]" for position in range(1, 6)), _newest(item)]

    return write


def _restore_first(
    time_us: int, seq: int, partition: int, offset: int, item: float | str, newest_us: int
) -> First:
    return First((time_us, seq, partition, offset), item, newest_us)


def _restore_last(
    time_us: int, seq: int, partition: int, offset: int, item: float | str, _newest_us: int
) -> Last:
    return Last((time_us, seq, partition, offset), item)


def _restore_total(n: int, micros: str, low: float, high: float, newest_us: int) -> Total:
    return Total(n, int(micros), low, high, newest_us)


def _restore_distinct(items: list[Any], newest_us: int) -> Distinct:
    return Distinct(set(items), newest_us)


_FORMS: Mapping[type[AnyAccumulator], _Form] = {
    Count: _Form(lambda item: (f"count({item.name})", _newest(item)), Count),
    Total: _Form(
        lambda item: (
            f"count({item.name})",
            # As text, because Arrow has no 128-bit integers.
            f"sum({micros_sql(item)})::VARCHAR",
            f"min({item.name})",
            f"max({item.name})",
            _newest(item),
        ),
        _restore_total,
    ),
    First: _Form(_write_end("min"), _restore_first),
    Last: _Form(_write_end("max"), _restore_last),
    Distinct: _Form(
        lambda item: (
            f"list(DISTINCT {item.name}) FILTER (WHERE {item.name} IS NOT NULL)",
            _newest(item),
        ),
        _restore_distinct,
    ),
}
