"""Moving rows that are older than configured out of the data file, to Parquet in the blob store."""

from engine.retention.archiver import Archiver
from engine.retention.movable import MovableTable, dead_letters, events, predictions
from engine.retention.retention import Retention

__all__ = [
    "Archiver",
    "MovableTable",
    "Retention",
    "dead_letters",
    "events",
    "predictions",
]
