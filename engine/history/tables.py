"""The tables whose rows retention moves: their columns, and the order in which they are read."""

from typing import Final

import attrs
import pyarrow as pa

_TIME: Final = pa.timestamp("us")


@attrs.frozen(eq=False)
class HistoryTable:
    """A table of the data file, and of archives, which have the same columns.

    Attributes:
      schema: the columns in the order of the data file's.
      key: columns by which rows are ordered, the time first.
      entity: the column that says whose a row is.
    """

    name: str
    schema: pa.Schema
    key: tuple[str, ...]
    entity: str

    @property
    def time(self) -> str:
        """The column that says how old a row is."""
        return self.key[0]


EVENTS: Final = HistoryTable(
    name="events",
    schema=pa.schema(
        [
            pa.field("user_id", pa.int64(), nullable=False),
            pa.field("action", pa.string(), nullable=False),
            pa.field("event_time", _TIME, nullable=False),
            pa.field("ingest_time", _TIME, nullable=False),
            pa.field("value", pa.float64()),
            pa.field("properties", pa.string()),
            pa.field("topic", pa.string(), nullable=False),
            pa.field("partition", pa.int32(), nullable=False),
            pa.field("offset", pa.int64(), nullable=False),
            pa.field("commit_seq", pa.int64(), nullable=False),
        ]
    ),
    key=("event_time", "commit_seq", "topic", "partition", "offset"),
    entity="user_id",
)

PREDICTIONS: Final = HistoryTable(
    name="predictions",
    schema=pa.schema(
        [
            pa.field("prediction_id", pa.string(), nullable=False),
            pa.field("predicted_at", _TIME, nullable=False),
            pa.field("model", pa.string(), nullable=False),
            pa.field("version", pa.int32(), nullable=False),
            pa.field("entity_key", pa.int64(), nullable=False),
            pa.field("as_of", _TIME, nullable=False),
            pa.field("feature_commit_seq", pa.int64(), nullable=False),
            pa.field("inputs", pa.string(), nullable=False),
            pa.field("statuses", pa.string(), nullable=False),
            pa.field("prediction", pa.string(), nullable=False),
            pa.field("score", pa.float64(), nullable=False),
            pa.field("probabilities", pa.string()),
            pa.field("shadow", pa.bool_(), nullable=False),
            pa.field("request_id", pa.string()),
            pa.field("commit_seq", pa.int64(), nullable=False),
        ]
    ),
    key=("predicted_at", "commit_seq", "prediction_id"),
    entity="entity_key",
)

HISTORY_TABLES: Final = {table.name: table for table in (EVENTS, PREDICTIONS)}
