"""The retention branch of the nursery tree: rows that are older than configured are moved."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from engine.backends.blobs import BlobStore
from engine.clock import read_clock_us
from engine.config import RetentionConfig
from engine.features.resting import describe_rules, write_movable_events
from engine.features.views import FeatureSet
from engine.retention import Archiver, MovableTable, Retention, dead_letters, events, predictions
from engine.store import Store


@asynccontextmanager
async def run_retention(
    config: RetentionConfig, store: Store, blobs: BlobStore, features: FeatureSet
) -> AsyncIterator[None]:
    """Have rows moved to the blob store while the block runs.

    Args:
      features: of the events, those that these rest on stay.
    """
    archiver = Archiver(store.reader, store.writer, blobs, read_clock_us)
    retention = Retention(_list_tables(config, features), archiver, read_clock_us)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(retention.run)
        yield
        nursery.cancel_scope.cancel()


def _list_tables(config: RetentionConfig, features: FeatureSet) -> list[MovableTable]:
    tables = []
    if config.events_days is not None:
        movable, kept = write_movable_events(features.events), describe_rules(features.events)
        tables.append(events(config.events_days, movable, kept))
    if config.predictions_days is not None:
        tables.append(predictions(config.predictions_days))
    if config.dead_letters_days is not None:
        tables.append(dead_letters(config.dead_letters_days))
    return tables
