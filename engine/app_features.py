"""The features' branch of the nursery tree: their values, and the models that ask for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from engine.clock import read_clock_us
from engine.config import EngineConfig
from engine.features import FeatureStore, OnlineStore, compile_feature_set
from engine.features.horizon import Horizon, fetch_kept_rules
from engine.features.retention_rules import check_moved
from engine.health import HealthBoard
from engine.models import ModelRegistry
from engine.store import Store


@asynccontextmanager
async def open_features(
    config: EngineConfig, store: Store, health: HealthBoard
) -> AsyncIterator[tuple[FeatureStore, ModelRegistry]]:
    """Bring features and models into memory; from then on they follow every commit.

    Raises:
      ConfigError: features need events that have been moved out of the data file.
      StoreError: the data file cannot be read.
    """
    health.register("features", required=True, detail="reading history")
    feature_set = compile_feature_set(config.features)
    horizon = Horizon()
    await horizon.load(store.reader)
    check_moved(feature_set, horizon, await fetch_kept_rules(store.reader), read_clock_us())
    online = OnlineStore(feature_set, config.online, horizon=horizon)
    store.writer.add_commit_listener(horizon.note_commit)
    store.writer.add_commit_listener(online.apply)
    await online.rebuild(store.reader, store.writer.commit_seq)
    health.set("features", ok=True, detail="answering")

    entity_of = {name: feature.entity for name, feature in config.features.features.items()}
    models = ModelRegistry(store.writer, store.reader, entity_of)
    await models.load()
    await models.sync_declared(config.models.models)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(online.run)
        yield FeatureStore(feature_set, online, store.reader, horizon=horizon), models
        nursery.cancel_scope.cancel()
