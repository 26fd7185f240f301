"""From the data file into memory: one entity that was read, or all of them at start.

Events that a window may still need come as they are. What is older has no part in any window, and
series without a window come summed up by DuckDB.
"""

from __future__ import annotations

import attrs
import pyarrow as pa
import trio

from engine.features.accumulators import BEFORE_ALL
from engine.features.entity import Entity
from engine.features.eventlog import EventColumns, pack_by_entity
from engine.features.keeping import KeepingPlan
from engine.features.source import HistoryReader
from engine.features.sql import quote_texts
from engine.features.summaries import Summaries, write_summaries
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
    reader: HistoryReader,
    plan: KeepingPlan,
    share: Share,
    *,
    commit_seq: int,
    now_us: int,
    complete_since_us: int | None = None,
) -> dict[int, Entity]:
    """Load the state of entities as of a commit.

    Args:
      now_us: windows are needed from now on; events that only older windows hold are left out.
      complete_since_us: events before this time may be missing; None if there are all.
    Returns: by entity key; entities without any history are not in it.
    Raises:
      StoreError: a query failed.
    Cancellation: nothing is kept.
    """
    oldest_us = plan.oldest_kept_us(now_us)
    if complete_since_us is not None:
        # A clock that was set back must not have windows begin among what was moved.
        oldest_us = max(oldest_us, complete_since_us)
    recent = await reader.fetch_arrow(
        _QUERIES["recent_events"].format(restriction=share.over("user_id")),
        {"commit_seq": commit_seq, "oldest_us": oldest_us},
    )
    summaries = await reader.fetch_arrow(
        write_summaries(plan.series, share.over("user_id")), {"commit_seq": commit_seq}
    )
    uploads = None
    if plan.uploads:
        uploads = await reader.fetch_arrow(
            _QUERIES["uploaded_at"].format(
                datasets=quote_texts(plan.uploads), restriction=share.over("entity_key")
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
            entity.measure(plan)
        return entities

    return await trio.to_thread.run_sync(build)


def _build_from_summaries(
    plan: KeepingPlan, summaries: pa.Table, *, commit_seq: int, oldest_us: int
) -> dict[int, Entity]:
    entities: dict[int, Entity] = {}
    by_series = Summaries(plan.series, summaries)
    for row, (key, first_us) in enumerate(
        zip(summaries["user_id"].to_pylist(), summaries["first_us"].to_pylist(), strict=True)
    ):
        entity = entities[key] = Entity()
        entity.first_us = first_us
        entity.summed_seq = commit_seq
        entity.summary = (by_series, row)
        entity.loaded_since_us = oldest_us if first_us < oldest_us else BEFORE_ALL
    return entities


def _add_recent(plan: KeepingPlan, entities: dict[int, Entity], recent: pa.Table) -> None:
    columns = EventColumns(**{name: recent[name] for name in recent.column_names})
    for key, records, first_us in pack_by_entity(columns, plan.codes):
        entities[key].append(records, first_us)


def _add_uploads(plan: KeepingPlan, entities: dict[int, Entity], uploads: pa.Table) -> None:
    for key, dataset, text, event_us in zip(
        *(uploads[name].to_pylist() for name in ("entity_key", "dataset", "fields", "event_us")),
        strict=True,
    ):
        entity = entities.get(key)
        if entity is None:
            entity = entities[key] = Entity()
        entity.set_upload(dataset, event_us, plan.uploads[dataset].decode(text))
