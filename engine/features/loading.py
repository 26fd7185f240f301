"""From the data file into memory: one entity that was read, or all of them at start.

Events that a window may still need come as they are. What is older has no part in any window, and
series without a window come summed up by DuckDB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import attrs
import pyarrow as pa
import trio

from engine.features.accumulators import BEFORE_ALL, AnyAccumulator, Count, Distinct, Ends, Total
from engine.features.aggregate_sql import Item, micros_sql
from engine.features.entity import Entity
from engine.features.eventlog import pack_columns, split_by_entity
from engine.features.keeping import KeepingPlan
from engine.features.series import ALL_TIME_TILE, Series
from engine.features.source import HistoryReader
from engine.features.sql import quote_texts
from engine.features.uploaded import decode_uploaded
from engine.store.queries import load_queries

_QUERIES = load_queries("engine.features")

LATEST_TIME_US = 2**53
"""After any event, and well inside what DuckDB takes for a time."""


@attrs.frozen
class Extent:
    """How much history there is."""

    commit_seq: int
    event_count: int
    upload_count: int


async def fetch_extent(reader: HistoryReader) -> Extent:
    """Return the last commit of the histories and their sizes."""
    [row] = await reader.fetch_rows(_QUERIES["extent"])
    return Extent(*row)


@attrs.frozen
class Share:
    """Which entities to load: one, or those whose hash leaves a remainder."""

    condition: str
    """Over `{key}`, the column of the entity key."""

    @classmethod
    def one(cls, entity_key: int) -> Share:
        return cls(f"{{key}} = {entity_key}")

    @classmethod
    def part(cls, number: int, parts: int) -> Share:
        """Return share `number` of `parts` of about equal size."""
        return cls("TRUE" if parts == 1 else f"hash({{key}}) % {parts} = {number}")

    def over(self, column: str) -> str:
        return self.condition.format(key=column)


async def load_entities(
    reader: HistoryReader, plan: KeepingPlan, share: Share, *, commit_seq: int, now_us: int
) -> dict[int, Entity]:
    """Load the state of entities as of a commit.

    Args:
      now_us: windows are needed from now on; events that only older windows hold are left out.
    Returns: by entity key; entities without any history are not in it.
    Raises:
      StoreError: a query failed.
    Cancellation: nothing is kept.
    """
    oldest_us = plan.oldest_kept_us(now_us)
    recent = await reader.fetch_arrow(
        _QUERIES["recent_events"].format(restriction=share.over("user_id")),
        {"commit_seq": commit_seq, "oldest_us": oldest_us},
    )
    summaries = await reader.fetch_arrow(
        _write_summaries(plan, share.over("user_id")), {"commit_seq": commit_seq}
    )
    uploads = None
    if plan.columns:
        uploads = await reader.fetch_arrow(
            _QUERIES["uploaded_at"].format(
                columns=quote_texts(plan.columns), restriction=share.over("entity_key")
            ),
            {"commit_seq": commit_seq, "newest_us": LATEST_TIME_US},
        )

    def build() -> dict[int, Entity]:
        entities = _build_from_summaries(
            plan, summaries, commit_seq=commit_seq, oldest_us=oldest_us
        )
        _add_recent(plan, entities, recent)
        if uploads is not None:
            _add_uploads(plan, entities, uploads)
        for entity in entities.values():
            entity.measure()
        return entities

    return await trio.to_thread.run_sync(build)


def _write_summaries(plan: KeepingPlan, restriction: str) -> str:
    items: list[str] = []
    summaries: list[str] = []
    for number, series in enumerate(plan.series):
        if series.tile_us is None:
            item = Item(f"item{number}", series.actions, series.column)
            items.append(f",\n        {item.sql} AS {item.name}")
            summaries += [
                f",\n    {sql} AS summary{number}_{part}"
                for part, sql in _SUMMARIES[series.family](item).items()
            ]
    return _QUERIES["summaries"].format(
        items="".join(items), summaries="".join(summaries), restriction=restriction
    )


def _newest(item: Item) -> str:
    return f"max(t) FILTER (WHERE {item.name} IS NOT NULL)"


def _end(item: Item, function: str) -> str:
    row = f'(t, commit_seq, partition, "offset", {item.name})'
    return f"{function}({row}) FILTER (WHERE {item.name} IS NOT NULL)"


_SUMMARIES: Mapping[type[AnyAccumulator], Callable[[Item], Mapping[str, str]]] = {
    Count: lambda item: {"n": f"count({item.name})", "newest": _newest(item)},
    Total: lambda item: {
        "n": f"count({item.name})",
        # Text, because Arrow has no 128-bit integers.
        "micros": f"sum({micros_sql(item)})::VARCHAR",
        "low": f"min({item.name})",
        "high": f"max({item.name})",
        "newest": _newest(item),
    },
    Ends: lambda item: {
        f"{end}_{part}": f"({_end(item, function)})[{position}]"
        for end, function in (("first", "min"), ("last", "max"))
        for position, part in enumerate(("t", "seq", "partition", "offset", "item"), start=1)
    },
    Distinct: lambda item: {
        "items": f"list(DISTINCT {item.name}) FILTER (WHERE {item.name} IS NOT NULL)",
        "newest": _newest(item),
    },
}


def _restore_count(rows: Iterator[tuple[int, int | None]]) -> Iterator[Count | None]:
    for n, newest_us in rows:
        yield None if newest_us is None else Count(n, newest_us)


def _restore_total(
    rows: Iterator[tuple[int, str, float, float, int | None]],
) -> Iterator[Total | None]:
    for n, micros, low, high, newest_us in rows:
        yield None if newest_us is None else Total(n, int(micros), low, high, newest_us)


def _restore_ends(rows: Iterator[tuple[int | None, ...]]) -> Iterator[Ends | None]:
    for row in rows:
        if row[0] is None:
            yield None
            continue
        ends = Ends()
        ends.offer_first(row[:4], row[4])  # type: ignore[arg-type]
        ends.offer_last(row[5:9], row[9])  # type: ignore[arg-type]
        yield ends


def _restore_distinct(
    rows: Iterator[tuple[list[float | str] | None, int]],
) -> Iterator[Distinct | None]:
    for items, newest_us in rows:
        yield None if items is None else Distinct(set(items), newest_us)


_RESTORE: Mapping[type[AnyAccumulator], Callable[..., Iterator[AnyAccumulator | None]]] = {
    Count: _restore_count,
    Total: _restore_total,
    Ends: _restore_ends,
    Distinct: _restore_distinct,
}


def _build_from_summaries(
    plan: KeepingPlan, summaries: pa.Table, *, commit_seq: int, oldest_us: int
) -> dict[int, Entity]:
    entities: dict[int, Entity] = {}
    for key, first_us in zip(
        summaries["user_id"].to_pylist(), summaries["first_us"].to_pylist(), strict=True
    ):
        entity = entities[key] = Entity()
        entity.first_us = first_us
        entity.summed_seq = commit_seq
        entity.loaded_since_us = oldest_us if first_us < oldest_us else BEFORE_ALL
    for number, series in enumerate(plan.series):
        if series.tile_us is None:
            accumulators = _restore(summaries, number, series)
            for entity, accumulator in zip(entities.values(), accumulators, strict=True):
                if accumulator is not None:
                    entity.prepare_tiles(plan)[number][ALL_TIME_TILE] = accumulator
    return entities


def _restore(summaries: pa.Table, number: int, series: Series) -> Iterator[AnyAccumulator | None]:
    prefix = f"summary{number}_"
    columns = [name for name in summaries.column_names if name.startswith(prefix)]
    rows = zip(*(summaries[name].to_pylist() for name in columns), strict=True)
    return _RESTORE[series.family](rows)


def _add_recent(plan: KeepingPlan, entities: dict[int, Entity], recent: pa.Table) -> None:
    columns = {name: recent[name].combine_chunks() for name in recent.column_names}
    keys, records = pack_columns(**columns, codes=plan.codes)
    for key, packed, first_us in split_by_entity(keys, records):
        entities[key].append(packed, first_us)


def _add_uploads(plan: KeepingPlan, entities: dict[int, Entity], uploads: pa.Table) -> None:
    for key, column, text, event_us in zip(
        *(uploads[name].to_pylist() for name in ("entity_key", "feature", "value", "event_us")),
        strict=True,
    ):
        entity = entities.get(key)
        if entity is None:
            entity = entities[key] = Entity()
        index = plan.column_index[column]
        entity.set_upload(index, event_us, decode_uploaded(text, plan.types[index]))
