"""Which of an upload's rows is each entity's last. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from engine.records import LATEST_ROWS_SCHEMA

_ROWS_AT_ONCE: Final = 200_000
"""Held in memory besides one row an entity; some 10 MB."""


def compute_latest(batches: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    """Return of each entity the row that wins: the latest, and of equal times the last to come.

    Args:
      batches: with the columns of records.FEATURE_HISTORY_SCHEMA.
    Returns: rows of records.LATEST_ROWS_SCHEMA in the order of their keys.
    """
    winners = pa.RecordBatch.from_pylist([], schema=LATEST_ROWS_SCHEMA)
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(_of_schema(batch))
        rows += batch.num_rows
        # Never less than has been kept, so that all of it is not sorted anew for a few more.
        if rows >= max(_ROWS_AT_ONCE, winners.num_rows):
            winners = _choose([winners, *waiting])
            waiting, rows = [], 0
    return _choose([winners, *waiting])


def _of_schema(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [
        batch.column("entity_key"),
        batch.column("event_time").cast(pa.int64()),
        batch.column("fields").cast(pa.large_string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=LATEST_ROWS_SCHEMA)


def _choose(parts: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    rows = pa.concat_batches(parts)
    keys = rows.column("entity_key").to_numpy()
    times = rows.column("event_us").to_numpy()
    # By key, then time; a stable sort, so of equal ones the last to come is the last.
    order = np.lexsort((times, keys))
    sorted_keys = keys[order]
    is_last = np.append(sorted_keys[1:] != sorted_keys[:-1], True)[: len(order)]
    return rows.take(pa.array(order[is_last]))
