"""Trained versions and aliases, over a real data file: memory is what the file says."""

import itertools

import attrs
import pytest

from engine.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    StoreError,
)
from engine.models import (
    BlobRef,
    Importance,
    Measured,
    ModelRegistry,
    Promotion,
    Role,
    Source,
    TrainedArtifact,
)
from engine.records import WriteRequest
from engine.store import Store, StoreSettings, open_store

FEATURES = ("plan", "clicks_5m")
CHAMPION = Promotion(Role.CHAMPION, "better")
CHALLENGER = Promotion(Role.CHALLENGER, "not better")
TRAINED = TrainedArtifact(
    job_id="J",
    cause="drift",
    drift_report_id="R",
    estimator="LogisticRegression",
    task="classification",
    pipeline=BlobRef("models/ab", "ab" * 32, 10),
    reference=BlobRef("references/cd", "cd" * 32, 20),
    trained_from_us=1_000_001,
    trained_until_us=2_000_002,
    training_commit_seq=7,
    rows_fitted=300,
    rows_tested=100,
    metrics=(Measured("roc_auc", 0.75, 0.7, 0.8),),
    champion_metrics=None,
    importance=(Importance("plan", 0.1, 0.01), Importance("clicks_5m", 0.0, 0.0)),
    lineage_json='{"seed": 1}',
)


async def loaded(store: Store) -> ModelRegistry:
    ticks = itertools.count(1_700_000_000_000_001)
    registry = ModelRegistry(
        store.writer, store.reader, dict.fromkeys(FEATURES, "user"), lambda: next(ticks)
    )
    await registry.load()
    return registry


async def train(
    store: Store, registry: ModelRegistry, promotion: Promotion, trained: TrainedArtifact = TRAINED
) -> int:
    change = registry.plan_training("churn", FEATURES, trained, promotion)
    await store.writer.submit(WriteRequest(change.operations))
    return change.version.version


async def test_a_trained_version_is_there_once_its_job_is_and_after_a_restart(
    settings: StoreSettings,
) -> None:
    async with open_store(settings) as store:
        registry = await loaded(store)
        await registry.register("churn", FEATURES)
        change = registry.plan_training(
            "churn", FEATURES, attrs.evolve(TRAINED, champion_metrics=TRAINED.metrics), CHAMPION
        )
        before = registry.get("churn")
        await store.writer.submit(WriteRequest(change.operations))
        models = registry.list()
        assert before.trained is None
        assert registry.get("churn") == change.version
        assert (change.version.version, change.version.source) == (2, Source.TRAINED)
    async with open_store(settings) as store:
        assert (await loaded(store)).list() == models


async def test_a_number_whose_commit_failed_is_skipped(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        registry = await loaded(store)
        await registry.register("churn", FEATURES)
        change = registry.plan_training("churn", FEATURES, TRAINED, CHAMPION)
        with pytest.raises(StoreError):
            # Both rows of the artifact have the same key.
            await store.writer.submit(WriteRequest((*change.operations, *change.operations)))
        models = registry.list()
        assert await train(store, registry, CHAMPION) == 3
        assert [version.version for version in models[0].versions] == [1]
        assert [version.version for version in registry.find("churn").versions] == [1, 3]
        with pytest.raises(NotFoundError):
            registry.get("churn", 2)
        assert (await loaded(store)).list() == registry.list()


async def test_a_better_version_takes_the_place_of_champion_and_challenger(
    settings: StoreSettings,
) -> None:
    async with open_store(settings) as store:
        registry = await loaded(store)
        await registry.register("churn", FEATURES)
        await train(store, registry, CHAMPION)
        await train(store, registry, CHALLENGER)
        assert registry.find("churn").aliases == {"champion": 2, "challenger": 3}
        assert registry.get("churn").version == 2
        await train(store, registry, CHAMPION)
        assert registry.find("churn").aliases == {"champion": 4}
        [(alias, version)] = await store.reader.fetch_rows(
            "SELECT alias, version FROM model_aliases"
        )
        assert (alias, version) == ("champion", 4)


async def test_an_alias_is_moved_back_by_one_call(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        registry = await loaded(store)
        await registry.register("churn", FEATURES)
        await train(store, registry, CHAMPION)
        await train(store, registry, CHAMPION)
        assert await registry.set_alias("churn", "champion", 2, expected=3) == 3
        assert registry.get("churn").version == 2
        assert await registry.set_alias("churn", "champion", 2) == 2
        rows = await store.reader.fetch_rows(
            "SELECT version, change, detail->>'before' FROM model_log WHERE change = 'alias set'"
        )
        assert rows == [(2, "alias set", None), (3, "alias set", "2"), (2, "alias set", "3")]


async def test_a_challenger_that_is_made_champion_waits_no_more(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        registry = await loaded(store)
        await registry.register("churn", FEATURES)
        await train(store, registry, CHAMPION)
        await train(store, registry, CHALLENGER)
        await registry.set_alias("churn", "champion", 3)
        assert registry.find("churn").aliases == {"champion": 3}


@pytest.mark.parametrize(
    ("alias", "version", "expected", "error", "message"),
    [
        ("canary", 2, "any", InvalidArgumentError, "champion, challenger"),
        ("champion", None, "any", InvalidArgumentError, "replaced, not taken away"),
        ("champion", 1, "any", FailedPreconditionError, "train it first"),
        ("champion", 9, "any", NotFoundError, "churn/9"),
        ("champion", 2, 3, FailedPreconditionError, "is version 2, not version 3"),
        ("champion", 2, None, FailedPreconditionError, "is version 2, not nowhere"),
        ("challenger", 2, 2, FailedPreconditionError, "is nowhere, not version 2"),
    ],
)
async def test_an_alias_that_cannot_be_moved_stays(
    settings: StoreSettings, alias, version, expected, error, message
) -> None:
    async with open_store(settings) as store:
        registry = await loaded(store)
        await registry.register("churn", FEATURES)
        await train(store, registry, CHAMPION)
        with pytest.raises(error, match=message):
            await registry.set_alias("churn", alias, version, expected=expected)
        assert registry.find("churn").aliases == {"champion": 2}


async def test_a_removed_declaration_is_reported_after_trainings_too(
    settings: StoreSettings,
) -> None:
    @attrs.frozen
    class Declared:
        name: str = "churn"
        features: tuple[str, ...] = FEATURES
        entity: str = "user"
        description: str = ""

    async with open_store(settings) as store:
        registry = await loaded(store)
        await registry.sync_declared({"churn": Declared()})
        await train(store, registry, CHAMPION)
        assert (await registry.sync_declared({"churn": Declared()})).changed == ()
        assert (await registry.sync_declared({})).removed == ("churn",)
