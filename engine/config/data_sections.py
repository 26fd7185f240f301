"""The settings of data: the file, what is held in memory, and how long rows stay."""

# ruff: noqa: RUF009 - `setting` describes a field, as attrs.field does; it is no shared default.

from typing import Annotated

import attrs

from engine.config.quantities import Size
from engine.config.setting_fields import (
    GIB,
    MIB,
    Count,
    Days,
    Rows,
    ShortDuration,
    Threads,
    setting,
)


@attrs.frozen
class DuckdbConfig:
    """The data file: memory, threads, and how writes are grouped."""

    memory_limit_bytes: Annotated[int, Size(64 * MIB, 1024 * GIB)] = setting(
        GIB, "Most memory DuckDB uses before it spills to disk."
    )
    threads: Threads = setting(2, "DuckDB's own threads.")
    reader_threads: Threads = setting(4, "Queries that may run at once.")
    queue_rows: Rows = setting(200_000, "Most rows that wait for the writer.")
    queue_bytes: Annotated[int, Size(MIB, 64 * GIB)] = setting(
        128 * MIB, "Most bytes that wait for the writer."
    )
    batch_rows: Rows = setting(50_000, "Most rows in one transaction of several requests.")
    checkpoint_wal_bytes: Annotated[int, Size(MIB, 16 * GIB)] = setting(
        64 * MIB, "A write-ahead log of this size is folded into the data file at once."
    )
    checkpoint_idle_s: ShortDuration = setting(
        1.0, "A smaller one is folded in when nothing was written for this long."
    )


@attrs.frozen
class OnlineConfig:
    """The feature values held in memory."""

    max_bytes: Annotated[int, Size(MIB, 1024 * GIB)] = setting(
        512 * MIB, "Past this the least recently used entities are left to DuckDB."
    )
    fold_events: Count = setting(
        256, "Events kept singly per entity before they are folded into tiles."
    )


@attrs.frozen
class RetentionConfig:
    """How long rows stay in the data file; nothing set means for ever. Older ones are moved to the
    blob store, from where `python main.py history` reads them.
    """

    events_days: Days | None = setting(
        None,
        "Days to keep events, by event time and by when they were taken in. Those that features "
        "without a window rest on stay.",
    )
    predictions_days: Days | None = setting(None, "Days to keep predictions.")
    dead_letters_days: Days | None = setting(
        None,
        "Days to keep refused messages that are in the dead-letter topic. What was moved is no "
        "longer listed or replayed.",
    )
