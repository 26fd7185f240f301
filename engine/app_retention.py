"""The retention branch of the nursery tree: rows that are older than configured are moved."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from engine.backends.blobs import BlobStore
from engine.clock import read_clock_us
from engine.config import RetentionConfig
from engine.retention import Archiver, MovableTable, Retention, dead_letters, predictions
from engine.store import Store


@asynccontextmanager
async def run_retention(
    config: RetentionConfig, store: Store, blobs: BlobStore
) -> AsyncIterator[None]:
    """Have rows moved to the blob store while the block runs."""
    archiver = Archiver(store.reader, store.writer, blobs, read_clock_us)
    retention = Retention(_list_tables(config), archiver, read_clock_us)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(retention.run)
        yield
        nursery.cancel_scope.cancel()


def _list_tables(config: RetentionConfig) -> list[MovableTable]:
    tables = []
    if config.predictions_days is not None:
        tables.append(predictions(config.predictions_days))
    if config.dead_letters_days is not None:
        tables.append(dead_letters(config.dead_letters_days))
    return tables
